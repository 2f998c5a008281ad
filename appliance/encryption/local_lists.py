"""What other servers are told of the devices of local users (server-server API, "Device Management")."""

from typing import Any

import orjson

from appliance.encryption.queries import Queries, Wanted
from appliance.settings import Settings
from appliance.storage import cross_signing as cross_rows
from appliance.storage import device_lists as rows
from appliance.storage.database import Database
from appliance.storage.device_keys import all_keys, device_name
from appliance.storage.device_lists import DeviceUpdate

MOST_UPDATES = 100


class LocalLists:
    """Tells other servers of local users' devices.

    Args:
        database: where they are.
        queries: what is served of users.
        settings: whether the names of devices are told, read at use. Many name the person, the place or the model.
    """

    def __init__(self, database: Database, queries: Queries, settings: Settings) -> None:
        self._database = database
        self._queries = queries
        self._settings = settings

    async def keys(self, wanted: Wanted) -> dict[str, orjson.Fragment]:
        """The answer to ``POST /_matrix/federation/v1/user/keys/query``; see ``Queries.query_local``."""
        return await self._queries.query_local(wanted, named=self._settings.federation_device_names)

    def devices(self, user_id: str) -> dict[str, Any]:
        """The answer to ``GET /_matrix/federation/v1/user/devices/{userId}``."""
        # First the number, then the list: what changes in between is told by an update with a higher one.
        answer: dict[str, Any] = {"user_id": user_id, "stream_id": rows.last_update(self._database, user_id)}
        devices = []
        for device in all_keys(self._database, (user_id,)).get(user_id, ()):
            told: dict[str, Any] = {"device_id": device.device_id, "keys": orjson.Fragment(device.json)}
            if device.display_name is not None and self._settings.federation_device_names:
                told["device_display_name"] = device.display_name
            devices.append(told)
        answer["devices"] = devices
        answer.update(self._keys(user_id))
        return answer

    def updates(self, after: int, upto: int, limit: int = MOST_UPDATES) -> list[DeviceUpdate]:
        """The changes of local users' devices in ``after < position <= upto``, earliest first: the last of each
        device alone. What they say is made when they are sent, see ``edu``.
        """
        return rows.updates(self._database, after, upto, limit)

    def updates_of(self, user_id: str, limit: int = MOST_UPDATES) -> list[DeviceUpdate]:
        """The last change of each device of a local user, earliest first, for a server that was told of none before."""
        return rows.updates_of(self._database, user_id, limit)

    def edu(self, update: DeviceUpdate) -> tuple[str, dict[str, Any]]:
        """The type and the content of the EDU that tells of a change, with everything as it is now.

        Returns:
            an ``m.device_list_update``, or for the user's cross-signing keys an ``m.signing_key_update``.
        """
        if not update.device_id:
            return "m.signing_key_update", {"user_id": update.user_id, **self._keys(update.user_id)}
        content: dict[str, Any] = {
            "user_id": update.user_id,
            "device_id": update.device_id,
            "stream_id": update.position,
            "prev_id": [update.previous] if update.previous else [],
        }
        there, name = device_name(self._database, update.user_id, update.device_id)
        if not there:
            return "m.device_list_update", {**content, "deleted": True}
        if name is not None and self._settings.federation_device_names:
            content["device_display_name"] = name
        keys = self._queries.of(update.user_id).devices.get(update.device_id)
        if keys is not None:
            told = orjson.loads(keys)
            told.pop("unsigned", None)
            content["keys"] = told
        return "m.device_list_update", content

    def _keys(self, user_id: str) -> dict[str, Any]:
        keys = cross_rows.keys_of(self._database, user_id)
        return {f"{usage}_key": orjson.loads(keys[usage].json) for usage in ("master", "self_signing") if usage in keys}
