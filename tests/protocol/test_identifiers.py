"""Identifiers: the grammar of the appendices, its limits and its historical exceptions."""

import pytest

from appliance.protocol import identifiers

SERVER_NAMES = [
    "matrix.org",
    "matrix.org:8888",
    "1.2.3.4",
    "1.2.3.4:1234",
    "255.255.255.255",
    "[1234:5678::abcd]",
    "[1234:5678::abcd]:5678",
    "[::1]",
    "[::ffff:1.2.3.4]",
    "localhost",
    "EXAMPLE.org",
    "xn--hllo-bpa.example",
    "a" * 255,
]
NOT_SERVER_NAMES = [
    "",
    ":8448",
    "example.org:",
    "example.org:123456",
    "example.org:84x",
    "example.org:8448:1",
    "exa mple.org",
    "exämple.org",
    "example_org",
    "1.2.3.256",
    "999.1.1.1:80",
    "[1234:5678::abcd",
    "1234:5678::abcd",
    "[12345::1]",
    "[1:2:3]",
    "[::1%eth0]",
    "[]",
    "example.org\n",
    "example.org/path",
    "a" * 256,
]


@pytest.mark.parametrize("name", SERVER_NAMES)
def test_server_name(name: str) -> None:
    assert identifiers.is_server_name(name)
    assert identifiers.is_user_id(f"@a:{name}") is (len(name) <= 252)


@pytest.mark.parametrize("name", NOT_SERVER_NAMES)
def test_not_a_server_name(name: str) -> None:
    assert not identifiers.is_server_name(name)
    assert not identifiers.is_user_id(f"@a:{name}")
    assert not identifiers.is_room_alias(f"#a:{name}")


@pytest.mark.parametrize(
    ("user_id", "expected"),
    [
        ("@alice:example.org", True),
        ("@:example.org", True),
        ("@Alice With Spaces:example.org", True),
        ("@ålice\n:example.org", True),
        ("@a:example.org:8448", True),
        ("@a:[::1]:8448", True),
        ("@" + "a" * 242 + ":example.org", True),
        ("@" + "a" * 243 + ":example.org", False),
        ("@" + "ä" * 121 + ":example.org", True),
        ("@" + "ä" * 122 + ":example.org", False),
        ("alice:example.org", False),
        ("@alice", False),
        ("@a\0b:example.org", False),
        ("@a\ud800:example.org", False),
        ("@a:", False),
        ("", False),
        ("@", False),
    ],
)
def test_user_id(user_id: str, expected: bool) -> None:
    assert identifiers.is_user_id(user_id) is expected


@pytest.mark.parametrize("localpart", ["a", "alice", "a.b_c=d-e/f+g", "0", "a" * 200])
def test_new_localpart(localpart: str) -> None:
    assert identifiers.is_new_localpart(localpart)


@pytest.mark.parametrize("localpart", ["", "Alice", "ä", "a b", "a:b", "@a", "a\n", "a" * 254, "a~"])
def test_not_a_new_localpart(localpart: str) -> None:
    assert not identifiers.is_new_localpart(localpart)


@pytest.mark.parametrize(
    ("room_id", "expected"),
    [
        ("!abc123:matrix.org", True),
        ("!Nhcu5BS-UMnFX7hBVfVSoXiD7OgH6iRT-xyIuqDnpYQ", True),
        ("!odd \n opaque:matrix.org", True),
        ("!abc", True),
        ("!", False),
        ("abc:matrix.org", False),
        ("!a\0:matrix.org", False),
        ("!abc def", False),
        ("!abc:", False),
        ("!" + "a" * 255, False),
        ("#abc:matrix.org", False),
    ],
)
def test_room_id(room_id: str, expected: bool) -> None:
    assert identifiers.is_room_id(room_id) is expected


@pytest.mark.parametrize(
    ("event_id", "expected"),
    [
        ("$a4ecee13e2accdadf56c1025:example.com", True),
        ("$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk", True),
        ("$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg", True),
        ("$", False),
        ("$a b", False),
        ("$:", False),
        ("!a:example.com", False),
        ("$" + "a" * 255, False),
    ],
)
def test_event_id(event_id: str, expected: bool) -> None:
    assert identifiers.is_event_id(event_id) is expected


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        ("#room:example.org", True),
        ("#Raum für alle #1:example.org:8448", True),
        ("#:example.org", False),
        ("#room", False),
        ("#a\0:example.org", False),
        ("#" + "a" * 243 + ":example.org", False),
    ],
)
def test_room_alias(alias: str, expected: bool) -> None:
    assert identifiers.is_room_alias(alias) is expected


def test_opaque_and_namespaced() -> None:
    assert identifiers.is_opaque_id("aZ0-._~")
    assert not identifiers.is_opaque_id("")
    assert not identifiers.is_opaque_id("a/b")
    assert not identifiers.is_opaque_id("a" * 256)
    assert identifiers.is_namespaced_id("org.example.thing_1-a")
    assert not identifiers.is_namespaced_id("1.example")
    assert not identifiers.is_namespaced_id("org.Example")
    assert not identifiers.is_namespaced_id("a" * 256)


def test_parts() -> None:
    assert identifiers.server_of("@a:[::1]:8448") == "[::1]:8448"
    assert identifiers.localpart_of("@a=b:example.org") == "a=b"
    assert identifiers.localpart_of("@:example.org") == ""
    with pytest.raises(ValueError, match="names no server"):
        identifiers.server_of("$hash")
    with pytest.raises(ValueError, match="names no server"):
        identifiers.localpart_of("@a")


def test_fits_counts_bytes() -> None:
    assert identifiers.fits("a" * 255)
    assert not identifiers.fits("a" * 256)
    assert identifiers.fits("é" * 127)
    assert not identifiers.fits("é" * 128)
    assert not identifiers.fits("\udfff")
