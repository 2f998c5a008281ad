"""Which paths may end with a slash."""

import pytest

from appliance.server.paths import SlashedPaths, present

DECLARED = SlashedPaths(
    ["/_matrix/client/v3/sync", "/_matrix/client/v3/rooms/{room_id:str}/state/{event_type:str}/"],
)


@pytest.mark.parametrize(
    ("path", "misspelt"),
    [
        ("/_matrix/client/v3/sync", False),
        ("/_matrix/client/v3/sync/", True),
        ("/_matrix/client/v3/rooms/!a:x/state/m.room.name/", False),
        ("/_matrix/client/v3/rooms/!a:x/state/", True),
        ("/_matrix/client/v3/rooms/!a:x/state/m.room.name/key/", True),
        ("/_matrix/client/v3/rooms//state/m.room.name", True),
    ],
)
def test_slashes(path: str, misspelt: bool) -> None:
    """A slash at the end counts only where it was declared, two in a row never."""
    assert DECLARED.is_misspelt(path) is misspelt


def test_nothing_declared() -> None:
    """Without any such path no slash is good."""
    assert SlashedPaths([]).is_misspelt("/_matrix/")


def test_old_names() -> None:
    """What clients asked for before version 1.1 of the specification is what it became."""
    assert present("/_matrix/client/r0/sync") == "/_matrix/client/v3/sync"
    assert present("/_matrix/client/r0") == "/_matrix/client/r0"
    assert present("/_matrix/media/r0/x") == "/_matrix/media/r0/x"
