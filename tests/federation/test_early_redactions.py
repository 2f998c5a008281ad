"""Redactions that come before what they take away, and those that may not take it: nobody is shown them, nor anything
of what is gone (room version 3, "Handling redactions").
"""

from typing import Any

import pytest

from appliance.errors import MatrixError
from appliance.protocol.events import Event
from appliance.protocol.filters import RoomEventRule
from appliance.rooms.incoming.accepting import Verdict
from appliance.rooms.reading.related import Wanted
from appliance.rooms.reading.searching import Sought
from appliance.rooms.room import Room
from appliance.storage.tokens import SyncToken
from tests.federation.house import ALICE, MALLORY, House
from tests.federation.test_accepting import in_house, text
from tests.federation.test_related_past import relating
from tests.federation.test_unread import synced, unread


async def take(home: House, room: Room, event: Event) -> None:
    """Have an event accepted."""
    assert await home.accepting.accept(room.room_id, event.pdu) is Verdict.ACCEPTED


def redaction_of(home: House, room: Room, target_id: str) -> Event:
    """A redaction of Mallory's, in the form of the room's version."""
    event = home.remote.event(room, "m.room.redaction", {"redacts": target_id})
    if room.version.redacts_in_content:
        return event
    pdu = {**event.pdu, "content": {}, "redacts": target_id}
    return home.remote.signed(room.version, {key: value for key, value in pdu.items() if key != "event_id"})


async def timeline(home: House, room: Room, since: SyncToken | None = None) -> tuple[dict[str, Any], SyncToken]:
    """What a sync of Alice's shows of a room: its events by id."""
    answer, token = await synced(home, ALICE, since)
    shown = answer.get("rooms", {}).get("join", {}).get(room.room_id, {})
    return {event["event_id"]: event for event in shown.get("timeline", {}).get("events", ())}, token


def pages(home: House, room: Room) -> set[str]:
    """The ids that Alice reads page by page."""
    reads = home.living.reads.timeline
    page = reads.page(room.nid, ALICE, reads.point(room.nid, None), 100, backwards=True, rule=RoomEventRule())
    return {event.event_id for event in page.events}


async def is_found(home: House, room: Room, event_id: str) -> bool:
    """Whether Alice gets an event that she asks for by its id, alone and with what is around it."""
    try:
        await home.living.reads.reading.event(ALICE, room.room_id, event_id)
    except MatrixError as refusal:
        assert refusal.status == 404
        return False
    return True


@pytest.mark.parametrize("version", ["10", "12"])
@in_house
async def test_a_redaction_waits_for_its_target(home: House, version: str) -> None:
    """It is shown once its target is there, which is never shown whole: in syncs, pages, searches, threads, counts."""
    room = await home.with_mallory(room_version=version)
    root = home.remote.event(room, "m.room.message", text("the root"))
    await take(home, room, root)
    _, token = await timeline(home, room)
    read = unread(home, room)
    said = relating("a secret", root.event_id, "m.thread", **{"m.mentions": {"user_ids": [ALICE]}})
    target = home.remote.event(room, "m.room.message", said)
    early = redaction_of(home, room, target.event_id)
    await take(home, room, early)
    shown, token = await timeline(home, room, token)
    first, _ = await timeline(home, room)
    assert early.event_id not in {**shown, **first}.keys() | pages(home, room)
    assert root.event_id in first
    assert not await is_found(home, room, early.event_id)

    await take(home, room, target)
    shown, token = await timeline(home, room, token)
    assert list(shown) == [target.event_id, early.event_id]
    first, _ = await timeline(home, room)
    for seen in (shown, first):
        assert seen[target.event_id]["content"] == {}
        assert seen[target.event_id]["unsigned"]["redacted_because"]["event_id"] == early.event_id
    assert {early.event_id, target.event_id} <= first.keys() & pages(home, room)
    assert (await timeline(home, room, token))[0] == {}
    times = "SELECT e.event_id FROM event_times t JOIN events e ON e.position = t.position WHERE t.timestamp = ?"
    assert (early.event_id,) in home.owning.database.read(times, (early.origin_server_ts,))

    assert await is_found(home, room, early.event_id)
    assert unread(home, room) == read
    reads = home.living.reads
    assert (await reads.related.children(ALICE, room.room_id, root.event_id, Wanted())).events == []
    assert (await reads.related.threads(ALICE, room.room_id, None, 10, participated=False)).events == []
    found = await reads.searching.search(ALICE, Sought("secret", ("body",), False, RoomEventRule(), 10))
    assert found.hits == []
    assert b"a secret" not in b"".join(row[0] for row in home.owning.database.read("SELECT json FROM events"))
    assert home.owning.database.read("SELECT 1 FROM redacted_originals WHERE json LIKE '%a secret%'") == []


@in_house
async def test_redactions_that_wait_for_one_target_come_behind_it(home: House) -> None:
    """All that may take it are told, once, whoever they are of."""
    room = await home.with_mallory(room_version="12")
    target = home.remote.event(room, "m.room.message", text("a secret"))
    early = [redaction_of(home, room, target.event_id) for _ in range(2)]
    for one in early:
        await take(home, room, one)
    mine = await home.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.redaction", ALICE, {"redacts": target.event_id})
    )
    _, token = await timeline(home, room)
    before = {one.event_id for one in early}
    await take(home, room, target)
    shown, after = await timeline(home, room, token)
    assert next(iter(shown)) == target.event_id
    assert shown.keys() == before | {target.event_id, mine.event_id}
    last = await home.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", ALICE, text("and on"))
    )
    assert (await timeline(home, room, after))[0].keys() == {last.event_id}
    home.living.graph.ends.forget(room.nid, room.room_id)
    assert (await timeline(home, room, token))[0].keys() == shown.keys() | {last.event_id}
    assert pages(home, room) >= shown.keys()


@in_house
async def test_a_redaction_that_may_not(home: House) -> None:
    """Nobody is shown it, and nothing is taken away, whichever comes first."""
    room = await home.with_mallory()
    _, token = await timeline(home, room)
    mine = await home.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", ALICE, text("mine"))
    )
    redaction = redaction_of(home, room, mine.event_id)
    await take(home, room, redaction)
    nothing = home.remote.event(room, "m.room.redaction", {})
    await take(home, room, nothing)
    shown, _ = await timeline(home, room, token)
    assert shown.keys() == {mine.event_id}
    assert shown[mine.event_id]["content"] == text("mine")
    assert not {redaction.event_id, nothing.event_id} & pages(home, room)


@in_house
async def test_a_name_that_is_gone_before_it_comes(home: House) -> None:
    """What a membership said beside the membership is nowhere found."""
    room = await home.with_mallory()
    named = home.remote.event(room, "m.room.member", {"membership": "join", "displayname": "Hidden Name"}, MALLORY)
    await take(home, room, redaction_of(home, room, named.event_id))
    await take(home, room, named)
    assert room.published.members.of(MALLORY) == "join"
    people, _ = await home.living.shown.people.search(ALICE, "hidden", 10)
    assert people == []
