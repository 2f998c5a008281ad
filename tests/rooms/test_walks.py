"""Walks through spaces: their bounds, and how long their tokens live."""

import asyncio
from typing import Any, cast

import pytest

from appliance.errors import MatrixError
from appliance.rooms.shown import spaces
from appliance.rooms.shown.facts import Facts, Outlook, RoomFacts
from appliance.rooms.shown.outlying import OutlookElsewhere
from appliance.rooms.shown.spaces import Child, Children, Spaces, Walk


class House:
    """Rooms that are all visible, with whatever rooms are in them; knows what a walk asks."""

    def __init__(self, rooms: dict[str, list[str]]) -> None:
        self.rooms = rooms
        self.now = 0.0
        outlook = cast("Outlook", self)
        facts, children = cast("RoomFacts", self._Facts()), cast("Children", self._Children(rooms))
        elsewhere = cast("OutlookElsewhere", self)
        self.spaces = Spaces(facts, children, outlook, elsewhere, lambda: self.now)

    def allows(self, user_id: str, facts: Facts) -> bool:
        return True

    class _Facts:
        def of(self, room_id: str) -> Facts:
            return Facts(
                room_id=room_id,
                room_nid=1,
                version="12",
                joined=1,
                join_rule="public",
                allowed_room_ids=(),
                world_readable=True,
                guest_can_join=False,
                room_type="m.space",
                name=None,
                topic=None,
                canonical_alias=None,
                avatar_url=None,
                encryption=None,
                federated=True,
            )

    class _Children:
        def __init__(self, rooms: dict[str, list[str]]) -> None:
            self._rooms = rooms

        def of(self, facts: Facts) -> list[Child]:
            return [Child(room_id, True, (), {}) for room_id in self._rooms.get(facts.room_id, [])]

    def begin(self) -> Walk:
        """A walk from the first room."""
        return self.spaces.begin("@a:x", "!root", suggested_only=False, max_depth=50)

    def resume(self, token: str) -> Walk:
        """Go on with it."""
        return self.spaces.resume(token, "@a:x", "!root", suggested_only=None, max_depth=None)

    async def all(self, limit: int) -> list[str]:
        """The ids of all rooms of a walk, page by page."""
        found, token = await self.spaces.go(self.begin(), limit)
        while token is not None:
            more, token = await self.spaces.go(self.resume(token), limit)
            found += more
        return [str(one["room_id"]) for one in found]


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_pages_of_any_size_show_the_same(limit: int) -> None:
    """A room that waits in several places is shown where the walk comes first, and once."""
    house = House({"!root": ["!a", "!b", "!c"], "!a": ["!c", "!root"], "!c": ["!b", "!d"], "!b": ["!a"]})
    assert asyncio.run(house.all(limit)) == ["!root", "!a", "!c", "!b", "!d"]


def test_a_page_names_so_many_rooms_of_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces full of rooms make shorter pages, on which all is told in the end."""
    monkeypatch.setattr(spaces, "MOST_CHILDREN", 3)
    house = House({"!root": ["!a", "!b"], "!a": ["!c", "!d"], "!b": ["!c"]})
    page, token = asyncio.run(house.spaces.go(house.begin(), 50))
    assert ([one["room_id"] for one in page], token is None) == (["!root", "!a"], False)
    assert asyncio.run(house.all(50)) == ["!root", "!a", "!c", "!d", "!b"]


def test_a_walk_ends_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rooms there are, one walk looks at so many and no more."""
    monkeypatch.setattr(spaces, "MOST_SEEN", 100)
    house = House({"!root": [f"!{number}" for number in range(1_000)]})
    assert asyncio.run(house.all(30)) == ["!root", *(f"!{number}" for number in range(99))]


def test_a_token_lives_for_a_while() -> None:
    """A token can be used again and again, until it is old or too many others came after it."""
    house = House({"!root": ["!a", "!b"]})
    token = _first(house)
    house.now = spaces.WALK_SECONDS
    assert _rest(house, token) == ["!a", "!b"]
    assert _rest(house, token) == ["!a", "!b"]
    house.now += 1
    with pytest.raises(MatrixError, match="M_INVALID_PARAM"):
        house.resume(token)
    token = _first(house)
    for _ in range(spaces.WALKS_KEPT):
        _first(house)
    with pytest.raises(MatrixError, match="M_INVALID_PARAM"):
        house.resume(token)


def _first(house: House) -> str:
    """A token after the first room."""
    _, token = asyncio.run(house.spaces.go(house.begin(), 1))
    assert token is not None
    return token


def _rest(house: House, token: str) -> list[Any]:
    found, _ = asyncio.run(house.spaces.go(house.resume(token), 50))
    return [one["room_id"] for one in found]
