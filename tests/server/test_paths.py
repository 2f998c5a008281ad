"""Which paths may end with a slash."""

import pytest

from appliance.server.paths import SlashedPaths

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
