"""Rooms that servers share, put together: what others ask of them, and what is asked of others."""

import asyncio
import logging

from appliance.app.clock import now_ms
from appliance.app.federating import Federating
from appliance.app.living import Living
from appliance.app.owning import Owning
from appliance.federation.access import RoomAccess
from appliance.federation.catching import Catching
from appliance.federation.digging import Digging
from appliance.federation.edus import EduInbox
from appliance.federation.elsewhere import ThroughOthers
from appliance.federation.encryption_queues import ListUpdates, Messages
from appliance.federation.farewells import Farewells
from appliance.federation.handshakes import Handshakes
from appliance.federation.inbox import Inbox
from appliance.federation.invitations import Invitations
from appliance.federation.lookups import Lookups
from appliance.federation.making import Making
from appliance.federation.outlying import OutlyingRooms
from appliance.federation.past import Past
from appliance.federation.policing import Policing
from appliance.federation.remote import Remote
from appliance.federation.remote_keys import Chasing, RemoteKeys
from appliance.federation.retracting import Retracting
from appliance.federation.spaces import SpacesForServers
from appliance.federation.spreading import Spreading
from appliance.federation.telling import Telling
from appliance.federation.templates import Templates
from appliance.federation.times import TimesElsewhere
from appliance.rooms.incoming.backfilling import Backfilling
from appliance.rooms.outside import OutsideMemberships
from appliance.rooms.reading.elsewhere import ServerSight
from appliance.rooms.reading.reaching import ReachingBack

log = logging.getLogger("hearth.federation")


class Between:
    """Rooms that servers share.

    Args:
        owning: settings, keys and accounts.
        living: rooms and sync.
        federating: other servers.
    """

    def __init__(self, owning: Owning, living: Living, federating: Federating) -> None:
        database, identity = owning.database, living.identity
        graph, reads, signs, acts = living.graph, living.reads, living.signs, living.acts
        rooms = graph.rooms
        accepting, arriving, keyring = federating.accepting, federating.arriving, federating.keyring
        self.remote = Remote(federating.client)
        self.access = RoomAccess(rooms, identity)
        self.outside = OutsideMemberships(database, graph.numbers, graph.standings, now_ms)
        self.outside.changed.append(living.notifier.concern)
        sight = ServerSight(database, graph.store, graph.visibility, owning.accounts.erased)
        self.past = Past(database, self.access, sight, lambda: identity.server_name, now_ms)
        self.templates = Templates(self.access, acts.appender, acts.admitting)
        self.handshakes = Handshakes(database, self.access, accepting, acts.admitting, identity, living.reaching.outbox)
        self.invitations = Invitations(
            rooms, self.access, self.outside, keyring, identity, living.people.profiles, living.people.invite_rules
        )
        self.spaces = SpacesForServers(rooms, self.access, living.shown.facts, living.shown.children, identity)
        living.shown.spaces.neighbours = OutlyingRooms(self.remote, federating.policy.reaches)
        self.lookups = Lookups(self.remote, federating.policy.reaches)
        self.catching = Catching(
            database,
            rooms,
            self.access,
            accepting,
            arriving,
            federating.intake.naming,
            self.remote,
            Telling(database, self.remote),
            identity,
        )
        federating.awaited_keys.seeking = self.catching.seek
        living.reaching.standing.recovered.append(self.catching.wake)
        self.awaited_keys = federating.awaited_keys
        self.digging = Digging(
            database,
            self.access,
            Backfilling(federating.intake, accepting),
            accepting,
            self.remote,
            identity,
        )
        self.times = TimesElsewhere(database, rooms, self.access, reads.reading, self.digging, self.remote, identity)
        self.reaching = ReachingBack(database, reads.timeline, self.digging)
        self.edus = EduInbox(rooms, self.access, signs.typing, signs.receipts, signs.presence)
        spreading = Spreading(
            *(living.reaching.outbox, rooms, identity, self.access, signs.presence, living.neighbours.of_user)
        )
        signs.typing.said.append(spreading.typing)
        signs.receipts.changed.append(spreading.receipt)
        signs.presence.refreshed.append(spreading.presence)
        living.neighbours.met.append(spreading.met)
        living.neighbours.came.append(spreading.came)
        self.chasing = Chasing(living.encrypting.remote_lists.chase)
        self._carry_encryption(owning, living)
        self.inbox = Inbox(
            database,
            rooms,
            self.access,
            accepting,
            self.edus,
            self.catching,
            Retracting(self.outside, keyring, identity),
            identity,
            now_ms,
        )
        living.upkeep.housekeeping.others.extend((self.inbox.prune, living.reaching.standing.prune))
        acts.appender.endorsing = Policing(self.access, self.remote, owning.settings)
        making = Making(graph.store, acts.appender, identity, now_ms)
        self.farewells = Farewells(
            database,
            graph.standings,
            self.outside,
            making,
            self.remote,
            living.reaching.standing,
            federating.policy.reaches,
            acts.membership.leave,
            now_ms,
        )
        self.elsewhere = ThroughOthers(
            database,
            rooms,
            self.access,
            graph.standings,
            self.outside,
            accepting,
            arriving,
            making,
            self.remote,
            keyring,
            identity,
            federating.policy.reaches,
            acts.appender.endorsing,
            self.farewells,
            living.reaching.outbox.tell,
        )
        for act in (
            acts.membership,
            acts.knocking,
            acts.creation,
            acts.sending,
            acts.aliases,
        ):
            act.elsewhere = self.elsewhere
        self._accepting = accepting
        self._looking: asyncio.Task[None] | None = None

    def _carry_encryption(self, owning: Owning, living: Living) -> None:
        """Messages to devices and lists of devices, both ways."""
        encrypting, outbox = living.encrypting, living.reaching.outbox
        encrypting.remote.way = RemoteKeys(living.reaching.client)
        lists = encrypting.remote_lists
        self.edus.takers["m.direct_to_device"] = lambda origin, content: encrypting.to_device.receive(
            origin, dict(content)
        )
        self.edus.takers["m.device_list_update"] = lists.receive_update
        self.edus.takers["m.signing_key_update"] = lists.receive_keys
        updates = ListUpdates(
            owning.database, encrypting.local_lists, encrypting.remote.is_local, living.neighbours.of_user
        )
        updates.waiting.append(outbox.look)
        encrypting.lists.listeners.append(updates.changed)
        living.neighbours.met.append(updates.met)
        encrypting.to_device.outgoing.append(outbox.look)
        living.reaching.standing.recovered.append(lambda server: self.chasing.look())
        outbox.queues.extend((Messages(owning.database), updates))

    def start(self) -> None:
        """Go on with what waited before a restart."""
        self.chasing.start()
        self.farewells.start()
        self._looking = asyncio.get_running_loop().create_task(self._look(), name="looking at what waited")

    async def stop(self) -> None:
        """Let what is under way come to its end, or wait for the next start."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self.awaited_keys.stop()
        await self.catching.stop()
        await self.digging.stop()
        await self.chasing.stop()
        await self.farewells.stop()
        await self.inbox.stop()

    async def _look(self) -> None:
        for look in (self.inbox.look, self._accepting.look, self.awaited_keys.look):
            try:
                await look()
            except Exception:
                log.exception("What waited before the start could not all be looked at.")
        self.catching.look()
