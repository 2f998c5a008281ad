"""The table of room versions: what each one switches (specification, "Room Versions").

Everything that depends on a room's version asks a field of ``RoomVersion``; nothing compares version numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

ALL_KEYS: None = None
"""In ``RoomVersion.redaction_content``: the whole content survives a redaction."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomVersion:
    """What a room version switches. The defaults are those of version 1.

    Event format:
        identifier: the version as ``m.room.create`` names it.
        event_ids: where the id of an event comes from: its own field ``event_id``, or its reference hash in the
            standard or the URL-safe alphabet of base64.
        hashed_references: ``prev_events`` and ``auth_events`` are pairs of an id and a hash, not plain ids.
        strict_json: events must be canonical JSON: no floats, integers of 53 bits.
        max_depth: the largest depth.
        hash_room_ids: the room's id is the hash of its create event, which has no ``room_id`` itself and is named by no
            event's ``auth_events``.
        redacts_in_content: a redaction names its target in its content, not at its top level.
        byte_limits: types and state keys of others' events have at most 255 bytes. In older versions servers have
            always counted characters: whoever counts bytes there is left without what comes after such an event.

    Signatures:
        event_id_server_signs: the server in the event's id must have signed, as well as the sender's.
        enforced_key_validity: a key counts only while it is valid at the event's ``origin_server_ts``.

    Authorisation:
        creator_in_content: the create event must name the ``creator``; else its sender is the creator.
        creators_above_all: the creators, additional ones included, have infinite power, which no event may list.
        aliases_by_server: ``m.room.aliases`` has a rule of its own.
        redaction_rule: redactions have a rule of their own; without it they are judged when they are applied.
        notifications_guarded: a change of power levels is judged for ``notifications`` too.
        integer_levels: everything in ``m.room.power_levels`` must be an integer, or the event is refused.
        text_levels: power levels may be text that holds an integer.
        float_levels: power levels may be floats, which are cut to integers.
        knocking: the join rule and the membership ``knock``.
        restricted: the join rule ``restricted``.
        knock_restricted: the join rule ``knock_restricted``.

    Redaction:
        redaction_keys: the keys at the top level that survive.
        redaction_content: for each event type, the keys of the content that survive; ``ALL_KEYS`` for all of them.
        keeps_third_party_signed: ``third_party_invite.signed`` of a membership survives.

    State resolution:
        state_resolution: the algorithm.
    """

    identifier: str
    event_ids: Literal["field", "hash", "urlsafe hash"] = "field"
    hashed_references: bool = True
    strict_json: bool = False
    max_depth: int = 2**63 - 1
    hash_room_ids: bool = False
    redacts_in_content: bool = False
    byte_limits: bool = False
    event_id_server_signs: bool = True
    enforced_key_validity: bool = False
    creator_in_content: bool = True
    creators_above_all: bool = False
    aliases_by_server: bool = True
    redaction_rule: bool = True
    notifications_guarded: bool = False
    integer_levels: bool = False
    text_levels: bool = True
    float_levels: bool = True
    knocking: bool = False
    restricted: bool = False
    knock_restricted: bool = False
    redaction_keys: frozenset[str]
    redaction_content: Mapping[str, frozenset[str] | None]
    keeps_third_party_signed: bool = False
    state_resolution: Literal["v1", "v2", "v2.1"] = "v1"


_KEYS_11 = frozenset(
    {
        "auth_events",
        "content",
        "depth",
        "event_id",
        "hashes",
        "origin_server_ts",
        "prev_events",
        "room_id",
        "sender",
        "signatures",
        "state_key",
        "type",
    }
)
_KEYS_1 = _KEYS_11 | {"membership", "origin", "prev_state"}

_LEVELS_1 = frozenset(
    {"ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"},
)
_CONTENT_6: dict[str, frozenset[str] | None] = {
    "m.room.create": frozenset({"creator"}),
    "m.room.history_visibility": frozenset({"history_visibility"}),
    "m.room.join_rules": frozenset({"join_rule"}),
    "m.room.member": frozenset({"membership"}),
    "m.room.power_levels": _LEVELS_1,
}
_CONTENT_1 = {**_CONTENT_6, "m.room.aliases": frozenset({"aliases"})}
_CONTENT_8 = {**_CONTENT_6, "m.room.join_rules": frozenset({"join_rule", "allow"})}
_CONTENT_9 = {**_CONTENT_8, "m.room.member": frozenset({"membership", "join_authorised_via_users_server"})}
_CONTENT_11 = {
    **_CONTENT_9,
    "m.room.create": ALL_KEYS,
    "m.room.power_levels": _LEVELS_1 | {"invite"},
    "m.room.redaction": frozenset({"redacts"}),
}

_V1 = RoomVersion(identifier="1", redaction_keys=_KEYS_1, redaction_content=_CONTENT_1)
_V2 = replace(_V1, identifier="2", state_resolution="v2")
_V3 = replace(
    _V2,
    identifier="3",
    event_ids="hash",
    hashed_references=False,
    event_id_server_signs=False,
    redaction_rule=False,
)
_V4 = replace(_V3, identifier="4", event_ids="urlsafe hash")
_V5 = replace(_V4, identifier="5", enforced_key_validity=True)
_V6 = replace(
    _V5,
    identifier="6",
    strict_json=True,
    max_depth=2**53 - 1,
    aliases_by_server=False,
    notifications_guarded=True,
    float_levels=False,
    redaction_content=_CONTENT_6,
)
_V7 = replace(_V6, identifier="7", knocking=True)
_V8 = replace(_V7, identifier="8", restricted=True, redaction_content=_CONTENT_8)
_V9 = replace(_V8, identifier="9", redaction_content=_CONTENT_9)
_V10 = replace(_V9, identifier="10", integer_levels=True, text_levels=False, knock_restricted=True)
_V11 = replace(
    _V10,
    identifier="11",
    redacts_in_content=True,
    byte_limits=True,
    creator_in_content=False,
    redaction_keys=_KEYS_11,
    redaction_content=_CONTENT_11,
    keeps_third_party_signed=True,
)
_V12 = replace(
    _V11,
    identifier="12",
    hash_room_ids=True,
    creators_above_all=True,
    state_resolution="v2.1",
)

VERSIONS: Mapping[str, RoomVersion] = MappingProxyType(
    {version.identifier: version for version in (_V1, _V2, _V3, _V4, _V5, _V6, _V7, _V8, _V9, _V10, _V11, _V12)}
)
"""Every room version that Hearth knows, by its identifier."""
