"""Events and state for other servers (server-server API, "Retrieving events" and what stands around it)."""

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.errors import missing_param
from appliance.federation.past import MOST_BACKFILLED, Past
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access

MOST_NAMED = 100
"""Events that one request may name."""


class Between(Struct):
    """Between which events to look."""

    latest_events: list[str]
    earliest_events: list[str]
    limit: int = 10
    min_depth: int = 0


class EventsApi(Controller):
    """What lies in a room's graph."""

    past: Past

    @endpoint("GET", "/_matrix/federation/v1/state/{room_id:str}", access=Access.SERVER)
    async def state(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/state/{roomId}

        Answers the state before an event.
        """
        return answer(await self.past.state(request.requester.server, room_id, _event_id(request)))

    @endpoint("GET", "/_matrix/federation/v1/state_ids/{room_id:str}", access=Access.SERVER)
    async def state_ids(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/state_ids/{roomId}

        The same by ids.
        """
        return answer(await self.past.state_ids(request.requester.server, room_id, _event_id(request)))

    @endpoint("GET", "/_matrix/federation/v1/event/{event_id:str}", access=Access.SERVER)
    async def event(self, request: Asked, event_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/event/{eventId}

        Answers one event.
        """
        return answer(await self.past.event(request.requester.server, event_id))

    @endpoint("GET", "/_matrix/federation/v1/event_auth/{room_id:str}/{event_id:str}", access=Access.SERVER)
    async def event_auth(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}

        Answers what allows an event.
        """
        return answer(await self.past.event_auth(request.requester.server, room_id, event_id))

    @endpoint("GET", "/_matrix/federation/v1/timestamp_to_event/{room_id:str}", access=Access.SERVER)
    async def near(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/timestamp_to_event/{roomId}

        Answers the event nearest to a time, in one direction.
        """
        backwards = request.query_choice("dir", ("f", "b")) == "b"
        if request.query_text("ts") is None:
            raise missing_param("ts is missing: a time in milliseconds since 1970.")
        timestamp = request.query_int("ts", 0, lowest=-(2**53))
        return answer(await self.past.near(request.requester.server, room_id, timestamp, backwards=backwards))

    @endpoint("GET", "/_matrix/federation/v1/backfill/{room_id:str}", access=Access.SERVER)
    async def backfill(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/federation/v1/backfill/{roomId}

        Answers events and what lies before them.
        """
        event_ids = request.query_params.getall("v", [])[:MOST_NAMED]
        if not event_ids or request.query_text("limit") is None:
            raise missing_param("v and limit must say where to begin, and how many events are wanted.")
        limit = request.query_int("limit", MOST_BACKFILLED)
        return answer(await self.past.backfill(request.requester.server, room_id, event_ids, limit))

    @endpoint("POST", "/_matrix/federation/v1/get_missing_events/{room_id:str}", access=Access.SERVER)
    async def missing(self, request: Asked, room_id: str) -> ASGIApp:
        """POST /_matrix/federation/v1/get_missing_events/{roomId}

        Answers what lies between events.
        """
        wanted = await request.struct(Between)
        body = await self.past.missing(
            request.requester.server,
            room_id,
            wanted.latest_events[:MOST_NAMED],
            wanted.earliest_events[: 10 * MOST_NAMED],
            wanted.limit,
            wanted.min_depth,
        )
        return answer(body)


def _event_id(request: Asked) -> str:
    event_id = request.query_text("event_id")
    if event_id is None:
        raise missing_param("event_id must say at which event.")
    return event_id
