"""Sync v2 (client-server API, "Syncing")."""

import asyncio
from typing import cast

from litestar import Controller
from litestar.types import ASGIApp

from appliance.accounts.filters import Filters
from appliance.errors import invalid_param
from appliance.protocol.filters import Filter
from appliance.rooms.reading.serving import Asker
from appliance.rooms.signs.person import State
from appliance.rooms.signs.presence import STATES, Presence
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.waiting import LEFT, Ended, Waiting
from appliance.storage.tokens import SyncToken, read_sync
from appliance.sync.notifier import Notifier
from appliance.sync.sections import Options
from appliance.sync.service import Sync, SyncAnswer

LONGEST_WAIT_MS = 120_000
UNSTABLE_STATE_AFTER = "org.matrix.msc4222.state_after"


class SyncApi(Controller):
    """What happened since."""

    filters: Filters
    notifier: Notifier
    presence: Presence
    sync_service: Sync
    waiting: Waiting

    @endpoint("GET", "/_matrix/client/v3/sync", guests=True)
    async def sync(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/sync

        Answers what the client does not know yet, and waits for it up to ``timeout`` milliseconds.
        """
        asker = Asker(request.requester.user_id, request.requester.device_id)
        text = request.query_text("since")
        since = read_sync(text) if text else None
        state = cast("State", request.query_choice("set_presence", STATES, "online"))
        options = self._options(request, asker.user_id)
        wait_ms = request.query_int("timeout", 0, highest=LONGEST_WAIT_MS)
        if since is None or options.full_state:
            wait_ms = 0
        deadline = asyncio.get_running_loop().time() + wait_ms / 1000
        with self.presence.syncing(asker.user_id, asker.device_id, state):
            return await self._follow(request, asker, since, options, deadline)

    async def _follow(
        self, request: Asked, asker: Asker, since: SyncToken | None, options: Options, deadline: float
    ) -> ASGIApp:
        """Answer at once or as soon as there is something to tell, at the latest at a time of the loop."""
        while True:
            # Waiting begins before looking, so that nothing falls between.
            woken = self.notifier.wait(asker.user_id)
            try:
                found: SyncAnswer = await self.sync_service.answer(asker, since, options)
                left = deadline - asyncio.get_running_loop().time()
                if not found.empty or left <= 0:
                    return answer(found.body)
                ended = await self.waiting.wait(request, woken, left)
            finally:
                self.notifier.leave(asker.user_id, woken)
            if ended is Ended.LEFT:
                return LEFT
            if ended is Ended.STOPPING:
                return answer(found.body)

    def _options(self, request: Asked, user_id: str) -> Options:
        state_after = ""
        if request.query_flag("org.matrix.msc4222.use_state_after"):
            state_after = UNSTABLE_STATE_AFTER
        if request.query_flag("use_state_after"):
            state_after = "state_after"
        return Options(
            self._filter(request.query_text("filter"), user_id), request.query_flag("full_state"), state_after
        )

    def _filter(self, text: str | None, user_id: str) -> Filter:
        if not text:
            return Filter()
        try:
            return self.filters.parsed(user_id, text)
        except ValueError as error:
            raise invalid_param(f"The filter cannot be read: {error}") from error
