"""What clients ask of users and published rooms of other servers: passed on, checked, and kept for a little while."""

import time
from collections.abc import Callable
from typing import Any

from appliance.errors import MatrixError, not_found
from appliance.federation.elsewhere import explained
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.remote import Remote
from appliance.protocol.identifiers import is_server_name, server_of
from appliance.storage.lru import Lru

PROFILES_KEPT = 2_000
KEPT_SECONDS = 120.0
MOST_ROOMS = 500


class Lookups:
    """Asks other servers on behalf of clients.

    Args:
        remote: asks.
        may_ask: whether this server talks with another one.
        clock: seconds that only grow.
    """

    def __init__(
        self, remote: Remote, may_ask: Callable[[str], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._remote = remote
        self._may_ask = may_ask
        self._clock = clock
        self._profiles: Lru[tuple[str, str | None], tuple[float, dict[str, Any]]] = Lru(PROFILES_KEPT)

    async def profile(self, user_id: str, field: str | None = None) -> dict[str, Any]:
        """The profile of another server's user, or one field of it; what is not set is left out.

        Raises:
            MatrixError: ``M_NOT_FOUND``; 502 ``M_UNKNOWN`` where the server gave no good answer.
        """
        kept = self._profiles.get((user_id, field))
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        server = server_of(user_id)
        if not self._may_ask(server):
            raise not_found("Nothing is known about this user, and their server cannot be asked.")
        try:
            told = await self._remote.profile(server, user_id, field)
        except (Refused, Unreachable) as problem:
            raise explained(problem, server) from problem
        profile = {name: value for name, value in told.items() if value is not None and field in (None, name)}
        if field is not None and not profile:
            raise not_found("This field of the profile is not set.")
        self._profiles.put((user_id, field), (self._clock() + KEPT_SECONDS, profile))
        return profile

    async def public_rooms(self, server: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """A page of the published rooms of another server.

        Raises:
            MatrixError: ``M_INVALID_PARAM`` for what is no server's name; what that server answered.
        """
        if not is_server_name(server):
            raise MatrixError("M_INVALID_PARAM", f"{server!r} is no server's name.", 400)
        if not self._may_ask(server):
            raise MatrixError("M_UNKNOWN", f"This server cannot ask {server} for its rooms.", 400)
        try:
            told = await self._remote.public_rooms(server, wanted)
        except (Refused, Unreachable) as problem:
            raise explained(problem, server) from problem
        chunk = told.get("chunk")
        rooms = [one for one in (chunk if isinstance(chunk, list) else ()) if isinstance(one, dict)]
        page: dict[str, Any] = {"chunk": rooms[:MOST_ROOMS]}
        for name, kind in (("next_batch", str), ("prev_batch", str), ("total_room_count_estimate", int)):
            if isinstance(told.get(name), kind):
                page[name] = told[name]
        return page
