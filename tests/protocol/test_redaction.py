"""The redaction algorithm of each room version."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol import hashes
from appliance.protocol.redaction import redact
from appliance.protocol.versions import VERSIONS
from tests.protocol.room import versions
from tests.protocol.strategies import CONTENT, JSON, TYPES

ALL = versions(1)
EVERYWHERE = {
    "event_id": "$e:one.example",
    "type": "m.room.message",
    "room_id": "!r:one.example",
    "sender": "@a:one.example",
    "state_key": "",
    "content": {},
    "hashes": {"sha256": "x"},
    "signatures": {"one.example": {"ed25519:1": "x"}},
    "depth": 5,
    "prev_events": [],
    "auth_events": [],
    "origin_server_ts": 5,
}
UNTIL_10 = {"prev_state": [], "origin": "one.example", "membership": "join"}
NOWHERE = {"unsigned": {"age": 1}, "redacts": "$x", "age_ts": 5, "user_id": "@a:b", "org.example.key": 1}


@pytest.mark.parametrize("version", ALL)
def test_top_level(version: str) -> None:
    before = {**EVERYWHERE, **UNTIL_10, **NOWHERE, "content": {"body": "x"}}
    copy = dict(before)
    expected = {**EVERYWHERE, **UNTIL_10} if int(version) <= 10 else EVERYWHERE
    assert redact(VERSIONS[version], before) == expected
    assert before == copy


@pytest.mark.parametrize("version", ALL)
def test_nothing_is_added(version: str) -> None:
    assert redact(VERSIONS[version], {"type": "m.room.message"}) == {"type": "m.room.message", "content": {}}
    assert redact(VERSIONS[version], {"type": 5, "content": {"a": 1}}) == {"type": 5, "content": {}}
    assert redact(VERSIONS[version], {"type": "m.room.create", "content": []}) == {
        "type": "m.room.create",
        "content": {},
    }


LEVELS = ("ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default")
SIGNED = {"signed": {"mxid": "@a:b"}, "display_name": "A"}

# Event type, key of the content, versions in which it survives.
KEPT: list[tuple[str, str, list[str]]] = [
    ("m.room.member", "membership", ALL),
    ("m.room.member", "join_authorised_via_users_server", versions(9)),
    ("m.room.member", "displayname", []),
    ("m.room.member", "reason", []),
    ("m.room.create", "creator", ALL),
    ("m.room.create", "room_version", versions(11)),
    ("m.room.create", "anything", versions(11)),
    ("m.room.join_rules", "join_rule", ALL),
    ("m.room.join_rules", "allow", versions(8)),
    ("m.room.join_rules", "other", []),
    *(("m.room.power_levels", name, ALL) for name in LEVELS),
    ("m.room.power_levels", "invite", versions(11)),
    ("m.room.power_levels", "notifications", []),
    ("m.room.aliases", "aliases", versions(1, 5)),
    ("m.room.history_visibility", "history_visibility", ALL),
    ("m.room.redaction", "redacts", versions(11)),
    ("m.room.redaction", "reason", []),
    ("m.room.message", "body", []),
    ("m.room.message", "membership", []),
    ("m.room.encryption", "algorithm", []),
    ("m.room.third_party_invite", "public_key", []),
    ("", "body", []),
]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("kind", "key", "kept_in"), KEPT)
def test_content(version: str, kind: str, key: str, kept_in: list[str]) -> None:
    redacted = redact(VERSIONS[version], {"type": kind, "content": {key: "value"}})
    assert redacted["content"] == ({key: "value"} if version in kept_in else {})


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    ("invite", "kept"),
    [
        (SIGNED, {"third_party_invite": {"signed": {"mxid": "@a:b"}}}),
        ({"display_name": "A"}, {"third_party_invite": {}}),
        ("text", {}),
        (None, {}),
    ],
)
def test_third_party_invite(version: str, invite: Any, kept: dict[str, Any]) -> None:
    before = {"type": "m.room.member", "content": {"membership": "invite", "third_party_invite": invite}}
    redacted = redact(VERSIONS[version], before)
    assert redacted["content"] == {"membership": "invite", **(kept if int(version) >= 11 else {})}


@given(
    version=st.sampled_from(ALL),
    kind=TYPES,
    content=CONTENT,
    more=st.dictionaries(st.sampled_from([*EVERYWHERE, *UNTIL_10, *NOWHERE, "x"]), JSON, max_size=6),
)
def test_idempotent_and_without_effect_on_the_hash(
    version: str, kind: str, content: dict[str, Any], more: dict[str, Any]
) -> None:
    room_version = VERSIONS[version]
    pdu = {**more, "type": kind, "content": content}
    once = redact(room_version, pdu)
    assert redact(room_version, once) == once
    assert hashes.reference_hash(room_version, once) == hashes.reference_hash(room_version, pdu)
    assert hashes.signed_form(room_version, once) == hashes.signed_form(room_version, pdu)
