"""Reading and setting the state of a room (client-server API, "Getting events for a room")."""

import orjson
from litestar import Controller
from litestar.types import ASGIApp

from appliance.api.client.delayed_events import scheduled
from appliance.errors import not_found
from appliance.rooms.acts.delayed import Delayed
from appliance.rooms.acts.sending import Sending
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.present import Present
from appliance.rooms.reading.serving import Asker, Serving
from appliance.rooms.store import EventStore
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit

STATE = "/_matrix/client/v3/rooms/{room_id:str}/state"
EMPTY_KEY = (STATE + "/{event_type:str}", STATE + "/{event_type:str}/")
WITH_KEY = STATE + "/{event_type:str}/{state_key:str}"


class StateApi(Controller):
    """A room's state."""

    delayed: Delayed
    present: Present
    reading: Reading
    sending: Sending
    serving: Serving
    store: EventStore

    @endpoint("GET", STATE, guests=True)
    async def whole(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/state

        Lists the state events: the present ones for members, those at their leaving for former members.
        """
        asker = Asker(request.requester.user_id, request.requester.device_id)
        return answer(await self.present.state(asker, room_id))

    @endpoint("GET", *EMPTY_KEY, guests=True)
    async def one_without_key(self, request: Asked, room_id: str, event_type: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}

        Answers the content of the state event with the empty state key.
        """
        return await self._one(request, room_id, event_type, "")

    @endpoint("GET", WITH_KEY, guests=True)
    async def one(self, request: Asked, room_id: str, event_type: str, state_key: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}

        Answers the content of a state event, or with ``format=event`` the event.
        """
        return await self._one(request, room_id, event_type, state_key)

    @endpoint("PUT", *EMPTY_KEY, guests=True, limit=Limit.SEND)
    async def set_without_key(self, request: Asked, room_id: str, event_type: str) -> ASGIApp:
        """PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}

        Sets the state event with the empty state key.
        """
        return await self._set(request, room_id, event_type, "")

    @endpoint("PUT", WITH_KEY, guests=True, limit=Limit.SEND)
    async def set(self, request: Asked, room_id: str, event_type: str, state_key: str) -> ASGIApp:
        """PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}

        Sets a state event.
        """
        return await self._set(request, room_id, event_type, state_key)

    async def _one(self, request: Asked, room_id: str, event_type: str, state_key: str) -> ASGIApp:
        form = request.query_choice("format", ("content", "event"), "content")
        view = await self.reading.view(request.requester.user_id, room_id)
        nid = view.state.get((event_type, state_key))
        if nid is None:
            raise not_found("The state of this room holds no such event.")
        if form == "content":
            return answer(self.store.event(nid).content)
        asker = Asker(request.requester.user_id, request.requester.device_id)
        client = self.store.clients((nid,))[nid]
        return answer(orjson.dumps(self.serving.serve((client,), asker, room_id)[0]))

    async def _set(self, request: Asked, room_id: str, event_type: str, state_key: str) -> ASGIApp:
        later = await scheduled(request, self.delayed, room_id, event_type, state_key, None)
        if later is not None:
            return later
        content = await request.object()
        event_id = await self.sending.set_state(request.requester.user_id, room_id, event_type, state_key, content)
        return answer({"event_id": event_id})
