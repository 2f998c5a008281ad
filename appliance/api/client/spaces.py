"""What rooms show of themselves to those outside: summaries, and the rooms of a space (client-server API, "Spaces")."""

from collections.abc import Sequence
from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.api.client.membership import via
from appliance.errors import invalid_param, not_found
from appliance.rooms.acts.aliases import Aliases
from appliance.rooms.shown.facts import Facts, Outlook, RoomFacts
from appliance.rooms.shown.outlying import OutlookElsewhere
from appliance.rooms.shown.spaces import DEEPEST, MOST_ROOMS, Spaces
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit

UNSTABLE = "/_matrix/client/unstable/im.nheko.summary"
OLD_NAMES = (
    ("room_version", "im.nheko.summary.room_version"),
    ("room_version", "im.nheko.summary.version"),
    ("encryption", "im.nheko.summary.encryption"),
)
"""Fields that had other names while the summary was a proposal (MSC3266)."""


class SpacesApi(Controller):
    """Rooms as they look from outside."""

    aliases: Aliases
    facts: RoomFacts
    outlook: Outlook
    elsewhere: OutlookElsewhere
    spaces: Spaces

    @endpoint("GET", "/_matrix/client/v1/room_summary/{room:str}", access=Access.OPTIONAL, limit=Limit.SEARCH)
    async def summary(self, request: Asked, room: str) -> ASGIApp:
        """GET /_matrix/client/v1/room_summary/{roomIdOrAlias}

        Answers what a room shows of itself, to those who may come in, knock or read.
        """
        return answer(await self._summary(request, room))

    @endpoint(
        "GET",
        UNSTABLE + "/summary/{room:str}",
        UNSTABLE + "/rooms/{room:str}/summary",
        access=Access.OPTIONAL,
        limit=Limit.SEARCH,
    )
    async def old_summary(self, request: Asked, room: str) -> ASGIApp:
        """GET /_matrix/client/unstable/im.nheko.summary/summary/{roomIdOrAlias}

        The same for clients that know it from the proposal.
        """
        told = await self._summary(request, room)
        return answer({**told, **{old: told[new] for new, old in OLD_NAMES if new in told}})

    @endpoint("GET", "/_matrix/client/v1/rooms/{room_id:str}/hierarchy", guests=True, limit=Limit.SEARCH)
    async def hierarchy(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v1/rooms/{roomId}/hierarchy

        Lists a space, the rooms in it, and the rooms of the spaces in it.
        """
        limit = request.query_int("limit", MOST_ROOMS, highest=MOST_ROOMS)
        max_depth = request.query_int("max_depth", DEEPEST, lowest=-1, highest=DEEPEST)
        if limit == 0 or max_depth < 0:
            raise invalid_param("limit must be above 0, and max_depth not below it.")
        suggested_only = request.query_flag("suggested_only")
        token, user_id = request.query_text("from"), request.requester.user_id
        if token is None:
            walk = self.spaces.begin(user_id, room_id, suggested_only=suggested_only, max_depth=max_depth)
        else:
            walk = self.spaces.resume(
                token,
                user_id,
                room_id,
                suggested_only=None if request.query_text("suggested_only") is None else suggested_only,
                max_depth=None if request.query_text("max_depth") is None else max_depth,
            )
        rooms, next_batch = await self.spaces.go(walk, limit)
        return answer({"rooms": rooms, **({} if next_batch is None else {"next_batch": next_batch})})

    async def _summary(self, request: Asked, room: str) -> dict[str, Any]:
        user_id = request.requester.user_id
        room_id, servers = await self.aliases.resolve(room)
        facts: Facts | None = self.facts.of(room_id)
        if facts is None:
            return await self._summary_elsewhere(user_id, room_id, (*via(request), *servers))
        if not self.outlook.allows(user_id, facts):
            raise not_found("There is no such room, or it shows nothing of itself to you.")
        membership = {"membership": self.outlook.membership(user_id, facts)} if user_id else {}
        return {**facts.summary(), **membership}

    async def _summary_elsewhere(self, user_id: str, room_id: str, servers: Sequence[str]) -> dict[str, Any]:
        found = await self.spaces.neighbours.look(room_id, servers) if servers else None
        if found is None or not self.elsewhere.allows(user_id, found.summary):
            raise not_found("There is no such room, or it shows nothing of itself to you.")
        membership = {"membership": self.elsewhere.membership(user_id, room_id)} if user_id else {}
        return {**found.summary, **membership}
