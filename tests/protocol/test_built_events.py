"""Events that we build and sign: their form in each version, their signatures, and that we accept them ourselves."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol import canonical, hashes, signing
from appliance.protocol.client_form import client_bytes, stripped
from appliance.protocol.event_signatures import is_signed_by, required_signers
from appliance.protocol.events import Event, EventTooLarge, InvalidEvent, build_event
from appliance.protocol.signing import SigningKey
from appliance.protocol.versions import VERSIONS
from tests.protocol.room import ALICE, BOB, KEY, Room, versions
from tests.protocol.strategies import CONTENT, TEXT, TYPES

ALL = versions(1)
HASH_ID = "$" + "A" * 42 + "E"
HASH_ROOM = "!" + "A" * 42 + "E"


@pytest.mark.parametrize("version", ALL)
def test_built_events_in_their_version(version: str) -> None:
    room = Room(version)
    message = room.make("m.room.message", ALICE, {"body": "hi"})
    assert ("event_id" in message.pdu) is (version in ("1", "2"))
    assert isinstance(message.pdu["prev_events"][0], list if version in ("1", "2") else str)
    assert (room.create.event_id in message.auth_events) is (version != "12")
    if version == "12":
        assert "room_id" not in room.create.pdu
        assert room.create.room_id == "!" + room.create.event_id[1:]
        assert Event.from_json(VERSIONS["12"], room.create.json).room_id == room.create.room_id
        assert message.room_id == room.create.room_id
    else:
        assert room.create.room_id == "!room:one.example"


@pytest.mark.parametrize("version", ALL)
def test_redaction_target_is_where_the_version_has_it(version: str) -> None:
    room = Room(version)
    target = room.put(room.make("m.room.message", ALICE, {"body": "oops"}))
    event = room.make("m.room.redaction", ALICE, {"reason": "oops"}, redacts=target.event_id)
    assert event.redacts == target.event_id
    in_content = int(version) >= 11
    assert ("redacts" in event.content) is in_content
    assert ("redacts" in event.pdu) is not in_content
    form = canonical.decode(client_bytes(event))
    assert form["redacts"] == form["content"]["redacts"] == target.event_id
    assert form["content"]["reason"] == "oops"
    # In the other place it means nothing.
    misplaced = room.make("m.room.redaction", ALICE, {} if in_content else {"redacts": target.event_id})
    assert misplaced.redacts is None


@pytest.mark.parametrize("version", ["1", "5", "6", "11", "12"])
def test_client_form(version: str) -> None:
    room = Room(version)
    content = {"body": "hi", "n": 2**70} if version in ("1", "5") else {"body": "hi"}
    message = room.make("m.room.message", ALICE, content)
    assert canonical.decode(client_bytes(message)) == {
        "type": "m.room.message",
        "sender": ALICE,
        "content": content,
        "event_id": message.event_id,
        "origin_server_ts": message.origin_server_ts,
    }
    topic = room.make("m.room.topic", ALICE, {"topic": "x"}, "")
    assert canonical.decode(client_bytes(topic))["state_key"] == ""
    assert stripped(topic) == {"type": "m.room.topic", "sender": ALICE, "content": {"topic": "x"}, "state_key": ""}


def test_hashes_of_references_in_old_versions() -> None:
    room = Room("1")
    last = room.last
    assert last is not None
    own = hashes.reference_hash(room.version, last.pdu)
    event = room.make("m.room.message", ALICE, {}, reference_hashes={last.event_id: own})
    assert event.pdu["prev_events"] == [[last.event_id, {"sha256": own}]]
    assert event.pdu["auth_events"][0] == [room.create.event_id, {}]
    assert "=" not in own


@pytest.mark.parametrize("version", ["5", "12"])
def test_depth_stays_within_the_version(version: str) -> None:
    event = Room(version).make("m.room.message", ALICE, {}, depth=2**70)
    assert event.depth == VERSIONS[version].max_depth


@pytest.mark.parametrize(
    ("changed", "content", "error"),
    [
        ({}, {"body": "x" * 65_536}, EventTooLarge),
        ({}, {"body": 1.5}, InvalidEvent),
        ({}, {"body": 2**53}, InvalidEvent),
        ({}, {"body": "\ud800"}, InvalidEvent),
        ({"kind": "x" * 256}, {}, EventTooLarge),
        ({"state_key": "ä" * 128}, {}, EventTooLarge),
        ({"room_id": None}, {}, InvalidEvent),
        ({"prev_events": [HASH_ID] * 21}, {}, InvalidEvent),
    ],
)
def test_build_refuses(changed: dict[str, Any], content: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"\.$"):
        Room("12").make(**{"kind": "m.room.message", "sender": ALICE, "content": content, **changed})


def test_wrong_content_hash_means_redacted() -> None:
    event = Room("10").make("m.room.member", ALICE, {"membership": "join", "displayname": "Alice"}, ALICE)
    assert event.has_valid_content_hash
    tampered = Event.from_pdu(event.version, {**event.pdu, "content": {"membership": "join", "displayname": "Eve"}})
    assert not tampered.has_valid_content_hash
    redacted = tampered.redacted()
    assert redacted.event_id == event.event_id
    assert redacted.content == {"membership": "join"}
    assert redacted.json == event.redacted().json
    assert is_signed_by(redacted, "one.example", {KEY.key_id: KEY.public_key})


@pytest.mark.parametrize("version", ALL)
def test_required_signers(version: str) -> None:
    room = Room(version)
    message = room.make("m.room.message", BOB, {}, server_name="two.example")
    assert required_signers(message) == {"two.example"}
    vouched = room.make("m.room.member", BOB, {"membership": "join", "join_authorised_via_users_server": ALICE}, BOB)
    assert required_signers(vouched) == ({"one.example", "two.example"} if int(version) >= 8 else {"two.example"})
    elsewhere = room.make("m.room.message", BOB, {}, server_name="three.example")
    # Only versions 1 and 2 name a server in an event's id.
    assert required_signers(elsewhere) == ({"two.example", "three.example"} if int(version) < 3 else {"two.example"})
    third = room.make("m.room.member", ALICE, {"membership": "invite", "third_party_invite": {}}, BOB)
    assert required_signers(third) == ({"one.example"} if int(version) < 3 else set())
    for content in ({"membership": "invite"}, {"membership": "join", "third_party_invite": {}}):
        assert "one.example" in required_signers(room.make("m.room.member", ALICE, content, ALICE))
    odd = room.make("m.room.member", BOB, {"membership": "join", "join_authorised_via_users_server": 5}, BOB)
    assert required_signers(odd) == {"two.example"}


def test_several_signatures_of_one_server() -> None:
    event = Room("12").make("m.room.message", ALICE, {})
    second = SigningKey("ed25519:second", bytes(32))
    both = event.with_signature("one.example", second)
    first_key = {KEY.key_id: KEY.public_key}
    second_key = {second.key_id: second.public_key}
    assert both.event_id == event.event_id
    assert is_signed_by(both, "one.example", first_key | second_key)
    assert is_signed_by(both, "one.example", first_key)
    assert is_signed_by(event, "one.example", first_key | second_key)
    assert not is_signed_by(event, "one.example", second_key)
    assert not is_signed_by(event, "one.example", {})
    assert not is_signed_by(event, "two.example", first_key)
    # One known signature that is wrong spoils the others; an unknown one does not.
    assert not is_signed_by(both, "one.example", first_key | {second.key_id: KEY.public_key})


def test_a_signature_that_does_not_fit() -> None:
    room = Room("12")
    size = len(room.make("m.room.message", ALICE, {"body": ""}).json)
    event = room.make("m.room.message", ALICE, {"body": "x" * (65_536 - size)})
    with pytest.raises(EventTooLarge):
        event.with_signature("two.example", KEY)


@given(
    version=st.sampled_from(ALL),
    kind=TYPES,
    content=CONTENT,
    state_key=st.none() | TEXT,
    depth=st.integers(0, 2**64),
    time=st.integers(0, 2**53 - 1),
    redacts=st.none() | st.just(HASH_ID),
)
def test_what_we_build_passes_our_checks(
    version: str, kind: str, content: dict[str, Any], state_key: str | None, depth: int, time: int, redacts: str | None
) -> None:
    room_version = VERSIONS[version]
    first = room_version.hash_room_ids and kind == "m.room.create"
    room_id = None if first else HASH_ROOM if room_version.hash_room_ids else "!r:one.example"
    event = build_event(
        room_version,
        room_id=room_id,
        type=kind,
        sender=ALICE,
        content=content,
        state_key=state_key,
        depth=depth,
        prev_events=["$p:one.example"],
        auth_events=["$a:one.example"],
        origin_server_ts=time,
        redacts=redacts,
        server_name="one.example",
        key=KEY,
    )
    again = Event.from_pdu(room_version, canonical.decode(event.json))
    for name in (one for one in Event.__slots__ if not one.startswith("_")):
        assert getattr(again, name) == getattr(event, name)
    assert again.has_valid_content_hash
    assert is_signed_by(again, "one.example", {KEY.key_id: KEY.public_key})
    redacted = again.redacted()
    assert hashes.event_id(room_version, redacted.pdu) == event.event_id
    assert is_signed_by(redacted, "one.example", {KEY.key_id: KEY.public_key})
    # The signature is one of JSON too, over the redacted event.
    assert signing.verify_json(redacted.pdu, "one.example", KEY.key_id, KEY.public_key)
    assert canonical.decode(client_bytes(event))["event_id"] == event.event_id
