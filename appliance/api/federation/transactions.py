"""Transactions (server-server API, "Transactions")."""

from litestar import Controller
from litestar.types import ASGIApp

from appliance.errors import invalid_param
from appliance.federation.inbox import Inbox
from appliance.protocol.canonical import DEEPEST
from appliance.protocol.identifiers import fits
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access

MAX_BODY = 12 * 1024 * 1024
"""Fifty events and a hundred other things, each as large as may be."""


class TransactionsApi(Controller):
    """What other servers push."""

    inbox: Inbox

    @endpoint("PUT", "/_matrix/federation/v1/send/{transaction_id:str}", access=Access.SERVER, max_body=MAX_BODY)
    async def send(self, request: Asked, transaction_id: str) -> ASGIApp:
        """PUT /_matrix/federation/v1/send/{txnId}

        Takes a transaction, and says of each event what was wrong with it.
        """
        if not fits(transaction_id):
            raise invalid_param("The id of a transaction may have at most 255 bytes.")
        transaction = await request.object(max_depth=DEEPEST)
        return answer(await self.inbox.receive(request.requester.server, transaction_id, transaction))
