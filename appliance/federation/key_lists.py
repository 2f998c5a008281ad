"""The devices and cross-signing keys of one user of another server, as they are kept."""

from typing import Any

import orjson

from appliance.protocol.identifiers import fits

MOST_DEVICES = 2000
"""Of one user; whoever has more is known by the first ones."""

Keys = dict[str, Any]


class KeyList:
    """One user's list.

    Args:
        devices: the identity keys by device.
        master: the master key, or None.
        self_signing: the self-signing key, or None.
        stream_id: the version, where it was just told.
    """

    __slots__ = ("_devices", "_master", "_self_signing", "stream_id")

    def __init__(
        self, devices: dict[str, Keys], master: Keys | None, self_signing: Keys | None, stream_id: int = 0
    ) -> None:
        self._devices = devices
        self._master = master
        self._self_signing = self_signing
        self.stream_id = stream_id

    @classmethod
    def read(cls, json: bytes) -> "KeyList":
        """A list as it was kept."""
        value = orjson.loads(json)
        return cls(value["devices"], value.get("master"), value.get("self_signing"))

    @classmethod
    def of_answer(cls, user_id: str, answer: Any) -> "KeyList":
        """The answer of ``/user/devices``; raises ``ValueError`` for one that is not of its shape."""
        if not isinstance(answer, dict) or answer.get("user_id", user_id) != user_id:
            raise ValueError("it is the list of somebody else")
        devices, stream_id = answer.get("devices"), answer.get("stream_id")
        if not isinstance(devices, list) or not isinstance(stream_id, int) or isinstance(stream_id, bool):
            raise ValueError("it has no devices or no version")
        found = cls({}, None, None, stream_id)
        for device in devices[:MOST_DEVICES]:
            if isinstance(device, dict) and is_device(device.get("device_id")):
                found.put(user_id, device["device_id"], device.get("keys"))
        found.put_signing(user_id, answer.get("master_key"), answer.get("self_signing_key"))
        return found

    def json(self) -> bytes:
        """The list to be kept."""
        kept: dict[str, Any] = {"devices": self._devices}
        for name, key in (("master", self._master), ("self_signing", self._self_signing)):
            if key is not None:
                kept[name] = key
        return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)

    def put(self, user_id: str, device_id: str, keys: Any) -> None:
        """Replace a device; None for one that is gone. Keys that are not that device's count as none."""
        if isinstance(keys, dict) and keys.get("user_id") == user_id and keys.get("device_id") == device_id:
            self._devices[device_id] = without_unsigned(keys)
        else:
            self._devices.pop(device_id, None)

    def put_signing(self, user_id: str, master: Any, self_signing: Any) -> None:
        """Replace the cross-signing keys, those that are given and are that user's."""
        if isinstance(master, dict) and master.get("user_id") == user_id:
            self._master = master
        if isinstance(self_signing, dict) and self_signing.get("user_id") == user_id:
            self._self_signing = self_signing

    def add_to(self, answer: dict[str, dict[str, Any]], user_id: str, device_ids: list[str]) -> None:
        """Add the list, or some of its devices, to an answer of ``/keys/query``."""
        wanted = device_ids or list(self._devices)
        answer["device_keys"][user_id] = {one: self._devices[one] for one in wanted if one in self._devices}
        if self._master is not None:
            answer["master_keys"][user_id] = self._master
        if self._self_signing is not None:
            answer["self_signing_keys"][user_id] = self._self_signing


def is_device(device_id: object) -> bool:
    """Whether this can be the id of a device."""
    return isinstance(device_id, str) and device_id != "" and fits(device_id)


def without_unsigned(keys: Keys) -> Keys:
    """A device's keys without what nobody signed."""
    return {name: value for name, value in keys.items() if name != "unsigned"}
