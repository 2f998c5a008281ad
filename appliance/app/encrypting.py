"""Encryption, put together."""

from appliance.app.clock import now_ms
from appliance.app.owning import Owning
from appliance.encryption.backups import Backups
from appliance.encryption.claims import Claims
from appliance.encryption.counts import Counts
from appliance.encryption.cross_signing import CrossSigning
from appliance.encryption.dehydration import Dehydration
from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.devices import Devices
from appliance.encryption.inbox import Inbox
from appliance.encryption.local_lists import LocalLists
from appliance.encryption.queries import Queries
from appliance.encryption.remote import RemoteWay
from appliance.encryption.remote_lists import RemoteLists
from appliance.encryption.signatures import Signatures
from appliance.encryption.to_device import ToDevice
from appliance.encryption.uploads import Uploads
from appliance.rooms.signs.company import Company
from appliance.rooms.standings import Standings
from appliance.sync.encryption import EncryptionParts
from appliance.sync.notifier import Notifier


class Encrypting:
    """The keys that this server keeps and the messages that it carries.

    Args:
        owning: settings and accounts.
        standings: who is where.
        company: who shares a room with whom.
        notifier: wakes those who wait.
    """

    def __init__(
        self,
        owning: Owning,
        standings: Standings,
        company: Company,
        notifier: Notifier,
    ) -> None:
        self.database = database = owning.database
        self.remote = RemoteWay(lambda: owning.settings.server_name)
        self.lists = DeviceLists(database, standings)
        self.counts = Counts(database)
        self.inbox = Inbox(database)
        self.remote_lists = RemoteLists(database, self.lists, self.remote, now_ms)
        self.queries = Queries(database, self.remote.is_local, self.remote_lists)
        self.local_lists = LocalLists(database, self.queries, owning.settings)
        self.uploads = Uploads(database, self.lists, self.counts)
        self.cross_signing = CrossSigning(database, self.lists, now_ms)
        self.signatures = Signatures(database, self.lists)
        self.claims = Claims(database, self.counts, self.remote)
        self.to_device = ToDevice(database, self.inbox, self.remote, now_ms)
        self.backups = Backups(database)
        self.dehydration = Dehydration(database, owning.sessions, self.lists, self.counts, self.inbox, now_ms)
        self.parts = EncryptionParts(self.inbox, self.lists, self.counts)
        devices = Devices(database, self.lists, self.queries, self.counts, self.inbox)
        owning.sessions.listeners.append(devices)
        owning.sessions.change_listeners.append(devices)
        owning.accounts.deactivating.append(devices.deactivating)
        owning.accounts.deactivated.append(devices.deactivated)
        self.lists.listeners.append(self.inbox.changed)
        self.lists.listeners.append(self.queries.forget)
        self.lists.listeners.append(lambda user_id: notifier.devices(user_id, company))
        self.lists.signers.append(self.queries.forget)
        self.lists.signers.append(notifier.concern)
        self.to_device.arrived.append(notifier.concern_all)
