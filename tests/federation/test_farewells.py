"""Rejecting an invitation, or taking a knock back, while the other server is away: it hears of it later."""

import queue
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.federation import farewells
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.farewells import Farewells
from appliance.federation.standing import Standing
from appliance.protocol.events import Event, build_event
from appliance.protocol.signing import SigningKey
from appliance.protocol.versions import VERSIONS
from appliance.storage import farewells as rows
from appliance.storage.database import Database
from tests.federation.peer import FEDERATION, Peer, PeerRoom
from tests.support.client import Client, Json, joined, seg, timeline
from tests.support.hearth import PATIENCE, HearthProcess
from tests.support.network import Network

NAME = "parting.test"
AWAY = ("away.test",)
LEAVING = FEDERATION + "/v1/make_leave/.*"


@pytest.fixture(scope="module")
def server(network: Network) -> Iterator[HearthProcess]:
    """A server that is killed in a story."""
    server = network.hearth(NAME)
    yield server
    server.end()


class Inviting(Peer):
    """A server with rooms, into which it invites, that can be away."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.told: queue.Queue[Event] = queue.Queue()

    def made(self, join_rule: str = "invite") -> PeerRoom:
        """A room that it answers for."""
        room = self.found("11", join_rule=join_rule)
        room.serve()

        def sent(question: Any) -> tuple[int, Any]:
            event = Event.from_pdu(room.version, question.body)
            room.put(event)
            self.told.put(event)
            return 200, {}

        self.answer("PUT", f"{FEDERATION}/v2/send_leave/{re.escape(seg(room.room_id))}/(.*)", sent)
        return room

    def invite(self, server: HearthProcess, room: PeerRoom, who: Client) -> None:
        """Invite somebody, who sees it."""
        event = room.event("m.room.member", {"membership": "invite"}, who.user_id)
        shown = room.pdus([room.state["m.room.create", ""], room.state["m.room.join_rules", ""]])
        body = {"room_version": room.version.identifier, "event": event.pdu, "invite_room_state": shown}
        path = f"/v2/invite/{seg(room.room_id)}/{seg(event.event_id)}"
        answer = self.ask(server, NAME, "PUT", path, body)
        assert answer.status_code == 200, answer.text
        room.put(Event.from_pdu(room.version, answer.json()["event"]))
        who.sync_until(lambda sync: room.room_id in sync.get("rooms", {}).get("invite", {}))

    def goes(self) -> None:
        """Be away: what stands in front of it answers that."""
        self.answer("GET", LEAVING, lambda question: (503, {"errcode": "M_UNKNOWN", "error": "Nobody is there."}))

    def returns(self, who: Client) -> None:
        """Be there again, as the other server finds out when somebody wants something else of this one."""
        del self.answers["GET", LEAVING]
        assert who.ask("POST", f"/join/{seg('!nothing')}?via={self.name}", {}).status_code == 404


def out(who: Client, room: PeerRoom) -> Json:
    """Wait until somebody's own sync shows that they are out; the event that says so."""
    seen = who.sync_until(lambda sync: room.room_id in sync.get("rooms", {}).get("leave", {}))
    found: Json = timeline(seen, room.room_id, "leave")[-1]
    assert (found["content"]["membership"], found["state_key"]) == ("leave", who.user_id)
    return found


@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_rejected_is_told_when_the_server_is_back(
    network: Network, server: HearthProcess, *, restarted: bool
) -> None:
    """An invitation that is rejected and forgotten, and a knock that is taken back; but not an invitation after which
    there came another one.
    """
    alice = Client.register(server.url)
    with Inviting(network) as peer:
        rejected, renewed, knocked = peer.made(), peer.made(), peer.made("knock")
        alice.sync()
        peer.invite(server, rejected, alice)
        peer.invite(server, renewed, alice)
        alice.must("POST", f"/knock/{seg(knocked.room_id)}?via={peer.name}", {})
        peer.goes()
        alice.must("POST", f"/rooms/{seg(rejected.room_id)}/leave", {"reason": "Not today."})
        assert out(alice, rejected)["content"]["reason"] == "Not today."
        for room in (renewed, knocked):
            alice.leave(room.room_id)
            out(alice, room)
        alice.forget(rejected.room_id)
        peer.invite(server, renewed, alice)
        if restarted:
            server.kill()
            server.start()
        assert peer.told.empty()
        peer.returns(alice)
        told = {event.room_id: event for event in (peer.told.get(timeout=PATIENCE), peer.told.get(timeout=PATIENCE))}
        assert told.keys() == {rejected.room_id, knocked.room_id}
        for event in told.values():
            assert (event.sender, event.state_key, event.membership) == (alice.user_id, alice.user_id, "leave")
        assert told[rejected.room_id].content["reason"] == "Not today."
        # The client sees none of that, and the new invitation is as good as any.
        alice.since = None
        assert alice.sync()["rooms"]["invite"].keys() == {renewed.room_id}
        alice.leave(renewed.room_id)
        assert peer.told.get(timeout=PATIENCE).room_id == renewed.room_id
        # Told once is enough.
        peer.send(server, NAME)
        alice.sync()
        assert peer.told.empty()


def test_who_rejected_leaves_a_room_into_which_somebody_else_came_meanwhile(
    network: Network, server: HearthProcess
) -> None:
    """The room that comes in has the invitation in its state; who rejected it leaves the room then by itself."""
    alice, bob = Client.register(server.url), Client.register(server.url)
    with Inviting(network) as peer:
        room = peer.made("public")
        peer.invite(server, room, alice)
        peer.goes()
        alice.leave(room.room_id)
        out(alice, room)
        bob.must("POST", f"/join/{seg(room.room_id)}?via={peer.name}", {})
        bob.sync_until(lambda sync: joined(sync, room.room_id))
        peer.send(server, NAME)
        bob.sync_until(lambda sync: bob.member(room.room_id, alice)["membership"] == "leave")
        alice.since = None
        assert room.room_id not in str(alice.sync())


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty one."""
    database = await Database.open(tmp_path / "hearth.db")
    yield database
    await database.close()


class _Alone:
    """What ``Farewells`` needs, without a network: a clock, an invitation, and a server that answers as it is told."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = 1_700_000_000_000
        self.answer: Exception = Unreachable("Nobody answers.")
        self.asked = 0
        self.noted: list[Event] = []
        self.standing = Standing(database, lambda: self.now, lambda: 1.0)
        self.key = SigningKey.generate()
        self.invitation = self._member("invite", [])
        self.by_user: dict[str, Any] = {}
        self.farewells = self.made()

    def made(self) -> Farewells:
        """As after a start."""
        parts: Any = self
        return Farewells(
            self.database, parts, parts, parts, parts, self.standing, lambda server: True, parts, lambda: self.now
        )

    def of(self, user_id: str) -> Any:
        """Nothing is known of how the user stands to anything."""
        return self

    def by_id(self, room_id: str) -> None:
        """Nor to this room."""

    async def put(self, event: Event, also: Any = lambda tx: None) -> None:
        """Note a standing."""
        await self.database.write(also)
        self.noted.append(event)

    def alone(self, present: Event, content: Json) -> Event:
        """A leave."""
        return self._member("leave", [present.event_id])

    async def template(self, server: str, *_: Any, urgent: bool) -> tuple[str, Json]:
        """Answer as this server is told to."""
        if not urgent:
            self.standing.before(server)
        self.asked += 1
        if isinstance(self.answer, Unreachable):
            self.standing.note_failure(server, "Nobody answers.")
        raise self.answer

    def _member(self, membership: str, on: list[str]) -> Event:
        return build_event(
            VERSIONS["11"],
            room_id="!room:away.test",
            type="m.room.member",
            sender="@alice:here.test",
            state_key="@alice:here.test",
            content={"membership": membership},
            depth=5,
            prev_events=on,
            auth_events=on,
            origin_server_ts=self.now,
            server_name="here.test",
            key=self.key,
        )


@pytest.mark.anyio
async def test_it_is_tried_so_often_and_for_so_long(database: Database) -> None:
    alone = _Alone(database)
    await alone.farewells.take(alone.invitation, {"membership": "leave"}, AWAY)
    assert len(alone.noted) == 1
    assert alone.asked == 1
    began = alone.now
    # Ever more seldom, and never while the server is left alone.
    while alone.now < began + 2 * farewells.KEPT_MS:
        await alone.farewells._tell_what_is_due()
        alone.now += 600_000
    assert 40 < alone.asked < farewells.MOST_ATTEMPTS
    assert rows.all_of(database) == []


@pytest.mark.anyio
async def test_what_is_refused_is_not_tried_again_unless_it_was_not_judged(database: Database) -> None:
    alone = _Alone(database)
    for answer, is_final in (
        (Refused(403, "M_FORBIDDEN", "You are not invited."), True),
        (Refused(404, "M_NOT_FOUND", "There is no such room."), True),
        (Refused(404, "M_UNKNOWN", "404 page not found"), False),
        (Refused(502, "M_UNKNOWN", "Bad gateway"), False),
        (Refused(401, "M_UNAUTHORIZED", "I cannot find your keys."), False),
        (Refused(429, "M_LIMIT_EXCEEDED", "Not so fast."), False),
    ):
        alone.answer = answer
        await alone.farewells.take(alone.invitation, {"membership": "leave"}, AWAY)
        assert (rows.all_of(database) == []) is is_final, answer
    # One of a user and room, which an answer that counts settles later.
    assert len(rows.all_of(database)) == 1
    alone.answer = Refused(403, "M_FORBIDDEN", "You are not invited any more.")
    alone.now += 60_000
    await alone.farewells._tell_what_is_due()
    assert rows.all_of(database) == []


@pytest.mark.anyio
async def test_only_so_many_wait(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST", 3)
    for number in range(5):
        one = rows.Farewell(f"!{number}", "@a:b", "$1", "$0", "{}", "away.test", number, 1, 0)
        await database.write(lambda tx, one=one: rows.put(tx, one))
    assert [one.room_id for one in rows.all_of(database)] == ["!2", "!3", "!4"]
