"""Which threads the asker follows (MSC4306), and what changed of that (MSC4308)."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.errors import bad_json
from appliance.rooms.signs.following import Following, told
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.storage.database import Database
from appliance.storage.tokens import SyncToken, read_sync

_ONE = "/_matrix/client/unstable/io.element.msc4306/rooms/{room_id:str}/thread/{root_id:str}/subscription"
_ALL = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions"
MOST = 1000


class ThreadSubscriptionsApi(Controller):
    """Following threads."""

    database: Database
    following: Following

    @endpoint("GET", _ONE)
    async def get(self, request: Asked, room_id: str, root_id: str) -> ASGIApp:
        """GET /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{rootId}/subscription

        Whether the asker follows a thread, and whether their client began that by itself.
        """
        found = await self.following.get(request.requester.user_id, room_id, root_id)
        return answer({"automatic": found.automatic})

    @endpoint("PUT", _ONE, suspended=True)
    async def put(self, request: Asked, room_id: str, root_id: str) -> ASGIApp:
        """PUT /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{rootId}/subscription

        Follows a thread; with ``automatic``, an event of it, the client does so by itself.
        """
        cause = (await request.object()).get("automatic")
        if cause is not None and not isinstance(cause, str):
            raise bad_json("automatic must be the id of an event.")
        await self.following.follow(request.requester.user_id, room_id, root_id, cause)
        return answer()

    @endpoint("DELETE", _ONE, suspended=True)
    async def delete(self, request: Asked, room_id: str, root_id: str) -> ASGIApp:
        """DELETE /_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{rootId}/subscription

        Follows a thread no more.
        """
        await self.following.leave(request.requester.user_id, room_id, root_id)
        return answer()

    @endpoint("GET", _ALL)
    async def changes(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/unstable/io.element.msc4308/thread_subscriptions

        What changed between two points of the stream, the latest first; the points are tokens of any sync.
        """
        request.query_choice("dir", ("b",), "b")
        limit = request.query_int("limit", 100, lowest=1, highest=MOST)
        start, end = request.query_text("from"), request.query_text("to")
        upto = self.database.position if not start else min(read_sync(start).position, self.database.position)
        found, more = self.following.between(
            request.requester.user_id, read_sync(end).position if end else 0, upto, limit
        )
        content = told(found)
        if more is not None:
            content["end"] = str(SyncToken(more))
        return answer(content)
