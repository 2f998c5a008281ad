"""Judges each event for all local members of its room by their push rules, in the event's own unit; a contributor.

What it stores is what the counts (``counts.py``), the list of notifications and whoever sends pushes go on from: a
pusher's mark is a position, and what came after it is found by the rooms of its user.
"""

from appliance.protocol.events import Event
from appliance.protocol.power import PowerLevels
from appliance.protocol.push_conditions import Occasion
from appliance.protocol.push_judging import NOTHING, Outcome
from appliance.push.audience import Audiences
from appliance.push.counts import Counts, Notice, notice
from appliance.rooms.graph.appending import Statement
from appliance.rooms.signs.threads import thread_of
from appliance.rooms.snapshot import MEMBER, REDACTION, Snapshot, Step
from appliance.rooms.store import EventStore
from appliance.storage import notifications as rows
from appliance.storage.database import Tx
from appliance.storage.lru import Lru
from appliance.storage.notifications import PersonalRow, Shared

UNDER_WAY = 5_000
"""Events between their preparation and their commit; one that is forgotten is counted from its rows."""


class Judge:
    """Judges events as they come.

    Args:
        store: the events in memory.
        audiences: for whom.
        counts: what is counted in memory.
    """

    def __init__(self, store: EventStore, audiences: Audiences, counts: Counts) -> None:
        self._store = store
        self._audiences = audiences
        self._counts = counts
        self._under_way: Lru[int, Notice] = Lru(UNDER_WAY)

    def prepare(self, step: Step) -> Statement | None:
        """Store whom an event notifies, and that its sender has read up to it by saying it."""
        audience = self._audiences.after(step)
        if step.ordering is None:
            return None
        event = step.event
        occasion = Occasion(event, step.after.members.joined, lambda: self._power(step))
        shared: list[Shared] = []
        personal: list[PersonalRow] = []
        for key, users in audience.groups.items():
            if len(users) == 1 and event.sender in users:
                continue
            verdict = self._audiences.program(key, next(iter(users)), step.room_id).judge(occasion)
            rest = verdict.rest
            if rest.notify:
                shared.append(Shared(key, rest.highlight, rest.actions))
            if verdict.branches:
                found = verdict.exceptions(occasion, users, lambda user_id: self._name(step.after, user_id))
                found.pop(event.sender, None)
                personal += [_row(user_id, outcome, rest) for user_id, outcome in found.items()]
        personal += self._invited(step, occasion)
        says = event.state_key is None and event.type != REDACTION and self._audiences.is_local(event.sender)
        if not (shared or personal or says):
            return None
        thread = thread_of(self._store, step.room_nid, event.content)
        if shared or personal:
            self._under_way.put(step.nid, notice(thread, event.sender, shared, personal))

        def statement(tx: Tx, position: int) -> None:
            if shared or personal:
                rows.put_notifications(tx, step.room_nid, position, thread, step.nid, event.sender, shared, personal)
            if says:
                rows.say(tx, event.sender, step.room_nid, thread, position)

        return statement

    def published(self, step: Step, position: int) -> None:
        """Count it, as far as counts are kept in memory."""
        counts = self._counts
        found = self._under_way.get(step.nid)
        if found is not None:
            self._under_way.drop(step.nid)
            counts.note(step.room_nid, position, found)
        event = step.event
        for user_id in step.members_changed:
            counts.forget(user_id, step.room_nid)
        if event.type == REDACTION:
            counts.forget_room(step.room_nid)
        elif event.state_key is None:
            if found is None:  # which thread it is of was not kept
                counts.forget(event.sender, step.room_nid)
            else:
                counts.said(event.sender, step.room_nid, found.thread)

    def emptied(self, step: Step, nid: int, event: Event) -> Statement | None:
        """Have nobody notified of what is redacted; asked by the redactions."""
        self._under_way.drop(nid)
        return lambda tx, position: rows.drop_notifications(tx, event.event_id)

    def _invited(self, step: Step, occasion: Occasion) -> list[PersonalRow]:
        """What is said to a local user who is invited and thus not among the members yet."""
        event = step.event
        user_id = event.state_key
        if event.membership != "invite" or user_id is None or not self._audiences.is_local(user_id):
            return []
        if step.after.members.of(user_id) != "invite":
            # It came beside something that counts more: they are a member, and judged as one, or banned.
            return []
        rules = self._audiences.rules(user_id, step.room_id)
        verdict = self._audiences.program(rules.key, user_id, step.room_id).judge(occasion)
        found = verdict.exceptions(occasion, (user_id,), lambda one: self._name(step.after, one))
        outcome = found.get(user_id, verdict.rest)
        return [_row(user_id, outcome, NOTHING)] if outcome.notify else []

    def _name(self, snapshot: Snapshot, user_id: str) -> str | None:
        """A user's display name in the room."""
        nid = snapshot.state.get((MEMBER, user_id))
        name = None if nid is None else self._store.event(nid).content.get("displayname")
        return name if isinstance(name, str) else None

    def _power(self, step: Step) -> PowerLevels:
        """The power levels that an event came under."""
        state = step.before.state
        levels = state.get(("m.room.power_levels", ""))
        create = step.after.state[("m.room.create", "")]
        return PowerLevels(
            step.event.version, None if levels is None else self._store.event(levels), self._store.event(create)
        )


def _row(user_id: str, outcome: Outcome, rest: Outcome) -> PersonalRow:
    return PersonalRow(user_id, outcome.notify, outcome.highlight, rest.notify, rest.highlight, outcome.actions)
