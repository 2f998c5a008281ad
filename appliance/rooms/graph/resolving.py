"""Resolving stored states: what the algorithms of ``protocol.resolution`` need, read from the database in a thread."""

import gc
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from appliance.protocol.auth import Slot
from appliance.protocol.events import Event
from appliance.protocol.resolution.partition import partition
from appliance.protocol.resolution.resolver import resolve_conflicts
from appliance.protocol.versions import RoomVersion
from appliance.storage import auth_graph
from appliance.storage.database import Database, Reader, Reads
from appliance.storage.state import StateMap

AHEAD = 500
"""How many events are read together with one that is asked for, where it may well be that they are asked for next."""

Fresh = dict[int, tuple[Event, Sequence[int]]]
"""Events that are on their way and not stored yet, with the numbers of what they name."""


class StoredEvents:
    """Events and what they name, as resolution asks for them; made for one resolution.

    What is asked for one by one is read many at a time: what the states disagree about at once; of the rest, along
    with an event, what is known to be named by others and was not read yet.

    Args:
        reader: reads the database, in the thread of the resolution.
        version: the version of the room.
        fresh: events that are not stored yet.
        disputed: what the states disagree about.
        shared: what all of them hold.
    """

    def __init__(
        self, reader: Reads, version: RoomVersion, fresh: Fresh, disputed: Iterable[int], shared: Iterable[int]
    ) -> None:
        self._reader = reader
        self._version = version
        self._shared = sorted(shared)
        self._events = {nid: event for nid, (event, _) in fresh.items()}
        self._named: dict[int, Sequence[int]] = {nid: named for nid, (_, named) in fresh.items()}
        self._outlines = {nid: _outline(event, False) for nid, event in self._events.items()}
        # What others name, of which these are not known: what it is, its form, and what it names itself.
        self._vague: set[int] = set()
        self._formless: set[int] = set()
        self._nameless: set[int] = set()
        stored = sorted(set(disputed).difference(fresh))
        self._forms = auth_graph.forms(reader, stored)
        self._read_named(stored)

    def event(self, nid: int) -> Event:
        """The event of a number."""
        event = self._events.get(nid)
        if event is None:
            if nid not in self._forms:
                self._forms.update(auth_graph.forms(self._reader, self._ahead(nid, self._formless)))
            event_id, json, rejected = self._forms.pop(nid)
            event = self._events[nid] = Event.from_json(self._version, json, event_id)
            self._outlines[nid] = _outline(event, rejected)
        return event

    def slot(self, nid: int) -> Slot | None:
        """The place of an event in the state."""
        return self._outlined(nid)[0]

    def auth(self, nid: int) -> Sequence[int]:
        """The numbers of what an event names as allowing it."""
        if nid not in self._named:
            # What is shared is walked through from the highest number downwards.
            place = bisect_right(self._shared, nid)
            if place and self._shared[place - 1] == nid:
                self._read_named([one for one in self._shared[max(0, place - AHEAD) : place] if one not in self._named])
            else:
                self._read_named(self._ahead(nid, self._nameless))
        return self._named[nid]

    def is_rejected(self, nid: int) -> bool:
        """Whether an event was rejected."""
        return self._outlined(nid)[1]

    def release(self) -> None:
        """Let all events go, one after the other: at once they would keep every other thread waiting."""
        for kept in (self._events, self._forms, self._outlines, self._named):
            while kept:
                kept.popitem()

    def _outlined(self, nid: int) -> tuple[Slot | None, bool]:
        """An event's place in the state, and whether it was rejected."""
        found = self._outlines.get(nid)
        if found is None:
            if nid in self._forms:
                self.event(nid)
            else:
                self._outlines.update(auth_graph.outlines(self._reader, self._ahead(nid, self._vague)))
            found = self._outlines[nid]
        return found

    def _read_named(self, nids: Sequence[int]) -> None:
        read = auth_graph.named(self._reader, nids)
        self._named.update(read)
        found = {one for named in read.values() for one in named}
        self._nameless.difference_update(nids)
        self._nameless |= found.difference(self._named)
        self._formless |= found.difference(self._forms, self._events)
        self._vague |= found.difference(self._outlines, self._forms)

    @staticmethod
    def _ahead(nid: int, waiting: set[int]) -> list[int]:
        """An event and some of those that wait to be read, which do not wait any more."""
        found = {nid, *islice(waiting, AHEAD)}
        waiting -= found
        return sorted(found)


def _outline(event: Event, rejected: bool) -> tuple[Slot | None, bool]:
    return None if event.state_key is None else (event.type, event.state_key), rejected


class Resolving:
    """Resolves states.

    Args:
        database: where the events are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def resolve(
        self, version: RoomVersion, create: Event, states: Sequence[StateMap], fresh: Fresh | None = None
    ) -> StateMap:
        """One state out of several, off the loop.

        Args:
            version: the version of the room.
            create: its create event.
            states: the states, at least one.
            fresh: events among them that are not stored yet, with the numbers of what they name.
        """
        return await self._database.reading(lambda reader: _resolved(reader, version, create, states, fresh or {}))


def _resolved(
    reader: Reader, version: RoomVersion, create: Event, states: Sequence[StateMap], fresh: Fresh
) -> StateMap:
    agreed, differences = partition(states, absent_differs=True)
    disputed = {nid for difference in differences for nid in difference.values()}
    with _collector.paused():
        lookup = StoredEvents(reader, version, fresh, disputed, agreed.values())
        try:
            agreed.update(resolve_conflicts(version, agreed, differences, lookup, create))
        finally:
            lookup.release()
    return agreed


class _Collector:
    """Python's search for circles of garbage, which a large resolution would set off again and again: it makes many
    thousand objects that all stay until its end. Each search stops all threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pauses = 0
        self._was_on = False

    @contextmanager
    def paused(self) -> Iterator[Any]:
        """Without it, as long as anybody wants that."""
        with self._lock:
            if not self._pauses:
                self._was_on = gc.isenabled()
                gc.disable()
            self._pauses += 1
        try:
            yield
        finally:
            with self._lock:
                self._pauses -= 1
                if not self._pauses and self._was_on:
                    gc.enable()


_collector = _Collector()
