"""Sync v2 (client-server API, "Syncing")."""

from typing import cast

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.filters import Filters
from appliance.api.client.following import Follower, Following, Made
from appliance.errors import invalid_param
from appliance.protocol.filters import Filter
from appliance.rooms.reading.serving import Asker
from appliance.rooms.signs.person import State
from appliance.rooms.signs.presence import STATES, Presence
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.storage.tokens import read_sync
from appliance.sync.encryption import EncryptionParts
from appliance.sync.lineage import Lineage
from appliance.sync.sections import Options
from appliance.sync.service import Sync

LONGEST_WAIT_MS = 120_000
UNSTABLE_STATE_AFTER = "org.matrix.msc4222.state_after"


class SyncApi(Controller):
    """What happened since."""

    encryption: EncryptionParts
    filters: Filters
    following: Following
    lineage: Lineage
    presence: Presence
    sync_service: Sync

    @endpoint("GET", "/_matrix/client/v3/sync", guests=True)
    async def sync(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/sync

        Answers what the client does not know yet, and waits for it up to ``timeout`` milliseconds.
        """
        asker = Asker(request.requester.user_id, request.requester.device_id)
        text = request.query_text("since")
        since = read_sync(text) if text else None
        state = cast("State", request.query_choice("set_presence", STATES, "online"))
        anew = since is not None and not self.lineage.knows(since.boot, max(since.position, since.to_device))
        if anew:
            since = None
        options = self._options(request, asker.user_id, anew=anew)
        wait_ms = request.query_int("timeout", 0, highest=LONGEST_WAIT_MS)
        if since is None or options.full_state:
            wait_ms = 0
        rest = request.query_text("filter"), options.state_after

        async def make() -> Made:
            found = await self.sync_service.answer(asker, since, options)
            goes_on = (str(found.token), *rest) if found.whole else None
            return Made(lambda: found.body, found.empty, goes_on)

        def beside() -> object:
            return self.encryption.keys_left(asker)

        asked = None if options.full_state or anew else (text, *rest)
        with self.presence.syncing(asker.user_id, asker.device_id, state):
            return await self.following.answer(
                Follower(request, (asker.user_id, asker.device_id), asked, wait_ms, make, beside)
            )

    def _options(self, request: Asked, user_id: str, *, anew: bool) -> Options:
        state_after = ""
        if request.query_flag("org.matrix.msc4222.use_state_after"):
            state_after = UNSTABLE_STATE_AFTER
        if request.query_flag("use_state_after"):
            state_after = "state_after"
        return Options(
            self._filter(request.query_text("filter"), user_id), request.query_flag("full_state"), state_after, anew
        )

    def _filter(self, text: str | None, user_id: str) -> Filter:
        if not text:
            return Filter()
        try:
            return self.filters.parsed(user_id, text)
        except ValueError as error:
            raise invalid_param(f"The filter cannot be read: {error}") from error
