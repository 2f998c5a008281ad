"""The grammar and the limits of Matrix identifiers (appendices, "Identifier Grammar").

All lengths are in bytes of UTF-8. What has an owner is checked loosely where the specification demands it: user ids of
old rooms may hold nearly any character, and ids of rooms and events are opaque.
"""

import ipaddress
import re
from functools import lru_cache

MAX_ID_BYTES = 255
"""The most that a user id, room id, event id, alias, event type or state key may have, sigil and domain included."""

_SERVER_NAME = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[0-9A-Za-z.-]{1,255}))(?::[0-9]{1,5})?")
_FOUR_NUMBERS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_NEW_LOCALPART = re.compile(r"[a-z0-9._=/+-]{1,253}")
_HASH_OPAQUE = re.compile(r"[A-Za-z0-9+/_-]{1,254}")
_OPAQUE = re.compile(r"[0-9A-Za-z._~-]{1,255}")
_NAMESPACED = re.compile(r"[a-z][a-z0-9_.-]{0,254}")


def is_server_name(s: str) -> bool:
    """Whether ``s`` is a server name: a DNS name, an IPv4 address or a bracketed IPv6 address, with or without a port.

    Server names are case-sensitive; upper case is discouraged but valid.
    """
    found = _SERVER_NAME.fullmatch(s)
    if found is None or len(s) > MAX_ID_BYTES:
        return False
    v6 = found["v6"]
    try:
        if v6 is not None:
            ipaddress.IPv6Address(v6)
        elif _FOUR_NUMBERS.fullmatch(found["name"]):
            return all(int(part) <= 255 for part in found["name"].split("."))
    except ValueError:
        return False
    return True


def is_user_id(s: str) -> bool:
    """Whether ``s`` is a user id, historical localparts (nearly any character, even none at all) included.

    Other servers' events may carry such ids; for an account of our own ask ``is_new_localpart`` as well.
    """
    return s.startswith("@") and _has_domain(s)


def is_new_localpart(s: str) -> bool:
    """Whether a new account may have this localpart: ``a-z``, ``0-9`` and ``._=/+-``, at least one character.

    Whether it fits into 255 bytes depends on the server's name: ask ``is_user_id`` about the whole.
    """
    return _NEW_LOCALPART.fullmatch(s) is not None


def is_room_id(s: str) -> bool:
    """Whether ``s`` is a room id, ``!opaque:domain`` or, as in room version 12, the hash alone.

    Which of the two a room must have is its version's matter.
    """
    if not s.startswith("!"):
        return False
    return _has_domain(s) if ":" in s else _HASH_OPAQUE.fullmatch(s, 1) is not None


def is_event_id(s: str) -> bool:
    """Whether ``s`` is an event id of any format: ``$opaque:domain`` or a hash in either alphabet of base64.

    Which format a room has is its version's matter.
    """
    if not s.startswith("$"):
        return False
    return _has_domain(s) if ":" in s else _HASH_OPAQUE.fullmatch(s, 1) is not None


def is_room_alias(s: str) -> bool:
    """Whether ``s`` is a room alias, ``#name:domain``."""
    return s.startswith("#") and not s.startswith("#:") and _has_domain(s)


def is_opaque_id(s: str) -> bool:
    """Whether ``s`` fits the opaque identifier grammar: 1 to 255 unreserved characters of a URL."""
    return _OPAQUE.fullmatch(s) is not None


def is_namespaced_id(s: str) -> bool:
    """Whether ``s`` fits the common namespaced identifier grammar, such as ``m.room.message`` or ``org.example.x``."""
    return _NAMESPACED.fullmatch(s) is not None


def server_of(identifier: str) -> str:
    """The server name in a user id, alias, or room or event id that has one: what follows the first colon.

    Raises:
        ValueError: for an identifier without a domain.
    """
    _, colon, server = identifier.partition(":")
    if not colon:
        raise ValueError(f"{identifier!r} names no server")
    return server


def localpart_of(user_id: str) -> str:
    """The part of a user id (or alias) between the sigil and the first colon.

    Raises:
        ValueError: for an identifier without a domain.
    """
    localpart, colon, _ = user_id.partition(":")
    if not colon:
        raise ValueError(f"{user_id!r} names no server")
    return localpart[1:]


def fits(s: str) -> bool:
    """Whether ``s`` is legal Unicode of at most 255 bytes: the limit of every identifier, type and state key."""
    if len(s) > MAX_ID_BYTES:
        return False
    try:
        return s.isascii() or len(s.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:
        return False


def _has_domain(s: str) -> bool:
    """Whether ``s``, a sigil aside, is a localpart of legal characters, a colon and a server name, within the limit."""
    localpart, colon, server = s.partition(":")
    return bool(colon) and "\0" not in localpart and fits(s) and _is_server_name(server)


_is_server_name = lru_cache(1_000)(is_server_name)
"""The same of short names, most of which are asked about again and again."""
