"""Search in what was said (client-server API, module "Server side search")."""

from typing import Annotated, Any, Literal

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Meta, Struct

from appliance.api.client.messages import asker
from appliance.protocol.filters import RoomEventRule
from appliance.protocol.wording import KEYS, terms_of
from appliance.rooms.reading.context import Context, Surroundings
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.searching import Found, Hit, Searching, Sought
from appliance.rooms.reading.serving import Serving
from appliance.rooms.room import Rooms
from appliance.rooms.store import EventStore
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit
from appliance.storage.tokens import SearchToken, read_search

PAGE, LONGEST_PAGE, MOST_AROUND = 10, 50, 20
Count = Annotated[int, Meta(ge=0)]


class Around(Struct):
    """How much of what is around each result is told."""

    before_limit: Count = 5
    after_limit: Count = 5
    include_profile: bool = False


class GroupKey(Struct):
    """By what results are grouped."""

    key: Literal["room_id", "sender"]


class Groupings(Struct, frozen=True):
    """How results are grouped."""

    group_by: Annotated[list[GroupKey], Meta(max_length=10)] = []


class RoomEvents(Struct):
    """What is searched for in events of rooms."""

    search_term: Annotated[str, Meta(max_length=1000)]
    keys: list[Literal["content.body", "content.name", "content.topic"]] | None = None
    filter: RoomEventRule = RoomEventRule()
    order_by: Literal["recent", "rank"] = "rank"
    event_context: Around | None = None
    include_state: bool = False
    groupings: Groupings = Groupings()


class Categories(Struct):
    """What is searched for, by category."""

    room_events: RoomEvents | None = None


class Search(Struct):
    """The body of a search."""

    search_categories: Categories


class SearchApi(Controller):
    """Finds events."""

    context: Context
    reading: Reading
    rooms: Rooms
    searching: Searching
    serving: Serving
    store: EventStore

    @endpoint("POST", "/_matrix/client/v3/search", limit=Limit.READ, suspended=True)
    async def search(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/search

        Searches events that the asker may see for words.
        """
        wanted = (await request.struct(Search)).search_categories.room_events
        if wanted is None:
            return answer({"search_categories": {}})
        token = request.query_text("next_batch")
        limit = PAGE if wanted.filter.limit is None else wanted.filter.limit
        sought = Sought(
            term=wanted.search_term,
            columns=[key.partition(".")[2] for key in dict.fromkeys(KEYS if wanted.keys is None else wanted.keys)],
            best_first=wanted.order_by == "rank",
            rule=wanted.filter,
            limit=max(1, min(limit, LONGEST_PAGE)),
            start=read_search(token) if token else None,
        )
        found = await self.searching.search(request.requester.user_id, sought)
        told: dict[str, Any] = {
            "count": found.count,
            "highlights": [term.strip().casefold() for term, _ in terms_of(sought.term)],
            "results": [await self._result(request, hit, wanted.event_context) for hit in found.hits],
        }
        if found.next is not None:
            told["next_batch"] = str(found.next)
        if wanted.groupings.group_by:
            told["groups"] = _groups(found, [group.key for group in wanted.groupings.group_by], sought)
        if wanted.include_state:
            told["state"] = await self._states(request, found)
        return answer({"search_categories": {"room_events": told}})

    async def _result(self, request: Asked, hit: Hit, around: Around | None) -> dict[str, Any]:
        result: dict[str, Any] = {
            "rank": hit.rank,
            "result": self.serving.serve((hit.event,), asker(request), hit.room_id, bundled=True)[0],
        }
        if around is not None:
            result["context"] = await self._context(request, hit, around)
        return result

    async def _context(self, request: Asked, hit: Hit, around: Around) -> dict[str, Any]:
        user_id = request.requester.user_id
        room, _ = await self.reading.admitted(user_id, hit.room_id)
        before, after = min(around.before_limit, MOST_AROUND), min(around.after_limit, MOST_AROUND)
        found = self.context.around(user_id, room, hit.event, before, after)
        told: dict[str, Any] = {
            "start": str(found.start),
            "end": str(found.end),
            "events_before": self.serving.serve(found.before, asker(request), hit.room_id),
            "events_after": self.serving.serve(found.after, asker(request), hit.room_id),
        }
        if around.include_profile:
            told["profile_info"] = await self._profiles(found)
        return told

    async def _profiles(self, found: Surroundings) -> dict[str, dict[str, str]]:
        """How those who speak there called themselves then."""
        members = self.context.members_then(found.all[-1], {event.sender for event in found.all})
        profiles: dict[str, dict[str, str]] = {}
        for user_id, event in members.items():
            said = {name: event.content.get(name) for name in ("displayname", "avatar_url")}
            profiles[user_id] = {name: value for name, value in said.items() if isinstance(value, str)}
        return profiles

    async def _states(self, request: Asked, found: Found) -> dict[str, Any]:
        """The present state of every room among the results."""
        states: dict[str, Any] = {}
        for room_id in dict.fromkeys(hit.room_id for hit in found.hits):
            view = await self.reading.view(request.requester.user_id, room_id)
            events = await self.store.many_clients(view.state.values())
            states[room_id] = self.serving.serve(list(events.values()), asker(request), room_id)
        return states


def _groups(found: Found, keys: list[str], sought: Sought) -> dict[str, Any]:
    """The results by room or by sender; each of the latest can be gone on with by itself."""
    groups: dict[str, Any] = {}
    for key in dict.fromkeys(keys):
        groups[key] = {}
        for hit in found.hits:
            value = hit.room_id if key == "room_id" else hit.event.sender
            group = groups[key].setdefault(value, {"order": len(groups[key]) + 1, "results": []})
            group["results"].append(hit.event.event_id)
            if found.next is not None and not sought.best_first:
                room_nid, sender = found.next.room_nid, found.next.sender
                if key == "room_id":
                    room_nid = hit.event.room_nid
                else:
                    sender = hit.event.sender
                group["next_batch"] = str(SearchToken(found.next.below, 0, room_nid, sender))
    return groups
