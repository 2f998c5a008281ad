"""Dehydrated devices (MSC3814): a device that only gets messages, which a later login reads with the keys in its data.

It is a device like others: it has keys and a name, it is listed, and it goes with ``/delete_devices`` and with a logout
of all devices. The messages that wait for it are told again as often as they are asked for, and go with it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from msgspec import Struct

from appliance.accounts.sessions import Sessions, check_device
from appliance.encryption.counts import Counts
from appliance.encryption.cross_signing import check_device_id
from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.inbox import AT_ONCE, Inbox
from appliance.encryption.key_objects import (
    MOST_ALGORITHMS,
    MOST_ONE_TIME_KEYS,
    encoded,
    read_device_keys,
    read_prekeys,
)
from appliance.encryption.uploads import store_keys
from appliance.errors import MatrixError, bad_json, forbidden, invalid_param, missing_param, not_found, too_large
from appliance.storage import dehydrated_devices as rows
from appliance.storage.database import Database, Tx
from appliance.storage.device_lists import last_change, note_update

MAX_DATA_BYTES = 256 * 1024


class _Done(Struct, frozen=True):
    refusal: MatrixError | None = None
    gone: list[str] = []


class Dehydration:
    """The dehydrated devices of local users.

    Args:
        database: where they are.
        sessions: deletes devices.
        lists: told of changed lists.
        counts: told of the keys of new devices.
        inbox: what waits for them.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        sessions: Sessions,
        lists: DeviceLists,
        counts: Counts,
        inbox: Inbox,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._lists = lists
        self._counts = counts
        self._inbox = inbox
        self._now_ms = now_ms

    async def put(self, user_id: str, body: Mapping[str, Any]) -> str:
        """Make a dehydrated device with its keys in place of the one before; all at once, or nothing.

        Returns:
            its id.

        Raises:
            MatrixError: ``M_MISSING_PARAM``, ``M_BAD_JSON``, ``M_INVALID_PARAM``, ``M_TOO_LARGE``; as uploading keys.
        """
        device_id, data, name = _described(body)
        identity = read_device_keys(body["device_keys"], user_id, device_id)
        one_time = read_prekeys(body.get("one_time_keys"), "one_time_keys", MOST_ONE_TIME_KEYS)
        fallback = read_prekeys(body.get("fallback_keys"), "fallback_keys", MOST_ALGORITHMS)
        now_ms = self._now_ms()

        def work(tx: Tx) -> _Done:
            before = rows.find(tx, user_id)
            if rows.exists(tx, user_id, device_id) and (before is None or before[0] != device_id):
                return _Done(invalid_param("Another device of yours has this id."))
            check_device_id(tx, user_id, device_id)
            gone = self._sessions.delete(tx, user_id, [before[0]]) if before is not None else []
            rows.put(tx, user_id, device_id, data, name, now_ms)
            note_update(tx, user_id, device_id)
            stored = store_keys(tx, user_id, device_id, identity, one_time, fallback)
            if stored.refusal is not None:
                # Not reached with a new device; what was written before must not stay.
                raise stored.refusal
            return _Done(None, gone)

        def published(done: _Done) -> None:
            if done.refusal is None:
                self._sessions.ended(user_id, done.gone)
                self._counts.changed(user_id, device_id)
                self._lists.changed(user_id, last_change(self._database, user_id))

        done = await self._database.write(work, published=published)
        if done.refusal is not None:
            raise done.refusal
        return device_id

    def get(self, user_id: str) -> tuple[str, str]:
        """(device id, its data as JSON) of a user's dehydrated device.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND``.
        """
        found = rows.find(self._database, user_id)
        if found is None:
            raise not_found("You have no dehydrated device.")
        return found

    async def delete(self, user_id: str) -> str:
        """Delete a user's dehydrated device; answers its id. Raises as ``get``."""
        device_id, _ = self.get(user_id)
        await self._sessions.delete_devices(user_id, [device_id])
        return device_id

    def events(self, user_id: str, device_id: str, after: int, limit: int) -> tuple[list[orjson.Fragment], int, bool]:
        """The messages that wait for a user's dehydrated device; asking takes nothing away.

        Args:
            user_id: the user.
            device_id: the device, which must be that one.
            after: the position after which to begin.
            limit: how many at most.

        Returns:
            the messages as JSON, the position to go on from, and whether there are more.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND`` without a dehydrated device, 403 ``M_FORBIDDEN`` for another device.
        """
        if self.get(user_id)[0] != device_id:
            raise forbidden("This is not your dehydrated device.")
        upto = self._database.position
        messages, cursor = self._inbox.messages(user_id, device_id, after, upto, max(1, min(limit, AT_ONCE)))
        return [orjson.Fragment(message) for message in messages], cursor, cursor < upto


def _described(body: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """The id, data and name of a device in a request."""
    for name in ("device_id", "device_data", "device_keys"):
        if name not in body:
            raise missing_param(f"{name} is missing.")
    device_id, data, display_name = (
        body.get(name) for name in ("device_id", "device_data", "initial_device_display_name")
    )
    if not isinstance(device_id, str) or not device_id or not isinstance(data, dict):
        raise bad_json("device_id must be a string, device_data an object.")
    if display_name is not None and not isinstance(display_name, str):
        raise bad_json("initial_device_display_name must be a string.")
    check_device(device_id, display_name)
    json = encoded(data)
    if len(json) > MAX_DATA_BYTES:
        raise too_large(f"The data of a dehydrated device may have at most {MAX_DATA_BYTES} bytes.")
    return device_id, json, display_name
