"""The past of a room is taken in: order, state, redactions, what is refused, and how far the hole is filled."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from appliance.protocol.events import Event
from appliance.rooms.incoming.accepting import Unacceptable, Verdict
from appliance.rooms.reading.reaching import ReachingBack
from appliance.rooms.room import Room
from appliance.storage import events as event_rows
from appliance.storage import gaps
from appliance.storage import state as state_rows
from appliance.storage.database import Tx
from appliance.storage.tokens import HistoryToken
from tests.federation.handshake import join_through, told_before
from tests.federation.house import ALICE, ELSEWHERE, MALLORY, House
from tests.federation.test_accepting import text
from tests.federation.test_arriving import BOB, in_two_houses


class Telling:
    """A house that answers what another one asks for; it keeps silent on states where it is told so."""

    def __init__(self, here: House, there: House, room: Room, *, silent: bool = False) -> None:
        self.here, self.there, self.room, self.silent = here, there, room, silent
        self.asked: list[str] = []
        self.brought: list[str] = []

    async def bring(self, room_id: str, event_ids: Sequence[str]) -> None:
        """Hand over the events, and what allows them."""
        self.brought += event_ids
        wanted, pdus = list(event_ids), []
        for event_id in wanted:
            found = self.here.living.graph.store.find(event_id)
            if found is not None:
                pdus.append(found[1].pdu)
                wanted += [one for one in found[1].auth_events if one not in wanted]
        await self.there.accepting.accept_outliers(room_id, pdus)

    async def state_before(self, room_id: str, event_id: str) -> list[str] | None:
        """The ids of the state before an event."""
        self.asked.append(event_id)
        return None if self.silent else list(state_before(self.here, event_id).values())


def state_before(home: House, event_id: str) -> dict[tuple[str, str], str]:
    """The state before an event, by ids."""
    row = event_rows.by_id(home.owning.database, event_id)
    assert row is not None
    groups = state_rows.groups_of(home.owning.database, row.nid)
    assert groups is not None
    state = state_rows.group(home.owning.database, groups[0])
    return {slot: home.living.graph.store.event(nid).event_id for slot, nid in state.items()}


def history(home: House, room: Room, user_id: str) -> list[str]:
    """The ids of all events of the timeline that a user may see, the latest first."""
    timeline = home.living.reads.timeline
    page = timeline.page(room.nid, user_id, timeline.point(room.nid, None), 500, backwards=True)
    return [event.event_id for event in page.events]


def all_of(home: House, room: Room) -> list[str]:
    """The ids of the timeline, the latest first; those of the same depth by their ids, as each server has its order."""
    rows = home.owning.database.read(
        "SELECT event_id FROM events WHERE room_nid = ? AND position IS NOT NULL ORDER BY ordering DESC, event_id",
        (room.nid,),
    )
    return [event_id for (event_id,) in rows]


def older(home: House, event_ids: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """What a server answers to the question for what leads up to some events: those, and what they stand on."""
    wanted, found = list(event_ids), []
    seen: set[str] = set()
    while wanted and len(found) < limit:
        wanted.sort(key=lambda one: home.living.graph.store.find(one)[0].ordering)  # type: ignore[index]
        event_id = wanted.pop()
        if event_id not in seen:
            seen.add(event_id)
            event = home.living.graph.store.find(event_id)[1]  # type: ignore[index]
            found.append(event.pdu)
            wanted += event.prev_events
    return found


async def talk(here: House, room: Room) -> None:
    """Something that happens in a room: words, state that changes, forks, people who come and go."""
    for number in range(4):
        await here.living.acts.appender.append(
            room.room_id, lambda draft, n=number: draft.add("m.room.message", ALICE, text(f"word {n}"))
        )
        await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": str(number)})
        forks = [here.remote.event(room, "m.room.message", text(f"fork {number} {side}")) for side in "ab"]
        for event in forks:
            assert await here.accepting.accept(room.room_id, event.pdu) is Verdict.ACCEPTED
    leave = here.remote.event(room, "m.room.member", {"membership": "leave"}, MALLORY)
    assert await here.accepting.accept(room.room_id, leave.pdu) is Verdict.ACCEPTED


@pytest.mark.parametrize("version", ["1", "5", "11", "12"])
@in_two_houses
async def test_the_past_comes_in_page_by_page(here: House, there: House, version: str) -> None:
    """In the order of the other server, with the states that it has, until the hole is filled up to the beginning."""
    room = await here.with_mallory(room_version=version)
    await talk(here, room)
    taken, _ = await join_through(here, there, room.room_id, BOB)
    was = taken.published
    telling = Telling(here, there, room)
    pages = 0
    while missing := gaps.missing(there.owning.database, taken.nid):
        pages += 1
        assert pages < 10
        answer = older(here, missing, 6)
        came = await there.backfilling.take_in(room.room_id, answer[::-1] if pages % 2 else answer, telling)
        assert came
    assert pages > 2
    assert len(telling.asked) < 2 * pages
    assert all_of(there, taken) == all_of(here, room)
    assert gaps.of_room(there.owning.database, taken.nid) == []
    for event_id in all_of(here, room)[:-1]:
        assert state_before(there, event_id) == state_before(here, event_id)
    # Nothing of what the room is now has changed, and nothing of it is new to sync.
    assert taken.published is was
    seen = history(there, taken, BOB)
    assert sorted(seen) == sorted(all_of(here, room))
    for place, event_id in enumerate(seen):
        assert all(one in seen[place + 1 :] for one in here.living.graph.store.find(event_id)[1].prev_events)  # type: ignore[index]
    positions = there.owning.database.read("SELECT MIN(position), MAX(position) FROM events")
    assert positions == [(1 - len(all_of(here, room)), there.owning.database.position)]


@in_two_houses
async def test_the_same_answer_twice(here: House, there: House) -> None:
    """At once or later: every event has one place."""
    room = await here.with_mallory()
    await talk(here, room)
    taken, join = await join_through(here, there, room.room_id, BOB)
    answer = older(here, join.prev_events, 100)
    telling = Telling(here, there, room)
    both = await asyncio.gather(*(there.backfilling.take_in(room.room_id, answer, telling) for _ in range(2)))
    assert sorted(map(len, both)) == [0, len(answer)]
    assert await there.backfilling.take_in(room.room_id, answer, telling) == []
    assert all_of(there, taken) == all_of(here, room)


@in_two_houses
async def test_what_nothing_stands_on_stays_out(here: House, there: House) -> None:
    """Unsigned, malformed, other rooms' events, and what does not lead on from a hole get no place."""
    room = await here.with_mallory()
    other = await here.with_mallory()
    await talk(here, room)
    invented = here.remote.event(room, "m.room.message", text("never said"), depth=2)
    foreign = here.remote.event(other, "m.room.message", text("elsewhere"))
    taken, join = await join_through(here, there, room.room_id, BOB)
    answer = older(here, join.prev_events, 3)
    garbage: list[object] = [None, 7, [], {"type": "m.room.message"}, invented.pdu, foreign.pdu]
    broken = [*garbage, *answer[:1], {**answer[1], "signatures": {}}, *answer[2:]]
    came = await there.backfilling.take_in(room.room_id, broken, Telling(here, there, room))
    ids = [Event.from_pdu(room.version, pdu).event_id for pdu in answer]
    assert came == [ids[0], ids[2]]
    assert there.living.graph.store.find(invented.event_id) is None
    assert there.living.graph.store.find(foreign.event_id) is None
    # The hole goes on where the bad event should have been, which can still come.
    assert ids[1] in gaps.missing(there.owning.database, taken.nid)
    assert await there.backfilling.take_in(room.room_id, answer, Telling(here, there, room)) == [ids[1]]
    with pytest.raises(Unacceptable):
        await there.backfilling.take_in("!unknown:x", answer, Telling(here, there, room))


@in_two_houses
async def test_what_was_not_allowed_is_not_shown(here: House, there: House) -> None:
    """An event that the state before it does not allow is rejected, and the hole goes on below it."""
    room = await here.with_mallory()
    await talk(here, room)
    before = here.living.graph.store.event(room.published.extremities[0].nid)
    # Mallory has left; only a server that looks at the state can know.
    lie = here.remote.event(room, "m.room.message", text("I am still here"))
    assert await here.accepting.accept(room.room_id, lie.pdu) is Verdict.REJECTED
    honest = here.remote.event(
        room, "m.room.member", {"membership": "join"}, MALLORY, parents=[lie.event_id], depth=before.depth + 2
    )
    assert await here.accepting.accept(room.room_id, honest.pdu) is Verdict.ACCEPTED
    taken, join = await join_through(here, there, room.room_id, BOB)
    assert join.prev_events == (honest.event_id,)
    telling = Telling(here, there, room)
    came = await there.backfilling.take_in(room.room_id, [honest.pdu, lie.pdu], telling)
    assert came == [honest.event_id]
    assert there.living.graph.store.find(lie.event_id)[0].rejected  # type: ignore[index]
    # What the rejected event stands on is missing before what stands on it.
    assert gaps.missing(there.owning.database, taken.nid) == [before.event_id]
    rest = await there.backfilling.take_in(room.room_id, older(here, [before.event_id], 100), telling)
    assert all_of(there, taken) == all_of(here, room)
    assert rest[0] == before.event_id


@in_two_houses
async def test_a_depth_that_lies_changes_no_order(here: House, there: House) -> None:
    """What something stands on comes before it, whatever depth it claims; also where the page is full."""
    room = await here.with_mallory(room_version="10")
    words = []
    for depth in (50, 2**53 - 1, 3, 7_000):
        event = here.remote.event(room, "m.room.message", text(str(depth)), depth=depth)
        assert await here.accepting.accept(room.room_id, event.pdu) is Verdict.ACCEPTED
        words.append(event.event_id)
    taken, join = await join_through(here, there, room.room_id, BOB)
    await there.backfilling.take_in(room.room_id, older(here, join.prev_events, 4), Telling(here, there, room))
    assert all_of(there, taken)[:5] == [join.event_id, *words[::-1]]


@in_two_houses
async def test_redactions_of_the_past_are_carried_out(here: House, there: House) -> None:
    """Whether the redaction comes in one answer with its target, before it, or was there already."""
    room = await here.with_mallory()

    async def say(words: str, **more: Any) -> str:
        event = here.remote.event(room, "m.room.message", {**text(words), **more})
        assert await here.accepting.accept(room.room_id, event.pdu) is Verdict.ACCEPTED
        return event.event_id

    async def redact(target: str) -> None:
        await here.living.acts.appender.append(
            room.room_id, lambda draft: draft.add("m.room.redaction", ALICE, {}, redacts=target)
        )

    first, second = await say("first"), await say("second")
    early = {one: here.living.graph.store.find(one)[1].pdu for one in (first, second)}  # type: ignore[index]
    third = await say("third", **{"m.relates_to": {"rel_type": "m.thread", "event_id": second}})
    fourth = await say("fourth", **{"m.relates_to": {"rel_type": "m.thread", "event_id": second}})
    early[third] = here.living.graph.store.find(third)[1].pdu  # type: ignore[index]
    await redact(third)
    await redact(second)
    _, join = await join_through(here, there, room.room_id, BOB)
    await redact(first)
    live = room.store.event(room.published.extremities[0].nid)
    assert await there.accepting.accept(room.room_id, live.pdu) is Verdict.ACCEPTED
    answer = [_whole(pdu, early.values()) for pdu in older(here, join.prev_events, 10)]
    telling = Telling(here, there, room)
    assert len(await there.backfilling.take_in(room.room_id, answer[:3], telling)) == 3
    assert len(await there.backfilling.take_in(room.room_id, answer[3:], telling)) == 7
    for target in (first, second, third):
        assert there.living.graph.store.find(target)[1].content == {}  # type: ignore[index]
    assert there.owning.database.read("SELECT COUNT(*) FROM redactions WHERE applied = 0") == [(0,)]
    # A child whose content is gone is a child no more.
    children = there.owning.database.read("SELECT event_id FROM relations JOIN events ON event_nid = child_nid")
    assert children == [(fourth,)]


def _whole(pdu: dict[str, Any], originals: Any) -> dict[str, Any]:
    """The form that an event had before it was redacted."""
    return next((one for one in originals if one["hashes"] == pdu["hashes"]), pdu)


@in_two_houses
async def test_without_a_state(here: House, there: House) -> None:
    """Where nobody tells the state, the history is there; what is to be built upon it must come with its state."""
    room = await here.with_mallory()
    await talk(here, room)
    old = room.published.extremities[0]
    await here.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", ALICE, text("later"))
    )
    taken, join = await join_through(here, there, room.room_id, BOB)
    telling = Telling(here, there, room, silent=True)
    assert len(await there.backfilling.take_in(room.room_id, older(here, join.prev_events, 5), telling)) == 5
    row = event_rows.by_id(there.owning.database, old.event_id)
    assert row is not None
    assert state_rows.groups_of(there.owning.database, row.nid) is None
    fork = here.remote.event(
        room, "m.room.member", {"membership": "join"}, MALLORY, parents=[old.event_id], depth=old.ordering + 1
    )
    assert await here.accepting.accept(room.room_id, fork.pdu) is Verdict.ACCEPTED
    assert await there.accepting.accept(room.room_id, fork.pdu, ELSEWHERE) is Verdict.WAITING
    assert await there.arriving.bridge(told_before(here, room, fork.event_id), fork.pdu) is Verdict.ACCEPTED
    assert taken.published.members.of(MALLORY) == "join"


@in_two_houses
async def test_pages_tell_each_event_once_whatever_holes_cannot_be_filled(here: House, there: House) -> None:
    """What lies below a hole is of the next page, also where nothing more is here."""

    class Silent:
        async def dig(self, room: Room, event_nid: int) -> bool:
            return False

    room = await here.with_mallory()
    await talk(here, room)
    database, timeline = here.owning.database, here.living.reads.timeline
    reaching = ReachingBack(database, timeline, Silent())
    whole = history(here, room, ALICE)
    holes = [event_rows.by_id(database, whole[place]) for place in (2, 3, 9)]

    def tear(tx: Tx) -> None:
        for hole in holes:
            assert hole is not None
            gaps.note(tx, room.nid, hole.nid, hole.ordering, hole.position or 0, [f"$lost{hole.nid}"])

    await database.write(tear)
    for limit in (500, 5):
        pages: list[list[str]] = []
        start: HistoryToken | None = timeline.point(room.nid, None)
        while start is not None:
            page = await reaching.page(room, ALICE, start, limit, backwards=True)
            pages.append([event.event_id for event in page.events])
            assert pages[-1]
            start = page.end
        assert [one for page in pages for one in page] == whole
        if limit == 500:
            assert [len(page) for page in pages] == [3, 1, 6, len(whole) - 10]
