"""Which rooms somebody shares with another (client-server API, "Rooms", ``/mutual_rooms``)."""

import re
from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.errors import invalid_param, missing_param
from appliance.protocol.identifiers import is_user_id
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Limit
from appliance.storage import memberships
from appliance.storage.database import Database

PAGE = 100
_TOKEN = re.compile(r"m1_(\d{1,18})", re.ASCII)


class MutualRoomsApi(Controller):
    """Rooms that two users share."""

    database: Database

    @endpoint(
        "GET",
        "/_matrix/client/v1/mutual_rooms",
        "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms",
        limit=Limit.SEARCH,
    )
    async def mutual_rooms(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v1/mutual_rooms

        Lists the rooms that the asker and another user are both in.
        """
        own, other = request.requester.user_id, request.query_text("user_id")
        if not other:
            raise missing_param("user_id is missing: the user with whom rooms are shared.")
        if not is_user_id(other) or other == own:
            raise invalid_param("user_id must be the id of another user.")
        token = request.query_text("from") or request.query_text("batch_token")
        match = _TOKEN.fullmatch(token) if token else None
        if token and match is None:
            raise invalid_param("This token was not made by this server. Start again without it.")
        after = int(match[1]) if match else 0
        page, count = await self.database.reading(
            lambda reader: (
                memberships.shared_rooms(reader, own, other, after, PAGE + 1),
                memberships.count_shared_rooms(reader, own, other),
            )
        )
        body: dict[str, Any] = {"joined": [room_id for _, room_id in page[:PAGE]], "count": count}
        if len(page) > PAGE:
            body["next_batch"] = f"m1_{page[PAGE - 1][0]}"
        return answer(body)
