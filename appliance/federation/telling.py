"""What other servers say of the state of rooms, brought together with what is here already."""

import asyncio
from collections.abc import Sequence
from typing import Any

from appliance.federation.failures import Refused, Unreachable
from appliance.federation.remote import Remote
from appliance.protocol import canonical
from appliance.protocol.events import Event
from appliance.rooms.incoming.vetting import Told
from appliance.rooms.room import Room
from appliance.storage import events as event_rows
from appliance.storage.database import Database, Reader

MOST_SINGLE = 60
"""Events that are asked for one by one; of more, the whole state is asked for."""
AT_ONCE = 8


class Telling:
    """Asks for states.

    Args:
        database: what is here already.
        remote: asks other servers.
    """

    def __init__(self, database: Database, remote: Remote) -> None:
        self._database = database
        self._remote = remote

    async def state_before(self, room: Room, server: str, event: Event) -> Told:
        """The state before an event, as a server tells it: that after the event that it stands on, where that
        is one.


        Raises:
            Unreachable, Refused: where it does not.
            InvalidEvent: where what the event stands on is no event.
        """
        if len(event.prev_events) == 1:
            return await self._state_after(room, server, event.prev_events[0])
        return await self._state_at(room, server, event.event_id)

    async def _state_after(self, room: Room, server: str, event_id: str) -> Told:
        told = await self._state_at(room, server, event_id)
        pdu = await self._remote.event(server, event_id)
        event = Event.from_pdu(room.version, pdu)
        if event.event_id != event_id or event.room_id != room.room_id:
            raise Unreachable("It answered with another event.")
        if event.state_key is None:
            return told
        slot = (event.type, event.state_key)
        replaced = [one for one in told.state if isinstance(one, dict) and _slot(one) == slot]
        state = [one for one in told.state if one not in replaced]
        return Told(told.version, told.room_id, [*state, pdu], [*told.auth_chain, *replaced])

    async def _state_at(self, room: Room, server: str, event_id: str) -> Told:
        """The state before an event that a server has."""
        state_ids, chain_ids = await self._remote.state_ids(server, room.room_id, event_id)
        events = await self._gathered(room, server, list(dict.fromkeys((*state_ids, *chain_ids))))
        if events is None:
            state, chain = await self._remote.state(server, room.room_id, event_id)
            return Told(room.version, room.room_id, state, chain)
        return Told(
            room.version,
            room.room_id,
            [events[one] for one in state_ids],
            [events[one] for one in dict.fromkeys(chain_ids)],
        )

    async def _gathered(self, room: Room, server: str, event_ids: Sequence[str]) -> dict[str, Any] | None:
        """Those events, from here and from there; None where too many are missing to ask for each.

        Raises:
            Unreachable: where one of them is not to be had.
        """

        def read(reader: Reader) -> dict[str, Any]:
            found = event_rows.by_ids(reader, event_ids)
            return {
                row.event_id: canonical.decode(row.json, max_depth=1000)
                for row in found.values()
                if row.room_nid == room.nid
            }

        events = await self._database.reading(read)
        missing = [one for one in event_ids if one not in events]
        if len(missing) > MOST_SINGLE:
            return None
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            came = await asyncio.gather(*(self._event(server, one) for one in some))
            if any(pdu is None for pdu in came):
                raise Unreachable("It names events in a state that it does not have.")
            events.update(zip(some, came, strict=True))
        return events

    async def _event(self, server: str, event_id: str) -> dict[str, Any] | None:
        try:
            return await self._remote.event(server, event_id)
        except (Refused, Unreachable):
            return None


def _slot(pdu: dict[str, Any]) -> tuple[object, object]:
    return pdu.get("type"), pdu.get("state_key")
