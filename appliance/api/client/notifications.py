"""What the user was notified of (client-server API, "Listing Notifications")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.push.notifications import Notifications
from appliance.rooms.reading.serving import Asker
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.storage.tokens import read_notifications

USUAL, MOST = 20, 100


class NotificationsApi(Controller):
    """The user's notifications."""

    notifications: Notifications

    @endpoint("GET", "/_matrix/client/v3/notifications")
    async def page(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/notifications

        A page of what the user was notified of, the latest first.
        """
        token = request.query_text("from")
        asker = Asker(request.requester.user_id, request.requester.device_id)
        return answer(
            await self.notifications.page(
                asker,
                read_notifications(token) if token else None,
                request.query_int("limit", USUAL, lowest=1, highest=MOST),
                highlight=request.query_text("only") == "highlight",
            )
        )

    @endpoint("GET", "/_matrix/client/v3/pushers")
    async def pushers(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/pushers

        Where the user is notified: nowhere, as nobody can set a pusher yet. Clients that cannot ask show no settings
        for notifications at all.
        """
        return answer({"pushers": []})
