"""Devices as their user sees them: list, look, name. Deleting them is the business of sessions."""

import msgspec

from appliance.accounts.sessions import Sessions, check_device
from appliance.errors import not_found
from appliance.storage import devices
from appliance.storage.database import Database, Tx
from appliance.storage.devices import Device


class Devices:
    """The devices of this server's users.

    Args:
        database: hearth.db.
        sessions: knows when a device was last seen, before that is written.
    """

    def __init__(self, database: Database, sessions: Sessions) -> None:
        self._database = database
        self._sessions = sessions

    async def list(self, user_id: str) -> "list[Device]":
        """Every device of a user, by id."""
        return [self._fresh(device) for device in await devices.all_devices(self._database, user_id)]

    def get(self, user_id: str, device_id: str) -> Device:
        """One device of a user.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND``.
        """
        device = devices.find_device(self._database, user_id, device_id)
        if device is None:
            raise _unknown()
        return self._fresh(device)

    async def rename(self, user_id: str, device_id: str, display_name: str) -> None:
        """Name a device.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND``, 400 ``M_INVALID_PARAM`` for a name of more than 255 characters.
        """
        check_device("", display_name)

        def work(tx: Tx) -> bool:
            if not devices.rename_device(tx, user_id, device_id, display_name):
                return False
            self._sessions.changing(tx, user_id, device_id)
            return True

        def published(done: bool) -> None:
            if done:
                self._sessions.changed(user_id, device_id)

        if not await self._database.write(work, published=published):
            raise _unknown()

    def _fresh(self, device: Device) -> Device:
        seen = self._sessions.last_seen(device.session_id)
        return device if seen is None else msgspec.structs.replace(device, last_seen_ts=seen[0], last_seen_ip=seen[1])


def _unknown() -> Exception:
    return not_found("You have no such device.")
