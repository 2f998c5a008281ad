"""Relations as they come and go: rows in the unit of the child, gone in that of its redaction; a contributor.

What is kept of a parent in memory (``reading/aggregations.py``) is read anew when its children change.
"""

from collections.abc import Callable

from appliance.protocol.events import Event
from appliance.protocol.relations import REPLACE, THREAD, Relation, may_replace, relation_of
from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step
from appliance.rooms.store import EventStore
from appliance.storage import relations as rows
from appliance.storage.database import Tx
from appliance.storage.lru import Lru
from appliance.storage.relations import NewRelation

UNDER_WAY = 1_000
"""Redactions between their preparation and their commit; what is forgotten of one that failed does no harm."""


class Relations:
    """Keeps which event relates to which.

    Args:
        store: the events in memory.

    Attributes:
        changed: called on the loop with the id of an event whose children changed, after the commit.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._taken_away: Lru[int, str] = Lru(UNDER_WAY)
        self.changed: list[Callable[[str], None]] = []

    def prepare(self, step: Step) -> Statement | None:
        """Store what an event relates to."""
        relation = relation_of(step.event.content)
        if relation is None or step.ordering is None:
            return None
        new = self._new(step, step.ordering, relation)
        return lambda tx, position: rows.insert(tx, new, position)

    def published(self, step: Step, position: int) -> None:
        """Tell whose children changed."""
        relation = relation_of(step.event.content)
        parents = {None if relation is None else relation.parent_id, self._taken_away.get(step.nid)} - {None}
        self._taken_away.drop(step.nid)
        for parent_id in parents:
            for tell in self.changed:
                tell(parent_id or "")

    def prepare_past(self, step: Step) -> Statement | None:
        """The same for an event of the past."""
        return self.prepare(step)

    def published_past(self, step: Step, position: int) -> None:
        """The same."""
        self.published(step, position)

    def emptied(self, step: Step, nid: int, event: Event) -> Statement | None:
        """Take a child away whose content a redaction takes; called while the redaction is prepared.

        Args:
            step: the redaction, or the event itself where its redaction came first.
            nid: the number of what is redacted.
            event: what is redacted, as it was.
        """
        relation = relation_of(event.content)
        if relation is None:
            return None
        self._taken_away.put(step.nid, relation.parent_id)

        def statement(tx: Tx, position: int) -> None:
            rows.remove(tx, step.room_nid, relation.parent_id, nid)

        return statement

    def _new(self, step: Step, ordering: int, relation: Relation) -> NewRelation:
        event = step.event
        return NewRelation(
            room_nid=step.room_nid,
            parent_id=relation.parent_id,
            child_nid=step.nid,
            child_id=event.event_id,
            rel_type=relation.rel_type,
            type=event.type,
            sender=event.sender,
            timestamp=event.origin_server_ts,
            ordering=ordering,
            key=relation.key,
            replaces=relation.rel_type == REPLACE and may_replace(event.type, event.state_key, event.content),
            in_thread=relation.rel_type == THREAD and self._may_be_root(relation.parent_id),
        )

    def _may_be_root(self, event_id: str) -> bool:
        """Whether an event can be the root of a thread: it relates to nothing itself, as far as is known."""
        found = self._store.coming(event_id)
        return found is None or relation_of(found[1].content) is None
