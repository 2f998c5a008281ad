"""E-mail addresses and telephone numbers of accounts (client-server API, "Adding Account Administrative Contact
Information"): Hearth keeps none, since it sends no mail and trusts no identity server, and says so where clients ask.
"""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.errors import MatrixError
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit

_V3 = "/_matrix/client/v3"


class ThreepidsApi(Controller):
    """Addresses of accounts."""

    @endpoint("GET", f"{_V3}/account/3pid")
    async def all(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/account/3pid

        The account's addresses: none.
        """
        return answer({"threepids": []})

    @endpoint("POST", f"{_V3}/account/3pid")
    async def put(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/account/3pid

        Refused: addresses cannot be added.
        """
        raise _denied()

    @endpoint("POST", f"{_V3}/account/3pid/add")
    async def add(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/account/3pid/add

        Refused: addresses cannot be added.
        """
        raise _denied()

    @endpoint("POST", f"{_V3}/account/3pid/bind")
    async def bind(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/account/3pid/bind

        Refused: no identity server is trusted.
        """
        raise MatrixError("M_SERVER_NOT_TRUSTED", "This server trusts no identity server.", 403)

    @endpoint("POST", f"{_V3}/account/3pid/delete", f"{_V3}/account/3pid/unbind")
    async def delete(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/account/3pid/delete and /unbind

        There is nothing to delete, and no identity server to tell.
        """
        await request.object()
        return answer({"id_server_unbind_result": "no-support"})

    @endpoint(
        "POST",
        f"{_V3}/register/email/requestToken",
        f"{_V3}/register/msisdn/requestToken",
        f"{_V3}/account/password/email/requestToken",
        f"{_V3}/account/password/msisdn/requestToken",
        f"{_V3}/account/3pid/email/requestToken",
        f"{_V3}/account/3pid/msisdn/requestToken",
        access=Access.NOBODY,
        limit=Limit.LOGIN,
    )
    async def request_token(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/register/email/requestToken and its siblings

        Refused: this server sends neither mail nor text messages.
        """
        raise _denied()


def _denied() -> MatrixError:
    return MatrixError("M_THREEPID_DENIED", "This server takes no e-mail addresses or telephone numbers.", 403)
