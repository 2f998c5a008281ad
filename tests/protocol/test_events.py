"""Events: ids of every format, what a PDU must look like, and that what we build is what we accept."""

import copy
import hashlib
from typing import Any

import pytest

from appliance.protocol import canonical, hashes, unpadded
from appliance.protocol.events import Event, EventTooLarge, InvalidEvent
from appliance.protocol.slim import plain_columns
from appliance.protocol.versions import VERSIONS
from appliance.settings import Settings
from tests.protocol.room import ALICE, versions

HASH_ID = "$" + "A" * 42 + "E"
HASH_ROOM = "!" + "A" * 42 + "E"
ALL = versions(1)


def pdu(version: str, **changed: Any) -> dict[str, Any]:
    """A message in federation form, unsigned; a part that is changed to ``...`` is left out."""
    room_version = VERSIONS[version]
    pairs = room_version.hashed_references
    event: dict[str, Any] = {
        "type": "m.room.message",
        "room_id": HASH_ROOM if room_version.hash_room_ids else "!room:one.example",
        "sender": ALICE,
        "content": {"body": "hello"},
        "depth": 5,
        "origin_server_ts": 1_700_000_000_000,
        "prev_events": [["$p:one.example", {"sha256": "x"}]] if pairs else [HASH_ID],
        "auth_events": [["$c:one.example", {}]] if pairs else [HASH_ID],
        "hashes": {"sha256": "x"},
        "signatures": {"one.example": {"ed25519:1": "x"}},
    }
    if room_version.event_ids == "field":
        event["event_id"] = "$e:one.example"
    event.update(changed)
    return {key: value for key, value in event.items() if value is not ...}


def test_the_table_has_twelve_versions() -> None:
    assert list(VERSIONS) == ALL
    assert Settings().rooms_default_version == "12"
    assert [version.identifier for version in VERSIONS.values()] == ALL


@pytest.mark.parametrize("version", ALL)
def test_switches_that_others_read(version: str) -> None:
    """State resolution and the keys of other servers are no matter of this package, but its table tells of them."""
    number = int(version)
    assert VERSIONS[version].state_resolution == ("v1" if number == 1 else "v2.1" if number == 12 else "v2")
    assert VERSIONS[version].enforced_key_validity is (number >= 5)


@pytest.mark.parametrize("version", ALL)
def test_event_id_format(version: str) -> None:
    own = pdu(version)
    event = Event.from_pdu(VERSIONS[version], own)
    redacted = {
        key: {} if key == "content" else value for key, value in own.items() if key not in ("signatures", "unsigned")
    }
    digest = hashlib.sha256(canonical.encode(redacted)).digest()
    if version in ("1", "2"):
        expected = "$e:one.example"
    elif version == "3":
        expected = "$" + unpadded.encode(digest)
    else:
        expected = "$" + unpadded.encode_urlsafe(digest)
    assert event.event_id == hashes.event_id(VERSIONS[version], own) == expected


def test_the_alphabets_differ_between_versions_3_and_4() -> None:
    """An event whose hash has characters 62 and 63, so that the alphabets can be told apart."""
    for depth in range(100):
        third = hashes.event_id(VERSIONS["3"], pdu("3", depth=depth))
        fourth = hashes.event_id(VERSIONS["4"], pdu("4", depth=depth))
        assert third.replace("+", "-").replace("/", "_") == fourth
        if third != fourth:
            return
    pytest.fail("no hash had a character that tells the alphabets apart")


def test_event_id_of_version_1_must_be_there() -> None:
    with pytest.raises(ValueError, match="no event_id"):
        hashes.event_id(VERSIONS["1"], {"type": "x", "content": {}})


@pytest.mark.parametrize("version", ALL)
def test_from_pdu(version: str) -> None:
    received = pdu(version, state_key="", unsigned={"age": 1.5})
    before = copy.deepcopy(received)
    event = Event.from_pdu(VERSIONS[version], received)
    assert received == before
    assert event.is_state
    assert event.state_key == ""
    assert event.type == "m.room.message"
    assert event.sender == ALICE
    assert event.content == {"body": "hello"}
    assert event.depth == 5
    assert event.origin_server_ts == 1_700_000_000_000
    assert event.prev_events == (("$p:one.example",) if int(version) < 3 else (HASH_ID,))
    assert event.auth_events == (("$c:one.example",) if int(version) < 3 else (HASH_ID,))
    assert event.membership is None
    assert event.redacts is None
    assert "unsigned" not in event.pdu
    assert event.json == canonical.encode(event.pdu)
    assert "hello" not in repr(event)
    stored = Event.from_json(VERSIONS[version], event.json)
    known = Event.from_json(VERSIONS[version], event.json, event.event_id)
    for again in (stored, known):
        for name in (one for one in Event.__slots__ if not one.startswith("_")):
            assert getattr(again, name) == getattr(event, name)


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    "changed",
    [
        {"type": ...},
        {"type": 5},
        {"sender": ...},
        {"sender": "alice"},
        {"sender": "@alice"},
        {"sender": None},
        {"state_key": None},
        {"state_key": 1},
        {"content": ...},
        {"content": []},
        {"content": "x"},
        {"depth": ...},
        {"depth": True},
        {"depth": "5"},
        {"depth": 5.0},
        {"depth": -1},
        {"depth": 2**63},
        {"origin_server_ts": ...},
        {"origin_server_ts": False},
        {"origin_server_ts": "1"},
        {"origin_server_ts": 2**63},
        {"hashes": ...},
        {"hashes": {}},
        {"hashes": {"sha256": 5}},
        {"signatures": ...},
        {"signatures": []},
        {"signatures": {"one.example": []}},
        {"prev_events": ...},
        {"prev_events": {}},
        {"prev_events": [1]},
        {"prev_events": ["no id"]},
        {"prev_events": [[]]},
        {"prev_events": [["$a:b", {}, {}]]},
        {"auth_events": ...},
        {"auth_events": [None]},
        {"room_id": ...},
        {"room_id": "#room:one.example"},
        {"room_id": "!room:"},
        {"room_id": "!short"},
        {"content": {"body": "\ud800"}},
    ],
)
def test_malformed(version: str, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent, match=r"^The event.*\.$"):
        Event.from_pdu(VERSIONS[version], pdu(version, **changed))


@pytest.mark.parametrize("value", [None, [], "x", 5, b"{}"])
def test_not_an_object(value: Any) -> None:
    with pytest.raises(InvalidEvent, match="not an object"):
        Event.from_pdu(VERSIONS["12"], value)


DIFFERENCES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("floats", {"content": {"n": 1.5}}, versions(1, 5)),
    ("long integers", {"content": {"n": 2**53}}, versions(1, 5)),
    ("very long integers", {"content": {"n": 2**70}}, versions(1, 5)),
    ("no depth at all", {"depth": 0}, ALL),
    ("the deepest depth", {"depth": 2**63 - 1}, versions(1, 5)),
    ("the deepest strict depth", {"depth": 2**53 - 1}, ALL),
    ("pairs as references", {"prev_events": [["$p:one.example", {}]]}, versions(1, 2)),
    ("ids as references", {"prev_events": [HASH_ID]}, versions(3)),
    ("room ids with a domain", {"room_id": "!room:one.example"}, versions(1, 11)),
    ("room ids that are hashes", {"room_id": HASH_ROOM}, ["12"]),
    ("no event id", {"event_id": ...}, versions(3)),
    ("a broken event id", {"event_id": "e"}, versions(3)),
    ("an event id without a domain", {"event_id": HASH_ID}, versions(3)),
    ("unknown keys", {"org.example.key": {"a": [1]}}, ALL),
    ("a time before 1970", {"origin_server_ts": -5}, ALL),
    ("a historical user id", {"sender": "@Älice !:one.example"}, ALL),
    ("floats in unsigned", {"unsigned": {"age": 1.5}}, ALL),
    ("a create event with a room id", {"type": "m.room.create", "state_key": ""}, versions(1, 11)),
    ("a create event without one", {"type": "m.room.create", "state_key": "", "room_id": ...}, ["12"]),
]


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(("changed", "accepted"), [case[1:] for case in DIFFERENCES], ids=[d[0] for d in DIFFERENCES])
def test_formats_that_differ(version: str, changed: dict[str, Any], accepted: list[str]) -> None:
    if version in accepted:
        event = Event.from_pdu(VERSIONS[version], pdu(version, **changed))
        assert Event.from_json(VERSIONS[version], event.json).event_id == event.event_id
    else:
        with pytest.raises(InvalidEvent):
            Event.from_pdu(VERSIONS[version], pdu(version, **changed))


@pytest.mark.parametrize(
    ("version", "name"),
    [
        *((version, name) for version in ("11", "12") for name in ("type", "state_key", "sender")),
        *(("1", "sender"), ("1", "room_id"), ("11", "room_id")),  # that of version 12 is a hash
    ],
)
def test_lengths_count_bytes(version: str, name: str) -> None:
    around = {
        "type": "{}",
        "state_key": "{}",
        "sender": "@{}:one.example",
        "room_id": "!{}:one.example",
    }[name]
    room = 255 - len(around.format("").encode())
    fitting = around.format("é" * (room // 2) + "e" * (room % 2))
    assert len(fitting.encode()) == 255
    Event.from_pdu(VERSIONS[version], pdu(version, **{name: fitting}))
    with pytest.raises(InvalidEvent):
        Event.from_pdu(VERSIONS[version], pdu(version, **{name: around.format("é" * (room // 2 + 1))}))


@pytest.mark.parametrize("version", ["1", "5", "6", "10"])
@pytest.mark.parametrize("name", ["type", "state_key"])
def test_older_versions_count_characters(version: str, name: str) -> None:
    """As other servers do, whose rooms would end at such an event for whoever counts bytes; ours have bytes."""
    Event.from_pdu(VERSIONS[version], pdu(version, **{name: "\U0001f4a5" * 255}))
    for text in ("x" * 256, "\U0001f4a5" * 256, "\ud800"):
        with pytest.raises(InvalidEvent):
            Event.from_pdu(VERSIONS[version], pdu(version, **{name: text}))


@pytest.mark.parametrize("version", ["1", "5", "6", "12"])
def test_size_of_the_whole(version: str) -> None:
    empty = len(canonical.encode(pdu(version, content={"body": ""})))
    fits = pdu(version, content={"body": "x" * (65_536 - empty)})
    assert len(Event.from_pdu(VERSIONS[version], fits).json) == 65_536
    fits["content"]["body"] += "x"
    with pytest.raises(EventTooLarge):
        Event.from_pdu(VERSIONS[version], fits)


@pytest.mark.parametrize("version", ["2", "12"])
@pytest.mark.parametrize(("name", "limit"), [("prev_events", 20), ("auth_events", 10)])
def test_number_of_references(version: str, name: str, limit: int) -> None:
    reference: Any = ["$a:one.example", {}] if version == "2" else HASH_ID
    Event.from_pdu(VERSIONS[version], pdu(version, **{name: [reference] * limit}))
    many = pdu(version, **{name: [reference] * (limit + 1)})
    with pytest.raises(InvalidEvent, match="at most"):
        Event.from_pdu(VERSIONS[version], many)
    # History that is backfilled keeps what it has.
    assert len(getattr(Event.from_pdu(VERSIONS[version], many, limit_references=False), name)) == limit + 1


def test_a_stray_event_id_is_part_of_the_hash() -> None:
    """From version 3 on ``event_id`` means nothing, but redaction keeps it, and so do the hashes of other servers."""
    plain = Event.from_pdu(VERSIONS["12"], pdu("12"))
    stray = Event.from_pdu(VERSIONS["12"], pdu("12", event_id="$e:one.example"))
    assert plain.event_id != stray.event_id
    assert stray.redacted().event_id == hashes.event_id(stray.version, stray.redacted().pdu) == stray.event_id


@pytest.mark.parametrize("version", ["4", "12"])
def test_redacts_of_a_wrong_type_is_no_target(version: str) -> None:
    event = Event.from_pdu(VERSIONS[version], pdu(version, type="m.room.redaction", redacts=5, content={"redacts": {}}))
    assert event.redacts is None


@pytest.mark.parametrize("version", ALL)
def test_a_plain_membership_is_told_by_its_columns_also_after_its_redaction(version: str) -> None:
    def columns(**content: Any) -> tuple[str, int] | tuple[None, None]:
        own = pdu(version, type="m.room.member", state_key=ALICE, content=content)
        event = Event(VERSIONS[version], own, HASH_ID, b"")
        if content:
            before, after = plain_columns(event), plain_columns(event.redacted())
            # What is vouched for may become plain, never the other way round.
            assert before in (after, (None, None))
        return plain_columns(event)

    nothing = (None, None)
    expected = (None, None) if int(version) < 6 else ("ban", 1_700_000_000_000)
    assert columns(membership="ban", displayname="Ann", reason="none") == expected
    assert columns(membership="join", join_authorised_via_users_server=ALICE) == nothing
    assert columns(membership="invite", third_party_invite=None) == nothing
    assert columns(membership="sleep") == columns(membership=["join"]) == columns() == nothing
    topic = pdu(version, type="m.room.topic", state_key="", content={"membership": "join"})
    assert plain_columns(Event(VERSIONS[version], topic, HASH_ID, b"")) == nothing
