"""What relates to an event, and the threads of a room (client-server API, "Event relationships" and "Threading")."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.api.client.messages import asker
from appliance.errors import invalid_param
from appliance.rooms.reading.related import Related, Wanted
from appliance.rooms.reading.serving import Serving
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.storage.relations import DEEPEST
from appliance.storage.tokens import read

ROOM = "/_matrix/client/v1/rooms/{room_id:str}"
OF_EVENT = ROOM + "/relations/{event_id:str}"
PAGE, LONGEST_PAGE = 5, 200


class RelationsApi(Controller):
    """Events by what they belong to."""

    related: Related
    serving: Serving

    @endpoint("GET", OF_EVENT)
    async def children(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}

        Lists the events that relate to one.
        """
        return await self._children(request, room_id, event_id)

    @endpoint("GET", OF_EVENT + "/{rel_type:str}")
    async def children_of_kind(self, request: Asked, room_id: str, event_id: str, rel_type: str) -> ASGIApp:
        """GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}

        Lists the events that relate to one in a certain way.
        """
        return await self._children(request, room_id, event_id, rel_type)

    @endpoint("GET", OF_EVENT + "/{rel_type:str}/{event_type:str}")
    async def children_of_type(
        self, request: Asked, room_id: str, event_id: str, rel_type: str, event_type: str
    ) -> ASGIApp:
        """GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}

        Lists the events of a type that relate to one in a certain way.
        """
        return await self._children(request, room_id, event_id, rel_type, event_type)

    @endpoint("GET", ROOM + "/threads")
    async def threads(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v1/rooms/{roomId}/threads

        Lists the roots of a room's threads.
        """
        participated = request.query_choice("include", ("all", "participated"), "all") == "participated"
        limit = _limit(request)
        token = request.query_text("from")
        page = await self.related.threads(
            request.requester.user_id, room_id, read(token) if token else None, limit, participated=participated
        )
        body: dict[str, Any] = {"chunk": self.serving.serve(page.events, asker(request), room_id, bundled=True)}
        if page.end is not None:
            body["next_batch"] = str(page.end)
        return answer(body)

    async def _children(
        self,
        request: Asked,
        room_id: str,
        event_id: str,
        rel_type: str | None = None,
        event_type: str | None = None,
    ) -> ASGIApp:
        start, until = request.query_text("from"), request.query_text("to")
        recurse = request.query_text("recurse") or request.query_text("org.matrix.msc3981.recurse")
        wanted = Wanted(
            rel_type=rel_type,
            type=event_type,
            recurse=recurse == "true",
            backwards=request.query_choice("dir", ("b", "f"), "b") == "b",
            limit=_limit(request),
            start=read(start) if start else None,
            until=read(until) if until else None,
        )
        page = await self.related.children(request.requester.user_id, room_id, event_id, wanted)
        body: dict[str, Any] = {"chunk": self.serving.serve(page.events, asker(request), room_id, bundled=True)}
        if page.end is not None:
            body["next_batch"] = str(page.end)
        if start:
            body["prev_batch"] = start
        if recurse is not None:
            body["recursion_depth"] = DEEPEST if wanted.recurse else 1
        return answer(body)


def _limit(request: Asked) -> int:
    limit = request.query_int("limit", PAGE, highest=LONGEST_PAGE)
    if limit == 0:
        raise invalid_param("limit must be above 0.")
    return limit
