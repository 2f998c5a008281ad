"""Which versions of the specification this server speaks, and which unfinished features it has."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access

VERSIONS = [f"v1.{minor}" for minor in range(1, 20)]
"""Every version, since clients look for the one that they were written for."""

UNSTABLE_FEATURES: dict[str, bool] = {
    "com.beeper.msc4169": True,
    "com.beeper.msc4446": True,
    "org.matrix.e2e_cross_signing": True,
    "org.matrix.msc2285.stable": True,
    "org.matrix.msc3391": True,
    "org.matrix.msc3440.stable": True,
    "org.matrix.msc3771": True,
    "org.matrix.msc3773": True,
    "org.matrix.msc3814": True,
    "org.matrix.msc3827.stable": True,
    "org.matrix.msc3874": True,
    "org.matrix.msc3882": True,
    "org.matrix.msc3912": True,
    "org.matrix.msc3952_intentional_mentions": True,
    "org.matrix.msc3981": True,
    "org.matrix.msc4140": True,
    "org.matrix.msc4143": True,
    "org.matrix.msc4155": True,
    "org.matrix.msc4222": True,
    "org.matrix.msc4380": True,
    "org.matrix.msc4380.stable": True,
    "org.matrix.msc4445.initial_sync_timeline_topological_ordering": True,
    "org.matrix.simplified_msc3575": True,
    "uk.half-shot.msc2666.query_mutual_rooms": True,
    "uk.half-shot.msc2666.query_mutual_rooms.stable": True,
    "uk.tcpip.msc4133": True,
    "uk.tcpip.msc4133.stable": True,
}
"""What is true today and clients ask for by name, some of it long since part of the specification."""


class Versions(Controller):
    """The versions of the specification."""

    @endpoint("GET", "/_matrix/client/versions", access=Access.NOBODY)
    async def versions(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/versions

        The same for everybody, so an access token is not even looked at: a client whose token has ended still learns
        what the server speaks.
        """
        return answer({"versions": VERSIONS, "unstable_features": UNSTABLE_FEATURES})
