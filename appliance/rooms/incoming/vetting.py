"""Checking what another server says of a room, before any of it is believed (server-server API, "Joining Rooms").

What is malformed, of another room, badly signed, or names what is not there, is left out. What is not allowed by the
events that it names is rejected, and so is whatever names it. One bad event among ten thousand is no reason to stay out
of a room; only the create event must be good.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.protocol import hashes
from appliance.protocol.auth import NotAllowed, Slot, check_event
from appliance.protocol.events import Event, InvalidEvent
from appliance.protocol.versions import RoomVersion
from appliance.rooms.incoming.judging import check_vouchers
from appliance.rooms.incoming.naming import Unacceptable
from appliance.rooms.incoming.verdicts import ManySignatures
from appliance.storage.waiting import LeftOut

SLICE = 100
"""Events that are read or judged at one go, so that others get their turn: some three milliseconds."""
SIGNATURES_AT_ONCE = 1000

Known = Callable[[Sequence[str]], Awaitable[Mapping[str, tuple[Event, bool] | None]]]


@dataclass(frozen=True, slots=True)
class Told:
    """What a server says of a room's state.

    Args:
        version: the version of the room.
        room_id: the room.
        state: the state's events as they were received.
        auth_chain: the events that allow those, and those that allow them in turn.
    """

    version: RoomVersion
    room_id: str
    state: Sequence[object]
    auth_chain: Sequence[object]


@dataclass(frozen=True, slots=True)
class Vetted:
    """What of it may be believed.

    Args:
        create: the room's create event.
        events: all events by their ids, and what is here of those that they name as allowing them; each that is not
            here behind those that it names.
        rejected: the ids of those that are not allowed.
        state: the ids of the state's events by their slots, without those.
        left_out: what could not be checked for want of keys, and what names it as allowing it.
    """

    create: Event
    events: Mapping[str, Event]
    rejected: Collection[str]
    state: Mapping[Slot, str]
    left_out: Sequence[LeftOut] = ()

    def check(self, event: Event) -> None:
        """Judge an event by those that it names as allowing it and by the state; raises ``NotAllowed``."""
        if any(event_id not in self.events for event_id in event.auth_events):
            raise NotAllowed("What the event names as allowing it is not all here.")
        named = [self.events[event_id] for event_id in event.auth_events]
        check_vouchers(event, named, self.create, self.rejected.__contains__)

        def lookup(event_type: str, key: str) -> Event | None:
            found = self.state.get((event_type, key))
            return None if found is None else self.events[found]

        check_event(event, lookup, self.create)


class Vetting:
    """Checks.

    Args:
        signatures: checks who signed.
    """

    def __init__(self, signatures: ManySignatures) -> None:
        self._signatures = signatures

    async def vet(self, told: Told, lookup: Known) -> Vetted:
        """Find out what may be believed.

        Args:
            told: what a server says.
            lookup: finds those of the events that were checked before, by their ids, and whether they were rejected;
                None for those of other rooms.

        Raises:
            Unacceptable: where the create event is bad or missing, or the state says two things of one slot.
        """
        found = await _read(told, told.auth_chain)
        state = await _read(told, told.state)
        found.update(state)
        # Whoever tells of a state need not name again what allows it and is known here.
        named = {other for event in found.values() for other in event.auth_events}
        known = await lookup(list(found.keys() | named))
        rejected: set[str] = set()
        for event_id, stored in known.items():
            if stored is None or not _are_same(stored[0], found.get(event_id, stored[0])):
                found.pop(event_id, None)
            else:
                found[event_id] = stored[0]
                if stored[1]:
                    rejected.add(event_id)
        fresh = [event for event_id, event in found.items() if event_id not in known]
        unchecked = await self._drop_unsigned(found, fresh)
        create = _create(told, found)
        events = await _judged(found, create, rejected, known)
        good = [event for event_id, event in events.items() if event_id in state and event_id not in rejected]
        left_out = _left_out(unchecked, [event for event_id, event in found.items() if event_id not in events], state)
        return Vetted(create, events, rejected, _state(good), left_out)

    async def _drop_unsigned(self, found: dict[str, Event], fresh: Sequence[Event]) -> list[tuple[Event, str]]:
        """Drop what is not signed as it must be; answers what cannot be checked now, and for want of whose keys."""
        unchecked: list[tuple[Event, str]] = []
        for start in range(0, len(fresh), SIGNATURES_AT_ONCE):
            some = fresh[start : start + SIGNATURES_AT_ONCE]
            good = set(await self._signatures.good_among(some))
            for number, event in enumerate(some):
                if number % SLICE == 0:
                    await asyncio.sleep(0)
                if event.event_id not in good:
                    del found[event.event_id]
                    server = self._signatures.lacking(event)
                    if server:
                        unchecked.append((event, server))
                elif not event.has_valid_content_hash:
                    found[event.event_id] = event.redacted()
        return unchecked


def _left_out(
    unchecked: Sequence[tuple[Event, str]], others: Sequence[Event], state: Mapping[str, Event]
) -> list[LeftOut]:
    """What is left out for want of keys: what cannot be checked, and behind it what names that as allowing it."""
    found = list(unchecked)
    named_by: dict[str, list[Event]] = {}
    for event in others if found else ():
        for other in event.auth_events:
            named_by.setdefault(other, []).append(event)
    seen = {event.event_id for event, _ in found}
    for event, server in found:  # grows while it is walked
        for dependent in named_by.get(event.event_id, ()):
            if dependent.event_id not in seen:
                seen.add(dependent.event_id)
                found.append((dependent, server))
    return [LeftOut(event.event_id, server, event.event_id in state, event.json) for event, server in found]


async def _read(told: Told, pdus: Sequence[object]) -> dict[str, Event]:
    """Those that are events of the room, by their ids."""
    found: dict[str, Event] = {}
    for number, pdu in enumerate(pdus):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        try:
            event = Event.from_pdu(told.version, pdu)
        except InvalidEvent:
            continue
        if event.room_id == told.room_id:
            found.setdefault(event.event_id, event)
    return found


def _are_same(one: Event, other: Event) -> bool:
    """Whether two events of the same id are the same event; in room versions 1 and 2 they need not be."""
    return hashes.reference_hash(one.version, one.pdu) == hashes.reference_hash(other.version, other.pdu)


def _create(told: Told, found: Mapping[str, Event]) -> Event:
    """The room's create event."""
    creates = [event for event in found.values() if event.type == "m.room.create" and event.state_key == ""]
    if len(creates) != 1:
        raise Unacceptable("The other server does not name one good create event for the room.")
    create = creates[0]
    try:
        check_event(create, lambda event_type, key: None, create)
    except NotAllowed as refusal:
        raise Unacceptable(f"The room's create event is not good: {refusal}") from refusal
    if create.content.get("room_version", "1") != told.version.identifier:
        raise Unacceptable("The room's create event names another room version than the other server does.")
    return create


async def _judged(
    found: Mapping[str, Event], create: Event, rejected: set[str], known: Collection[str]
) -> dict[str, Event]:
    """Those events of which all is here that they name as allowing them, each behind that; none of a circle is.

    Args:
        found: the events.
        create: the room's create event.
        rejected: those that are rejected; what is found to be is added.
        known: the ids of those that are here, which were judged before, as what they name was.
    """
    judged: dict[str, Event] = {}
    lacks: dict[str, int] = {}
    named_by: dict[str, list[str]] = {}
    for number, (event_id, event) in enumerate(found.items()):
        if number % (10 * SLICE) == 0:
            await asyncio.sleep(0)
        others = set() if event_id in known else set(event.auth_events)
        lacks[event_id] = len(others)
        for other in others:
            named_by.setdefault(other, []).append(event_id)
    ready = [event_id for event_id, lack in lacks.items() if not lack]
    for number, event_id in enumerate(ready):  # grows while it is walked
        if number % SLICE == 0:
            await asyncio.sleep(0)
        event = judged[event_id] = found[event_id]
        if event is not create and event_id not in known and not _is_allowed(event, judged, create, rejected):
            rejected.add(event_id)
        for other in named_by.get(event_id, ()):
            lacks[other] -= 1
            if not lacks[other]:
                ready.append(other)
    return judged


def _is_allowed(event: Event, judged: Mapping[str, Event], create: Event, rejected: Collection[str]) -> bool:
    if event.type == "m.room.create" or event.event_id in rejected:
        return False
    try:
        check_vouchers(event, [judged[one] for one in event.auth_events], create, rejected.__contains__)
    except NotAllowed:
        return False
    return True


def _state(events: Iterable[Event]) -> dict[Slot, str]:
    """A state by its slots."""
    state: dict[Slot, str] = {}
    for event in events:
        if event.state_key is None:
            continue
        slot = (event.type, event.state_key)
        if slot in state:
            raise Unacceptable(f"The other server names two events for one place of the state, {slot[0]}.")
        state[slot] = event.event_id
    if ("m.room.create", "") not in state:
        raise Unacceptable("The other server's state lacks the create event.")
    return state
