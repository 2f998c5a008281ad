"""Backups of room keys (client-server API, module "End-to-end encryption", "Server-side key backups")."""

from typing import Any

import pytest

from tests.support.client import Client, Json, seg

ROOM, OTHER = "!a:hearth.example", "!b/c:hearth.example"
ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
VERSION, KEYS = "/room_keys/version", "/room_keys/keys"


def make(client: Client, **auth_data: Any) -> str:
    """A new backup."""
    return str(client.must("POST", VERSION, {"algorithm": ALGORITHM, "auth_data": auth_data})["version"])


def key(data: str = "x", *, first: int = 0, forwarded: int = 0, verified: bool = False) -> Json:
    """The key of a session."""
    return {
        "first_message_index": first,
        "forwarded_count": forwarded,
        "is_verified": verified,
        "session_data": {"ciphertext": data},
    }


def put(client: Client, version: str, room: str, session: str, value: Json) -> Json:
    """Keep one key."""
    return client.must("PUT", f"{KEYS}/{seg(room)}/{seg(session)}", value, version=version)


def kept(client: Client, version: str) -> dict[tuple[str, str], Json]:
    """All keys of a backup, by room and session."""
    rooms = client.must("GET", KEYS, version=version)["rooms"]
    return {(room, session): one for room, own in rooms.items() for session, one in own["sessions"].items()}


def test_versions_come_and_go(alice: Client, bob: Client) -> None:
    """The newest is the one that is meant; a number is never given twice; each user has their own."""
    alice.refused("M_NOT_FOUND", 404, "GET", VERSION)
    first, second = make(alice, public_key="a"), make(alice, public_key="b")
    assert first != second
    told = {"algorithm": ALGORITHM, "auth_data": {"public_key": "b"}, "count": 0, "version": second}
    newest = alice.must("GET", VERSION)
    assert {**newest, "etag": ""} == {**told, "etag": ""}
    assert alice.must("GET", f"{VERSION}/{first}")["auth_data"] == {"public_key": "a"}
    bob.refused("M_NOT_FOUND", 404, "GET", VERSION)
    bob.refused("M_NOT_FOUND", 404, "GET", f"{VERSION}/{second}")
    for _ in range(2):
        assert alice.must("DELETE", f"{VERSION}/{second}") == {}
    alice.refused("M_NOT_FOUND", 404, "GET", f"{VERSION}/{second}")
    assert alice.must("GET", VERSION)["version"] == first
    assert make(alice) not in (first, second)
    for unknown in ("99", "x", "0", "9" * 30):
        alice.refused("M_NOT_FOUND", 404, "DELETE", f"{VERSION}/{unknown}")
        alice.refused("M_NOT_FOUND", 404, "GET", f"{VERSION}/{unknown}")


def test_of_a_version_only_its_data_can_be_changed(alice: Client) -> None:
    version = make(alice, a=1)
    body: Json = {"algorithm": ALGORITHM, "auth_data": {"a": 2}}
    assert alice.must("PUT", f"{VERSION}/{version}", {**body, "version": version}) == {}
    assert alice.must("GET", VERSION)["auth_data"] == {"a": 2}
    for wrong in ({**body, "version": "99"}, {**body, "algorithm": "other"}):
        alice.refused("M_INVALID_PARAM", 400, "PUT", f"{VERSION}/{version}", wrong)
    alice.refused("M_NOT_FOUND", 404, "PUT", f"{VERSION}/99", body)
    alice.refused("M_MISSING_PARAM", 400, "PUT", f"{VERSION}/{version}", {"algorithm": ALGORITHM})
    alice.refused("M_BAD_JSON", 400, "POST", VERSION, {"algorithm": 1, "auth_data": {}})
    alice.must("DELETE", f"{VERSION}/{version}")
    alice.refused("M_NOT_FOUND", 404, "PUT", f"{VERSION}/{version}", body)


def test_keys_are_kept_and_restored(alice: Client, bob: Client) -> None:
    """By session, by room and all at once, with the number of them; another device of the user reads them all."""
    version = make(alice)
    assert put(alice, version, ROOM, "s1", key("1"))["count"] == 1
    body = {"sessions": {"s1": key("other"), "s/2": key("2", first=3, forwarded=1, verified=True)}}
    assert alice.must("PUT", f"{KEYS}/{seg(ROOM)}", body, version=version)["count"] == 2
    rooms = {"rooms": {OTHER: {"sessions": {"s1": key("3")}}, ROOM: {"sessions": {}}}}
    assert alice.must("PUT", KEYS, rooms, version=version)["count"] == 3
    phone = alice.login()
    assert kept(phone, version) == {
        (ROOM, "s1"): key("1"),
        (ROOM, "s/2"): key("2", first=3, forwarded=1, verified=True),
        (OTHER, "s1"): key("3"),
    }
    sessions = phone.must("GET", f"{KEYS}/{seg(OTHER)}", version=version)
    assert sessions == {"sessions": {"s1": key("3")}}
    one = phone.must("GET", f"{KEYS}/{seg(ROOM)}/{seg('s/2')}", version=version)
    assert one == key("2", first=3, forwarded=1, verified=True)
    assert phone.must("GET", VERSION)["count"] == 3
    bob.refused("M_NOT_FOUND", 404, "GET", KEYS, version=version)


def test_many_keys_are_restored(alice: Client) -> None:
    """More than are made into an answer at once: of all rooms, and of one."""
    version = make(alice)
    many = {f"s{number}": key(str(number)) for number in range(400)}
    alice.must("PUT", KEYS, {"rooms": {ROOM: {"sessions": many}, OTHER: {"sessions": {"s": key()}}}}, version=version)
    assert alice.must("GET", KEYS, version=version) == {
        "rooms": {ROOM: {"sessions": many}, OTHER: {"sessions": {"s": key()}}}
    }
    assert alice.must("GET", f"{KEYS}/{seg(ROOM)}", version=version) == {"sessions": many}


def test_nothing_is_found_as_nothing(alice: Client) -> None:
    version = make(alice)
    assert alice.must("GET", KEYS, version=version) == {"rooms": {}}
    assert alice.must("GET", f"{KEYS}/{seg(ROOM)}", version=version) == {"sessions": {}}
    alice.refused("M_NOT_FOUND", 404, "GET", f"{KEYS}/{seg(ROOM)}/s", version=version)
    for method, path in (("GET", KEYS), ("DELETE", KEYS), ("GET", f"{KEYS}/{seg(ROOM)}")):
        alice.refused("M_NOT_FOUND", 404, method, path, version="99")
        alice.refused("M_MISSING_PARAM", 400, method, path)


@pytest.mark.parametrize(
    ("there", "worse", "better"),
    [
        (
            key(first=10, forwarded=5),
            [key(first=11, forwarded=5), key(first=10, forwarded=6), key(first=11), key(first=10, forwarded=5)],
            [key(first=10, forwarded=4), key(first=9, forwarded=9), key(first=20, forwarded=9, verified=True)],
        ),
        (
            key(first=10, forwarded=5, verified=True),
            [key(), key(first=11, verified=True), key(first=10, forwarded=6, verified=True)],
            [key(first=10, forwarded=4, verified=True), key(first=9, forwarded=9, verified=True)],
        ),
    ],
)
def test_the_better_key_stays(alice: Client, there: Json, worse: list[Json], better: list[Json]) -> None:
    """One from a verified device, else one that decrypts more, else one that was passed on less; the etag tells."""
    version = make(alice)
    etag = put(alice, version, ROOM, "s", there)["etag"]
    for other in worse:
        assert put(alice, version, ROOM, "s", {**other, "session_data": {"other": 1}}) == {"count": 1, "etag": etag}
    assert kept(alice, version) == {(ROOM, "s"): there}
    for other in better:
        answer = put(alice, version, ROOM, "s", other)
        assert answer["count"] == 1
        assert answer["etag"] != etag
        etag = answer["etag"]
        assert kept(alice, version) == {(ROOM, "s"): other}
    assert alice.must("GET", VERSION)["etag"] == etag


def test_only_the_newest_version_takes_keys(alice: Client) -> None:
    alice.refused("M_NOT_FOUND", 404, "PUT", f"{KEYS}/{seg(ROOM)}/s", key(), version="1")
    old = make(alice)
    put(alice, old, ROOM, "s", key("old"))
    new = make(alice)
    for version in (old, "99"):
        error = alice.refused("M_WRONG_ROOM_KEYS_VERSION", 403, "PUT", KEYS, {"rooms": {}}, version=version)
        assert error["current_version"] == new
    assert kept(alice, old) == {(ROOM, "s"): key("old")}
    assert kept(alice, new) == {}
    alice.must("DELETE", f"{VERSION}/{new}")
    assert put(alice, old, ROOM, "t", key())["count"] == 2


def test_keys_can_be_deleted(alice: Client) -> None:
    """One, a room's, all; what is not there is deleted already. A version takes its keys with it."""
    version = make(alice)
    for room, session in ((ROOM, "1"), (ROOM, "2"), (OTHER, "1"), (OTHER, "2"), (OTHER, "3")):
        etag = put(alice, version, room, session, key())["etag"]
    first = alice.must("DELETE", f"{KEYS}/{seg(ROOM)}/1", version=version)
    assert first["count"] == 4
    assert first["etag"] != etag
    assert alice.must("DELETE", f"{KEYS}/{seg(ROOM)}/1", version=version) == first
    assert alice.must("DELETE", f"{KEYS}/{seg(OTHER)}", version=version)["count"] == 1
    assert kept(alice, version).keys() == {(ROOM, "2")}
    assert alice.must("DELETE", KEYS, version=version)["count"] == 0
    assert kept(alice, version) == {}
    put(alice, version, ROOM, "1", key())
    alice.must("DELETE", f"{VERSION}/{version}")
    alice.refused("M_NOT_FOUND", 404, "GET", KEYS, version=version)
    alice.refused("M_NOT_FOUND", 404, "DELETE", KEYS, version=version)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {**key(), "first_message_index": "1"},
        {**key(), "forwarded_count": -1},
        {**key(), "is_verified": 1},
        {**key(), "session_data": "x"},
    ],
)
def test_keys_of_another_shape_are_refused(alice: Client, value: Json) -> None:
    """And nothing that came with them is kept."""
    version = make(alice)
    alice.refused("M_BAD_JSON", 400, "PUT", f"{KEYS}/{seg(ROOM)}/s", value, version=version)
    body = {"rooms": {ROOM: {"sessions": {"good": key(), "bad": value}}}}
    alice.refused("M_BAD_JSON", 400, "PUT", KEYS, body, version=version)
    alice.refused("M_BAD_JSON", 400, "PUT", f"{KEYS}/{seg(ROOM)}", {"sessions": []}, version=version)
    large = {**key(), "session_data": {"x": "x" * 70_000}}
    alice.refused("M_TOO_LARGE", 413, "PUT", f"{KEYS}/{seg(ROOM)}/s", large, version=version)
    assert kept(alice, version) == {}
