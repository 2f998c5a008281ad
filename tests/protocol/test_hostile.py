"""Whatever another server sends ends in an event, an ``InvalidEvent`` or a ``NotAllowed``, never in a bug of ours."""

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol import canonical
from appliance.protocol.auth import redaction_applies
from appliance.protocol.client_form import client_bytes
from appliance.protocol.event_signatures import is_signed_by, required_signers
from appliance.protocol.events import Event, InvalidEvent
from appliance.protocol.power import PowerLevels
from appliance.protocol.versions import VERSIONS
from tests.protocol.room import ALICE, BOB, KEY, Room, versions
from tests.protocol.strategies import CONTENT, JSON, TYPES

ROOMS = {version: Room(version) for version in versions(1)}
KINDS = [
    *("m.room.member", "m.room.power_levels", "m.room.join_rules", "m.room.create", "m.room.aliases"),
    *("m.room.third_party_invite", "m.room.redaction", "m.room.message"),
]
SPICED = st.fixed_dictionaries(
    {},
    optional={
        "membership": st.sampled_from(["join", "invite", "leave", "ban", "knock"]) | JSON,
        "join_rule": st.sampled_from(["public", "knock", "restricted", "knock_restricted"]) | JSON,
        "join_authorised_via_users_server": st.sampled_from([ALICE, BOB]) | JSON,
        "third_party_invite": st.fixed_dictionaries(
            {"signed": st.fixed_dictionaries({"mxid": st.just(BOB), "token": st.just("t"), "signatures": JSON}) | JSON}
        )
        | JSON,
        "public_keys": st.lists(st.fixed_dictionaries({"public_key": JSON}) | JSON, max_size=2) | JSON,
        "users": st.dictionaries(st.sampled_from([ALICE, BOB, "x"]), JSON, max_size=3) | JSON,
        "events": st.dictionaries(st.sampled_from(KINDS), JSON, max_size=2) | JSON,
        "notifications": JSON,
        "ban": JSON,
        "additional_creators": JSON,
        "room_version": st.sampled_from(versions(1)) | JSON,
        "redacts": JSON,
    },
)


@given(
    version=st.sampled_from(versions(1)),
    changed=st.dictionaries(
        st.sampled_from(
            [
                *("type", "room_id", "sender", "state_key", "content", "depth", "origin_server_ts", "prev_events"),
                *("auth_events", "hashes", "signatures", "event_id", "redacts", "unsigned"),
            ]
        ),
        JSON | st.lists(st.lists(JSON, max_size=2), max_size=2),
        max_size=3,
    ),
)
def test_any_pdu(version: str, changed: dict[str, Any]) -> None:
    room = ROOMS[version]
    pdu = {**room.make("m.room.member", BOB, {"membership": "join"}, BOB).pdu, **changed}
    try:
        event = Event.from_pdu(room.version, pdu)
    except InvalidEvent:
        return
    assert Event.from_json(room.version, event.json).event_id == event.event_id
    for server in required_signers(event):
        is_signed_by(event, server, {KEY.key_id: KEY.public_key})
    room.refusal(event)
    room.auth_refusal(event, [event])
    event.redacted()
    canonical.decode(client_bytes(event))


@given(
    version=st.sampled_from(versions(1)),
    kind=st.sampled_from(KINDS) | TYPES,
    content=SPICED | CONTENT,
    state_key=st.sampled_from([None, "", ALICE, BOB, "t", "one.example"]),
    sender=st.sampled_from([ALICE, BOB]),
    state=st.lists(
        st.tuples(st.sampled_from(KINDS), SPICED, st.sampled_from(["", ALICE, BOB, "t"])), min_size=1, max_size=5
    ),
)
def test_any_content_against_any_state(
    version: str,
    kind: str,
    content: dict[str, Any],
    state_key: str | None,
    sender: str,
    state: list[tuple[str, dict[str, Any], str]],
) -> None:
    room = Room(version)
    for known_kind, known, known_key in state:
        if known_kind != "m.room.create":
            room.set(known_kind, known, known_key)
    room_id = None if kind == "m.room.create" and room.version.hash_room_ids else room.room_id
    event = room.make(kind, sender, content, state_key, room_id=room_id)
    room.refusal(event)
    room.auth_refusal(event, list(room.selected(event)))
    levels = PowerLevels(VERSIONS[version], room.lookup("m.room.power_levels", ""), room.create)
    for user_id in (ALICE, BOB):
        assert isinstance(levels.user(user_id), int | float)
    assert isinstance(levels.notification("room") + levels.event(kind, is_state=True) + levels.ban, int)
    redaction_applies(event, room.create, levels)
    with contextlib.suppress(InvalidEvent):
        Event.from_pdu(room.version, canonical.decode(event.json))
