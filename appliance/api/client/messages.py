"""Reading a room: one event, its history, its members (client-server API, "Getting events for a room")."""

from typing import Any

import orjson
from litestar import Controller
from litestar.types import ASGIApp

from appliance.errors import invalid_param
from appliance.protocol.filters import RoomEventRule, read_room_event_rule
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.present import Present
from appliance.rooms.reading.reaching import ReachingBack
from appliance.rooms.reading.serving import Asker, Serving
from appliance.rooms.reading.timeline import START, Page, Timeline, earlier
from appliance.rooms.snapshot import MEMBER
from appliance.rooms.store import EventStore
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.storage.tokens import HistoryToken, SyncToken, read

ROOM = "/_matrix/client/v3/rooms/{room_id:str}"
PAGE, LONGEST_PAGE = 10, 500
MEMBERSHIPS = ("join", "invite", "knock", "leave", "ban")


class MessagesApi(Controller):
    """What was said in a room, and by whom it is inhabited."""

    present: Present
    reading: Reading
    serving: Serving
    store: EventStore
    timeline: Timeline
    past: ReachingBack

    @endpoint("GET", ROOM + "/event/{event_id:str}", guests=True)
    async def event(self, request: Asked, room_id: str, event_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}

        Answers one event.
        """
        event = await self.reading.event(request.requester.user_id, room_id, event_id)
        return answer(orjson.dumps(self.serving.serve((event,), asker(request), room_id, bundled=True)[0]))

    @endpoint("GET", ROOM + "/messages", guests=True)
    async def messages(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/messages

        Answers a page of the history, in the direction asked for.
        """
        user_id = request.requester.user_id
        room, _ = await self.reading.admitted(user_id, room_id)
        backwards = request.query_choice("dir", ("b", "f")) == "b"
        limit = request.query_int("limit", PAGE, lowest=1, highest=LONGEST_PAGE)
        rule = event_rule(request.query_text("filter"))
        start, until = _token(request.query_text("from")), _token(request.query_text("to"))
        begin = START if start is None and not backwards else self.timeline.point(room.nid, start)
        stop = None if until is None else self.timeline.point(room.nid, until)
        last = self.timeline.last_seen(room.nid, user_id)
        if last is not None:
            # Former members need not be led through all that came after them.
            if backwards:
                begin = earlier(begin, last)
            else:
                stop = last if stop is None else earlier(stop, last)
        if rule is None or rule.allows_room(room_id):
            page = await self.past.page(room, user_id, begin, limit, backwards=backwards, until=stop, rule=rule)
        else:
            page = Page([], begin, None)
        body: dict[str, Any] = {
            "chunk": self.serving.serve(page.events, asker(request), room_id, bundled=True),
            "start": request.query_text("from") or str(begin),
        }
        if page.end is not None:
            body["end"] = str(page.end)
        if rule is not None and rule.lazy_load_members:
            body["state"] = await self._members_of(request, room_id, page)
        return answer(body)

    @endpoint("GET", ROOM + "/members", guests=True)
    async def members(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/members

        Lists the membership events, now or at a point, of the memberships asked for.
        """
        only, without = (
            request.query_choice(name, MEMBERSHIPS) if request.query_text(name) else None
            for name in ("membership", "not_membership")
        )

        at = _token(request.query_text("at"))
        return answer(await self.present.members(asker(request), room_id, at, only, without))

    @endpoint("GET", ROOM + "/joined_members", guests=True)
    async def joined_members(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/rooms/{roomId}/joined_members

        Maps those who are in the room to their names and pictures there.
        """
        return answer(await self.present.joined(request.requester.user_id, room_id))

    async def _members_of(self, request: Asked, room_id: str, page: Page) -> list[orjson.Fragment]:
        """The membership events of those who speak on a page."""
        view = await self.reading.view(request.requester.user_id, room_id)
        senders = dict.fromkeys(event.sender for event in page.events)
        nids = [view.state[MEMBER, user] for user in senders if (MEMBER, user) in view.state]
        clients = self.store.clients(nids)
        return self.serving.serve(list(clients.values()), asker(request), room_id)


def asker(request: Asked) -> Asker:
    """For whom an answer is made."""
    return Asker(request.requester.user_id, request.requester.device_id)


def _token(text: str | None) -> SyncToken | HistoryToken | None:
    return read(text) if text else None


def event_rule(text: str | None) -> RoomEventRule | None:
    """A filter for one room's events, as given in a query; ``M_INVALID_PARAM`` for what is none."""
    if not text:
        return None
    try:
        return read_room_event_rule(orjson.loads(text))
    except ValueError as error:
        raise invalid_param(f"The filter cannot be read: {error}") from error
