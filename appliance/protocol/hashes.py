"""Content hashes, reference hashes and the event ids made of them (server-server API, "Signing Events")."""

import hashlib
from typing import Any

from appliance.protocol import canonical, unpadded
from appliance.protocol.redaction import redact
from appliance.protocol.versions import RoomVersion

_NOT_IN_CONTENT_HASH = ("unsigned", "signatures", "hashes")


def content_hash(pdu: dict[str, Any], *, strict: bool = False) -> str:
    """The hash of a whole event, in standard base64: what ``hashes.sha256`` must say.

    Args:
        pdu: the event in federation form.
        strict: whether it was seen already that it holds only what room versions 6 and later allow.

    Raises:
        ValueError: for an event that has no canonical JSON.
    """
    hashed = pdu.copy()
    for key in _NOT_IN_CONTENT_HASH:
        hashed.pop(key, None)
    encode = canonical.encode_strict if strict else canonical.encode
    return unpadded.encode(hashlib.sha256(encode(hashed)).digest())


def signed_form(version: RoomVersion, pdu: dict[str, Any], *, strict: bool = False) -> bytes:
    """The canonical JSON of an event that its signatures cover and that its reference hash is made of.

    That is the event redacted, without ``signatures`` and ``unsigned``, but with ``hashes``.

    Args:
        version: the version of the event's room.
        pdu: the event in federation form.
        strict: whether it was seen already that it holds only what room versions 6 and later allow.

    Raises:
        ValueError: for an event that has no canonical JSON.
    """
    redacted = redact(version, pdu)
    redacted.pop("signatures", None)
    return canonical.encode_strict(redacted) if strict else canonical.encode(redacted)


def hash_of_signed_form(version: RoomVersion, form: bytes) -> str:
    """The reference hash of an event whose ``signed_form`` is at hand."""
    digest = hashlib.sha256(form).digest()
    return unpadded.encode_urlsafe(digest) if version.event_ids == "urlsafe hash" else unpadded.encode(digest)


def reference_hash(version: RoomVersion, pdu: dict[str, Any]) -> str:
    """The hash of what survives a redaction, in the alphabet of base64 that the room version's event ids have.

    Raises:
        ValueError: for an event that has no canonical JSON.
    """
    return hash_of_signed_form(version, signed_form(version, pdu))


def event_id(version: RoomVersion, pdu: dict[str, Any]) -> str:
    """The id of an event: its own field in room versions 1 and 2, its reference hash in the others.

    Raises:
        ValueError: for an event that has no canonical JSON, or lacks the field.
    """
    if version.event_ids != "field":
        return "$" + reference_hash(version, pdu)
    own = pdu.get("event_id")
    if not isinstance(own, str):
        raise ValueError("the event has no event_id")
    return own
