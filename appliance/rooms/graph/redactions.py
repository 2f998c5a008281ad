"""Redactions applied: the emptied form takes the place of the original in the redaction's own unit; a contributor.

From room version 3 on the right to redact is judged when it is applied and not by the authorisation rules
(``protocol.auth.redaction_applies``). A redaction that comes before its target waits, and is judged when that comes:
until then nobody is shown it, and the target is emptied before anybody hears of it. Then it arrives behind its target,
as it is to be sent to clients once it applies. It is judged by the power levels that it names itself as allowing it,
which are the same on every server whenever it arrives.
"""

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from appliance.protocol import canonical
from appliance.protocol.auth import redaction_applies
from appliance.protocol.events import Event
from appliance.protocol.identifiers import server_of
from appliance.protocol.power import PowerLevels
from appliance.protocol.redaction import redact
from appliance.rooms.graph.appending import Identity, Statement
from appliance.rooms.graph.times import LATEST
from appliance.rooms.room import Rooms
from appliance.rooms.snapshot import REDACTION, Step
from appliance.rooms.store import EventStore
from appliance.storage import events as rows
from appliance.storage.database import Database, Tx

POWER_LEVELS = ("m.room.power_levels", "")


class Redactions:
    """Applies redactions as they come.

    Args:
        database: where events are.
        rooms: the rooms in memory, whose parsed state may go stale.
        store: the events in memory.
        identity: whose events cannot be redacted before they are made.
        now_ms: the time, milliseconds since 1970.

    Attributes:
        emptied: asked for further statements where an event is emptied: given the step, the number of what is redacted,
            and that as it was.
        came_late: called with the number and the id of a room once redactions arrived that had waited, after whoever is
            told of the target before this.
    """

    def __init__(
        self, database: Database, rooms: Rooms, store: EventStore, identity: Identity, now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._store = store
        self._identity = identity
        self._now_ms = now_ms
        self._applied: WeakKeyDictionary[Step, tuple[int, ...]] = WeakKeyDictionary()
        # Whether any redaction may wait for its target, which mostly none does; not known before it is asked.
        self._any_waits: bool | None = None
        self.emptied: list[Callable[[Step, int, Event], Statement | None]] = []
        self.came_late: list[Callable[[int, str], None]] = []

    def prepare(self, step: Step) -> Statement | None:
        """Store the emptied form of a redaction's target; of an event that was redacted before it came, its own."""
        event = step.event
        if event.type == REDACTION and event.redacts is not None:
            return self._carry_out(step, event.redacts)
        if server_of(event.sender) == self._identity.server_name:
            return None
        early = self._early(event)
        if not early:
            return None
        emptied = self._emptied(step, step.nid, event, [nid for nid, _ in early])

        def statement(tx: Tx, position: int) -> None:
            emptied(tx, position)
            for nid, redaction in early:
                rows.arrive_late(tx, nid, min(redaction.origin_server_ts, LATEST))

        return statement

    def prepare_past(self, step: Step) -> Statement | None:
        """The same for an event of the past; there our own may have been redacted before they came back, too."""
        event = step.event
        if event.type == REDACTION and event.redacts is not None:
            return self._carry_out(step, event.redacts)
        early = self._early(event)
        return self._emptied(step, step.nid, event, [nid for nid, _ in early]) if early else None

    def published(self, step: Step, position: int) -> None:
        """Forget what was kept of an original, and of a redaction that is shown from now on, or is not to be shown."""
        applied = self._applied.pop(step, None)
        if applied is None:
            if step.event.type == REDACTION:
                self._store.forget(step.nid)
            return
        for nid in applied:
            self._store.forget(nid)
        if step.event.type != REDACTION:
            for listener in self.came_late:
                listener(step.room_nid, step.room_id)
        room = self._rooms.loaded(step.room_id)
        if room is not None:
            room.forget_parsed()

    def published_past(self, step: Step, position: int) -> None:
        """The same."""
        self.published(step, position)

    def _carry_out(self, step: Step, target_id: str) -> Statement | None:
        found = self._store.coming(target_id)
        if found is None:
            self._any_waits = True
            return lambda tx, position: rows.note_redaction(tx, target_id, step.nid, applied=False)
        row, target = found
        if row.room_nid != step.room_nid or not self._applies(step.event, target):
            return None
        return self._emptied(step, row.nid, target, [step.nid])

    def form(self, event: Event) -> Event:
        """An event of another server's that is about to be stored, in the form in which it is: emptied where it was
        redacted before it came.
        """
        if event.type == REDACTION or server_of(event.sender) == self._identity.server_name:
            return event
        return event.redacted() if self._early(event) else event

    def _early(self, event: Event) -> list[tuple[int, Event]]:
        """The redactions, by their numbers, that came before their target and are carried out on it."""
        if self._any_waits is None:
            self._any_waits = rows.does_any_redaction_wait(self._database)
        if not self._any_waits:
            return []
        waiting = [(nid, self._store.event(nid)) for nid in rows.pending_redactions(self._database, event.event_id)]
        return [
            (nid, redaction)
            for nid, redaction in waiting
            if redaction.room_id == event.room_id and self._applies(redaction, event)
        ]

    def _applies(self, redaction: Event, target: Event) -> bool:
        """Whether a redaction may be carried out."""
        room = self._rooms.loaded(redaction.room_id)
        if room is None:
            return False
        named = [found[1] for found in map(self._store.coming, redaction.auth_events) if found is not None]
        levels = next((one for one in named if (one.type, one.state_key) == POWER_LEVELS), None)
        return redaction_applies(redaction, target, PowerLevels(room.version, levels, room.create))

    def _emptied(self, step: Step, target_nid: int, target: Event, redactions: Sequence[int]) -> Statement:
        emptied = canonical.encode(redact(target.version, target.pdu))
        now_ms = self._now_ms()
        self._applied[step] = (target_nid, *redactions)
        others = [found for ask in self.emptied if (found := ask(step, target_nid, target)) is not None]

        def statement(tx: Tx, position: int) -> None:
            rows.keep_original(tx, target_nid, now_ms)
            rows.replace_json(tx, target_nid, emptied)
            for redaction_nid in redactions:
                rows.note_redaction(tx, target.event_id, redaction_nid, applied=True)
            for other in others:
                other(tx, position)

        return statement
