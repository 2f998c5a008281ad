"""Encryption with users of other servers: their devices are asked for once and followed, messages come in once."""

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from appliance.encryption import remote_lists
from appliance.encryption.remote import MOST_SERVERS_AT_ONCE, Declined, Unreachable, each_server
from appliance.encryption.upload_bodies import Given
from appliance.errors import MatrixError
from appliance.storage import remote_devices
from appliance.storage import to_device as to_device_rows
from tests.federation.house import ALICE, ELSEWHERE, MALLORY, House

pytestmark = pytest.mark.anyio
Json = dict[str, Any]


def keys(device_id: str, curve: str = "c") -> Json:
    """Identity keys of a device of Mallory's."""
    return {
        "user_id": MALLORY,
        "device_id": device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {f"curve25519:{device_id}": curve},
        "signatures": {},
    }


def master(letter: str) -> Json:
    """A master key of Mallory's."""
    public = letter * 42 + "A"
    return {"user_id": MALLORY, "usage": ["master"], "keys": {f"ed25519:{public}": public}}


class OtherServer:
    """What the other server answers, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gone = False
        self.stream_id = 5
        self.list = [{"device_id": "D", "keys": keys("D"), "device_display_name": "Phone"}, {"device_id": 1}]
        self.master = master("a")

    async def query(self, server: str, users: Mapping[str, list[str]], timeout_ms: int) -> Json:
        """Keys of users whom it was asked for, and of one more that it has no say about."""
        self._ask(f"query {server}")
        return {"device_keys": {user: {} for user in users} | {ALICE: {"X": {}}}, "master_keys": []}

    async def claim(self, server: str, users: Mapping[str, Mapping[str, str]], timeout_ms: int) -> Json:
        """A key for each device, and more than was asked for."""
        self._ask(f"claim {server}")
        key = {"signed_curve25519:A": {"key": "x"}, "other:B": "y"}
        return {**{user: dict.fromkeys([*own, "MORE"], key) for user, own in users.items()}, ALICE: {"D": key}}

    async def devices(self, user_id: str) -> Json:
        """The list."""
        self._ask(f"devices {user_id}")
        return {"user_id": user_id, "stream_id": self.stream_id, "devices": self.list, "master_key": self.master}

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.gone:
            raise Unreachable("gone")


@pytest.fixture
def other(home: House) -> OtherServer:
    """The other server, which can be asked."""
    found = OtherServer()
    home.living.encrypting.remote.way = found
    return found


async def queried(home: House) -> Json:
    """What Alice is told of Mallory."""
    found: Json = orjson.loads(await home.living.encrypting.queries.query(ALICE, {MALLORY: []}, 60_000))
    return found


async def devices(home: House) -> Json:
    """Mallory's devices, as Alice is told."""
    answer = await queried(home)
    assert answer["failures"] == {}
    found: Json = answer["device_keys"][MALLORY]
    return found


async def update(home: House, stream_id: int, previous: list[int], **more: Any) -> None:
    """Mallory's server tells of a change."""
    content = {"user_id": MALLORY, "device_id": "E", "stream_id": stream_id, "prev_id": previous} | more
    await home.living.encrypting.remote_lists.receive_update(ELSEWHERE, content)


async def changed(home: House, since: int) -> list[str]:
    """Whose devices changed for Alice."""
    return (await home.living.encrypting.lists.between(ALICE, since, home.owning.database.position)).changed


async def test_a_list_is_asked_for_once_and_then_followed(home: House, other: OtherServer) -> None:
    await home.with_mallory()
    named = {**keys("D"), "unsigned": {"device_display_name": "Phone"}}
    for _ in range(3):
        answer = await queried(home)
        assert answer["device_keys"] == {MALLORY: {"D": named}}
        assert answer["master_keys"] == {MALLORY: master("a")}
    assert other.asked == [f"devices {MALLORY}"]
    since = home.owning.database.position
    await update(home, 7, [5], keys=keys("E"))
    assert await changed(home, since) == [MALLORY]
    assert await devices(home) == {"D": named, "E": keys("E")}
    await update(home, 8, [7], device_id="D", deleted=True)
    assert await devices(home) == {"E": keys("E")}
    # The same again, and what is older, changes nothing.
    since = home.owning.database.position
    await update(home, 8, [7], device_id="D", keys=keys("D"))
    assert await changed(home, since) == []
    assert await devices(home) == {"E": keys("E")}
    await home.living.encrypting.remote_lists.receive_keys(ELSEWHERE, {"user_id": MALLORY, "master_key": master("b")})
    assert await changed(home, since) == [MALLORY]
    assert (await queried(home))["master_keys"] == {MALLORY: master("b")}
    assert other.asked == [f"devices {MALLORY}"]


async def test_a_list_cannot_grow_without_end(home: House, other: OtherServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by further devices, nor by numbers or ids that nothing can hold."""
    monkeypatch.setattr(remote_lists, "MOST_DEVICES", 3)
    await home.with_mallory()
    await queried(home)
    for number in range(6, 12):
        await update(home, number, [number - 1], device_id=f"E{number}", keys=keys(f"E{number}"))
    await update(home, 12, [11], device_id="E6", keys=keys("E6", "other"))
    for number, device_id in ((10**30, "F"), (13, "x" * 300)):
        with pytest.raises(MatrixError):
            await update(home, number, [12], device_id=device_id)
    devices = remote_devices.devices_of(home.owning.database, MALLORY)
    assert [device.device_id for device in devices] == ["D", "E6", "E7"]
    assert orjson.loads(devices[1].json or "")["keys"] == {"curve25519:E6": "other"}
    assert remote_devices.find(home.owning.database, MALLORY) == remote_devices.FollowedList(12, stale=False)


async def test_whoever_names_many_servers_waits_no_longer() -> None:
    """Of servers that could not be asked within the time that a client gives, it is told that; so many are asked at
    once, and others get their turn while all of them fail at once.
    """
    at_once, most = 0, 0

    async def slowly(server: str, question: int) -> Json:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.05)
        at_once -= 1
        return {"answer": question}

    async def never(server: str, question: int) -> Json:
        raise Unreachable("It is gone.")

    names = {f"{number}.test": number for number in range(MOST_SERVERS_AT_ONCE + 10)}
    answers, failures = await each_server(names, slowly, 0)
    assert (len(answers), len(failures), most) == (MOST_SERVERS_AT_ONCE, 10, MOST_SERVERS_AT_ONCE)
    turns = asyncio.ensure_future(each_server(names, never, 10_000))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not turns.done()
    answers, failures = await turns
    assert (answers, failures.keys()) == ({}, names.keys())


async def test_cross_signing_keys_that_are_told_again_have_signed_something(home: House, other: OtherServer) -> None:
    """A server that tells of a signature by telling the keys again, and not the device, is asked for the list."""
    await home.with_mallory()
    await queried(home)
    since = home.owning.database.position
    signed = {**keys("D"), "signatures": {MALLORY: {"ed25519:x": "signature"}}}
    other.list, other.stream_id = [{"device_id": "D", "keys": signed}], 6
    await home.living.encrypting.remote_lists.receive_keys(ELSEWHERE, {"user_id": MALLORY, "master_key": master("a")})
    assert await changed(home, since) == [MALLORY]
    assert await devices(home) == {"D": signed}
    assert other.asked == [f"devices {MALLORY}"] * 2


async def test_who_is_introduced_on_coming_has_not_changed_once_more(home: House, other: OtherServer) -> None:
    """What comes after that is a change, and so is all once somebody asked for their list, or some seconds later."""
    await home.with_mallory()
    lists, since = home.living.encrypting.remote_lists, home.owning.database.position
    await update(home, 3, [], keys=keys("E"))
    assert await changed(home, since) == []
    await update(home, 4, [3], keys=keys("E"))
    assert await changed(home, since) == [MALLORY]
    since, now_ms = home.owning.database.position, lists._now_ms
    lists._now_ms = lambda: now_ms() + 6_000
    await update(home, 5, [], keys=keys("E"))
    assert await changed(home, since) == [MALLORY]
    lists._now_ms = now_ms
    await devices(home)
    since = home.owning.database.position
    await update(home, 7, [], keys=keys("E"))
    assert await changed(home, since) == [MALLORY]


async def test_after_a_gap_the_list_is_asked_for_again(home: House, other: OtherServer) -> None:
    """Before it is used; what is known serves where the other server does not answer, with it named as failed."""
    await home.with_mallory()
    await devices(home)
    other.gone = True
    since = home.owning.database.position
    await update(home, 9, [8], keys=keys("E"))
    assert await changed(home, since) == [MALLORY]
    assert (await queried(home))["failures"].keys() == {ELSEWHERE}
    found = remote_devices.find(home.owning.database, MALLORY)
    assert found is not None
    assert found.stale
    other.gone, other.stream_id = False, 9
    other.list = [{"device_id": "E", "keys": keys("E")}]
    assert await home.living.encrypting.remote_lists.chase() == 1
    assert await home.living.encrypting.remote_lists.chase() == 0
    other.gone = True
    assert await devices(home) == {"E": keys("E")}


async def test_updates_that_are_all_numbered_alike_tell_that_something_changed(home: House, other: OtherServer) -> None:
    """Conduit, Tuwunel and Continuwuity give each update the number 1, no one before it and a device of no name; one
    that comes a second time is not taken for that.
    """
    await home.with_mallory()
    same = {"device_id": "D", "keys": keys("D"), "device_display_name": "Phone"}
    other.stream_id = 1
    await devices(home)
    for stream_id, letter in ((1, "b"), (5, "c")):
        if stream_id > other.stream_id:
            await update(home, stream_id, [other.stream_id], **same)
        other.asked.clear()
        since = home.owning.database.position
        await update(home, stream_id, [], **same)
        await update(home, stream_id - 1, [stream_id - 2], device_id="D", deleted=True)
        assert await changed(home, since) == []
        other.stream_id, other.master = stream_id, master(letter)
        await update(home, 1, [], device_id="dummy", device_display_name="Dummy")
        assert await changed(home, since) == [MALLORY]
        assert (await queried(home))["master_keys"] == {MALLORY: master(letter)}
        assert other.asked == [f"devices {MALLORY}"]


async def test_a_change_that_comes_while_the_list_is_asked_for_is_not_lost(home: House, other: OtherServer) -> None:
    """The list that was on its way does not have it: it is asked for again, and later where that does not end."""
    await home.with_mallory()
    lists, database = home.living.encrypting.remote_lists, home.owning.database
    told, count = other.devices, 1

    async def slow(user_id: str) -> Json:
        answer = await told(user_id)
        if count:
            other.stream_id += 1
            other.list = [{"device_id": f"E{other.stream_id}", "keys": keys(f"E{other.stream_id}")}]
            await update(home, other.stream_id, [other.stream_id - 1], keys=keys("E"))
        return answer

    async def once(user_id: str) -> Json:
        nonlocal count
        answer = await slow(user_id)
        count = 0
        return answer

    other.devices = once  # type: ignore[method-assign]
    assert await devices(home) == {"E6": keys("E6")}
    assert other.asked == [f"devices {MALLORY}"] * 2
    # The keys of the user alone count as well.
    await database.write(lambda tx: remote_devices.mark_stale(tx, [MALLORY]))

    async def renewed(user_id: str) -> Json:
        answer = await told(user_id)
        if other.master == master("a"):
            other.master = master("b")
            await lists.receive_keys(ELSEWHERE, {"user_id": MALLORY, "master_key": master("b")})
        return answer

    other.devices = renewed  # type: ignore[method-assign]
    assert (await queried(home))["master_keys"] == {MALLORY: master("b")}
    # There is no end to the changes.
    await database.write(lambda tx: remote_devices.mark_stale(tx, [MALLORY]))
    other.devices, count = slow, 1  # type: ignore[method-assign]
    await devices(home)
    found = remote_devices.find(database, MALLORY)
    assert found is not None
    assert found.stale


async def test_who_could_not_be_asked_about_is_not_taken_for_nobody(home: House, other: OtherServer) -> None:
    """What is known is told all the same; the server is among the failures, since the rest is not known."""
    room = await home.with_mallory()
    await devices(home)
    trent = f"@trent:{ELSEWHERE}"
    join = home.remote.event(room, "m.room.member", {"membership": "join"}, trent, sender=trent)
    await home.accepting.accept(room.room_id, join.pdu)
    stranger = f"@stranger:{ELSEWHERE}"
    other.gone = True
    for users in ([trent], [stranger], [f"@user{n}:{ELSEWHERE}" for n in range(30)]):
        wanted: dict[str, list[str]] = {MALLORY: [], **{user: [] for user in users}}
        answer = orjson.loads(await home.living.encrypting.queries.query(ALICE, wanted, 60_000))
        assert answer["device_keys"].keys() == {MALLORY}
        assert answer["failures"].keys() == {ELSEWHERE}


async def test_a_server_without_a_list_may_still_have_keys(home: House, other: OtherServer) -> None:
    """Who is not known there is missing in the answer, and no failure."""
    await home.with_mallory()

    async def declined(user_id: str) -> Json:
        raise Declined("It answered 404")

    other.devices = declined  # type: ignore[method-assign]
    answer = await queried(home)
    assert (answer["device_keys"], answer["failures"]) == ({MALLORY: {}}, {})
    assert other.asked == [f"query {ELSEWHERE}"]


async def test_a_list_is_not_followed_once_no_room_is_shared(home: House, other: OtherServer) -> None:
    """Neither after they left nor after the last of us left; from then on every question is asked anew."""
    room = await home.with_mallory()
    await devices(home)
    leave = home.remote.event(room, "m.room.member", {"membership": "leave"}, MALLORY)
    await home.accepting.accept(room.room_id, leave.pdu)
    assert remote_devices.find(home.owning.database, MALLORY) is None
    since = home.owning.database.position
    await update(home, 7, [5], keys=keys("E"))
    assert await changed(home, since) == []
    assert await devices(home) == {}
    assert other.asked[-1] == f"query {ELSEWHERE}"
    second = await home.with_mallory()
    await devices(home)
    assert remote_devices.find(home.owning.database, MALLORY) is not None
    await home.living.acts.membership.leave(ALICE, second.room_id)
    assert remote_devices.find(home.owning.database, MALLORY) is None


async def test_a_server_speaks_for_its_own_users_alone(home: House, other: OtherServer) -> None:
    await home.with_mallory()
    lists = home.living.encrypting.remote_lists
    for content in ({"user_id": ALICE, "device_id": "D", "stream_id": 1}, {"user_id": MALLORY}, {}):
        with pytest.raises(MatrixError):
            await lists.receive_update(ELSEWHERE, content)
    with pytest.raises(MatrixError):
        await lists.receive_keys(ELSEWHERE, {"user_id": ALICE, "master_key": master("b")})
    given, failures = await home.living.encrypting.claims.claim({MALLORY: {"D": "signed_curve25519"}}, 1_000)
    assert given == {MALLORY: {"D": {"signed_curve25519:A": {"key": "x"}}}}
    assert failures == {}


async def test_messages_come_in_once_and_go_out_in_order(home: House) -> None:
    encrypting, database = home.living.encrypting, home.owning.database
    device = (await home.owning.sessions.login(ALICE, "D", None)).device_id
    content = {
        "sender": MALLORY,
        "type": "m.x",
        "message_id": "1",
        "messages": {ALICE: {"*": {"n": 1}}, MALLORY: {"*": {}}},
    }
    for _ in range(3):
        await encrypting.to_device.receive(ELSEWHERE, content)
    await encrypting.to_device.receive(ELSEWHERE, {**content, "message_id": "2"})
    messages, _ = encrypting.inbox.messages(ALICE, device, 0, database.position)
    assert [orjson.loads(one) for one in messages] == [{"sender": MALLORY, "type": "m.x", "content": {"n": 1}}] * 2
    for wrong in ({**content, "sender": ALICE}, {**content, "message_id": 3}, {**content, "messages": []}):
        with pytest.raises(MatrixError):
            await encrypting.to_device.receive(ELSEWHERE, wrong)
    # While nobody carries them, messages to others are dropped; else they wait, once for each request.
    to_mallory = {MALLORY: {"E": {"n": 1}}}
    await encrypting.to_device.send(ALICE, device, "m.x", "1", to_mallory)
    assert to_device_rows.destinations(database) == []
    told: list[str] = []
    encrypting.to_device.outgoing.append(told.append)
    for transaction in ("2", "2", "3"):
        await encrypting.to_device.send(ALICE, device, "m.x", transaction, to_mallory)
    assert told == [ELSEWHERE] * 2
    waiting = to_device_rows.outgoing(database, ELSEWHERE, 0, database.position, 10)
    edus = [orjson.loads(edu) for _, edu in waiting]
    assert [edu["messages"] for edu in edus] == [to_mallory] * 2
    assert len({edu["message_id"] for edu in edus}) == 2
    assert all(len(edu["message_id"]) <= 32 for edu in edus)
    await database.write(lambda tx: to_device_rows.sent(tx, ELSEWHERE, waiting[0][0]))
    assert len(to_device_rows.outgoing(database, ELSEWHERE, 0, database.position, 10)) == 1


async def test_other_servers_are_told_of_our_devices(home: House) -> None:
    """The list with its number, and each change with the number before it; a deleted device as such."""
    encrypting, database = home.living.encrypting, home.owning.database
    await home.owning.sessions.login(ALICE, "D", "Alice's phone")
    identity = {**keys("D"), "user_id": ALICE}
    await encrypting.uploads.upload(ALICE, "D", Given(identity, {}, {}))
    await home.owning.sessions.login(ALICE, "E", None)
    told = orjson.loads(orjson.dumps(encrypting.local_lists.devices(ALICE)))
    phone = {"device_id": "D", "keys": identity}
    (first, second) = encrypting.local_lists.updates(0, database.position)
    assert told == {"user_id": ALICE, "stream_id": second.position, "devices": [phone]}
    kind, content = encrypting.local_lists.edu(first)
    assert (kind, content["keys"], "device_display_name" in content) == ("m.device_list_update", identity, False)
    answer = await encrypting.local_lists.keys({ALICE: []})
    assert orjson.loads(orjson.dumps(answer["device_keys"])) == {ALICE: {"D": {**identity, "unsigned": {}}}}
    assert encrypting.local_lists.edu(second)[1] == {
        "user_id": ALICE,
        "device_id": "E",
        "stream_id": second.position,
        "prev_id": [first.position],
    }
    await home.owning.sessions.delete_devices(ALICE, ["D"])
    (update,) = encrypting.local_lists.updates(second.position, database.position)
    assert encrypting.local_lists.edu(update)[1] == {
        "user_id": ALICE,
        "device_id": "D",
        "stream_id": update.position,
        "prev_id": [second.position],
        "deleted": True,
    }
    local = orjson.loads(orjson.dumps(await encrypting.local_lists.keys({ALICE: [], MALLORY: []})))
    assert local == {"device_keys": {ALICE: {}}, "master_keys": {}, "self_signing_keys": {}}


async def test_other_servers_are_told_the_names_of_devices_if_the_owner_wants_that(home: House) -> None:
    """People here see them in any case."""
    encrypting = home.living.encrypting
    await home.owning.sessions.login(ALICE, "D", "Alice's phone")
    await encrypting.uploads.upload(ALICE, "D", Given({**keys("D"), "user_id": ALICE}, {}, {}))

    async def told() -> list[Json]:
        lists = encrypting.local_lists
        everything = [lists.devices(ALICE), await lists.keys({ALICE: []}), await lists.keys({ALICE: ["D"]})]
        everything += [lists.edu(update)[1] for update in lists.updates(0, home.owning.database.position)]
        return [orjson.loads(orjson.dumps(one)) for one in everything]

    assert "phone" not in str(await told())
    answer = await encrypting.queries.query(ALICE, {ALICE: []}, 1)
    assert b"Alice's phone" in answer
    home.owning.settings.federation_device_names = True
    assert len(await told()) == 4
    assert all("Alice's phone" in str(one) for one in await told())
