"""The rules for invites by e-mail address or telephone number, which an identity server has signed."""

from typing import Any

import pytest

from appliance.protocol.auth_members import MAX_VERIFICATIONS
from appliance.protocol.events import Event
from appliance.protocol.signing import SigningKey
from tests.protocol.room import ALICE, BOB, CAROL, DAVE, Room, versions

ALL = versions(1)

IDENTITY = SigningKey("ed25519:0", b"i" * 32)
OTHER = SigningKey("ed25519:0", b"o" * 32)
SIGNED = {"mxid": BOB, "token": "abc"}


def third_party(room: Room, signed: Any, offer: dict[str, Any] | None = None, sender: str = ALICE) -> Event:
    """Alice offers an invite, and ``sender`` redeems it for Bob."""
    if offer is None:
        offer = {"public_key": IDENTITY.public_key, "display_name": "b…@…", "key_validity_url": "https://id.example/"}
    room.set("m.room.third_party_invite", offer, "abc")
    content = {"membership": "invite", "third_party_invite": {"signed": signed, "display_name": "b…@…"}}
    return room.make("m.room.member", sender, content, BOB)


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize(
    "offer",
    [
        None,
        {"public_key": OTHER.public_key, "public_keys": [{"public_key": IDENTITY.public_key}]},
        {"public_keys": ["x", {}, {"public_key": 5}, {"public_key": IDENTITY.public_key.replace("+", "-")}]},
    ],
)
def test_third_party_invite(version: str, offer: dict[str, Any] | None) -> None:
    room = Room(version)
    assert room.refusal(third_party(room, IDENTITY.sign_json(SIGNED, "id.example"), offer)) is None


def test_third_party_invite_needs_no_power_and_no_membership_of_its_sender() -> None:
    room = Room("12")
    room.set("m.room.power_levels", {"invite": 100})
    event = third_party(room, IDENTITY.sign_json(SIGNED, "id.example"))
    del room.state["m.room.member", ALICE]
    assert room.refusal(event) is None


REFUSED: list[tuple[str, Any, str]] = [
    ("unsigned", SIGNED, "not signed"),
    ("signed by another", OTHER.sign_json(SIGNED, "id.example"), "not signed"),
    ("tampered", {**IDENTITY.sign_json(SIGNED, "id.example"), "sender": ALICE}, "not signed"),
    ("for another", IDENTITY.sign_json({**SIGNED, "mxid": DAVE}, "id.example"), "somebody else"),
    ("unknown token", IDENTITY.sign_json({**SIGNED, "token": "xyz"}, "id.example"), "no such"),
    ("no token", IDENTITY.sign_json({"mxid": BOB}, "id.example"), "lacks"),
    ("a token that is no text", IDENTITY.sign_json({"mxid": BOB, "token": ["abc"]}, "id.example"), "lacks"),
    ("no user", IDENTITY.sign_json({"token": "abc"}, "id.example"), "lacks"),
    ("signed is no object", "x", "lacks"),
    ("signatures are no object", {**SIGNED, "signatures": 5}, "not signed"),
]


@pytest.mark.parametrize("version", ["1", "11", "12"])
@pytest.mark.parametrize(("signed", "reason"), [item[1:] for item in REFUSED], ids=[item[0] for item in REFUSED])
def test_third_party_invite_refused(version: str, signed: Any, reason: str) -> None:
    room = Room(version)
    assert reason in str(room.refusal(third_party(room, signed)))


def test_third_party_invite_refused_by_the_state() -> None:
    signed = IDENTITY.sign_json(SIGNED, "id.example")
    room = Room("12")
    room.member(BOB, "ban")
    assert "banned" in str(room.refusal(third_party(room, signed)))
    room = Room("12")
    room.member(CAROL, "join")
    assert "somebody else" in str(room.refusal(third_party(room, signed, sender=CAROL)))
    room = Room("12")
    content = {"membership": "invite", "third_party_invite": None}
    assert "lacks" in str(room.refusal(room.make("m.room.member", ALICE, content, BOB)))


def test_third_party_invite_tries_only_so_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lists of keys and signatures must not keep the server busy for half a minute."""
    tried = []

    def verify(*parts: object) -> bool:
        tried.append(parts)
        return False

    monkeypatch.setattr("appliance.protocol.signing.verify", verify)
    room = Room("12")
    keys = [{"public_key": SigningKey("ed25519:0", bytes([number]) * 32).public_key} for number in range(50)]
    signatures = {f"ed25519:{number}": "x" for number in range(50)}
    event = third_party(room, {**SIGNED, "signatures": {"id.example": signatures}}, {"public_keys": keys})
    assert "not signed" in str(room.refusal(event))
    assert len(tried) == MAX_VERIFICATIONS
