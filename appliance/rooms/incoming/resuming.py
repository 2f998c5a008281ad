"""How a room goes on from the join of somebody of this server that another server took in.

The join stands on the state that was told, with a gap before it. Mostly the graph goes on from it alone; what was here
before, if anything, is history. But where the other server has not heard yet that somebody of this one left, nobody
else may know of that, and who left would be taken for a member here alone: then the ends of the graph as it was stay
beside the join, and the states after all of them resolve, as they will elsewhere once the leave is heard of.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.protocol.events import Event
from appliance.protocol.identifiers import server_of
from appliance.rooms.graph.appending import Draft, Identity
from appliance.rooms.graph.placing import NewGroup, Placement, changes_between, members_after
from appliance.rooms.graph.storing import gap_before
from appliance.rooms.incoming.intake import Intake
from appliance.rooms.incoming.naming import Named
from appliance.rooms.incoming.states import State
from appliance.rooms.incoming.vetting import Vetted
from appliance.rooms.room import Room
from appliance.rooms.snapshot import MEMBER, Extremity, Members, Snapshot
from appliance.storage import events as event_rows
from appliance.storage.database import Tx
from appliance.storage.events import EventRow, NewEvent
from appliance.storage.state import Slot


@dataclass(frozen=True, slots=True)
class Outliers:
    """What was told, as it will be stored.

    Args:
        nids: the numbers of all events, also of those that are here already.
        rows: those that are not.
        events: the same as events by their numbers.
        state: the state.
    """

    nids: Mapping[str, int]
    rows: Sequence[NewEvent]
    events: Mapping[int, Event]
    state: Mapping[Slot, int]


class Resuming:
    """Lets rooms go on.

    Args:
        intake: what that takes.
        identity: whose users are of this server.
    """

    def __init__(self, intake: Intake, identity: Identity) -> None:
        self._intake = intake
        self._identity = identity

    def go_on(
        self,
        room: Room,
        outliers: Outliers,
        join: Event,
        nid: int | None,
        first: Callable[[Tx], None] | None = None,
    ) -> "asyncio.Future[Any]":
        """Let a room go on from a join alone, on top of the state that was told.

        Args:
            room: the room.
            outliers: what was told.
            join: the join.
            nid: its number, where it is here as an outlier.
            first: what goes first into the unit.
        """
        head = room.head
        nid = self._intake.numbers.event() if nid is None else nid
        draft = Draft(room, self._intake.appender)
        with self._intake.store.knowing({**outliers.events, nid: join}):
            changes = changes_between(head.state, outliers.state)
            before = NewGroup(self._intake.numbers.group(), head.group_nid or None, changes)
            members = members_after(head.members, changes, self._intake.store)
            draft.put_state(join, nid, head.with_state(before.nid, outliers.state, members), changes)
            named = self.named(room, join, [])
            place = self._place(outliers, before, members, join, nid, named)
            draft.put(join, place, gap=gap_before(room.nid, place, named.lacking))

        def unit(tx: Tx) -> None:
            if first is not None:
                first(tx)
            event_rows.insert_outliers(tx, outliers.rows)

        return self._intake.appender.commit(draft, unit)

    def unheard_of(self, room: Room, vetted: Vetted, join: Event) -> tuple[Extremity, ...]:
        """The ends of a graph that was not followed, where what was told is older in what it says of our own users: it
        has somebody in the room of whom it is known here that they left since. Mostly there are none.
        """
        here, members = self._identity.server_name, room.head.members
        told = [
            event_id
            for (event_type, user_id), event_id in vetted.state.items()
            if event_type == MEMBER
            and server_of(user_id) == here
            and vetted.events[event_id].membership == "join"
            and members.of(user_id) != "join"
        ]
        known = event_rows.by_ids(self._intake.database, told) if told else {}
        if not any(row.room_nid == room.nid and not row.outlier for row in known.values()):
            return ()
        return tuple(end for end in room.head.extremities if end.event_id not in join.prev_events)

    async def go_on_beside(
        self,
        room: Room,
        ends: Sequence[Extremity],
        outliers: Outliers,
        join: Event,
        nid: int | None,
        first: Callable[[Tx], None],
    ) -> "asyncio.Future[Any]":
        """As ``go_on``, with ends of the graph as it was beside the join: the states after all of them resolve."""

        def unit(tx: Tx) -> None:
            first(tx)
            event_rows.insert_outliers(tx, outliers.rows)

        # Resolution reads them in a thread.
        await asyncio.shield(self._intake.rooms.submit(room, unit))
        head, states, slot = room.head, self._intake.states, (MEMBER, join.sender)
        nid = self._intake.numbers.event() if nid is None else nid
        told = changes_between(head.state, outliers.state)
        before = NewGroup(self._intake.numbers.group(), head.group_nid or None, told)
        named = self.named(room, join, [])
        place = self._place(outliers, before, head.members, join, nid, named)
        others = await states.stored(room, {states.after(end.nid) for end in ends})
        after = State(place.after_nid, place.after.state)
        current = await states.resolved(room, [after, *others], {nid: (join, place.auth)})
        if current.state.get(slot) != nid:
            ends, current = (), after  # whoever was let in elsewhere shall be in here
        # What the join brings along is all but itself: nobody is told of what only the other server believed.
        brought = {**current.state}
        if (own := head.state.get(slot)) is None:
            brought.pop(slot, None)
        else:
            brought[slot] = own
        draft = Draft(room, self._intake.appender)
        with self._intake.store.knowing({**outliers.events, nid: join}):
            changes = changes_between(head.state, brought)
            members = members_after(head.members, changes, self._intake.store)
            draft.put_state(join, nid, head.with_state(before.nid, brought, members), changes)
            changes = changes_between(brought, current.state)
            highest = tuple(sorted((*place.after.extremities, *ends), key=lambda end: -end.ordering))
            snapshot = Snapshot(
                highest, current.nid, current.state, members_after(members, changes, self._intake.store)
            )
            place = replace(place, groups=(*place.groups, *current.new), after=snapshot, changes=changes)
            draft.put(join, place, gap=gap_before(room.nid, place, named.lacking))
        return self._intake.appender.commit(draft)

    def _place(
        self, outliers: Outliers, before: NewGroup, members: Members, join: Event, nid: int, named: Named
    ) -> Placement:
        """The place of a join from which a room goes on alone."""
        slot = (MEMBER, join.sender)
        replaced = outliers.state.get(slot)
        changes = {slot: (replaced, nid)}
        group = NewGroup(self._intake.numbers.group(), before.nid, changes)
        end = Extremity(nid, join.event_id, named.ordering(join))
        state = {**outliers.state, slot: nid}
        after = Snapshot((end,), group.nid, state, members.changed(join.sender, "join"))
        auth = tuple(outliers.nids[event_id] for event_id in join.auth_events)
        groups = (before, group)
        return Placement(nid, named.ends(), auth, end.ordering, replaced, before.nid, group.nid, groups, after, changes)

    def named(self, room: Room, event: Event, auth: Sequence[EventRow]) -> Named:
        """What an event names, as far as it is here."""
        found = event_rows.by_ids(self._intake.database, event.prev_events)
        parents = [row for row in found.values() if row.room_nid == room.nid and not row.outlier]
        here = {row.event_id for row in parents}
        lacking = [event_id for event_id in dict.fromkeys(event.prev_events) if event_id not in here]
        return Named(parents, auth, lacking)
