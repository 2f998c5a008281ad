"""What local users may relate to, and how (client-server API, "Forming relationships between events").

What other servers send is taken as it is: a relation that breaks the rules is one that counts for nothing.
"""

from collections.abc import Callable
from typing import Any

from appliance.errors import MatrixError
from appliance.protocol.relations import ANNOTATION, THREAD, relation_of
from appliance.rooms.graph.appending import Draft
from appliance.rooms.room import Room
from appliance.rooms.store import EventStore
from appliance.storage import relations as rows
from appliance.storage.database import Database
from appliance.storage.tokens import HistoryToken

AT_A_TIME, MOST = 50, 1_000
"""Children that are redacted with their parent: in one unit, and in all."""


class Relating:
    """Judges relations before they are sent, and finds those that are to go.

    Args:
        database: where relations are.
        store: the events in memory.
    """

    def __init__(self, database: Database, store: EventStore) -> None:
        self._database = database
        self._store = store

    def check(self, room: Room, sender: str, event_type: str, content: dict[str, Any]) -> None:
        """Refuse a relation that the specification does not allow.

        Raises:
            MatrixError: 400 ``M_UNKNOWN`` for a parent that is not known or in another room, and for a thread on an
                event that relates to another itself; ``M_DUPLICATE_ANNOTATION`` for the same annotation once more.
        """
        relation = relation_of(content)
        if relation is None:
            return
        found = self._store.find(relation.parent_id)
        if found is None:
            # Others relate to it, so that the sender may know of it.
            if not rows.parents_among(self._database, room.nid, [relation.parent_id]):
                raise _refused("This relates to an event that this server does not know.")
        elif found[0].room_nid != room.nid:
            raise _refused("An event can only relate to another of the same room.")
        if relation.rel_type == THREAD and found is not None and relation_of(found[1].content) is not None:
            raise _refused("A thread cannot begin with an event that relates to another event itself.")
        if relation.rel_type == ANNOTATION:
            if relation.key is None:
                raise _refused("An annotation needs a key of at most 500 characters.")
            if rows.has_annotated(self._database, room.nid, relation.parent_id, sender, event_type, relation.key):
                raise MatrixError("M_DUPLICATE_ANNOTATION", "You have annotated this event so already.", 400)

    def redact_related(
        self,
        draft: Draft,
        parent_id: str,
        rel_types: list[str],
        after: HistoryToken,
        redact: Callable[[str, str], None],
    ) -> HistoryToken | None:
        """Redact some of the events that relate to one, as far as the redacting user may.

        Args:
            draft: where the redactions go.
            parent_id: the event.
            rel_types: the kinds of relation; ``*`` stands for all.
            after: the point of the history after which to go on.
            redact: given the id and the sender of an event, puts its redaction into the draft.

        Returns:
            the point after which to go on, None where there is no more.
        """
        children = rows.children(self._database, draft.room.nid, parent_id, after, AT_A_TIME, backwards=False)
        events = self._store.events(child.nid for child in children)
        for child in children:
            event = events.get(child.nid)
            relation = None if event is None else relation_of(event.content)
            if event is not None and relation is not None and not {relation.rel_type, "*"}.isdisjoint(rel_types):
                redact(event.event_id, event.sender)
        return HistoryToken(children[-1].ordering, children[-1].position) if len(children) == AT_A_TIME else None


def _refused(message: str) -> MatrixError:
    return MatrixError("M_UNKNOWN", message, 400)
