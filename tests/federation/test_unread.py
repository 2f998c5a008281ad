"""What comes from other servers: which of it is counted as unread, and what a sync says where something is missing."""

from typing import Any

import orjson

from appliance.protocol.filters import Filter
from appliance.rooms.incoming.accepting import Verdict
from appliance.rooms.reading.serving import Asker
from appliance.rooms.room import Room
from appliance.rooms.signs.receipts import READ
from appliance.storage.tokens import SyncToken
from appliance.sync.sections import Options
from tests.federation.house import ALICE, MALLORY, House
from tests.federation.test_accepting import in_house, text
from tests.federation.test_arriving import BOB, in_two_houses, join_through, told_before


def unread(home: House, room: Room, user_id: str = ALICE) -> tuple[int, int]:
    """(notifications, highlights) of a user in a room, as counted in memory, and the same from the rows."""
    counts, upto = home.living.pushing.counts, home.owning.database.position
    kept = counts.of(user_id, room.nid, room.room_id, upto).all()
    counts.forget(user_id, room.nid)
    assert counts.of(user_id, room.nid, room.room_id, upto).all() == kept
    return kept.notifications, kept.highlights


async def synced(home: House, user_id: str, since: SyncToken | None = None) -> tuple[dict[str, Any], SyncToken]:
    """A sync of a user's, and the token for the next one."""
    answer = await home.living.syncing.sync.answer(Asker(user_id, "DEVICE"), since, Options(Filter()))
    return orjson.loads(answer.body), answer.token


@in_house
async def test_messages_from_elsewhere_are_counted(home: House) -> None:
    """As those of our own users; not what was soft-failed, nor what was redacted, whichever comes first."""
    room = await home.with_mallory()
    assert unread(home, room) == (0, 0)
    heard = home.remote.event(room, "m.room.message", {**text("hello"), "m.mentions": {"user_ids": [ALICE]}})
    assert await home.accepting.accept(room.room_id, heard.pdu) is Verdict.ACCEPTED
    assert unread(home, room) == (1, 1)
    redaction = home.remote.event(room, "m.room.redaction", {"redacts": heard.event_id})
    assert await home.accepting.accept(room.room_id, redaction.pdu) is Verdict.ACCEPTED
    assert unread(home, room) == (0, 0)
    gone = home.remote.event(room, "m.room.message", text("gone before it came"))
    early = home.remote.event(room, "m.room.redaction", {"redacts": gone.event_id})
    late = home.remote.event(room, "m.room.message", text("before the ban"))
    for event in (early, gone):
        assert await home.accepting.accept(room.room_id, event.pdu) is Verdict.ACCEPTED
    assert unread(home, room) == (0, 0)
    await home.living.acts.membership.ban(ALICE, room.room_id, MALLORY)
    assert await home.accepting.accept(room.room_id, late.pdu) is Verdict.SOFT_FAILED
    assert unread(home, room) == (0, 0)
    assert home.owning.database.read("SELECT COUNT(*) FROM notifications") == [(0,)]
    assert home.owning.database.read("SELECT COUNT(*) FROM personal_notifications") == [(0,)]


@in_house
async def test_what_comes_late_is_read_when_it_is_seen(home: House) -> None:
    """An event on an older branch that arrives last is unread, and a receipt for it reads it."""
    room = await home.with_mallory()
    early = room.published.extremities[0]
    for word in ("one", "two", "three"):
        heard = home.remote.event(room, "m.room.message", text(word))
        assert await home.accepting.accept(room.room_id, heard.pdu) is Verdict.ACCEPTED
    await home.living.signs.receipts.read(ALICE, room.room_id, READ, heard.event_id)
    assert unread(home, room) == (0, 0)
    late = home.remote.event(room, "m.room.message", text("late"), parents=[early.event_id], depth=early.ordering + 1)
    assert await home.accepting.accept(room.room_id, late.pdu) is Verdict.ACCEPTED
    assert unread(home, room) == (1, 0)
    await home.living.signs.receipts.read(ALICE, room.room_id, READ, late.event_id)
    assert unread(home, room) == (0, 0)
    await home.living.signs.receipts.read(ALICE, room.room_id, READ, heard.event_id)
    assert unread(home, room) == (0, 0)


@in_two_houses
async def test_a_sync_goes_no_further_back_than_a_hole(here: House, there: House) -> None:
    """limited: true if the number of events returned was limited, also by what is not here."""
    room = await here.with_mallory()
    await here.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", ALICE, text("before"))
    )
    taken, join = await join_through(here, there, room.room_id, BOB)
    section = (await synced(there, BOB))[0]["rooms"]["join"][room.room_id]
    assert [event["event_id"] for event in section["timeline"]["events"]] == [join.event_id]
    assert section["timeline"]["limited"] is True
    _, since = await synced(there, BOB)
    await there.living.acts.appender.append(room.room_id, lambda draft: draft.add("m.room.message", BOB, text("known")))
    for number in range(4):
        await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": str(number)})
    await here.living.acts.sending.set_state(ALICE, room.room_id, "m.room.name", "", {"name": "far on"})
    last = here.living.graph.store.event(room.published.extremities[0].nid)
    assert await there.arriving.bridge(told_before(here, room, last.event_id), last.pdu) is Verdict.ACCEPTED
    after = await there.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", BOB, text("after"))
    )
    section = (await synced(there, BOB, since))[0]["rooms"]["join"][room.room_id]
    assert [event["event_id"] for event in section["timeline"]["events"]] == [last.event_id, after.event_id]
    assert section["timeline"]["limited"] is True
    changed = {event["type"]: event["content"] for event in section["state"]["events"]}
    assert changed == {"m.room.topic": {"topic": "3"}}
    assert unread(there, taken, BOB) == (0, 0)
