"""The same request again sends nothing, wherever it is known from, and however close it comes behind the first."""

import asyncio
from typing import Any

import pytest

from appliance.encryption.inbox import Inbox
from appliance.encryption.to_device import ToDevice
from tests.federation.house import ALICE, House

pytestmark = pytest.mark.anyio
BOB = "@bob:here.example"


def made(home: House) -> ToDevice:
    """A sender with an inbox of its own, which knows what is in the database."""
    database, remote = home.owning.database, home.living.encrypting.remote
    return ToDevice(database, Inbox(database), remote, lambda: 5)


def told(to_device: ToDevice, home: House) -> list[bytes]:
    """What waits for Alice's device D."""
    return to_device._inbox.messages(ALICE, "D", 0, home.owning.database.position)[0]


async def send(to_device: ToDevice, transaction_id: str, number: int, to: str = "D") -> None:
    """Send Alice a number."""
    messages: dict[str, Any] = {ALICE: {to: {"n": number}}}
    await to_device.send(BOB, "B", "m.x", transaction_id, messages)


async def test_a_request_is_known_while_its_messages_wait_and_after(home: House) -> None:
    """In memory, after a start, when the messages were fetched, and when they went on to the rows of their device."""
    database = home.owning.database
    await home.owning.sessions.login(ALICE, "D", None)
    first = made(home)
    await send(first, "1", 1)
    await send(first, "1", 2)
    for again in (first, made(home)):
        await send(again, "1", 3)
        assert told(again, home) == [b'{"sender":"@bob:here.example","type":"m.x","content":{"n":1}}']
    first._inbox.acknowledge(ALICE, "D", database.position)
    await first._inbox.close()
    assert database.read("SELECT * FROM to_device_sends") == []
    for again in (first, made(home)):
        await send(again, "1", 4)
        assert told(again, home) == []
    small = ToDevice(database, Inbox(database, lately=0), home.living.encrypting.remote, lambda: 5)
    await send(small, "2", 5)
    for again in (small, made(home)):
        await send(again, "2", 6)
        assert [message[-4:] for message in told(again, home)] == [b":5}}"]


async def test_the_same_request_at_once_waits_for_the_first(home: House) -> None:
    """Also where whoever sent the first is gone, and where the first comes to nothing: then the next is sent."""
    database = home.owning.database
    await home.owning.sessions.login(ALICE, "D", None)
    to_device = made(home)
    await asyncio.gather(*(send(to_device, "1", number) for number in range(5)))
    assert len(told(to_device, home)) == 1
    gone = asyncio.ensure_future(send(to_device, "2", 1))
    await asyncio.sleep(0)
    gone.cancel()
    await send(to_device, "2", 2)
    assert len(told(to_device, home)) == 2

    await database.write(lambda tx: tx.execute("ALTER TABLE to_device_sends RENAME COLUMN messages TO away"))
    failing = asyncio.ensure_future(send(to_device, "3", 3))
    await asyncio.sleep(0)
    mended = database.submit(lambda tx: tx.execute("ALTER TABLE to_device_sends RENAME COLUMN away TO messages"))
    again = asyncio.ensure_future(send(to_device, "3", 4))
    assert isinstance((await asyncio.gather(failing, mended, again, return_exceptions=True))[0], Exception)
    assert [message[-3:] for message in told(to_device, home)][2:] == [b"4}}"]


async def test_a_request_that_leaves_nothing_here_is_known(home: House) -> None:
    """Its device may be there by the second time."""
    to_device = made(home)
    await send(to_device, "1", 1)
    await home.owning.sessions.login(ALICE, "D", None)
    for again in (to_device, made(home)):
        await send(again, "1", 2)
        assert told(again, home) == []


async def test_requests_of_a_device_that_is_gone_are_not_those_of_the_next_of_its_name(home: House) -> None:
    database, sessions = home.owning.database, home.owning.sessions
    to_device = home.living.encrypting.to_device
    for device in ("D", "B"):
        await sessions.login(ALICE, device, None)
    messages = {ALICE: {"D": {}}}
    await to_device.send(ALICE, "B", "m.x", "1", messages)
    await sessions.delete_devices(ALICE, ["B"])
    await sessions.login(ALICE, "B", None)
    await to_device.send(ALICE, "B", "m.x", "1", messages)
    assert len(told(to_device, home)) == 2
    again = made(home)
    await again.send(ALICE, "B", "m.x", "1", messages)
    assert len(told(again, home)) == 2
    assert len(database.read("SELECT * FROM to_device_sends WHERE user_id IS NULL")) == 1
