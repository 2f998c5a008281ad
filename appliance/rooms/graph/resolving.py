"""Resolving stored states: what the algorithms of ``protocol.resolution`` need, read from the database in a thread."""

import gc
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, compress, islice, repeat
from typing import Any

from appliance.protocol.auth import Slot
from appliance.protocol.auth_members import first_member
from appliance.protocol.events import Event
from appliance.protocol.resolution.graph import Found, downwards
from appliance.protocol.resolution.partition import partition
from appliance.protocol.resolution.resolver import absent_differs, resolve_differences
from appliance.protocol.slim import PLAIN_CONTENTS, AnyEvent, PlainMember, slim
from appliance.protocol.versions import RoomVersion
from appliance.storage import auth_graph
from appliance.storage import rooms as room_rows
from appliance.storage.auth_graph import PlainMembers
from appliance.storage.database import Database, Reader, Reads
from appliance.storage.events import unpack_auths
from appliance.storage.state import StateMap

AHEAD = 500
"""How many events are read together with one that is asked for, where it may well be that they are asked for next."""

MEMBER = sys.intern("m.room.member")

Fresh = dict[int, tuple[Event, Sequence[int]]]
"""Events that are on their way and not stored yet, with the numbers of what they name."""


class StoredEvents:
    """Events and what they name, as resolution asks for them; made for one resolution.

    What is asked for one by one is read many at a time: what the states disagree about at once; of the rest, along
    with an event, what is known to be named by others and was not read yet. Of most of those no more is asked than
    their places in the state, so that no more is read of them.

    Args:
        reader: reads the database, in the thread of the resolution.
        create: the room's create event.
        fresh: events that are not stored yet.
        disputed: what the states disagree about.
        shared: what all of them hold.
    """

    def __init__(
        self, reader: Reads, create: Event, fresh: Fresh, disputed: Iterable[int], shared: Iterable[int]
    ) -> None:
        self._reader = reader
        self._version = create.version
        self._room_id = create.room_id
        room = room_rows.by_id(reader, create.room_id)
        self._room_nid = -1 if room is None else room.room_nid
        # Whose join may be judged by what came before it, which a plain membership does not say.
        self._first_member = str(first_member(create))
        self._shared = sorted(shared)
        self._events: Found[AnyEvent] = Found(self._make, {nid: event for nid, (event, _) in fresh.items()})
        self._named: Found[Sequence[int]] = Found(
            self._follow, {nid: downwards(nid, named) for nid, (_, named) in fresh.items()}
        )
        self._slots: Found[Slot | None] = Found(
            self._look,
            {
                nid: None if event.state_key is None else (event.type, event.state_key)
                for nid, (event, _) in fresh.items()
            },
        )
        self._memberships: Found[str | None] = Found(self._ask)
        self._rejected: set[int] = set()
        # Read, but not made into events yet: id, type and JSON.
        self._forms: dict[int, tuple[str, str, bytes]] = {}
        # What others name, of which these are not known: its place, what it is, and what it names itself.
        self._placeless: set[int] = set()
        self._unread: set[int] = set()
        self._nameless: set[int] = set()
        stored = sorted(set(disputed).difference(fresh))
        self._read(stored)
        # Asked for hundreds of thousands of times, so that a call of ours each time would be a third of the work.
        self.event: Callable[[int], AnyEvent] = self._events.__getitem__
        self.slot: Callable[[int], Slot | None] = self._slots.__getitem__
        self.membership: Callable[[int], str | None] = self._memberships.__getitem__
        self.auth: Callable[[int], Sequence[int]] = self._named.__getitem__
        self.is_rejected: Callable[[int], bool] = self._rejected.__contains__

    def release(self) -> None:
        """Let all events go, one after the other: at once they would keep every other thread waiting."""
        for kept in (self._events, self._forms):
            while kept:
                kept.popitem()

    def _make(self, nid: int) -> AnyEvent:
        """An event that is asked for the first time."""
        if nid not in self._forms:
            self._read(self._ahead(nid, self._unread))
            if nid in self._events:
                return self._events[nid]
        event_id, event_type, json = self._forms.pop(nid)
        return slim(self._version, json, event_id, event_type)

    def _look(self, nid: int) -> Slot | None:
        """The place in the state of an event that is asked for the first time."""
        rows = auth_graph.places(self._reader, self._ahead(nid, self._placeless))
        for one, kind, key, is_rejected, membership in rows:
            self._slots[one] = None if key is None else (sys.intern(kind), key)
            if membership is not None:
                self._memberships[one] = membership
            if is_rejected:
                self._rejected.add(one)
        if nid not in self._slots:
            raise KeyError(nid)
        return self._slots[nid]

    def _ask(self, nid: int) -> str | None:
        """What an event of which the columns do not tell says if it is a membership."""
        return self._events[nid].membership

    def _follow(self, nid: int) -> Sequence[int]:
        """What an event names of which that is asked for the first time."""
        # What is shared is walked through from the highest number downwards.
        place = bisect_right(self._shared, nid)
        if place and self._shared[place - 1] == nid:
            self._read_named([one for one in self._shared[max(0, place - AHEAD) : place] if one not in self._named])
        else:
            self._read_named(self._ahead(nid, self._nameless))
        return self._named[nid]

    def _read(self, nids: Sequence[int]) -> None:
        """Read events, and what they name. Plain memberships are made at once, others when they are asked for."""
        self._unread.difference_update(nids)
        self._placeless.difference_update(nids)
        for members in auth_graph.plain_members(self._reader, nids, self._room_nid, self._first_member):
            self._take_members(members)
        others = [nid for nid in nids if nid not in self._events]
        old: list[int] = []
        for nid, event_id, kind, key, is_rejected, auth, json in auth_graph.whole(self._reader, others):
            self._slots[nid] = None if key is None else (sys.intern(kind), key)
            self._forms[nid] = event_id, kind, json
            if is_rejected:
                self._rejected.add(nid)
            if auth is None:
                old.append(nid)
            else:
                self._link((nid,), (auth,))
        if old:
            self._read_named(old)

    def _take_members(self, members: PlainMembers) -> None:
        """Make plain memberships: whole columns at a time, as there may be tens of thousands."""
        nids, keys, said = members.nids, members.state_keys, members.memberships
        contents = map(PLAIN_CONTENTS.__getitem__, said)
        version, room_id = repeat(self._version), repeat(self._room_id)
        made = map(
            PlainMember, version, members.event_ids, room_id, members.senders, keys, said, contents, members.times
        )
        self._events.update(zip(nids, made, strict=True))
        self._slots.update(zip(nids, zip(repeat(MEMBER), keys, strict=False), strict=True))
        self._memberships.update(zip(nids, said, strict=True))
        self._rejected.update(compress(nids, members.rejected))
        self._link(nids, members.auth)

    def _link(self, nids: Sequence[int], packed: Sequence[bytes]) -> None:
        """Note what events name."""
        links = unpack_auths(packed)
        for place, nid in enumerate(nids):
            # In rising order, each once, as they are packed.
            if links[place] and links[place][-1] >= nid:
                links[place] = downwards(nid, links[place])
        self._named.update(zip(nids, links, strict=True))
        self._meet(nids, set(chain.from_iterable(links)))

    def _read_named(self, nids: Sequence[int]) -> None:
        read = {nid: downwards(nid, named) for nid, named in auth_graph.named(self._reader, nids).items()}
        self._named.update(read)
        self._meet(nids, set(chain.from_iterable(read.values())))

    def _meet(self, nids: Sequence[int], found: set[int]) -> None:
        """Of some events it is known now what they name, which others may be asked for next."""
        self._nameless.difference_update(nids)
        self._nameless.update(one for one in found if one not in self._named)
        new = [one for one in found if one not in self._slots]
        self._unread.update(new)
        self._placeless.update(new)

    @staticmethod
    def _ahead(nid: int, waiting: set[int]) -> list[int]:
        """An event and some of those that wait to be read, which do not wait any more."""
        found = {nid, *islice(waiting, AHEAD)}
        waiting -= found
        return sorted(found)


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
    agreed, differences = partition(states, absent_differs=absent_differs(version))
    disputed = {nid for difference in differences for nid in difference.values()}
    with _collector.paused():
        lookup = StoredEvents(reader, create, fresh, disputed, agreed.values())
        try:
            agreed.update(resolve_differences(version, agreed, differences, lookup, create))
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
