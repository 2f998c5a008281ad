"""The way to other servers, put together: who is asked, how it goes with them, and what is sent to them."""

from appliance.app.clock import now_ms
from appliance.app.owning import Owning
from appliance.federation.client import FederationClient
from appliance.federation.keys import ServerIdentity
from appliance.federation.outbox import Outbox
from appliance.federation.policy import Policy
from appliance.federation.standing import Standing
from appliance.rooms.store import EventStore


class Reaching:
    """The way to other servers, below the rooms' own services: the outbox is told of every event.

    Args:
        owning: settings and keys.
        identity: as whom this server speaks.
        store: the events.
    """

    def __init__(self, owning: Owning, identity: ServerIdentity, store: EventStore) -> None:
        database, settings = owning.database, owning.settings
        self.policy = Policy(settings)
        self.client = FederationClient(settings, identity, self.policy)
        self.standing = Standing(database, now_ms)
        self.client.watch = self.standing
        self.standing.recovered.append(self.client.discovery.doubt)
        self.outbox = Outbox(database, store, identity, self.policy, self.client, self.standing, now_ms)

    async def start(self) -> None:
        """Take in what was to be sent, before anything else happens; it is sent when ``release`` is called."""
        await self.outbox.start(held=True)

    def release(self) -> None:
        """Go on with what was to be sent: others can reach us by now."""
        self.outbox.release()
        if self.policy.enabled:
            self.client.prepare()

    async def stop(self) -> None:
        """Send no more, and let go of the connections."""
        await self.outbox.stop()
        self.client.close()
