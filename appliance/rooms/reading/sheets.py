"""The state of rooms in use, ready to be answered: pieces of bytes, with places for what differs from asker to asker.

A client that opens a room asks for its members, and so do the other clients of its people. What they get differs in
the age of the events, in how the asker stood to the room at each, and in what only the sending device is told. A
*sheet* is everything else, made when a state of a room is first asked for: making one and filling it in costs no more
than answering event by event. It is good for whoever is in the room and may see all of it; others get their answers
event by event (``serving.py``).

A sheet is of one stored state of a room, which never changes; it is thrown away as soon as any event's stored form
changes (a redaction).
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from msgspec import Struct

from appliance.rooms.graph.transactions import Transactions
from appliance.rooms.reading import unsigned
from appliance.rooms.reading.serving import Asker
from appliance.rooms.reading.visibility import Visibility
from appliance.rooms.standings import Change, Standings
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage.lru import SizedLru

MOST_EVENTS = 5_000
"""Events of one sheet: filling it takes about a millisecond for that many."""
MOST_BYTES = 12 * 1024 * 1024
"""What all sheets together may take."""
_EVENT_BYTES = 200
"""What the memory of an event takes beside its bytes."""
NOWHERE = -(2**63)
"""Stands for the position of an event that has none."""

Key = tuple[int, str]
"""A room's number and what of its state is meant."""


class Wanted(Struct, frozen=True):
    """What is asked for.

    Args:
        key: the room and what of its state.
        group: the number of that state.
        version: of the store when it was asked for, before its events were read.
    """

    key: Key
    group: int
    version: int


class Sheet(Struct, frozen=True):
    """What is ready: events but for the age of each, and what else differs from asker to asker.

    Args:
        group: the number of the stored state.
        version: of the store, see ``EventStore.version``.
        heads: each event up to its age, with the comma between it and the one before.
        more: what else there is of each that is the same for all.
        nids: the events' numbers.
        timestamps: when each was made.
        positions: where each stands in the stream, the earliest first, so that those between two changes of a
            membership stand together; ``NOWHERE`` for one that has no place there.
        sent: which of them each sender sent, by their places in the sheet.
        people: the senders, and those of what the events replaced.
        tails: what comes after the age, by the asker's membership; made as it is needed.
    """

    group: int
    version: int
    heads: Sequence[bytes]
    more: Sequence[bytes]
    nids: Sequence[int]
    timestamps: Sequence[int]
    positions: Sequence[int]
    sent: dict[str, list[int]]
    people: frozenset[str]
    tails: dict[str, list[bytes]]

    def size(self) -> int:
        """About how many bytes it takes."""
        return sum(map(len, self.heads)) + sum(map(len, self.more)) * 2 + _EVENT_BYTES * len(self.nids)

    def tails_for(self, changes: Sequence[Change]) -> list[bytes]:
        """What comes after the ages for somebody with those memberships of the room, the earliest first."""
        found: list[bytes] = []
        membership = "leave"
        for change in changes:
            start, end = len(found), bisect_left(self.positions, change.position)
            if end > start:
                found += self._tails(membership)[start:end]
            membership = change.membership
        last = self._tails(membership)
        return found + last[len(found) :] if found else last

    def _tails(self, membership: str) -> list[bytes]:
        known = self.tails.get(membership)
        if known is None:
            said = unsigned.membership_member(membership)
            plain = said + unsigned.CLOSE
            known = self.tails[membership] = [
                more + unsigned.CLOSE if position == NOWHERE else said + more + unsigned.CLOSE if more else plain
                for position, more in zip(self.positions, self.more, strict=True)
            ]
        return known


class Sheets:
    """Keeps sheets, and fills them in.

    Args:
        store: the events.
        standings: the asker's memberships.
        transactions: the asker's transactions.
        visibility: the rooms' settings.
        erased: those whose messages are hidden from some.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(
        self,
        store: EventStore,
        standings: Standings,
        transactions: Transactions,
        visibility: Visibility,
        erased: AbstractSet[str],
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._standings = standings
        self._transactions = transactions
        self._visibility = visibility
        self._erased = erased
        self._now_ms = now_ms
        self._sheets: SizedLru[Key, Sheet] = SizedLru(MOST_BYTES)

    def wanted(self, key: Key, group: int) -> Wanted:
        """What is asked for now, see ``Wanted``."""
        return Wanted(key, group, self._store.version)

    def filled(self, wanted: Wanted, asker: Asker, before: bytes, after: bytes) -> bytes | None:
        """The events with commas between them, as ``Serving.serve`` gives them; None where there is no sheet for that,
        or none that is good for the asker.

        Args:
            wanted: what is asked for; the state must be the room's present one.
            asker: for whom.
            before: what the answer begins with.
            after: what it ends with.
        """
        key = wanted.key
        sheet = self._sheets.get(key)
        if sheet is None:
            return None
        if sheet.group != wanted.group or sheet.version != self._store.version:
            self._sheets.drop(key)
            return None
        history = self._standings.of(asker.user_id).remembered(key[0])
        if history is None or not self._visibility.sees_all(key[0], history):
            return None
        if self._erased and not sheet.people.isdisjoint(self._erased):
            return None
        now, count = self._now_ms(), len(sheet.nids)
        pieces = [b""] * (3 * count)
        pieces[::3] = sheet.heads
        pieces[1::3] = unsigned.numbers([now - timestamp for timestamp in sheet.timestamps])
        pieces[2::3] = sheet.tails_for(history.changes)
        own = sheet.sent.get(asker.user_id)
        if own and asker.device_id:
            told = self._transactions.of_events(asker.user_id, asker.device_id, [sheet.nids[place] for place in own])
            for place in own if told else ():
                fields = told.get(sheet.nids[place])
                if fields is not None:
                    pieces[3 * place + 2] = unsigned.further(fields) + pieces[3 * place + 2]
        pieces[0], pieces[-1] = before + pieces[0], pieces[-1] + after
        return b"".join(pieces)

    def offer(self, wanted: Wanted, room_id: str, events: Sequence[ClientEvent]) -> None:
        """Make a sheet of what was just asked for, if it is good for one.

        Args:
            wanted: what was asked for.
            room_id: the room, which each event names.
            events: the events; the sheet has them in the order in which they arrived.
        """
        if (
            wanted.version == self._store.version
            and 0 < len(events) <= MOST_EVENTS
            and not any(event.apart for event in events)
        ):
            sheet = self._made(wanted.group, room_id, events)
            if sheet is not None:
                self._sheets.put(wanted.key, sheet, sheet.size())

    def _made(self, group: int, room_id: str, events: Sequence[ClientEvent]) -> Sheet | None:
        before = self._store.clients(event.replaces_nid for event in events if event.replaces_nid is not None)
        if any(event.apart for event in before.values()):
            return None
        reasons = self._store.clients(event.redacted_by for event in events if event.redacted_by is not None)
        events = sorted(events, key=_position)
        more = []
        sent: dict[str, list[int]] = {}
        for place, event in enumerate(events):
            more.append(unsigned.for_all(event, before, reasons, room_id))
            sent.setdefault(event.sender, []).append(place)
        end = unsigned.opening(room_id)
        heads = [b"," + event.body[:-1] + end for event in events]
        heads[0] = heads[0][1:]
        return Sheet(
            group,
            self._store.version,
            heads,
            more,
            [event.nid for event in events],
            [event.timestamp for event in events],
            [_position(event) for event in events],
            sent,
            frozenset(sent).union(event.sender for event in before.values()),
            {},
        )


def _position(event: ClientEvent) -> int:
    return NOWHERE if event.position is None else event.position
