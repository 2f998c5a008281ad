"""What waits for a device that never comes: much, and not without end."""

import pytest

from appliance.encryption.inbox import Inbox
from appliance.storage import to_device as rows
from appliance.storage.database import Tx
from tests.federation.house import ALICE, House

pytestmark = pytest.mark.anyio


async def send(home: House, inbox: Inbox, count: int, size: int = 10) -> None:
    """Let messages wait for Alice's device, numbered by their position."""
    database = home.owning.database
    for _ in range(count):

        def work(tx: Tx) -> int:
            position = tx.position()
            rows.put_messages(tx, position, [(ALICE, "D", b"%0*d" % (size, position))])
            return position

        await database.write(work, published=lambda at: inbox.arrived(ALICE, at, [("D", size)]))
    await database.write(lambda tx: None)


def waiting(home: House, inbox: Inbox) -> list[int]:
    """What waits, by number."""
    found, _ = inbox.messages(ALICE, "D", 0, home.owning.database.position, 1_000)
    return [int(message) for message in found]


@pytest.mark.parametrize(("most", "most_bytes"), [(20, 10**9), (10**9, 200)])
async def test_the_oldest_go_where_too_much_waits(home: House, most: int, most_bytes: int) -> None:
    """By number and by size; what stays is the newest, without a gap."""
    await home.owning.sessions.login(ALICE, "D", None)
    inbox = Inbox(home.owning.database, most, most_bytes)
    first = home.owning.database.position + 1
    await send(home, inbox, 20)
    assert waiting(home, inbox) == list(range(first, first + 20))
    await send(home, inbox, 25)
    kept = waiting(home, inbox)
    last = home.owning.database.position
    assert 10 <= len(kept) <= 20
    assert kept == list(range(last - len(kept) + 1, last + 1))


async def test_what_is_acknowledged_is_deleted_and_counted_no_more(home: House) -> None:
    await home.owning.sessions.login(ALICE, "D", None)
    database = home.owning.database
    inbox = Inbox(database, most=20)
    for _ in range(5):
        await send(home, inbox, 15)
        assert len(waiting(home, inbox)) == 15
        inbox.acknowledge(ALICE, "D", database.position)
        assert waiting(home, inbox) == []
        await database.write(lambda tx: None)
        assert rows.waiting(database, ALICE, "D").count == 0
