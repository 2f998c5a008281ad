"""What becomes of devices: new ones, renamed ones and deleted ones change their user's list of devices."""

from appliance.encryption.counts import Counts
from appliance.encryption.cross_signing import ED25519, check_device_id, without_signature
from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.inbox import Inbox
from appliance.encryption.queries import Queries
from appliance.storage import cross_signing, key_backups
from appliance.storage.database import Database, Tx
from appliance.storage.device_lists import last_change, note_update


class Devices:
    """Follows the devices of local users; told by accounts.

    A device's keys refer to it and go with it; here goes what does not.

    Args:
        database: where everything is.
        lists: told of changed lists.
        queries: told of what is served no more.
        counts: the same.
        inbox: the same.
    """

    def __init__(self, database: Database, lists: DeviceLists, queries: Queries, counts: Counts, inbox: Inbox) -> None:
        self._database = database
        self._lists = lists
        self._queries = queries
        self._counts = counts
        self._inbox = inbox

    @staticmethod
    def deactivating(tx: Tx, user_id: str) -> None:
        """Delete, in the unit that ends an account, its keys, signatures and backups; its devices go by themselves."""
        cross_signing.delete_of_user(tx, user_id)
        key_backups.delete(tx, user_id)
        note_update(tx, user_id, "")

    def deactivated(self, user_id: str) -> None:
        """Publish that an account has ended."""
        self.changed(user_id, "")

    def changing(self, tx: Tx, user_id: str, device_id: str) -> None:
        """Note, in the unit that makes or renames a device, that the list changes; raises as ``check_device_id``."""
        check_device_id(tx, user_id, device_id)
        note_update(tx, user_id, device_id)

    def changed(self, user_id: str, device_id: str) -> None:
        """Publish that a list changed."""
        self._queries.forget(user_id)
        self._lists.changed(user_id, last_change(self._database, user_id))

    def deleting(self, tx: Tx, user_id: str, device_id: str) -> None:
        """Delete, in the unit that deletes a device, what waits for it and what it signed; the list changes."""
        master = cross_signing.keys_of(tx, user_id).get("master")
        if master is not None:
            json = without_signature(master.json, user_id, f"{ED25519}{device_id}")
            if json is not None:
                cross_signing.put_key(tx, user_id, "master", master.key_id, json)
        self._inbox.deleting(tx, user_id, device_id, note_update(tx, user_id, device_id))

    def deleted(self, user_id: str, device_id: str) -> None:
        """Publish that a device is gone."""
        self._counts.changed(user_id, device_id)
        self._inbox.deleted(user_id, device_id)
        self.changed(user_id, device_id)
