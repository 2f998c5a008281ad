"""What one request sends to devices: read, checked and made ready in one pass, since it may be for many."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import orjson
from msgspec import Struct

from appliance.encryption.key_objects import encoded_bytes
from appliance.encryption.remote import by_server
from appliance.errors import MatrixError, bad_json, too_large
from appliance.storage import to_device as rows

MAX_MESSAGE_BYTES = 65_536
MOST_DEVICES = 5_000
"""Devices that one request may name."""

Key = tuple[str, str]
"""User and device."""


class Parcel(Struct, frozen=True):
    """Messages for local devices that are there.

    Args:
        keys: for whom, each once.
        messages: to each its message, as sync tells it.
        packed: all of that as it is kept.
    """

    keys: list[Key]
    messages: list[bytes]
    packed: bytes

    @property
    def users(self) -> Iterable[str]:
        """The users, each once."""
        return dict.fromkeys(user_id for user_id, _ in self.keys)

    def only(self, there: AbstractSet[Key]) -> "Parcel":
        """The same for some of the devices."""
        left = [(key, message) for key, message in zip(self.keys, self.messages, strict=True) if key in there]
        return parcel([key for key, _ in left], [message for _, message in left])


EMPTY = Parcel([], [], b"")


def parcel(keys: list[Key], messages: list[bytes]) -> Parcel:
    """A parcel of messages, one for each device; the devices of a user stand together."""
    return Parcel(keys, messages, rows.packed(keys, messages)) if keys else EMPTY


def read(
    sender: str, type_: str, value: Any, server_name: str, devices: Callable[[str], AbstractSet[str]]
) -> tuple[Parcel, dict[str, dict[str, Any]]]:
    """The messages of a request.

    Args:
        sender: who sends them.
        type_: the type of all.
        value: user to device, or ``*`` for all that are not named, to content.
        server_name: the name of this server.
        devices: the devices of a local user; messages to others are dropped.

    Returns:
        those for local devices; and by other servers what is for their users, as it was sent.

    Raises:
        MatrixError: ``M_BAD_JSON`` for another shape, ``M_TOO_LARGE``.
    """
    if not isinstance(value, dict):
        raise _misshapen()
    # Before anything is looked up: one request can name tens of thousands.
    if sum([len(own) for own in value.values() if type(own) is dict]) > MOST_DEVICES:
        raise too_large(f"At most {MOST_DEVICES} devices can be sent to at once.")
    before = b'{"sender":' + orjson.dumps(sender) + b',"type":' + orjson.dumps(type_) + b',"content":'
    keys: list[Key] = []
    messages: list[bytes] = []
    others: dict[str, Any] = {}
    for user_id, own in value.items():
        if type(own) is not dict:
            raise _misshapen()
        if user_id.partition(":")[2] != server_name:
            others[user_id] = _checked(own)
            continue
        there = devices(user_id)
        for_all = None
        for device_id, content in own.items():
            message = _message(before, content)
            if device_id in there:
                keys.append((user_id, device_id))
                messages.append(message)
            elif device_id == "*":
                for_all = message
        if for_all is not None:
            for device_id in there:
                if device_id not in own:
                    keys.append((user_id, device_id))
                    messages.append(for_all)
    return parcel(keys, messages), by_server(others, lambda _: False)[1] if others else {}


def _checked(own: dict[str, Any]) -> dict[str, Any]:
    if not all(type(content) is dict for content in own.values()):
        raise _misshapen()
    return own


def _message(before: bytes, content: Mapping[str, Any]) -> bytes:
    if type(content) is not dict:
        raise _misshapen()
    try:
        message = before + orjson.dumps(content) + b"}"
    except TypeError:  # whole numbers beyond 64 bits
        message = before + encoded_bytes(content) + b"}"
    if len(message) > MAX_MESSAGE_BYTES:
        raise too_large(f"A message to a device may have at most {MAX_MESSAGE_BYTES} bytes.")
    return message


def _misshapen() -> MatrixError:
    return bad_json("messages must be an object of user ids to an object of device ids to objects.")
