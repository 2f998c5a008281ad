"""What is kept beside events is kept of those of the past, too: relations, times, words."""

from typing import Any

from appliance.protocol.filters import RoomEventRule
from appliance.rooms.reading.related import Wanted
from appliance.rooms.reading.searching import Sought
from appliance.rooms.reading.serving import Asker
from tests.federation.handshake import join_through
from tests.federation.house import ALICE, House
from tests.federation.test_accepting import text
from tests.federation.test_arriving import BOB, in_two_houses
from tests.federation.test_backfilling import Telling, older


def relating(words: str, parent: str, kind: str, **more: Any) -> dict[str, Any]:
    """The content of an event that relates to another."""
    return {**text(words), **more, "m.relates_to": {"rel_type": kind, "event_id": parent}}


@in_two_houses
async def test_what_was_said_in_the_past(here: House, there: House) -> None:
    """Children, threads and edits are known as if they had come when they were made; so are times and words."""
    room = await here.with_mallory()

    async def say(content: dict[str, Any], event_type: str = "m.room.message", **more: Any) -> str:
        append = here.living.acts.appender.append
        event = await append(room.room_id, lambda draft: draft.add(event_type, ALICE, content, **more))
        return event.event_id

    root = await say(text("the root"))
    reply = await say(relating("a reply", root, "m.thread"))
    gone = await say(relating("a secret", root, "m.thread"))
    edit = await say(relating("* better", reply, "m.replace", **{"m.new_content": text("better words")}))
    await say({}, "m.room.redaction", redacts=gone)
    _, join = await join_through(here, there, room.room_id, BOB)
    living = there.living
    before = await living.reads.searching.search(BOB, Sought("better", ("body",), False, RoomEventRule(), 10))
    assert before.hits == []
    answer = older(here, join.prev_events, 100)
    await there.backfilling.take_in(room.room_id, answer, Telling(here, there, room))
    page = await living.reads.related.children(BOB, room.room_id, root, Wanted())
    assert [event.event_id for event in page.events] == [reply]
    threads = await living.reads.related.threads(BOB, room.room_id, None, 10, participated=False)
    assert [event.event_id for event in threads.events] == [root]
    bundles = living.reads.serving.bundles(threads.events, Asker(BOB))
    (bundle,) = bundles.values()
    assert bundle.thread is not None
    assert (bundle.thread.count, bundle.thread.latest.event_id) == (1, reply)
    found = await living.reads.searching.search(BOB, Sought("better words", ("body",), False, RoomEventRule(), 10))
    assert [hit.event.event_id for hit in found.hits] == [reply]
    assert (await living.reads.searching.search(BOB, Sought("secret", ("body",), True, RoomEventRule(), 10))).hits == []
    stored = living.graph.store.find(edit)
    assert stored is not None
    near = await living.reads.context.near(BOB, room.room_id, stored[1].origin_server_ts, backwards=True)
    assert near is not None
    assert near.timestamp == stored[1].origin_server_ts
