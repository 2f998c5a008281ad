"""To which thread an event belongs (client-server API, modules "Threading" and "Receipts")."""

from typing import Any

from appliance.protocol.relations import THREAD, relation_of
from appliance.rooms.store import EventStore

MAIN = "main"
"""What receipts call the main timeline."""
MOST_HOPS = 3
"""Relations that are followed from an event to the root of its thread."""


def thread_of(store: EventStore, room_nid: int, content: dict[str, Any]) -> str:
    """The id of the root of the thread that an event with this content is in; empty for the main timeline.

    The root itself is in the main timeline, as is what relates to it otherwise.
    """
    relation = relation_of(content)
    for _ in range(MOST_HOPS):
        if relation is None:
            return ""
        if relation.rel_type == THREAD:
            return relation.parent_id
        found = store.find(relation.parent_id)
        if found is None or found[0].room_nid != room_nid:
            return ""
        relation = relation_of(found[1].content)
    return ""
