"""Events: read from other servers, read from our own database, and made by us."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from appliance.protocol import canonical, hashes, unpadded
from appliance.protocol.event_format import EventTooLarge, InvalidEvent, check_depth, check_format, check_size
from appliance.protocol.redaction import redact
from appliance.protocol.signing import SigningKey, with_signature
from appliance.protocol.versions import RoomVersion

__all__ = ["Event", "EventTooLarge", "InvalidEvent", "build_event"]

_TRUSTED_DEPTH = 1000
"""How deep JSON of our own may be: it was checked when it came, perhaps against a smaller limit."""


class Stated:
    """What every kind of event says of itself in the same way, given ``type``, ``state_key`` and ``content``."""

    __slots__ = ()
    type: str
    state_key: str | None
    content: dict[str, Any]

    @property
    def is_state(self) -> bool:
        """Whether it is a state event."""
        return self.state_key is not None

    @property
    def membership(self) -> str | None:
        """What an ``m.room.member`` event says of its user; nothing for other events and for what is not text."""
        if self.type != "m.room.member":
            return None
        membership = self.content.get("membership")
        return membership if isinstance(membership, str) else None


class Event(Stated):
    """One event of a room, in the form that all servers agree on. Never changed once made, nor are its parts.

    Args of the constructor are trusted to fit together: use ``from_pdu``, ``from_json`` or ``build_event``.

    Attributes:
        version: the version of the room.
        event_id: its id, whatever the format.
        room_id: the room's id; for a create event of version 12 the one that follows from its hash.
        type: the event type.
        state_key: the state key, or nothing where it is not a state event.
        sender: the user who sent it.
        content: its content.
        depth: one more than the largest depth of its parents, as its sender says: a hint, no more.
        origin_server_ts: when it was made, in milliseconds since 1970, as its sender says.
        prev_events: the ids of its parents.
        auth_events: the ids of the events that its sender says allow it, as the PDU has them: without the create event
            from version 12 on.
        redacts: the id of the event that a redaction aims at, from the place where the room version has it.
        pdu: the event as other servers get it, without ``unsigned``.
        json: ``pdu`` as canonical JSON.
    """

    __slots__ = (
        "_signed_form",
        "auth_events",
        "content",
        "depth",
        "event_id",
        "json",
        "origin_server_ts",
        "pdu",
        "prev_events",
        "redacts",
        "room_id",
        "sender",
        "state_key",
        "type",
        "version",
    )

    def __init__(self, version: RoomVersion, pdu: dict[str, Any], event_id: str, json: bytes) -> None:
        self.version = version
        self.event_id = event_id
        self.type: str = pdu["type"]
        self.room_id: str = (
            "!" + event_id[1:] if version.hash_room_ids and self.type == "m.room.create" else pdu["room_id"]
        )
        self.state_key: str | None = pdu.get("state_key")
        self.sender: str = pdu["sender"]
        self.content: dict[str, Any] = pdu["content"]
        self.depth: int = pdu["depth"]
        self.origin_server_ts: int = pdu["origin_server_ts"]
        if version.hashed_references:
            self.prev_events: tuple[str, ...] = tuple(reference[0] for reference in pdu["prev_events"])
            self.auth_events: tuple[str, ...] = tuple(reference[0] for reference in pdu["auth_events"])
        else:
            self.prev_events = tuple(pdu["prev_events"])
            self.auth_events = tuple(pdu["auth_events"])
        self.redacts = _target(version, pdu) if self.type == "m.room.redaction" else None
        self.pdu = pdu
        self.json = json
        self._signed_form: bytes | None = None

    @classmethod
    def from_pdu(cls, version: RoomVersion, pdu: object, *, limit_references: bool = True) -> "Event":
        """An event that came from another server, checked for its format; not for hashes, signatures or auth rules.

        Args:
            version: the version of the room.
            pdu: the event as decoded JSON; it is not changed, and ``unsigned`` is left behind.
            limit_references: false for backfilled history, where the limits on previous and auth events do not count.

        Raises:
            InvalidEvent: with a sentence that says what is wrong.
        """
        if not isinstance(pdu, dict):
            raise InvalidEvent("The event is not an object.")
        own = pdu.copy()
        own.pop("unsigned", None)
        check_format(version, own, limit_references=limit_references)
        try:
            json = _encode(version, own)
            check_size(json)
            check_depth(own, json)
            if version.event_ids == "field":
                return cls(version, own, hashes.event_id(version, own), json)
            form = hashes.signed_form(version, own, strict=version.strict_json)
            event = cls(version, own, "$" + hashes.hash_of_signed_form(version, form), json)
            event._signed_form = form
            return event
        except ValueError as error:
            raise InvalidEvent(f"The event has no canonical JSON: {error}.") from error

    @classmethod
    def from_json(cls, version: RoomVersion, data: bytes, event_id: str | None = None) -> "Event":
        """An event of our own database, where only checked ones are stored: nothing is checked again.

        Args:
            version: the version of the room.
            data: what ``json`` was when it was stored.
            event_id: its id, where it is known; else it is computed.
        """
        pdu = orjson.loads(data) if version.strict_json else canonical.decode(data, max_depth=_TRUSTED_DEPTH)
        return cls(version, pdu, event_id or hashes.event_id(version, pdu), data)

    @property
    def has_valid_content_hash(self) -> bool:
        """Whether the content is what its sender hashed; if not, only ``redacted()`` of it may be used."""
        found = hashes.content_hash(self.pdu, strict=self.version.strict_json)
        return bool(self.pdu["hashes"]["sha256"].rstrip("=") == found)

    def take_signed_form(self) -> bytes:
        """What its signatures cover. For an event that has just come it is at hand already, the first time."""
        form, self._signed_form = self._signed_form, None
        return form or hashes.signed_form(self.version, self.pdu, strict=self.version.strict_json)

    def redacted(self) -> "Event":
        """What remains of the event after a redaction, under the same id."""
        pdu = redact(self.version, self.pdu)
        return Event(self.version, pdu, self.event_id, canonical.encode(pdu))

    def with_signature(self, server_name: str, key: SigningKey) -> "Event":
        """The event with a signature of another server added: of an invited server, or one that vouches for a join.

        Raises:
            EventTooLarge: where the signature does not fit any more.
        """
        signature = key.sign(hashes.signed_form(self.version, self.pdu))
        pdu = with_signature(self.pdu, server_name, key.key_id, signature)
        json = canonical.encode(pdu)
        check_size(json)
        return Event(self.version, pdu, self.event_id, json)

    def __repr__(self) -> str:
        # No content: this ends up in logs.
        return f"<Event {self.event_id} {self.type}>"


def build_event(
    version: RoomVersion,
    *,
    room_id: str | None,
    type: str,  # noqa: A002 - the specification's own word
    sender: str,
    content: dict[str, Any],
    state_key: str | None = None,
    depth: int,
    prev_events: Sequence[str],
    auth_events: Sequence[str],
    origin_server_ts: int,
    redacts: str | None = None,
    origin: str | None = None,
    server_name: str,
    key: SigningKey,
    reference_hashes: Mapping[str, str] | None = None,
) -> Event:
    """Make, hash and sign an event of our own.

    Args:
        version: the version of the room.
        room_id: the room; nothing for the create event of a version whose room ids are hashes.
        type: the event type.
        sender: the user who sends it.
        content: the content; it is not changed, and must not be afterwards, as the event holds it.
        state_key: the state key, for a state event.
        depth: one more than the largest depth of the parents; cut to what the version allows.
        prev_events: the ids of the parents.
        auth_events: the ids of the events that allow it.
        origin_server_ts: the time, in milliseconds since 1970.
        redacts: what a redaction aims at; it is put where the version has it.
        origin: the server's name within the event, for memberships that are brought to another server by a request of
            their own; the server-server API requires it there and nowhere else.
        server_name: the server that signs, which is the sender's.
        key: its key.
        reference_hashes: by event id, the reference hashes of previous and auth events. Only versions 1 and 2 write
            them; one that is missing there is left empty, as no server relies on it.

    Raises:
        InvalidEvent: where it breaks the format; ``EventTooLarge`` where it is too large.
    """
    pdu: dict[str, Any] = {
        "type": type,
        "sender": sender,
        "content": content,
        "depth": min(depth, version.max_depth),
        "origin_server_ts": origin_server_ts,
        "prev_events": _references(version, prev_events, reference_hashes),
        "auth_events": _references(version, auth_events, reference_hashes),
    }
    if room_id is not None:
        pdu["room_id"] = room_id
    if state_key is not None:
        pdu["state_key"] = state_key
    if origin is not None:
        pdu["origin"] = origin
    if redacts is not None:
        if version.redacts_in_content:
            pdu["content"] = {**content, "redacts": redacts}
        else:
            pdu["redacts"] = redacts
    try:
        return _finish(version, pdu, server_name, key)
    except ValueError as error:
        raise InvalidEvent(f"The event has no canonical JSON: {error}.") from error


def _finish(version: RoomVersion, pdu: dict[str, Any], server_name: str, key: SigningKey) -> Event:
    """Add what is computed to an event of our own: id, hash, signature."""
    if version.event_ids == "field":
        # Unique as long as no event is made twice, and then it is the same event.
        digest = hashlib.sha256(canonical.encode(pdu)).digest()
        pdu["event_id"] = f"${unpadded.encode_urlsafe(digest)}:{server_name}"
    pdu["hashes"] = {"sha256": ""}
    pdu["signatures"] = {}
    check_format(version, pdu, own=True)
    pdu["hashes"] = {"sha256": hashes.content_hash(pdu, strict=version.strict_json)}
    form = hashes.signed_form(version, pdu, strict=version.strict_json)
    event_id = pdu["event_id"] if version.event_ids == "field" else "$" + hashes.hash_of_signed_form(version, form)
    pdu["signatures"] = {server_name: {key.key_id: key.sign(form)}}
    json = _encode(version, pdu)
    check_size(json)
    return Event(version, pdu, event_id, json)


def _encode(version: RoomVersion, pdu: dict[str, Any]) -> bytes:
    """The canonical JSON of an event whose format was checked."""
    return canonical.trimmed(canonical.encode_strict(pdu) if version.strict_json else canonical.encode(pdu))


def _references(version: RoomVersion, event_ids: Sequence[str], known: Mapping[str, str] | None) -> list[Any]:
    """Previous or auth events in the form of the room version."""
    if not version.hashed_references:
        return list(event_ids)
    known = known or {}
    return [[event_id, {"sha256": known[event_id]} if event_id in known else {}] for event_id in event_ids]


def _target(version: RoomVersion, pdu: dict[str, Any]) -> str | None:
    """What a redaction aims at."""
    target = pdu["content"].get("redacts") if version.redacts_in_content else pdu.get("redacts")
    return target if isinstance(target, str) else None
