"""The format that an event must have, before anything is asked about its meaning (room versions, "Event format")."""

import re
from typing import Any

from appliance.protocol import canonical
from appliance.protocol.identifiers import MAX_ID_BYTES, fits, is_event_id, is_room_id, is_user_id
from appliance.protocol.versions import RoomVersion

MAX_EVENT_BYTES = 65_536
"""The most bytes that an event may have as canonical JSON, signatures included (client-server API, "Size limits")."""
MAX_LEVELS = 200
"""How deep an event of another server's may be nested: less than what can be written (254), as answers hold it deeper
still."""
MAX_PREV_EVENTS = 20
MAX_AUTH_EVENTS = 10

_HASH_ROOM_ID = re.compile(r"![A-Za-z0-9_-]{43}")
_INT64 = 2**63 - 1


class InvalidEvent(Exception):  # noqa: N818 - a verdict, not a mishap
    """An event that is not one: the sentence says what is wrong with it. Such an event is dropped, not rejected."""


class EventTooLarge(InvalidEvent):
    """An event, or one of its identifiers, beyond the limits of size (``M_TOO_LARGE`` where a client sent it)."""


def check_format(
    version: RoomVersion, pdu: dict[str, Any], *, limit_references: bool = True, own: bool = False
) -> None:
    """Check an event in federation form, without ``unsigned``.

    Args:
        version: the version of the event's room.
        pdu: the event.
        limit_references: whether the limits of 20 previous and 10 auth events count; they do not for history that is
            backfilled.
        own: whether it is made here, and not by another server.

    Raises:
        InvalidEvent: with the first thing that is wrong. The size of the whole is not looked at here.
    """
    if version.strict_json and not canonical.is_strict(pdu):
        raise InvalidEvent("The event holds a float, or an integer that is not between -(2^53)+1 and (2^53)-1.")
    characters = not own and not version.byte_limits
    kind = _text(pdu, "type", characters)
    sender = _text(pdu, "sender")
    if not is_user_id(sender):
        raise InvalidEvent("The event's sender is not a user id.")
    if "state_key" in pdu:
        _text(pdu, "state_key", characters)
    _object(pdu, "content")
    _check_room_id(version, pdu, kind)
    _check_event_id(version, pdu)
    _integer(pdu, "depth", 0, version.max_depth)
    _integer(pdu, "origin_server_ts", -_INT64, _INT64)
    if not isinstance(_object(pdu, "hashes").get("sha256"), str):
        raise InvalidEvent("The event has no SHA-256 hash of its content.")
    if not all(isinstance(signatures, dict) for signatures in _object(pdu, "signatures").values()):
        raise InvalidEvent("The event's signatures are not objects by server name.")
    for name, limit in (("prev_events", MAX_PREV_EVENTS), ("auth_events", MAX_AUTH_EVENTS)):
        references = _check_references(version, pdu, name)
        if limit_references and references > limit:
            raise InvalidEvent(f"The event has {references} {name}; at most {limit} are allowed.")


def check_size(json: bytes) -> None:
    """Refuse an event whose canonical JSON is too long.

    Raises:
        EventTooLarge: beyond 65,536 bytes.
    """
    if len(json) > MAX_EVENT_BYTES:
        raise EventTooLarge(f"The event has {len(json)} bytes; at most {MAX_EVENT_BYTES} are allowed.")


def check_depth(pdu: dict[str, Any], json: bytes) -> None:
    """Refuse an event, given with its JSON, that is nested too deep.

    Raises:
        InvalidEvent: beyond 200 levels.
    """
    if canonical.is_deeper(pdu, json, MAX_LEVELS):
        raise InvalidEvent(f"The event is nested more than {MAX_LEVELS} levels deep.")


def _text(pdu: dict[str, Any], name: str, characters: bool = False) -> str:
    """A text of at most 255 bytes, or characters; what is no Unicode among those is found when it is encoded."""
    value = pdu.get(name)
    if not isinstance(value, str):
        raise InvalidEvent(f"The event has no {name}, or one that is not text.")
    if not (len(value) <= MAX_ID_BYTES if characters else fits(value)):
        raise EventTooLarge(f"The event's {name} is longer than {MAX_ID_BYTES} bytes, or not Unicode.")
    return value


def _object(pdu: dict[str, Any], name: str) -> dict[str, Any]:
    value = pdu.get(name)
    if not isinstance(value, dict):
        raise InvalidEvent(f"The event has no {name}, or one that is not an object.")
    return value


def _integer(pdu: dict[str, Any], name: str, lowest: int, highest: int) -> None:
    value = pdu.get(name)
    # True and False are integers to Python, but not to JSON.
    if type(value) is not int:
        raise InvalidEvent(f"The event has no {name}, or one that is not an integer.")
    if not lowest <= value <= highest:
        raise InvalidEvent(f"The event's {name} is out of range.")


def _check_room_id(version: RoomVersion, pdu: dict[str, Any], kind: str) -> None:
    if version.hash_room_ids:
        if kind == "m.room.create":
            if "room_id" in pdu:
                raise InvalidEvent("A create event of this room version must have no room_id: its hash is the id.")
        elif _HASH_ROOM_ID.fullmatch(_text(pdu, "room_id")) is None:
            raise InvalidEvent("The event's room_id is not the hash of a create event.")
        return
    room_id = _text(pdu, "room_id")
    if ":" not in room_id or not is_room_id(room_id):
        raise InvalidEvent("The event's room_id is not a room id with a domain.")


def _check_event_id(version: RoomVersion, pdu: dict[str, Any]) -> None:
    if version.event_ids != "field":
        return
    event_id = _text(pdu, "event_id")
    if ":" not in event_id or not is_event_id(event_id):
        raise InvalidEvent("The event's event_id is not an event id with a domain.")


def _check_references(version: RoomVersion, pdu: dict[str, Any], name: str) -> int:
    """Check the form of a list of references to other events; how many they are."""
    references = pdu.get(name)
    if not isinstance(references, list):
        raise InvalidEvent(f"The event has no {name}, or one that is not a list.")
    event_ids = references
    if version.hashed_references:
        for reference in references:
            if not (isinstance(reference, list) and len(reference) == 2 and isinstance(reference[1], dict)):
                raise InvalidEvent(f"The event's {name} are not pairs of an event id and its hashes.")
        event_ids = [reference[0] for reference in references]
    for event_id in event_ids:
        if not (isinstance(event_id, str) and is_event_id(event_id)):
            raise InvalidEvent(f"The event's {name} hold something that is not an event id.")
    return len(references)
