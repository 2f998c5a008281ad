"""The keys of other servers: fetched, checked, kept; and who signed a request or an event."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from appliance.errors import MatrixError
from appliance.federation.failures import Unreachable
from appliance.federation.keyring import CONTACT_WAIT, FEW, FIRST_WAIT, MOST_BUSY, TOLD_WAIT, Keyring, Need, Why
from appliance.federation.keys import PublishedKeys
from appliance.federation.notary import Notary
from appliance.federation.policy import Policy
from appliance.federation.signed import SignedRequests
from appliance.protocol.events import Event
from appliance.protocol.signing import SigningKey
from appliance.protocol.x_matrix import authorization, signed_bytes
from tests.federation.house import HERE, House, Remote, house

DAY, WEEK = 24 * 3600 * 1000, 7 * 24 * 3600 * 1000
NOW = 1_700_000_000_000


class World:
    """The keys of all servers, as they tell them."""

    def __init__(self, here: House) -> None:
        self.here = here
        self.now, self.seconds = NOW, 1000.0
        self.remotes: dict[str, Remote] = {}
        self.documents: dict[str, Any] = {}
        self.asked: list[str] = []
        self.silence = asyncio.Event()
        self.notary_says: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        owning = here.owning
        owning.settings.federation_notaries = ["notary.test"]
        self.policy = Policy(owning.settings)
        self.keyring = self.fresh()
        self.signed = SignedRequests(owning.settings, self.policy, self.keyring)
        self.notary = Remote("notary.test")
        self.add(self.notary)

    def fresh(self) -> Keyring:
        """A keyring that has nothing in memory."""
        owning = self.here.owning
        client: Any = self
        return Keyring(
            *(owning.database, owning.settings, client, owning.keys, self.policy),
            lambda: self.now,
            lambda: self.seconds,
        )

    def add(self, remote: Remote, **more: Any) -> Remote:
        """A server that tells its key."""
        self.remotes[remote.name] = remote
        self.documents[remote.name] = document(remote, **more)
        return remote

    async def request(self, destination: str, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The client."""
        self.asked.append(f"{destination}{'?' if method == 'POST' else ''}")
        assert not more["signed"]
        await asyncio.sleep(0)
        if destination.startswith("silent"):
            await self.silence.wait()
        if method == "POST":
            return self._query(more["content"]["server_keys"])
        if destination not in self.documents:
            raise Unreachable("Nothing answers.")
        found: dict[str, Any] = self.documents[destination]
        return found

    def _query(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if self.notary_says is None:
            raise Unreachable("Nothing answers.")
        return self.notary_says(wanted)


def document(
    remote: Remote, *, until: int = NOW + DAY, old: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """What a server says of its keys."""
    said = {
        "server_name": remote.name,
        "valid_until_ts": until,
        "verify_keys": {remote.key.key_id: {"key": remote.key.public_key}},
        "old_verify_keys": old or {},
        **more,
    }
    return remote.key.sign_json(said, remote.name)


def play(tmp_path: Path, story: Callable[[World], Any]) -> None:
    async def live() -> None:
        async with house(tmp_path) as found:
            await story(World(found))

    asyncio.run(live())


async def event_of(world: World, remote: Remote, at: int = NOW, version: str = "10") -> Event:
    room = await world.here.room(room_version=version)
    return remote.event(room, "m.room.message", {"body": "x"}, sender=f"@m:{remote.name}", timestamp=at)


def test_a_key_is_fetched_once_kept_and_fetched_again_when_its_time_is_over(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        remote = world.add(Remote("a.test"))
        event = await event_of(world, remote)
        assert await asyncio.gather(*(world.keyring.are_good(event) for _ in range(5))) == [True] * 5
        assert world.asked == ["a.test"]
        world.keyring = world.fresh()
        assert await world.keyring.are_good(event)
        assert world.asked == ["a.test"]  # from the database
        late = await event_of(world, remote, NOW + 2 * DAY)
        assert not await world.keyring.are_good(late)
        assert world.asked == ["a.test"] * 2
        world.now += 2 * DAY
        world.seconds += TOLD_WAIT
        world.add(remote, until=NOW + 3 * DAY)
        assert await world.keyring.are_good(late)

    play(tmp_path, story)


def test_the_longest_that_a_key_counts_is_a_week_and_old_rooms_do_not_ask(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        remote = world.add(Remote("a.test"), until=NOW + 100 * DAY)
        assert await world.keyring.are_good(await event_of(world, remote, NOW + WEEK))
        assert not await world.keyring.are_good(await event_of(world, remote, NOW + WEEK + 1))
        assert await world.keyring.are_good(await event_of(world, remote, NOW + 50 * DAY, "4"))

    play(tmp_path, story)


def test_a_key_that_has_ended_counts_for_what_is_older(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        old, new = Remote("a.test"), Remote("a.test")
        ended = {old.key.key_id: {"key": old.key.public_key, "expired_ts": NOW - 10}}
        world.add(new, old=ended)
        assert await world.keyring.are_good(await event_of(world, old, NOW - 10))
        assert not await world.keyring.are_good(await event_of(world, old, NOW - 9))
        assert await world.keyring.current_key("a.test", new.key.key_id) == new.key.public_key
        assert await world.keyring.current_key("a.test", old.key.key_id) is None

    play(tmp_path, story)


def test_documents_that_cannot_be_believed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        remote, other = Remote("a.test"), SigningKey.generate()
        good = document(remote)
        keys = {**good["verify_keys"], other.key_id: {"key": other.public_key}}
        many = {f"ed25519:{number}": {"key": "x", "expired_ts": 1} for number in range(60)}
        for bad in (
            {**good, "server_name": "b.test"},
            {**good, "valid_until_ts": good["valid_until_ts"] + 1},
            document(remote, verify_keys=keys),  # not signed by all
            document(remote, verify_keys={}),
            document(remote, verify_keys=[]),
            document(remote, verify_keys={remote.key.key_id: {"key": 7}}),
            document(remote, verify_keys={"rsa:1": {"key": "x"}}),
            document(remote, valid_until_ts="tomorrow"),
            document(remote, valid_until_ts=-1),
            document(remote, old=many),
            {**good, "signatures": {}},
            {},
            [],
        ):
            keyring = world.fresh()
            world.documents["a.test"] = bad
            assert await keyring.current_key("a.test", remote.key.key_id) is None, bad
        world.documents["a.test"] = document(remote, old={"ed25519:x": {"key": "y"}, "other": 7})
        assert await world.fresh().current_key("a.test", remote.key.key_id) == remote.key.public_key

    play(tmp_path, story)


def test_a_server_that_does_not_tell_is_left_alone_longer_each_time(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        waits = []
        for _ in range(11):
            world.asked.clear()
            begin = world.seconds
            while "gone.test" not in world.asked:
                world.seconds += FIRST_WAIT / 4
                await world.keyring.fetch([Need("gone.test", frozenset(("ed25519:a",)))], Why.EVENTS)
            waits.append(world.seconds - begin)
        assert waits[1:4] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
        assert waits[-1] == 3600

    play(tmp_path, story)


def test_a_server_that_says_that_it_is_there_is_asked_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        back = Remote("back.test")
        event = await event_of(world, back)
        for _ in range(3):
            assert not await world.keyring.are_good(event)
            assert world.keyring.lacking(event) == "back.test"
            world.seconds += world.keyring.rest("back.test")
        assert world.asked == ["back.test", "notary.test?"] * 3
        assert not await world.keyring.are_good(event)
        world.add(back)
        assert not await world.keyring.are_good(event)  # it is left alone
        assert await world.keyring.current_key("back.test", "ed25519:other") is None
        assert await world.keyring.are_good(event)
        assert world.keyring.lacking(event) == ""
        # Whoever claims to be a server that tells nothing has it asked every now and then, and delays nothing.
        world.asked.clear()
        waits = set()
        for _ in range(8):
            assert await world.keyring.current_key("gone.test", "ed25519:a") is None
            waits.add(world.keyring.rest("gone.test"))
            world.seconds += CONTACT_WAIT / 2
        assert world.asked.count("gone.test") == 4
        assert max(waits) == FIRST_WAIT

    play(tmp_path, story)


def test_a_key_that_is_newer_than_what_was_told_is_asked_for_at_once(tmp_path: Path) -> None:
    """Or else a server whose owner replaced its key is not let in, and leaves us alone for ever longer."""

    async def story(world: World) -> None:
        old = world.add(Remote("a.test"))
        assert await world.keyring.current_key("a.test", old.key.key_id) == old.key.public_key
        world.seconds += CONTACT_WAIT
        new = world.add(Remote("a.test"))
        assert await world.keyring.current_key("a.test", new.key.key_id) == new.key.public_key
        assert world.asked == ["a.test", "a.test"]
        # Whoever names keys that there are not makes us ask no more often than now and then.
        for number in range(5):
            assert await world.keyring.current_key("a.test", f"ed25519:{number}") is None
        assert len([one for one in world.asked if one == "a.test"]) == 2

    play(tmp_path, story)


def test_what_is_known_to_be_badly_signed_lacks_no_key(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        remote, silent = world.add(Remote("a.test")), Remote("silent.test")
        event = await event_of(world, remote)
        other = SigningKey.generate()
        by_other = Event.from_pdu(event.version, {**event.pdu, "signatures": {"a.test": {other.key_id: "A" * 86}}})
        assert not await world.keyring.are_good(by_other)
        assert world.keyring.lacking(by_other) == ""  # its server has told its keys, and this is none of them
        unsigned = await event_of(world, silent)
        unsigned = Event.from_pdu(unsigned.version, {**unsigned.pdu, "signatures": {}})
        assert not await world.keyring.are_good(unsigned)
        assert world.keyring.lacking(unsigned) == ""
        late = await event_of(world, remote, NOW + 30 * DAY)
        assert not await world.keyring.are_good(late)
        assert world.keyring.lacking(late) == ""
        world.here.owning.settings.federation_blocked_servers = ["silent.test"]
        assert world.keyring.lacking(await event_of(world, silent)) == ""  # and will not be asked

    play(tmp_path, story)


def test_notaries_tell_of_servers_that_are_gone_if_they_sign_for_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        gone = Remote("gone.test")
        event = await event_of(world, gone)
        sign = world.notary.key.sign_json
        said = document(gone)
        for bad in (
            said,
            {**sign(said, "notary.test"), "valid_until_ts": 1},
            sign({**said, "signatures": {}}, "notary.test"),
            sign(document(Remote("gone.test"), server_name="other.test"), "notary.test"),
            SigningKey.generate().sign_json(said, "notary.test"),
            7,
        ):
            world.notary_says = lambda wanted, bad=bad: {"server_keys": [bad]}  # type: ignore[misc]
            assert not await world.fresh().are_good(event)
        world.notary_says = lambda wanted: {"server_keys": [sign(said, "notary.test")]}
        world.keyring = world.fresh()
        assert await world.keyring.are_good(event)
        kept = world.keyring.document("gone.test")
        assert kept is not None
        assert set(orjson.loads(kept.json)["signatures"]) == {"gone.test"}

    play(tmp_path, story)


def test_of_many_servers_the_notary_is_asked_first_and_all_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sign = world.notary.key.sign_json
        remotes = [Remote(f"s{number}.test") for number in range(3 * FEW)]
        room = await world.here.room()
        events = [
            remote.event(room, "m.room.message", {}, sender=f"@m:{remote.name}", timestamp=NOW) for remote in remotes
        ]
        for remote in remotes[:2]:
            world.add(remote)  # of these the notary does not know
        known = {remote.name: sign(document(remote), "notary.test") for remote in remotes[2:-1]}
        world.notary_says = lambda wanted: {"server_keys": [known[name] for name in wanted if name in known]}
        good = await world.keyring.good_among(events)
        assert good == {event.event_id for event in events[:-1]}
        assert world.asked[:2] == ["notary.test?", "notary.test"]
        assert sorted(world.asked[2:]) == sorted(["s0.test", "s1.test", remotes[-1].name])

    play(tmp_path, story)


def test_the_notary_that_we_are(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        living, owning = world.here.living, world.here.owning
        published = PublishedKeys(living.identity, owning.keys, lambda: world.now)
        notary = Notary(living.identity, published, world.keyring, lambda: world.now)
        world.add(Remote("a.test"))
        answer = await notary.answer({"a.test": {}, "gone.test": {}, HERE: {}, "not a name": {}})
        assert [one["server_name"] for one in answer["server_keys"]] == [HERE, "a.test"]
        assert set(answer["server_keys"][1]["signatures"]) == {HERE, "a.test"}
        world.asked.clear()
        world.seconds += TOLD_WAIT
        await notary.answer({"a.test": {"ed25519:no": None}})
        await notary.answer({"a.test": {}}, NOW + 10 * DAY)
        assert world.asked == ["a.test"]  # it has just said all that it knows
        first = owning.keys.current
        second = await owning.keys.rotate()
        assert first is not None
        said = published.document()
        assert said["verify_keys"] == {second.key_id: {"key": second.public_key}}
        assert set(said["old_verify_keys"]) == {first.key_id}
        assert said["old_verify_keys"][first.key_id]["key"] == first.public_key

    play(tmp_path, story)


def test_what_strangers_ask_for_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Anybody may ask us for the keys of servers that do not answer, or say to be one: so many are asked at a time, and
    neither the keys of events nor those of whoever says who they are wait for them.
    """

    async def begun() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    async def story(world: World) -> None:
        living, owning = world.here.living, world.here.owning
        published = PublishedKeys(living.identity, owning.keys, lambda: world.now)
        notary = Notary(living.identity, published, world.keyring, lambda: world.now)
        strangers = []
        for part in range(MOST_BUSY // 100):
            wanted = {f"silent{part}-{number}.test": dict[str, int | None]() for number in range(100)}
            strangers.append(asyncio.ensure_future(notary.answer(wanted)))
        await begun()
        assert await notary.answer({"silent-more.test": {}}) == {"server_keys": []}
        assert len([one for one in world.asked if one.startswith("silent")]) <= FEW
        contacts = [
            asyncio.ensure_future(world.keyring.current_key(f"silent{n}.test", "ed25519:x")) for n in range(300)
        ]
        await asyncio.sleep(0.01)
        assert sum(one.done() for one in contacts) == 300 - MOST_BUSY, "so many wait, the others are refused at once"
        remote = world.add(Remote("a.test"))
        async with asyncio.timeout(20):
            assert await world.keyring.are_good(await event_of(world, remote))
        world.silence.set()
        await asyncio.gather(*strangers, *contacts)

    play(tmp_path, story)


# Requests ----------------------------------------------------------------------------------------------------------


async def asked(world: World, header: str | list[str], *, body: bytes = b"", uri: str = "/x/%2Fy?z=%20") -> str:
    lines = [header] if isinstance(header, str) else header
    headers = [(b"authorization", line.encode()) for line in lines]
    return await world.signed.authenticate("PUT", uri.encode(), body, headers)


async def refused(world: World, header: str | list[str], **more: Any) -> int:
    with pytest.raises(MatrixError) as caught:
        await asked(world, header, **more)
    assert caught.value.errcode == {401: "M_UNAUTHORIZED", 403: "M_FORBIDDEN", 400: "M_NOT_JSON"}[caught.value.status]
    return caught.value.status


def test_who_signed_a_request(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        remote = world.add(Remote("a.test"))
        uri, name = "/x/%2Fy?z=%20", remote.name

        def header(**more: Any) -> str:
            said = {"uri": uri, "origin": name, "destination": HERE, "content": None, "key": remote.key, **more}
            return authorization("PUT", said["uri"], said["origin"], said["destination"], said["content"], said["key"])

        heard: list[str] = []
        world.signed.contacts.append(heard.append)
        assert await asked(world, header()) == name
        assert heard == [name]
        # What is signed is the canonical form of the body, however it was sent.
        body = b'{ "b": 1.0, "a": "\\u00fc" }'
        assert await asked(world, header(content='{"a":"ü","b":1.0}'.encode()), body=body) == name
        assert await refused(world, header(), body=b"{}") == 401
        assert await refused(world, header(), body=b"{") == 400
        assert await refused(world, header(), uri="/x//y?z=%20") == 401
        assert await refused(world, header(destination="b.test")) == 401
        assert await refused(world, header(key=SigningKey.generate())) == 401
        assert await refused(world, header(key=SigningKey(remote.key.key_id, b"1" * 32))) == 401
        assert await refused(world, header(origin=HERE)) == 401
        assert await refused(world, header(origin="not/a/name")) == 401
        assert await refused(world, "Bearer abc") == 401
        assert await refused(world, []) == 401
        # One good signature is enough, of four at most.
        bad = header(key=SigningKey.generate())
        assert await asked(world, [bad, "Bearer x", bad, header()]) == name
        assert await refused(world, [bad, bad, bad, bad, header()]) == 401
        # Old servers name no destination; some of them sign it all the same.
        for destination in (None, HERE):
            signature = remote.key.sign(signed_bytes("PUT", uri, name, destination, None))
            line = f'X-Matrix origin={name},key="{remote.key.key_id}",sig="{signature}"'
            assert await asked(world, line) == name
        # A key that is no longer published as one that signs does not sign requests.
        world.now += 2 * DAY
        world.seconds += TOLD_WAIT
        assert await refused(world, header()) == 401
        world.now -= 2 * DAY
        world.here.owning.settings.federation_blocked_servers = ["*.test"]
        assert await refused(world, header()) == 403
        world.here.owning.settings.federation_blocked_servers = []
        world.here.owning.settings.federation_enabled = False
        assert await refused(world, header()) == 403

    play(tmp_path, story)
