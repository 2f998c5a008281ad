"""How many keys a device has left: what every sync tells, so kept in memory."""

from collections.abc import Mapping

from msgspec import Struct

from appliance.encryption.key_objects import SIGNED_CURVE25519
from appliance.storage import device_keys
from appliance.storage.database import Database
from appliance.storage.lru import Lru

DEVICES_KEPT = 2_000


class KeyCounts(Struct, frozen=True):
    """What is left.

    Args:
        one_time: how many one-time keys, by algorithm.
        unused_fallback: the algorithms whose fallback key was not given out yet.
    """

    one_time: dict[str, int]
    unused_fallback: list[str]


class Counts:
    """The numbers of keys of the devices in use.

    Args:
        database: where the keys are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Lru[tuple[str, str], KeyCounts] = Lru(DEVICES_KEPT)

    def of(self, user_id: str, device_id: str) -> KeyCounts:
        """What a device has left."""
        known = self._known.get((user_id, device_id))
        if known is None:
            known = told(*device_keys.counts(self._database, user_id, device_id))
            self._known.put((user_id, device_id), known)
        return known

    def uploaded(self, user_id: str, device_id: str, one_time: Mapping[str, int]) -> None:
        """Take note of how many one-time keys a device has now, its fallback keys being what they were; called as the
        change is published.
        """
        known = self._known.get((user_id, device_id))
        if known is not None:
            self._known.put((user_id, device_id), told(one_time, known.unused_fallback))

    def changed(self, user_id: str, device_id: str) -> None:
        """Take note that a device's keys changed; called as the change is published."""
        self._known.drop((user_id, device_id))


def told(one_time: Mapping[str, int], unused_fallback: list[str]) -> KeyCounts:
    """What clients are told: the algorithm that they all use also where the number is zero, since some wait for it."""
    return KeyCounts({SIGNED_CURVE25519: 0, **one_time}, unused_fallback)
