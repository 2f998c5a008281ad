"""Profiles."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.profiles import MAX_PROFILE_BYTES, Profiles
from appliance.errors import MatrixError, forbidden
from appliance.federation.lookups import Lookups
from appliance.protocol import canonical
from appliance.protocol.identifiers import is_user_id, server_of
from appliance.rooms.signs.company import Company
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Requester
from appliance.settings import Settings

_WHOLE = "/_matrix/client/v3/profile/{user_id:str}"
_FIELD = "/_matrix/client/v3/profile/{user_id:str}/{field:str}"
_UNSTABLE_WHOLE = "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{user_id:str}"
_UNSTABLE_FIELD = "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{user_id:str}/{field:str}"
_MAX_BODY = MAX_PROFILE_BYTES + 4 * 1024
"""A field as large as a whole profile is refused for its size, not for the body's."""


class Profile(Controller):
    """What users tell about themselves."""

    profiles: Profiles
    company: Company
    lookups: Lookups
    settings: Settings

    @endpoint("GET", _WHOLE, _UNSTABLE_WHOLE, access=Access.OPTIONAL)
    async def whole(self, request: Asked, user_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/profile/{userId}

        Every field of a user's profile; an empty object for a user who has set none.
        """
        self._check_reader(request, user_id)
        if self._is_elsewhere(user_id):
            return answer(await self.lookups.profile(user_id))
        return answer(canonical.encode(self.profiles.profile(user_id)))

    @endpoint("GET", _FIELD, _UNSTABLE_FIELD, access=Access.OPTIONAL)
    async def field(self, request: Asked, user_id: str, field: str) -> ASGIApp:
        """GET /_matrix/client/v3/profile/{userId}/{keyName}

        One field of a user's profile.
        """
        self._check_reader(request, user_id)
        if self._is_elsewhere(user_id):
            return answer(await self.lookups.profile(user_id, field))
        return answer(canonical.encode({field: self.profiles.field(user_id, field)}))

    @endpoint("PUT", _FIELD, _UNSTABLE_FIELD, guests=True, max_body=_MAX_BODY)
    async def put(self, request: Asked, user_id: str, field: str) -> ASGIApp:
        """PUT /_matrix/client/v3/profile/{userId}/{keyName}

        Sets one field of one's own profile.
        """
        _check_own(request.requester, user_id, field)
        await self.profiles.put(user_id, field, await request.object())
        return answer()

    @endpoint("DELETE", _FIELD, _UNSTABLE_FIELD, guests=True)
    async def delete(self, request: Asked, user_id: str, field: str) -> ASGIApp:
        """DELETE /_matrix/client/v3/profile/{userId}/{keyName}

        Removes one field of one's own profile.
        """
        _check_own(request.requester, user_id, field)
        await self.profiles.delete(user_id, field)
        return answer()

    def _is_elsewhere(self, user_id: str) -> bool:
        return is_user_id(user_id) and server_of(user_id) != self.settings.server_name

    def _check_reader(self, request: Asked, user_id: str) -> None:
        self.profiles.check_reader(request.requester.user_id, user_id, self.company.share)


def _check_own(requester: Requester, user_id: str, field: str) -> None:
    if requester.user_id != user_id:
        raise forbidden("You can only change your own profile.")
    if requester.guest and field != "displayname":
        raise MatrixError("M_GUEST_ACCESS_FORBIDDEN", "Guests can only change their display name.", 403)
