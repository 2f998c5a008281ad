"""Networks beyond Matrix, as bridges would offer them (module "Third-party networks"): there are none."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.errors import not_found
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked

_BASE = "/_matrix/client/v3/thirdparty"


class ThirdPartyApi(Controller):
    """Networks beyond Matrix."""

    @endpoint("GET", f"{_BASE}/protocols")
    async def protocols(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/thirdparty/protocols

        Every network.
        """
        return answer({})

    @endpoint("GET", f"{_BASE}/protocol/{{protocol:str}}")
    async def protocol(self, request: Asked, protocol: str) -> ASGIApp:
        """GET /_matrix/client/v3/thirdparty/protocol/{protocol}

        One network.
        """
        raise not_found("This server has no bridge to such a network.")

    @endpoint("GET", f"{_BASE}/location/{{protocol:str}}")
    async def locations(self, request: Asked, protocol: str) -> ASGIApp:
        """GET /_matrix/client/v3/thirdparty/location/{protocol}

        Places of a network that are rooms here.
        """
        raise not_found("This server has no bridge to such a network.")

    @endpoint("GET", f"{_BASE}/user/{{protocol:str}}")
    async def users(self, request: Asked, protocol: str) -> ASGIApp:
        """GET /_matrix/client/v3/thirdparty/user/{protocol}

        People of a network who are users here.
        """
        raise not_found("This server has no bridge to such a network.")

    @endpoint("GET", f"{_BASE}/location")
    async def location_of(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/thirdparty/location

        The places that a room alias stands for.
        """
        return answer([])

    @endpoint("GET", f"{_BASE}/user")
    async def user_of(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/thirdparty/user

        The people that a user id stands for.
        """
        return answer([])
