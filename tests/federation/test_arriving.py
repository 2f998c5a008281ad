"""A room is taken in through another server: what is believed, what is not, and that it is there as a whole."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.protocol.events import Event, InvalidEvent
from appliance.protocol.versions import VERSIONS
from appliance.rooms.incoming.accepting import Unacceptable, Verdict
from appliance.rooms.incoming.completing import Completing
from appliance.rooms.incoming.vetting import Told
from appliance.rooms.room import Room
from appliance.storage import gaps
from appliance.storage import state as state_rows
from tests.federation.handshake import join_event, join_through, told_before
from tests.federation.house import ALICE, ELSEWHERE, MALLORY, House, Keyring, Remote, house
from tests.federation.test_accepting import shown, text

THERE = "there.example"
BOB, BEN = f"@bob:{THERE}", f"@ben:{THERE}"

Story = Callable[..., Awaitable[None]]


@asynccontextmanager
async def two_houses(folder: Path) -> AsyncIterator[tuple[House, House]]:
    """A Hearth with Alice, and another one, each knowing the other's key."""
    async with AsyncExitStack() as stack:
        ring, remote, houses = Keyring(), Remote(), []
        for name in ("here.example", THERE):
            (folder / name).mkdir(exist_ok=True)
            houses.append(await stack.enter_async_context(house(folder / name, remote, name=name, ring=ring)))
        yield houses[0], houses[1]


def in_two_houses(story: Story) -> Callable[..., None]:
    """Run a story in two houses of its own."""

    @functools.wraps(story)
    def run(tmp_path: Path, **named: Any) -> None:
        async def live() -> None:
            async with two_houses(tmp_path) as (here, there):
                await story(here, there, **named)

        asyncio.run(live())

    names = [one for name, one in inspect.signature(story).parameters.items() if name not in ("here", "there")]
    tmp_path = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([tmp_path, *names])  # type: ignore[attr-defined]
    return run


def state_ids(room: Room) -> dict[tuple[str, str], str]:
    """The current state by ids."""
    return {slot: room.store.event(nid).event_id for slot, nid in room.published.state.items()}


async def asked(here: House, there: House, room: Room, user_id: str = BOB) -> tuple[Told, dict[str, Any]]:
    """What the resident answers to a join that it took in, and the join."""
    join = join_event(room, there, user_id)
    assert await here.accepting.accept(room.room_id, join.pdu) is Verdict.ACCEPTED
    return told_before(here, room, join.event_id), join.pdu


@pytest.mark.parametrize("version", list(VERSIONS))
@in_two_houses
async def test_a_room_is_taken_in(here: House, there: House, version: str) -> None:
    """State, members and the end of the graph are those of the resident; talk goes on in both directions."""
    room = await here.with_mallory(room_version=version)
    await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "hello"})
    taken, join = await join_through(here, there, room.room_id, BOB)
    assert state_ids(taken) == state_ids(room)
    assert taken.published.members.memberships == {ALICE: "join", MALLORY: "join", BOB: "join"}
    assert [end.event_id for end in taken.published.extremities] == [join.event_id]
    database = there.owning.database
    assert gaps.missing(database, taken.nid) == list(join.prev_events)
    assert [ordering for ordering, _ in gaps.of_room(database, taken.nid)] == [join.depth]
    await here.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", ALICE, text("welcome"))
    )
    welcome = room.store.event(room.published.extremities[0].nid)
    assert await there.accepting.accept(room.room_id, welcome.pdu) is Verdict.ACCEPTED
    await there.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", BOB, text("thanks"))
    )
    thanks = taken.store.event(taken.published.extremities[0].nid)
    assert await here.accepting.accept(room.room_id, thanks.pdu) is Verdict.ACCEPTED
    assert await shown(here, room) == ["thanks", "welcome"]


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    """What is read from the database is what was in memory."""

    async def live() -> None:
        async with two_houses(tmp_path) as (here, there):
            room = await here.with_mallory()
            taken, _ = await join_through(here, there, room.room_id, BOB)
            was = taken.published
        async with two_houses(tmp_path) as (here, there):
            again = (await there.found(room.room_id)).published
            assert (again.extremities, again.group_nid, again.state) == (was.extremities, was.group_nid, was.state)
            assert again.members.memberships == was.members.memberships
            assert there.living.acts.membership.joined_rooms(BOB) == [room.room_id]

    asyncio.run(live())


@in_two_houses
async def test_what_is_not_good_is_left_out(here: House, there: House) -> None:
    """Bad signatures, broken formats, other rooms' events and what nobody allowed are not believed; the rest is."""
    room = await here.with_mallory()
    other = await here.with_mallory()
    for name in ("topic", "name", "avatar"):
        await here.living.acts.sending.set_state(ALICE, room.room_id, f"m.room.{name}", "", {name: name})
    told, join = await asked(here, there, room)
    state = {one["type"]: one for one in told.state if isinstance(one, dict)}
    forged = {**state["m.room.topic"], "content": {"topic": "forged"}}
    unsigned = {**state["m.room.name"], "signatures": {"here.example": {"ed25519:1": "A" * 86}}}
    nobody = here.remote.event(room, "m.room.avatar", {"url": "mine"}, "")
    foreign = here.remote.event(other, "m.room.member", {"membership": "join", "displayname": "x"}, MALLORY)
    kept = [one for one in told.state if one["type"] not in ("m.room.topic", "m.room.name", "m.room.avatar")]  # type: ignore[index]
    garbage: list[object] = [None, 7, {}, {"type": "m.room.topic"}, [], "x"]
    lies = [*garbage, forged, unsigned, nobody.pdu, foreign.pdu, *kept, *garbage]
    taken = await there.arriving.arrive(replace(told, state=lies, auth_chain=[*garbage, *told.auth_chain]), join)
    types = {slot[0] for slot in taken.published.state}
    assert "m.room.name" not in types
    assert "m.room.avatar" not in types
    # The event is the one that its id says; only its content is not known.
    topic = taken.store.event(taken.published.state["m.room.topic", ""])
    assert topic.content == {}
    assert taken.store.event(taken.published.state["m.room.member", MALLORY]).room_id == room.room_id
    assert there.living.graph.store.find(foreign.event_id) is None
    # What is only not allowed is kept as that, so that what names it can be judged.
    assert there.living.graph.store.find(nobody.event_id)[0].rejected == 1  # type: ignore[index]


def _without(pdus: Any, event_type: str) -> list[Any]:
    return [one for one in pdus if one["type"] != event_type]


def _with(pdus: Any, event_type: str, **other: Any) -> list[Any]:
    return [{**one, **other} if one["type"] == event_type else one for one in pdus]


SPOILT: dict[str, Callable[[Told], Told]] = {
    "no create event": lambda told: replace(
        told, state=_without(told.state, "m.room.create"), auth_chain=_without(told.auth_chain, "m.room.create")
    ),
    "create not in the state": lambda told: replace(told, state=_without(told.state, "m.room.create")),
    "create not signed": lambda told: replace(
        told,
        state=_with(told.state, "m.room.create", signatures={}),
        auth_chain=_with(told.auth_chain, "m.room.create", signatures={}),
    ),
    "create of another content": lambda told: replace(
        told,
        state=_with(told.state, "m.room.create", content={"room_version": "1"}),
        auth_chain=_with(told.auth_chain, "m.room.create", content={"room_version": "1"}),
    ),
    "another version": lambda told: replace(told, version=VERSIONS["9"]),
    "another room": lambda told: replace(told, room_id="!" + "A" * 43),
    "no power levels in the chain": lambda told: replace(
        told,
        state=_without(told.state, "m.room.power_levels"),
        auth_chain=_without(told.auth_chain, "m.room.power_levels"),
    ),
    "nothing": lambda told: replace(told, state=[], auth_chain=[]),
    "nonsense": lambda told: replace(told, state=[1, None, "x"], auth_chain=[{}]),
}


@pytest.mark.parametrize("version", ["10", "12"])
@pytest.mark.parametrize("how", list(SPOILT))
@in_two_houses
async def test_what_cannot_be_believed_is_refused(here: House, there: House, how: str, version: str) -> None:
    """Without a good create event, or without what allows the join, there is no room."""
    room = await here.with_mallory(room_version=version)
    told, join = await asked(here, there, room)
    with pytest.raises((Unacceptable, InvalidEvent)):
        await there.arriving.arrive(SPOILT[how](told), join)
    assert await there.living.graph.rooms.find(room.room_id) is None
    for table in ("rooms", "events", "state_groups", "memberships", "gaps"):
        assert there.owning.database.read(f"SELECT COUNT(*) FROM {table}") == [(0,)]
    assert state_ids(await there.arriving.arrive(told, join)) == state_ids(room)


@in_two_houses
async def test_a_join_that_is_none_is_refused(here: House, there: House) -> None:
    """The join must be signed, of the room, a join, and allowed by the state that was told."""
    room = await here.with_mallory()
    told, join = await asked(here, there, room)
    for bad in (
        {**join, "signatures": {}},
        {**join, "content": {"membership": "join", "displayname": "another"}},
        there.remote.event(room, "m.room.message", text("x")).pdu,
        there.remote.event(room, "m.room.member", {"membership": "leave"}, MALLORY).pdu,
    ):
        with pytest.raises(Unacceptable):
            await there.arriving.arrive(told, bad)
    await here.living.acts.membership.ban(ALICE, room.room_id, BOB)
    later = join_event(room, there, BOB)
    ban = here.living.graph.store.event(room.published.extremities[0].nid)
    banned = replace(told, state=[*(one for one in told.state if one.get("state_key") != BOB), ban.pdu])  # type: ignore[attr-defined]
    with pytest.raises(Unacceptable, match="allow"):
        await there.arriving.arrive(banned, later.pdu)
    assert await there.living.graph.rooms.find(room.room_id) is None


@in_two_houses
async def test_two_events_in_one_place_are_refused(here: House, there: House) -> None:
    """A state says one thing of each place; a server that says two of one is not to be believed."""
    room = await here.with_mallory()
    await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "one"})
    first = here.living.graph.store.event(room.published.state["m.room.topic", ""])
    await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "two"})
    told, join = await asked(here, there, room)
    with pytest.raises(Unacceptable, match="two events"):
        await there.arriving.arrive(replace(told, state=[*told.state, first.pdu]), join)


@in_two_houses
async def test_coming_back_after_all_left(here: House, there: House) -> None:
    """The state is the one told now, the graph goes on from the join, and what was before can still be read."""
    room = await here.with_mallory()
    taken, _ = await join_through(here, there, room.room_id, BOB)
    await there.living.acts.appender.append(room.room_id, lambda draft: draft.add("m.room.message", BOB, text("bye")))
    await there.living.acts.membership.leave(BOB, room.room_id)
    for event in there.events_of(BOB)[-2:]:
        assert await here.accepting.accept(room.room_id, event.pdu) is Verdict.ACCEPTED
    await here.living.acts.membership.kick(ALICE, room.room_id, MALLORY)
    for topic in ("a", "b"):
        await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": topic})
    again, join = await join_through(here, there, room.room_id, BOB)
    assert again is taken
    assert state_ids(again) == state_ids(room)
    assert [end.event_id for end in again.published.extremities] == [join.event_id]
    assert again.published.members.memberships == {ALICE: "join", MALLORY: "leave", BOB: "join"}
    history = there.living.graph.standings.of(BOB).of(again.nid)
    assert history is not None
    assert [change.membership for change in history.changes] == ["join", "leave", "join"]
    assert len(gaps.of_room(there.owning.database, again.nid)) == 2


@in_two_houses
async def test_coming_back_to_a_server_that_has_not_heard_of_the_leaves(here: House, there: House) -> None:
    """Who left is not in the room again because somebody else comes back by a server that did not hear of it; nobody is
    told that they were, and once the leaves are heard of, both servers hold the same state."""
    room = await here.with_mallory()
    await join_through(here, there, room.room_id, BOB)
    taken, _ = await join_through(here, there, room.room_id, BEN)
    for user_id in (BEN, BOB):
        await there.living.acts.membership.leave(user_id, room.room_id)
    leaves = [event for user_id in (BEN, BOB) for event in there.events_of(user_id)[-1:]]
    await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "meanwhile"})
    join = join_event(room, there, BOB, timestamp=1 + leaves[-1].origin_server_ts)
    assert await here.accepting.accept(room.room_id, join.pdu) is Verdict.ACCEPTED
    again = await there.arriving.arrive(told_before(here, room, join.event_id), join.pdu)
    assert again is taken
    assert again.published.members.memberships == {ALICE: "join", MALLORY: "join", BOB: "join", BEN: "leave"}
    assert state_ids(again)["m.room.topic", ""] == state_ids(room)["m.room.topic", ""]
    assert {end.event_id for end in again.published.extremities} == {leaves[-1].event_id, join.event_id}
    for user_id, was in ((BEN, ["join", "leave"]), (BOB, ["join", "leave", "join"])):
        history = there.living.graph.standings.of(user_id).of(again.nid)
        assert history is not None
        assert [change.membership for change in history.changes] == was
    for event in leaves:
        assert await here.accepting.accept(room.room_id, event.pdu) is Verdict.ACCEPTED
    assert state_ids(again) == state_ids(room)
    await there.living.acts.appender.append(room.room_id, lambda draft: draft.add("m.room.message", BOB, text("back")))
    said = there.events_of(BOB)[-1]
    assert set(said.prev_events) == {leaves[-1].event_id, join.event_id}
    assert await here.accepting.accept(room.room_id, said.pdu) is Verdict.ACCEPTED
    assert state_ids(again) == state_ids(room)


@in_two_houses
async def test_coming_in_beside_somebody(here: House, there: House) -> None:
    """Where somebody of the server is in the room, a join through another server is one more end of the graph."""
    room = await here.with_mallory()
    taken, _ = await join_through(here, there, room.room_id, BOB)
    await there.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", BOB, text("unheard"))
    )
    await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "not told"})
    again, join = await join_through(here, there, room.room_id, BEN)
    assert again is taken
    assert len(again.published.extremities) == 2
    assert again.published.members.memberships[BEN] == "join"
    assert state_ids(again) == state_ids(room)
    assert join.event_id in {end.event_id for end in again.published.extremities}


@in_two_houses
async def test_two_come_in_at_once(here: House, there: House) -> None:
    """Two joins of two users that are under way together make one room."""
    room = await here.with_mallory()
    first = await asked(here, there, room, BOB)
    second = await asked(here, there, room, BEN)
    rooms = await asyncio.gather(*(there.arriving.arrive(*one) for one in (first, second, first, second)))
    assert len(set(map(id, rooms))) == 1
    assert state_ids(rooms[0]) == state_ids(room)
    assert rooms[0].published.members.joined == 4


@in_two_houses
async def test_all_or_nothing(here: House, there: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the unit fails, nothing of the room is there, and the next try takes it in."""
    room = await here.with_mallory()
    told, join = await asked(here, there, room)

    def fails(*arguments: Any) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(gaps, "note", fails)
        with pytest.raises(OSError, match="no"):
            await there.arriving.arrive(told, join)
    assert await there.living.graph.rooms.find(room.room_id) is None
    assert there.owning.database.read("SELECT COUNT(*) FROM events") == [(0,)]
    assert state_ids(await there.arriving.arrive(told, join)) == state_ids(room)


@pytest.mark.parametrize("chain", [True, False])
@in_two_houses
async def test_a_hole_is_bridged(here: House, there: House, chain: bool) -> None:
    """An event that stands on what is not here comes in on top of the state that another server tells, also where that
    does not tell again what is known here.
    """
    room = await here.with_mallory(room_version="11")
    setting = here.living.acts.sending.set_state
    await setting(ALICE, room.room_id, "m.room.name", "", {"name": "made with the levels before"})
    await setting(ALICE, room.room_id, "m.room.power_levels", "", {"users": {ALICE: 100}})
    taken, _ = await join_through(here, there, room.room_id, BOB)
    for number in range(5):
        await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": str(number)})
    last = here.living.graph.store.event(room.published.extremities[0].nid)
    assert await there.accepting.accept(room.room_id, last.pdu) is Verdict.WAITING
    told = told_before(here, room, last.event_id)
    told = told if chain else replace(told, auth_chain=())
    assert await there.arriving.bridge(told, last.pdu) is Verdict.ACCEPTED
    assert state_ids(taken) == state_ids(room)
    database = there.owning.database
    before, _ = state_rows.groups_of(database, there.living.graph.store.find(last.event_id)[0].nid)  # type: ignore[index, misc]
    state = await database.reading(lambda reader: state_rows.group(reader, before))
    assert {there.living.graph.store.event(nid).event_id for nid in state.values()} == {
        Event.from_pdu(told.version, pdu).event_id for pdu in told.state
    }
    assert there.owning.database.read("SELECT COUNT(*) FROM waiting_events") == [(0,)]
    # What comes late fills the hole, and is no end of the graph: something stands on it already.
    late = here.living.graph.store.find(last.prev_events[0])
    assert late is not None
    told = told_before(here, room, late[1].event_id)
    assert await there.arriving.bridge(told, late[1].pdu) is Verdict.ACCEPTED
    assert last.prev_events[0] not in {end.event_id for end in taken.published.extremities}
    assert last.prev_events[0] not in gaps.missing(there.owning.database, taken.nid)
    assert state_ids(taken) == state_ids(room)


@in_two_houses
async def test_what_was_left_out_of_a_bridge_comes_when_its_keys_come(here: House, there: House) -> None:
    """Members of a server that does not tell its keys: one who came meanwhile, one who changed, and one who is banned
    afterwards.
    """
    room = await here.with_mallory(room_version="11")
    zoe, nick = f"@zoe:{ELSEWHERE}", f"@nick:{ELSEWHERE}"

    async def member(user_id: str, **content: Any) -> None:
        event = here.remote.event(room, "m.room.member", {"membership": "join", **content}, user_id, sender=user_id)
        assert await here.accepting.accept(room.room_id, event.pdu) is Verdict.ACCEPTED

    await member(nick)
    taken, _ = await join_through(here, there, room.room_id, BOB)
    for user_id in (MALLORY, zoe, nick):
        await member(user_id, displayname="new")
    await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "after"})
    last = here.living.graph.store.event(room.published.extremities[0].nid)
    told = told_before(here, room, last.event_id)
    await here.living.acts.membership.ban(ALICE, room.room_id, nick)
    banned = here.living.graph.store.event(room.published.extremities[0].nid)

    ring, wanted = here.intake.signatures, []
    assert isinstance(ring, Keyring)
    ring.keys.pop(ELSEWHERE)
    ring.silent.add(ELSEWHERE)
    there.arriving.keys_wanted.append(lambda server, origin: wanted.append(server))
    assert await there.arriving.bridge(told, last.pdu) is Verdict.ACCEPTED
    assert wanted == [ELSEWHERE]
    assert ("m.room.member", zoe) not in state_ids(taken)
    for server in (ELSEWHERE, THERE):
        assert await there.holding.rooms_without(server) == ([room.room_id] if server == ELSEWHERE else [])
    ring.silent.clear()
    ring.know(ELSEWHERE, here.remote.key)
    completing = Completing(there.intake)
    assert await completing.complete(room.room_id, ELSEWHERE) == []
    assert await there.holding.rooms_without(ELSEWHERE) == []
    wanted_state = {**state_ids(room), ("m.room.member", nick): told_of(told, nick)}
    assert state_ids(taken) == wanted_state
    # What comes stands on it: the room goes on as it does there.
    assert await there.accepting.accept(room.room_id, banned.pdu) is Verdict.ACCEPTED
    assert state_ids(taken) == state_ids(room)
    there.living.graph.rooms.drop(taken)
    assert state_ids(await there.found(room.room_id)) == state_ids(room)


def told_of(told: Told, user_id: str) -> str:
    """The id of somebody's membership in a state that was told."""
    events = [Event.from_pdu(told.version, pdu) for pdu in told.state]
    return next(event.event_id for event in events if event.state_key == user_id)


@in_two_houses
async def test_what_was_redacted_stays_so_when_it_gets_its_place(here: House, there: House) -> None:
    """A redaction that was carried out on an event without a place is not undone when the event comes in full."""
    room = await here.with_mallory()
    await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "regrettable"})
    topic = room.store.event(room.published.state["m.room.topic", ""])
    taken, _ = await join_through(here, there, room.room_id, BOB)
    await there.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", BOB, text("something in between"))
    )
    redaction = here.remote.event(taken, "m.room.redaction", {"redacts": topic.event_id}, sender=MALLORY)
    assert await there.accepting.accept(room.room_id, redaction.pdu) is Verdict.ACCEPTED
    # Mallory has no power to redact; Alice has.
    assert there.living.graph.store.find(topic.event_id)[1].content == {"topic": "regrettable"}  # type: ignore[index]
    await here.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.redaction", ALICE, {}, redacts=topic.event_id)
    )
    ours = room.store.event(room.published.extremities[0].nid)
    assert await there.accepting.accept(room.room_id, ours.pdu) is Verdict.ACCEPTED
    assert there.living.graph.store.find(topic.event_id)[1].content == {}  # type: ignore[index]
    assert await there.arriving.bridge(told_before(here, room, topic.event_id), topic.pdu) is Verdict.ACCEPTED
    assert there.living.graph.store.find(topic.event_id)[1].content == {}  # type: ignore[index]
