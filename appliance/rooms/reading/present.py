"""The present state of a room as answers: all of it, its members, and who is in it with names and pictures."""

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
from msgspec import Struct

from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.serving import Asker, Serving
from appliance.rooms.reading.sheets import Sheets, Wanted
from appliance.rooms.room import Rooms
from appliance.rooms.snapshot import MEMBER
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage.lru import SizedLru
from appliance.storage.tokens import HistoryToken, SyncToken

MOST_BYTES = 4 * 1024 * 1024
"""What the kept lists of those who are in rooms may take together."""
_LIST = (b"[", b"]")
_CHUNK = (b'{"chunk":[', b"]}")


class _Content(Struct):
    displayname: Any = None
    avatar_url: Any = None


class _Member(Struct):
    """What of a membership event shows its user; reading no more than that takes a third of the time."""

    state_key: str
    content: _Content


_SHOWN = msgspec.json.Decoder(list[_Member])


class Present:
    """Answers with states.

    Args:
        rooms: the rooms in memory.
        reading: who may read what.
        store: the events in memory.
        serving: makes events ready for the asker.
        sheets: has states that are ready already.
    """

    def __init__(self, rooms: Rooms, reading: Reading, store: EventStore, serving: Serving, sheets: Sheets) -> None:
        self._rooms = rooms
        self._reading = reading
        self._store = store
        self._serving = serving
        self._sheets = sheets
        self._joined: SizedLru[int, tuple[int, int, bytes]] = SizedLru(MOST_BYTES)

    async def state(self, asker: Asker, room_id: str) -> bytes:
        """The state as a list of events, for a member; what it was at their leaving for a former one.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for anybody else, unless the room is readable for the world.
        """
        room, left = await self._reading.admitted(asker.user_id, room_id)
        wanted: Wanted | None = None
        if left is None:
            state, wanted = room.published.state, self._sheets.wanted((room.nid, "state"), room.published.group_nid)
            ready = self._sheets.filled(wanted, asker, *_LIST)
            if ready is not None:
                return ready
        else:
            state = await self._reading.state_at(room, left)
        events = list((await self._store.many_clients(state.values())).values())
        return self._answer(wanted, events, asker, room_id, *_LIST)

    async def members(
        self, asker: Asker, room_id: str, at: SyncToken | HistoryToken | None, only: str | None, without: str | None
    ) -> bytes:
        """The membership events as the object that is answered.

        Args:
            asker: for whom.
            room_id: the room.
            at: the point at which; None for now.
            only: the membership that is asked for, None where that does not matter.
            without: a membership whose opposite is asked for; what fits either is answered.
        """

        def fits(membership: str) -> bool:
            if only is None and without is None:
                return True
            return (only is not None and membership == only) or (without is not None and membership != without)

        wanted: Wanted | None = None
        if at is None:
            room, left = await self._reading.admitted(asker.user_id, room_id)
            if left is None:
                key, group = (room.nid, f"members {only} {without}"), room.published.group_nid
                wanted = self._sheets.wanted(key, group)
                ready = self._sheets.filled(wanted, asker, *_CHUNK)
                if ready is not None:
                    return ready
        events = await self._reading.members(asker.user_id, room_id, at, fits)
        if wanted is not None and room.published.group_nid != wanted.group:
            wanted = None
        return self._answer(wanted, events, asker, room_id, *_CHUNK)

    def _answer(
        self,
        wanted: Wanted | None,
        events: Sequence[ClientEvent],
        asker: Asker,
        room_id: str,
        before: bytes,
        after: bytes,
    ) -> bytes:
        """Events as an answer: by a sheet of them, which is kept, where one is wanted and they are good for it."""
        if wanted is not None:
            self._sheets.offer(wanted, room_id, events)
            ready = self._sheets.filled(wanted, asker, before, after)
            if ready is not None:
                return ready
        return before + orjson.dumps(self._serving.serve(events, asker, room_id))[1:-1] + after

    async def joined(self, user_id: str, room_id: str) -> bytes:
        """Those who are in a room, with their names and pictures there, as the object that is answered.

        Raises:
            MatrixError: ``M_FORBIDDEN`` for whoever is not in it.
        """
        room = await self._rooms.joined(room_id, user_id)
        snapshot, version = room.published, self._store.version
        known = self._joined.get(room.nid)
        if known is not None and known[:2] == (snapshot.group_nid, version):
            return known[2]
        nids = [snapshot.state[MEMBER, user] for user in snapshot.members.having("join")]
        clients = await self._store.many_clients(nids)
        members = _SHOWN.decode(b"[" + b",".join([clients[nid].body for nid in nids]) + b"]")
        body = orjson.dumps({"joined": {member.state_key: _shown(member.content) for member in members}})
        if version == self._store.version:
            self._joined.put(room.nid, (snapshot.group_nid, version, body), len(body))
        return body


def _shown(content: _Content) -> dict[str, str]:
    """What of a membership event's content shows its user; of other types it may be anything."""
    shown = {}
    if isinstance(content.displayname, str):
        shown["display_name"] = content.displayname
    if isinstance(content.avatar_url, str):
        shown["avatar_url"] = content.avatar_url
    return shown
