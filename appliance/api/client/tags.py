"""The tags of rooms, which are account data of type ``m.tag`` (client-server API, module "Room tagging")."""

from typing import Any

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.account_data import AccountData
from appliance.errors import MatrixError, bad_json, forbidden, invalid_param, too_large
from appliance.protocol import canonical
from appliance.protocol.identifiers import fits, is_room_id
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.storage.database import Tx

TAGS = "/_matrix/client/v3/user/{user_id:str}/rooms/{room_id:str}/tags"
TYPE = "m.tag"
MOST_BYTES = 64 * 1024
"""All tags of a room together: each change writes all of them anew."""


class TagsApi(Controller):
    """How the asker sorts their rooms."""

    account_data: AccountData

    @endpoint("GET", TAGS)
    async def list(self, request: Asked, user_id: str, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags

        Lists a room's tags.
        """
        _check(request, user_id, room_id)
        try:
            content = canonical.decode(self.account_data.get(user_id, TYPE, room_id))
        except MatrixError as error:
            if error.status != 404:
                raise
            content = {}
        return answer({"tags": _tags(content)})

    @endpoint("PUT", TAGS + "/{tag:str}", suspended=True)
    async def put(self, request: Asked, user_id: str, room_id: str, tag: str) -> ASGIApp:
        """PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}

        Gives a room a tag, or its tag another content.
        """
        _check(request, user_id, room_id)
        if not fits(tag):
            raise invalid_param("A tag may have at most 255 bytes.")
        said = await request.object()
        order = said.get("order", 0)
        if isinstance(order, bool) or not isinstance(order, int | float):
            raise bad_json("The order of a tag must be a number between 0 and 1.")
        try:
            canonical.decode(canonical.encode({"tags": {tag: said}}))
        except ValueError as error:  # it lies deeper in what is kept than in the request
            raise bad_json("The content of a tag is nested too deeply.") from error

        full = False

        def work(tx: Tx, content: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal full
            tagged = {**content, "tags": {**_tags(content), tag: said}}
            size = len(canonical.encode(tagged))
            full = size > MOST_BYTES or not AccountData.is_room(tx, user_id, size, new=not content)
            return None if full else tagged

        await self.account_data.alter(user_id, TYPE, room_id, work)
        if full:
            raise too_large("These are more tags than can be kept. Delete some first.")
        return answer()

    @endpoint("DELETE", TAGS + "/{tag:str}", suspended=True)
    async def delete(self, request: Asked, user_id: str, room_id: str, tag: str) -> ASGIApp:
        """DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}

        Takes a tag from a room; one that is not there is no mistake.
        """
        _check(request, user_id, room_id)

        def work(tx: Tx, content: dict[str, Any]) -> dict[str, Any] | None:
            tags = _tags(content)
            return {**content, "tags": tags} if tags.pop(tag, None) is not None else None

        await self.account_data.alter(user_id, TYPE, room_id, work)
        return answer()


def _tags(content: dict[str, Any]) -> dict[str, Any]:
    """The tags in a content of type ``m.tag``, which clients may have written as they liked."""
    tags = content.get("tags")
    return dict(tags) if isinstance(tags, dict) else {}


def _check(request: Asked, user_id: str, room_id: str) -> None:
    if request.requester.user_id != user_id:
        raise forbidden("These are another user's tags.")
    if not is_room_id(room_id):
        raise invalid_param("This is not the id of a room.")
