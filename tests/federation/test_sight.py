"""Who sees what of a history that was fetched from elsewhere: the same as on a server that was there all the time."""

import pytest

from appliance.protocol.identifiers import server_of
from appliance.rooms.incoming.accepting import Verdict
from appliance.rooms.reading.elsewhere import ServerSight
from appliance.rooms.room import Room
from appliance.storage import gaps
from tests.federation.handshake import join_through, told_before
from tests.federation.house import ALICE, ELSEWHERE, MALLORY, House
from tests.federation.test_accepting import text
from tests.federation.test_arriving import BEN, BOB, THERE, in_two_houses
from tests.federation.test_backfilling import Telling, older

SETTINGS = ("shared", "invited", "joined", "world_readable", "joined", "shared")
HERE = server_of(ALICE)


async def say(here: House, there: House, room: Room, *, also: bool = False) -> None:
    """Let Alice say something, and tell it to the other house where that is in the room."""
    await here.living.acts.appender.append(room.room_id, lambda draft: draft.add("m.room.message", ALICE, text("hm")))
    if also:
        await tell(here, there, room)


async def tell(here: House, there: House, room: Room) -> None:
    """Tell the other house the last event."""
    last = room.store.event(room.published.extremities[0].nid)
    assert await there.accepting.accept(room.room_id, last.pdu) is Verdict.ACCEPTED


async def come_and_go(here: House, there: House, room: Room, user_id: str) -> None:
    """Let somebody of the other house be invited, come in and leave again, with words between."""
    await here.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.member", ALICE, {"membership": "invite"}, user_id)
    )
    await say(here, there, room)
    taken, _ = await join_through(here, there, room.room_id, user_id)
    await say(here, there, room, also=True)
    telling = Telling(here, there, room)
    while missing := gaps.missing(there.owning.database, taken.nid):
        await there.backfilling.take_in(room.room_id, older(here, missing, 7), telling)
    await there.living.acts.membership.leave(user_id, room.room_id)
    left = taken.store.event(taken.published.extremities[0].nid)
    assert await here.accepting.accept(room.room_id, left.pdu) is Verdict.ACCEPTED
    await say(here, there, room)


def seen(home: House, room: Room, user_id: str) -> dict[str, tuple[bool, str]]:
    """For each event of the timeline, whether a user may see it, and how they stood to the room."""
    living = home.living
    history = living.graph.standings.of(user_id).of(room.nid)
    nids = home.owning.database.read("SELECT event_nid FROM events WHERE position IS NOT NULL")
    clients = living.graph.store.clients(nid for (nid,) in nids)
    return {
        event.event_id: (
            living.graph.visibility.sees(event, user_id, history),
            living.graph.visibility.membership_at(event, user_id, history),
        )
        for event in clients.values()
    }


async def seen_by(home: House, room: Room, server_name: str) -> set[str]:
    """The ids of the events of the timeline that a server may see."""
    nids = [nid for (nid,) in home.owning.database.read("SELECT event_nid FROM events WHERE position IS NOT NULL")]
    sight = ServerSight(home.owning.database, home.living.graph.store, home.living.graph.visibility)
    return {home.living.graph.store.event(nid).event_id for nid in await sight.seen_by(room, server_name, nids)}


@in_two_houses
async def test_the_past_is_as_visible_as_it_was(here: House, there: House) -> None:
    """By the setting and the membership at each event, for people and for servers, whoever came, went and came back."""
    room = await here.room()
    for place, setting in enumerate(SETTINGS):
        await here.living.acts.sending.set_state(
            ALICE, room.room_id, "m.room.history_visibility", "", {"history_visibility": setting}
        )
        await say(here, there, room)
        await come_and_go(here, there, room, BEN if place % 3 == 1 else BOB)
    taken, _ = await join_through(here, there, room.room_id, BOB)
    telling = Telling(here, there, room)
    while missing := gaps.missing(there.owning.database, taken.nid):
        await there.backfilling.take_in(room.room_id, older(here, missing, 7), telling)
    for user_id in (ALICE, BOB, BEN, f"@never:{THERE}", MALLORY):
        assert seen(there, taken, user_id) == seen(here, room, user_id), user_id
    views = {user_id: {one for one, (may, _) in seen(here, room, user_id).items() if may} for user_id in (BOB, BEN)}
    assert 0 < len(views[BEN]) < len(views[BOB]) < len(seen(here, room, BOB))
    for home, its in ((here, room), (there, taken)):
        assert await seen_by(home, its, THERE) == views[BOB] | views[BEN]
        assert await seen_by(home, its, HERE) == set(seen(here, room, ALICE))
        assert await seen_by(home, its, ELSEWHERE) == {
            one for one, (may, _) in seen(here, room, MALLORY).items() if may
        }
    # Once all have left, a server sees what was before that, as its people do.
    await there.living.acts.membership.leave(BOB, room.room_id)
    left = taken.store.event(taken.published.extremities[0].nid)
    assert await here.accepting.accept(room.room_id, left.pdu) is Verdict.ACCEPTED
    await say(here, there, room)
    assert await seen_by(here, room, THERE) == {*views[BOB], *views[BEN], left.event_id}


@pytest.mark.parametrize(("setting", "expected"), [("joined", False), ("shared", True)])
@in_two_houses
async def test_an_event_on_an_old_branch(here: House, there: House, setting: str, expected: bool) -> None:
    """What is said beside somebody's coming in, by one who did not know of it, is judged by what they knew."""
    room = await here.with_mallory()
    await here.living.acts.sending.set_state(
        ALICE, room.room_id, "m.room.history_visibility", "", {"history_visibility": setting}
    )
    parent = room.published.extremities[0]
    beside = here.remote.event(room, "m.room.message", text("among us"))
    await here.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.member", ALICE, {"membership": "invite"}, BOB)
    )
    taken, _ = await join_through(here, there, room.room_id, BOB)
    assert beside.prev_events == (parent.event_id,)
    assert await here.accepting.accept(room.room_id, beside.pdu) is Verdict.ACCEPTED
    assert await there.arriving.bridge(told_before(here, room, beside.event_id), beside.pdu) is Verdict.ACCEPTED
    for home, its in ((here, room), (there, taken)):
        assert seen(home, its, BOB)[beside.event_id][0] is expected
        assert (beside.event_id in await seen_by(home, its, THERE)) is expected
        assert beside.event_id in await seen_by(home, its, ELSEWHERE)


@in_two_houses
async def test_without_a_state_members_see_what_was_never_hidden(here: House, there: House) -> None:
    """Where the state before events cannot be had, the first setting that is known says what members may see."""
    for setting, expected in (("shared", True), ("joined", False), ("invited", False), ("world_readable", True)):
        room = await here.with_mallory()
        await here.living.acts.sending.set_state(
            ALICE, room.room_id, "m.room.history_visibility", "", {"history_visibility": setting}
        )
        await say(here, there, room)
        await say(here, there, room)
        taken, join = await join_through(here, there, room.room_id, BOB)
        answer = older(here, join.prev_events, 1)
        (event_id,) = await there.backfilling.take_in(room.room_id, answer, Telling(here, there, room, silent=True))
        assert seen(there, taken, BOB)[event_id][0] is expected
        assert seen(there, taken, BEN)[event_id][0] is (setting == "world_readable")
        assert (event_id in await seen_by(there, taken, ELSEWHERE)) is expected
