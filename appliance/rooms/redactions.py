"""Redactions applied: the emptied form takes the place of the original in the redaction's own unit; a contributor.

From room version 3 on the right to redact is judged when it is applied and not by the authorisation rules
(``protocol.auth.redaction_applies``).
"""

from collections.abc import Callable

from appliance.protocol import canonical
from appliance.protocol.auth import redaction_applies
from appliance.protocol.events import Event
from appliance.protocol.redaction import redact
from appliance.rooms.appending import Statement
from appliance.rooms.room import Rooms
from appliance.rooms.snapshot import Step
from appliance.rooms.store import EventStore
from appliance.storage import events as rows
from appliance.storage.database import Tx


class Redactions:
    """Applies redactions as they come.

    Args:
        rooms: the rooms in memory, whose parsed state may go stale.
        store: the events in memory.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, rooms: Rooms, store: EventStore, now_ms: Callable[[], int]) -> None:
        self._rooms = rooms
        self._store = store
        self._now_ms = now_ms
        self._applied: dict[int, int] = {}

    def prepare(self, step: Step) -> Statement | None:
        """Store the emptied form of the target, where it is known and may be redacted."""
        event = step.event
        if event.type != "m.room.redaction" or event.redacts is None:
            return None
        found = self._store.find(event.redacts)
        if found is None or found[0].room_nid != step.room_nid or not self._allowed(step, found[1]):
            return None
        row, target = found
        emptied = canonical.encode(redact(target.version, target.pdu))
        now_ms = self._now_ms()
        self._applied[step.nid] = row.nid

        def statement(tx: Tx, position: int) -> None:
            rows.keep_original(tx, row.nid, now_ms)
            rows.replace_json(tx, row.nid, emptied)
            rows.note_redaction(tx, target.event_id, step.nid)

        return statement

    def published(self, step: Step, position: int) -> None:
        """Forget what was kept of the original."""
        target = self._applied.pop(step.nid, None)
        if target is None:
            return
        self._store.forget(target)
        room = self._rooms.loaded(step.room_id)
        if room is not None:
            room.forget_parsed()

    def _allowed(self, step: Step, target: Event) -> bool:
        room = self._rooms.loaded(step.room_id)
        return room is not None and redaction_applies(step.event, target, room.power(step.before))
