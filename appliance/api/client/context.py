"""What is around an event, and near a time (client-server API, "Getting events for a room", "Event context")."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.api.client.messages import asker, event_rule
from appliance.errors import invalid_param, missing_param, not_found
from appliance.federation.times import TimesElsewhere
from appliance.rooms.reading.context import Context
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.serving import Serving
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

ROOMS = "/_matrix/client/v3/rooms/{room_id:str}"
AROUND, MOST_AROUND = 10, 100


class ContextApi(Controller):
    """Events by what they are near to."""

    context: Context
    reading: Reading
    serving: Serving
    times: TimesElsewhere

    @endpoint("GET", ROOMS + "/context/{event_id:str}", guests=True)
    async def around(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}

        Answers an event with what was said before and after it, and the state of the room by then.
        """
        limit = request.query_int("limit", AROUND, highest=MOST_AROUND)
        rule = event_rule(request.query_text("filter"))
        user_id = request.requester.user_id
        room, _ = await self.reading.admitted(user_id, room_id)
        event = await self.reading.event(user_id, room_id, event_id)
        found = self.context.around(user_id, room, event, limit // 2, limit - limit // 2, rule)
        state = await self.context.state(user_id, room, found, rule)
        served = {
            name: self.serving.serve(events, asker(request), room_id, bundled=True)
            for name, events in (("events_before", found.before), ("event", [event]), ("events_after", found.after))
        }
        body: dict[str, Any] = {
            **served,
            "event": served["event"][0],
            "start": str(found.start),
            "end": str(found.end),
            "state": self.serving.serve(state, asker(request), room_id),
        }
        return answer(body)

    @endpoint("GET", "/_matrix/client/v1/rooms/{room_id:str}/timestamp_to_event")
    async def near(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event

        Answers the event nearest to a time, in one direction.
        """
        backwards = request.query_choice("dir", ("f", "b")) == "b"
        text = request.query_text("ts")
        if text is None:
            raise missing_param("ts is missing: a time in milliseconds since 1970.")
        if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 19:
            raise invalid_param("ts must be a whole number: milliseconds since 1970.")
        user_id, timestamp = request.requester.user_id, int(text)
        event = await self.context.near(user_id, room_id, timestamp, backwards=backwards)
        here = None if event is None else (event.event_id, event.timestamp)
        near = await self.times.nearer(user_id, room_id, timestamp, here, backwards=backwards)
        if near is None:
            raise not_found(f"There is no event {'at or before' if backwards else 'at or after'} that time.")
        return answer({"event_id": near[0], "origin_server_ts": near[1]})
