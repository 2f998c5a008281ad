"""Simplified sliding sync (MSC4186), in the form that clients speak today and in the accepted one."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from litestar import Controller
from litestar.types import ASGIApp

from appliance.api.client.following import Follower, Following, Made
from appliance.errors import invalid_param
from appliance.rooms.reading.serving import Asker
from appliance.rooms.signs.presence import STATES, Presence
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.storage.tokens import ConnectionToken, read_connection
from appliance.sync.encryption import EncryptionParts
from appliance.sync.lineage import Lineage
from appliance.sync.sliding import accepted, deployed
from appliance.sync.sliding.connections import unknown_pos
from appliance.sync.sliding.service import Answered, SlidingSync
from appliance.sync.sliding.wishes import Wishes

LONGEST_WAIT_MS = 120_000


class SlidingSyncApi(Controller):
    """What happened since, in the rooms that a client looks at."""

    encryption: EncryptionParts
    following: Following
    lineage: Lineage
    presence: Presence
    requests: deployed.Requests
    sliding: SlidingSync

    @endpoint("POST", "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync", suspended=True)
    async def deployed(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync

        Answers what the client does not know yet of the rooms in its windows, and waits for it up to ``timeout``
        milliseconds.
        """
        user_id, content = request.requester.user_id, await request.body_bytes()
        known = self.requests.find(user_id, content)
        if known is None:
            asked = await request.struct(deployed.DeployedRequest)
            known = asked, deployed.wishes(asked, user_id)
            self.requests.note(user_id, content, *known)
        body, wishes = known
        wait_ms = request.query_int("timeout", 0, highest=LONGEST_WAIT_MS)
        token = _token(request.query_text("pos"))
        with self._syncing(request, request.query_text("set_presence")):
            return await self._answer(
                request, token, wishes, wait_ms, lambda answered: deployed.render(answered, body), body.txn_id
            )

    @endpoint("POST", "/_matrix/client/unstable/org.matrix.msc4186/sync", "/_matrix/client/v4/sync", suspended=True)
    async def accepted(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v4/sync

        As the above, in the form that was accepted into the specification.
        """
        body = await request.struct(accepted.AcceptedRequest)
        wait_ms = min(body.timeout or 0, LONGEST_WAIT_MS)
        with self._syncing(request, body.set_presence):
            return await self._answer(request, _token(body.pos), accepted.wishes(body), wait_ms, accepted.render)

    def _syncing(self, request: Asked, wanted: str | None) -> AbstractContextManager[None]:
        """Say by the request what its user is: online, unless it says otherwise."""
        state = next((known for known in STATES if known == (wanted or "online")), None)
        if state is None:
            raise invalid_param(f"set_presence must be one of {', '.join(STATES)}.")
        return self.presence.syncing(request.requester.user_id, request.requester.device_id, state)

    async def _answer(
        self,
        request: Asked,
        token: ConnectionToken | None,
        wishes: Wishes,
        wait_ms: int,
        render: Callable[[Answered], bytes],
        txn_id: str | None = None,
    ) -> ASGIApp:
        asker = Asker(request.requester.user_id, request.requester.device_id)
        if token is not None and not self.lineage.knows(token.boot, token.position):
            raise unknown_pos()
        connection = await self.sliding.connection(asker, wishes.connection, token)

        async def make() -> Made:
            found = await self.sliding.answer(connection, asker, token, wishes)
            goes_on = self.sliding.place(asker, found.token, wishes) if found.whole else None
            return Made(lambda: render(found), found.empty, goes_on)

        def beside() -> object:
            return txn_id, self.encryption.keys_left(asker)

        asked = None if token is None else self.sliding.place(asker, token, wishes)
        key = asker.user_id, asker.device_id, wishes.connection
        overtaken = connection.take_over()
        wait_ms = 0 if token is None else wait_ms
        return await self.following.answer(Follower(request, key, asked, wait_ms, make, beside, overtaken))


def _token(pos: str | None) -> ConnectionToken | None:
    if not pos:
        return None
    token = read_connection(pos)
    if token is None:
        raise unknown_pos()
    return token
