"""What waits for devices: lately sent and for longer, acknowledged, and for a device that never comes."""

import pytest

from appliance.encryption.inbox import Inbox
from appliance.encryption.parcels import parcel
from appliance.storage import to_device as rows
from appliance.storage.database import Tx
from tests.federation.house import ALICE, House

pytestmark = pytest.mark.anyio


async def send(home: House, inbox: Inbox, count: int, *devices: str, size: int = 10) -> None:
    """Let messages wait for Alice's devices, numbered by their position."""
    database = home.owning.database
    for _ in range(count):
        known = database.position

        def work(tx: Tx, known: int = known) -> None:
            message = b"%0*d" % (size, database.position + 1)
            keys = [(ALICE, device) for device in devices or ("D",)]
            return inbox.put(tx, parcel(keys, [message] * len(keys)), known, None, 0)  # type: ignore[return-value]

        await database.write(work, published=lambda sent: inbox.arrived(*sent))  # type: ignore[misc]
    await settled(home)


async def settled(home: House) -> None:
    """Let units that nobody waits for come to their end."""
    for _ in range(20):
        await home.owning.database.write(lambda tx: None)


def waiting(home: House, inbox: Inbox, device: str = "D", after: int = 0) -> list[int]:
    """What waits, by number."""
    found, _ = inbox.messages(ALICE, device, after, home.owning.database.position, 1_000)
    return [int(message) for message in found]


def stored(home: House) -> tuple[int, int]:
    """How many requests of lately, and how many messages that wait for longer, are in the database."""
    counts = [home.owning.database.read(f"SELECT count(*) FROM to_device_{name}") for name in ("sends", "messages")]
    return counts[0][0][0], counts[1][0][0]


@pytest.mark.parametrize(("most", "most_bytes"), [(20, 10**9), (10**9, 200)])
async def test_the_oldest_go_where_too_much_waits(home: House, most: int, most_bytes: int) -> None:
    """By number and by size; what stays is the newest, without a gap."""
    await home.owning.sessions.login(ALICE, "D", None)
    inbox = Inbox(home.owning.database, most, most_bytes, lately=5)
    first = home.owning.database.position + 1
    await send(home, inbox, 20)
    assert waiting(home, inbox) == list(range(first, first + 20))
    await send(home, inbox, 35)
    kept = waiting(home, inbox)
    last = home.owning.database.position
    assert 10 <= len(kept) <= 25
    assert kept == list(range(last - len(kept) + 1, last + 1))
    assert waiting(home, Inbox(home.owning.database)) == kept


async def test_what_is_acknowledged_is_deleted_and_counted_no_more(home: House) -> None:
    await home.owning.sessions.login(ALICE, "D", None)
    database = home.owning.database
    for lately in (5, 100):
        inbox = Inbox(database, most=20, lately=lately)
        for _ in range(5):
            await send(home, inbox, 15)
            assert len(waiting(home, inbox)) == 15
            inbox.acknowledge(ALICE, "D", database.position)
            assert waiting(home, inbox) == []
            await inbox.close()
            assert rows.waiting(database, ALICE, "D").count == 0
            assert stored(home) == (0, 0)


async def test_who_is_answered_has_acknowledged_for_good(home: House) -> None:
    """Also where several do so at once, and where the first write fails: then it is tried again, and nobody waits."""
    database = home.owning.database
    for device in ("D", "E"):
        await home.owning.sessions.login(ALICE, device, None)
    inbox = Inbox(database)
    assert inbox.settling(ALICE, "D") is None
    await send(home, inbox, 3, "D", "E")
    inbox.acknowledge(ALICE, "D", database.position)
    inbox.acknowledge(ALICE, "E", database.position - 1)
    written = inbox.settling(ALICE, "D")
    assert written is not None
    await written
    for device, left in (("D", 0), ("E", 1)):
        assert len(waiting(home, Inbox(database), device)) == left
        assert inbox.settling(ALICE, device) is None
    await database.write(lambda tx: tx.execute("ALTER TABLE to_device_marks RENAME COLUMN upto TO away"))
    inbox.acknowledge(ALICE, "E", database.position)
    written = inbox.settling(ALICE, "E")
    assert written is not None
    await written
    await database.write(lambda tx: tx.execute("ALTER TABLE to_device_marks RENAME COLUMN away TO upto"))
    assert waiting(home, inbox, "E") == []
    await inbox.close()
    assert waiting(home, Inbox(database), "E") == []


async def test_what_one_device_has_and_another_has_not(home: House) -> None:
    """What is noted of both holds for whoever reads the database anew, wherever the messages are by then."""
    database = home.owning.database
    for device in ("D", "E"):
        await home.owning.sessions.login(ALICE, device, None)
    inbox = Inbox(database, lately=100)
    first = database.position + 1
    await send(home, inbox, 10, "D", "E")
    numbers = list(range(first, first + 10))
    inbox.acknowledge(ALICE, "D", first + 3)
    await inbox.close()
    assert stored(home) == (10, 0)
    for again in (inbox, Inbox(database)):
        assert (waiting(home, again), waiting(home, again, "E")) == (numbers[4:], numbers)
    # More is sent than is to be in memory: it goes on to the rows of its devices.
    small = Inbox(database, lately=4)
    await send(home, small, 1, "D", "E")
    assert stored(home) == (0, 18)
    for again in (small, Inbox(database)):
        assert (waiting(home, again), waiting(home, again, "E")) == ([*numbers[4:], first + 10], [*numbers, first + 10])
        assert waiting(home, again, "E", numbers[7]) == [*numbers[8:], first + 10]


async def test_an_acknowledgement_meets_messages_on_their_way(home: House) -> None:
    """What is acknowledged while it goes on to its device's rows is not told again from there."""
    await home.owning.sessions.login(ALICE, "D", None)
    database = home.owning.database
    inbox = Inbox(database, lately=5)
    first = database.position + 1
    for _ in range(6):
        known = database.position
        messages = parcel([(ALICE, "D")], [b"%d" % (known + 1)])
        await database.write(
            lambda tx, m=messages, k=known: inbox.put(tx, m, k, None, 0),  # type: ignore[misc]
            published=lambda sent: inbox.arrived(*sent),
        )
    # The sixth made all of them go on; nothing of that is published yet.
    assert waiting(home, inbox) == list(range(first, first + 6))
    inbox.acknowledge(ALICE, "D", first + 4)
    assert waiting(home, inbox) == [first + 5]
    await settled(home)
    assert waiting(home, inbox) == [first + 5]
    await inbox.close()
    for again in (inbox, Inbox(database)):
        assert waiting(home, again) == [first + 5]


async def test_a_new_device_has_nothing_of_an_old_one_of_its_name(home: House) -> None:
    """Also where its messages were on their way while it was deleted, whoever deletes it, and after a start."""
    sessions, database = home.owning.sessions, home.owning.database
    inbox = home.living.encrypting.inbox
    await sessions.login(ALICE, "D", None)
    await sessions.login(ALICE, "E", None)
    await send(home, inbox, 1, "D", "E")
    known = database.position
    messages = parcel([(ALICE, "D"), (ALICE, "E")], [b"1", b"1"])
    gone = database.submit(lambda tx: sessions.delete(tx, ALICE, ["D"]), published=lambda d: sessions.ended(ALICE, d))
    sent = database.submit(
        lambda tx: inbox.put(tx, messages, known, None, 0), published=lambda sent: inbox.arrived(*sent)
    )
    await gone
    assert (await sent)[1] == parcel([(ALICE, "E")], [b"1"])
    await sessions.login(ALICE, "D", None)
    await send(home, inbox, 1, "D", "E")
    last = database.position
    for again in (inbox, Inbox(database)):
        assert waiting(home, again) == [last]
        assert len(waiting(home, again, "E")) == 3
    await database.write(lambda tx: tx.execute("DELETE FROM devices WHERE device_id = 'D'"))
    await sessions.login(ALICE, "D", None)
    assert waiting(home, Inbox(database)) == []
