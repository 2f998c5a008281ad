"""Receipts and fully-read markers (client-server API, modules "Receipts" and "Read and unread markers")."""

import asyncio
from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.errors import bad_json, invalid_param
from appliance.rooms.signs.receipts import FULLY_READ, PRIVATE, READ, Receipts
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

ROOM = "/_matrix/client/v3/rooms/{room_id:str}"
KINDS = {READ: READ, PRIVATE: PRIVATE, "org.matrix.msc2285.read.private": PRIVATE}
"""The names of receipts; Nheko still says the one from before the specification."""
BACKWARDS = "com.beeper.allow_backward"


class ReceiptsApi(Controller):
    """Up to where the asker has read."""

    receipts: Receipts

    @endpoint("POST", ROOM + "/receipt/{kind:str}/{event_id:str}", guests=True, suspended=True)
    async def receipt(self, request: Asked, room_id: str, kind: str, event_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}

        Notes that the asker has read up to an event, or moves their fully-read marker there.
        """
        content = await request.object(empty=True)
        thread_id = content.get("thread_id", "")
        if "thread_id" in content and (not isinstance(thread_id, str) or not thread_id):
            raise invalid_param("thread_id must be the id of an event, or main.")
        user_id = request.requester.user_id
        if kind == FULLY_READ:
            if thread_id:
                raise invalid_param("The fully-read marker is one for the whole room, and takes no thread_id.")
            await self.receipts.mark(user_id, room_id, event_id, backwards=content.get(BACKWARDS) is True)
        elif kind in KINDS:
            await self.receipts.read(user_id, room_id, KINDS[kind], event_id, thread_id)
        else:
            raise invalid_param("A receipt is m.read, m.read.private or m.fully_read.")
        return answer()

    @endpoint("POST", ROOM + "/read_markers", guests=True, suspended=True)
    async def markers(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/client/v3/rooms/{roomId}/read_markers

        Moves the asker's fully-read marker and their receipts, each where it is given.
        """
        content = await request.object(empty=True)
        user_id = request.requester.user_id
        marker = _event_id(content, FULLY_READ)
        read = {name: _event_id(content, name) for name in KINDS}
        # At once, so that all of it shares one commit.
        work = [self.receipts.read(user_id, room_id, KINDS[name], one) for name, one in read.items() if one is not None]
        if marker is not None:
            work.append(self.receipts.mark(user_id, room_id, marker, backwards=content.get(BACKWARDS) is True))
        await asyncio.gather(*work)
        return answer()


def _event_id(content: dict[str, Any], name: str) -> str | None:
    """What one of the fields says; None where it is absent or null.

    Raises:
        MatrixError: ``M_BAD_JSON`` for anything but text.
    """
    found = content.get(name)
    if found is not None and not isinstance(found, str):
        raise bad_json(f"{name} must be the id of an event.")
    return found
