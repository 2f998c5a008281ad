"""Account data, for all rooms and for one."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.account_data import AccountData
from appliance.errors import forbidden, invalid_param
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

_GLOBAL = "/_matrix/client/v3/user/{user_id:str}/account_data/{type_:str}"
_ROOM = "/_matrix/client/v3/user/{user_id:str}/rooms/{room_id:str}/account_data/{type_:str}"

_UNSTABLE = "/_matrix/client/unstable/org.matrix.msc3391"
_UNSTABLE_GLOBAL = _UNSTABLE + "/user/{user_id:str}/account_data/{type_:str}"
_UNSTABLE_ROOM = _UNSTABLE + "/user/{user_id:str}/rooms/{room_id:str}/account_data/{type_:str}"


class AccountDataApi(Controller):
    """What clients keep here for their user."""

    account_data: AccountData

    @endpoint("PUT", _GLOBAL, suspended=True)
    async def put(self, request: Asked, user_id: str, type_: str) -> ASGIApp:
        """PUT /_matrix/client/v3/user/{userId}/account_data/{type}

        Keeps something for all rooms.
        """
        _check_own(request, user_id)
        await self.account_data.put(user_id, type_, await request.object())
        return answer()

    @endpoint("GET", _GLOBAL)
    async def get(self, request: Asked, user_id: str, type_: str) -> ASGIApp:
        """GET /_matrix/client/v3/user/{userId}/account_data/{type}

        What is kept for all rooms.
        """
        _check_own(request, user_id)
        return answer(self.account_data.get(user_id, type_))

    @endpoint("PUT", _ROOM, suspended=True)
    async def put_for_room(self, request: Asked, user_id: str, room_id: str, type_: str) -> ASGIApp:
        """PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}

        Keeps something for one room.
        """
        _check_own(request, user_id, room_id)
        await self.account_data.put(user_id, type_, await request.object(), room_id)
        return answer()

    @endpoint("GET", _ROOM)
    async def get_for_room(self, request: Asked, user_id: str, room_id: str, type_: str) -> ASGIApp:
        """GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}

        What is kept for one room.
        """
        _check_own(request, user_id, room_id)
        return answer(self.account_data.get(user_id, type_, room_id))

    @endpoint("DELETE", _UNSTABLE_GLOBAL, suspended=True)
    async def delete(self, request: Asked, user_id: str, type_: str) -> ASGIApp:
        """DELETE /_matrix/client/unstable/org.matrix.msc3391/user/{userId}/account_data/{type}

        Deletes something that was kept for all rooms (MSC3391).
        """
        _check_own(request, user_id)
        await self.account_data.delete(user_id, type_)
        return answer()

    @endpoint("DELETE", _UNSTABLE_ROOM, suspended=True)
    async def delete_for_room(self, request: Asked, user_id: str, room_id: str, type_: str) -> ASGIApp:
        """DELETE /_matrix/client/unstable/org.matrix.msc3391/user/{userId}/rooms/{roomId}/account_data/{type}

        Deletes something that was kept for one room (MSC3391).
        """
        _check_own(request, user_id, room_id)
        await self.account_data.delete(user_id, type_, room_id)
        return answer()


def _check_own(request: Asked, user_id: str, room_id: str = "!") -> None:
    """Refuse another user's data; and an empty room id, which inside stands for all rooms."""
    if request.requester.user_id != user_id:
        raise forbidden("This is another user's account data.")
    if not room_id:
        raise invalid_param("The room's id is missing.")
