"""Looking into a room without being in it (client-server API, module "Room previews").

Both endpoints are from before sync; nothing but previews is served by them.
"""

import asyncio
from typing import Any

import orjson
from litestar import Controller
from litestar.types import ASGIApp

from appliance.api.client.messages import asker
from appliance.errors import missing_param
from appliance.protocol.filters import RoomEventRule
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.serving import Serving
from appliance.rooms.reading.timeline import Timeline
from appliance.rooms.room import Room
from appliance.rooms.standings import Standings
from appliance.rooms.store import EventStore
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.waiting import LEFT, Ended, Waiting
from appliance.storage import account_data, directory
from appliance.storage.database import Database
from appliance.storage.tokens import HistoryToken, SyncToken, read
from appliance.sync.notifier import Notifier

PAGE, LONGEST_PAGE = 10, 100
LONGEST_WAIT_MS, WAIT_MS = 120_000, 30_000
EVERY = RoomEventRule()


class PeekingApi(Controller):
    """Rooms as they are seen by those who only look."""

    database: Database
    notifier: Notifier
    reading: Reading
    serving: Serving
    standings: Standings
    store: EventStore
    timeline: Timeline
    waiting: Waiting

    @endpoint("GET", "/_matrix/client/v3/rooms/{room_id:str}/initialSync", guests=True)
    async def initial(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/initialSync

        Answers the state of a room and the last of what was said.
        """
        limit = request.query_int("limit", PAGE, lowest=1, highest=LONGEST_PAGE)
        user_id = request.requester.user_id
        room, left = await self.reading.admitted(user_id, room_id)
        view = await self.reading.view(user_id, room_id)
        upto = self.database.position
        begin = self.timeline.point_at(room.nid, upto if left is None else left)
        page = self.timeline.page(room.nid, user_id, begin, limit, backwards=True, upto=upto)
        state = await self.store.many_clients(view.state.values())
        messages: dict[str, Any] = {
            "chunk": self.serving.serve(page.events[::-1], asker(request), room_id),
            "end": str(SyncToken(upto)),
        }
        if page.end is not None:
            messages["start"] = str(page.end)
        body: dict[str, Any] = {
            "room_id": room_id,
            "messages": messages,
            "state": self.serving.serve(list(state.values()), asker(request), room_id),
            "visibility": "public" if directory.is_listed(self.database, room_id) else "private",
            "account_data": [
                {"type": datum.type, "content": orjson.Fragment(datum.content.encode())}
                for datum in account_data.account_data_between(self.database, user_id, 0, upto)
                if datum.room_id == room_id
            ],
        }
        history = self.standings.of(user_id).remembered(room.nid)
        membership = None if history is None else history.membership_at(upto)
        if membership is not None:
            body["membership"] = membership
        return answer(body)

    @endpoint("GET", "/_matrix/client/v3/events", guests=True)
    async def events(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/events

        Answers what happened in one room after a token, and waits for it.
        """
        room_id = request.query_text("room_id")
        if not room_id:
            raise missing_param("room_id is missing. For all rooms there is /sync.")
        token = request.query_text("from")
        since = read(token) if token else SyncToken(self.database.position)
        wait_ms = request.query_int("timeout", WAIT_MS, highest=LONGEST_WAIT_MS)
        deadline = asyncio.get_running_loop().time() + wait_ms / 1000
        user_id = request.requester.user_id
        while True:
            room, left = await self.reading.admitted(user_id, room_id)
            # Waiting begins before looking, so that nothing falls between.
            woken = self.notifier.wait(user_id)
            watched = self.notifier.watch(room.nid, user_id)
            try:
                after = since.position if isinstance(since, SyncToken) else 0
                upto = self.database.position if left is None else min(left, self.database.position)
                found, _ = self.timeline.arrived(room.nid, user_id, min(after, upto), upto, LONGEST_PAGE, EVERY)
                remaining = deadline - asyncio.get_running_loop().time()
                if found or remaining <= 0 or isinstance(since, HistoryToken):
                    break
                ended = await self.waiting.wait(request, woken, remaining)
            finally:
                self.notifier.unwatch(watched)
                self.notifier.leave(user_id, woken)
            if ended is Ended.LEFT:
                return LEFT
            if ended is Ended.STOPPING:
                break
        return answer(self._chunk(request, room, str(since), upto, found))

    def _chunk(self, request: Asked, room: Room, start: str, upto: int, found: list[Any]) -> dict[str, Any]:
        return {
            "chunk": self.serving.serve(found, asker(request), room.room_id),
            "start": start,
            "end": str(SyncToken(max(upto, 0))),
        }
