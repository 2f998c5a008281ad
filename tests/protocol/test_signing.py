"""Hashes and signatures: the specification's own numbers (appendices, "Cryptographic Test Vectors"), and refusals."""

from typing import Any

import pytest

from appliance.protocol import hashes, signing, unpadded
from appliance.protocol.signing import SigningKey
from appliance.protocol.versions import VERSIONS

SEED = unpadded.decode("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")
KEY = SigningKey("ed25519:1", SEED)
V1 = VERSIONS["1"]

MINIMAL: dict[str, Any] = {
    "room_id": "!x:domain",
    "sender": "@a:domain",
    "origin": "domain",
    "origin_server_ts": 1000000,
    "signatures": {},
    "hashes": {},
    "type": "X",
    "content": {},
    "prev_events": [],
    "auth_events": [],
    "depth": 3,
    "unsigned": {"age_ts": 1000000},
}
REDACTABLE: dict[str, Any] = {
    "content": {"body": "Here is the message content"},
    "event_id": "$0:domain",
    "origin": "domain",
    "origin_server_ts": 1000000,
    "type": "m.room.message",
    "room_id": "!r:domain",
    "sender": "@u:domain",
    "signatures": {},
    "unsigned": {"age_ts": 1000000},
}


@pytest.mark.parametrize(
    ("obj", "signature"),
    [
        ({}, "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            {"one": 1, "two": "Two"},
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ],
)
def test_vector_json(obj: dict[str, Any], signature: str) -> None:
    assert KEY.sign_json(obj, "domain") == {**obj, "signatures": {"domain": {"ed25519:1": signature}}}


@pytest.mark.parametrize(
    ("pdu", "content_hash", "signature"),
    [
        (
            MINIMAL,
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            REDACTABLE,
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ],
)
def test_vector_event(pdu: dict[str, Any], content_hash: str, signature: str) -> None:
    assert hashes.content_hash(pdu) == content_hash
    hashed = {**pdu, "hashes": {"sha256": content_hash}}
    assert KEY.sign(hashes.signed_form(V1, hashed)) == signature


def test_public_key_and_seed() -> None:
    assert KEY.public_key == "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI"
    assert KEY.seed == SEED
    assert SigningKey(KEY.key_id, KEY.seed).public_key == KEY.public_key


def test_the_seed_does_not_show() -> None:
    for shown in (repr(KEY), str(KEY), f"{KEY}"):
        assert shown == "SigningKey('ed25519:1')"


def test_generated_keys_differ() -> None:
    one, two = SigningKey.generate(), SigningKey.generate()
    assert one.seed != two.seed
    assert one.key_id != two.key_id
    assert SigningKey(one.key_id, one.seed).public_key == one.public_key


@pytest.mark.parametrize("key_id", ["1", "ed25519:", "ed25519:a-b", "curve25519:1", "ed25519:1\n"])
def test_key_id_grammar(key_id: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        SigningKey(key_id, SEED)


def test_seed_length() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey("ed25519:1", b"short")


def test_signing_keeps_what_is_there() -> None:
    obj = {"a": 1, "unsigned": {"age": 5}, "signatures": {"other": {"ed25519:9": "x"}, "domain": {"ed25519:0": "y"}}}
    before = repr(obj)
    signed = KEY.sign_json(obj, "domain")
    assert repr(obj) == before
    assert signed["unsigned"] == {"age": 5}
    assert signed["signatures"]["other"] == {"ed25519:9": "x"}
    assert signed["signatures"]["domain"]["ed25519:0"] == "y"
    assert signing.verify_json(signed, "domain", "ed25519:1", KEY.public_key)
    # Neither is covered: other servers may add to both.
    assert signing.verify_json({**signed, "unsigned": 0}, "domain", "ed25519:1", KEY.public_key)


SIGNED = KEY.sign_json({"a": 1}, "domain")
GOOD = SIGNED["signatures"]["domain"]["ed25519:1"]


def test_either_alphabet_with_or_without_padding() -> None:
    for signature in (GOOD, GOOD + "==", GOOD.replace("+", "-").replace("/", "_")):
        for key in (KEY.public_key, KEY.public_key + "=", KEY.public_key.replace("+", "-").replace("/", "_")):
            obj = {"a": 1, "signatures": {"domain": {"ed25519:1": signature}}}
            assert signing.verify_json(obj, "domain", "ed25519:1", key)


@pytest.mark.parametrize(
    ("obj", "name", "key_id", "key"),
    [
        ({**SIGNED, "a": 2}, "domain", "ed25519:1", KEY.public_key),
        (SIGNED, "other", "ed25519:1", KEY.public_key),
        (SIGNED, "domain", "ed25519:2", KEY.public_key),
        (SIGNED, "domain", "ed25519:1", SigningKey("ed25519:1", bytes(32)).public_key),
        (SIGNED, "domain", "ed25519:1", "AAAA"),
        (SIGNED, "domain", "ed25519:1", "no base64!"),
        (SIGNED, "domain", "ed25519:1", "\u00e4"),
        (SIGNED, "domain", "ed25519:1", "A" * 43),
        ({"a": 1}, "domain", "ed25519:1", KEY.public_key),
        ({"a": 1, "signatures": []}, "domain", "ed25519:1", KEY.public_key),
        ({"a": 1, "signatures": {"domain": "x"}}, "domain", "ed25519:1", KEY.public_key),
        ({"a": 1, "signatures": {"domain": {"ed25519:1": 5}}}, "domain", "ed25519:1", KEY.public_key),
        ({"a": 1, "signatures": {"domain": {"ed25519:1": "AA"}}}, "domain", "ed25519:1", KEY.public_key),
        ({"a": 1, "signatures": {"domain": {"ed25519:1": "!"}}}, "domain", "ed25519:1", KEY.public_key),
        ({"a": 1, "signatures": {"domain": {"rsa:1": GOOD}}}, "domain", "rsa:1", KEY.public_key),
        ({**SIGNED, "b": "\ud800"}, "domain", "ed25519:1", KEY.public_key),
    ],
)
def test_not_verified(obj: dict[str, Any], name: str, key_id: str, key: str) -> None:
    assert signing.verify_json(obj, name, key_id, key) is False


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"foob", "Zm9vYg"),
        (b"fooba", "Zm9vYmE"),
        (b"foobar", "Zm9vYmFy"),
        (b"\xfb\xff\xfe", "+//+"),
    ],
)
def test_unpadded_base64(data: bytes, text: str) -> None:
    assert unpadded.encode(data) == text
    assert unpadded.encode_urlsafe(data) == text.replace("+", "-").replace("/", "_")
    assert unpadded.decode(text) == unpadded.decode(unpadded.encode_urlsafe(data)) == data
    assert unpadded.decode(text + "=" * (-len(text) % 4)) == data


@pytest.mark.parametrize("text", ["A", "A A", "AA\n", "A=AA", "\u00e4\u00e4"])
def test_not_base64(text: str) -> None:
    with pytest.raises(ValueError):
        unpadded.decode(text)
