"""The form of sliding sync that clients speak today: ``org.matrix.simplified_msc3575``."""

from typing import Annotated, Any

import orjson
from msgspec import Meta, Struct

from appliance.errors import invalid_param
from appliance.rooms.snapshot import MEMBER
from appliance.storage.lru import SizedLru
from appliance.sync.sliding.forms import (
    MOST_LISTS,
    MOST_ROOMS,
    ListName,
    Names,
    RequestedExtension,
    check_wanted,
    limited,
    room_answer,
    wanted_extensions,
)
from appliance.sync.sliding.rooms import RoomResult
from appliance.sync.sliding.service import Answered
from appliance.sync.sliding.wishes import ANY, Filters, ListWish, RequiredState, RoomConfig, Wishes

LAZY, ME = "$LAZY", "$ME"
MOST_REMEMBERED, LONGEST_REMEMBERED = 4 * 1024 * 1024, 16_384
"""Bytes of the requests that are remembered, and of one of them."""
_OBJECTS = 8
"""How many times its length what is made of a body takes, about."""
Slots = Annotated[list[tuple[str, str]], Meta(max_length=500)]


class RequestedFilters(Struct):
    """``filters`` of a list."""

    is_dm: bool | None = None
    spaces: Names | None = None
    is_encrypted: bool | None = None
    is_invite: bool | None = None
    room_types: Annotated[list[str | None], Meta(max_length=100)] | None = None
    not_room_types: Annotated[list[str | None], Meta(max_length=100)] | None = None
    room_name_like: str | None = None
    tags: Names | None = None
    not_tags: Names | None = None


class RequestedRoom(Struct):
    """How rooms are wanted."""

    timeline_limit: Annotated[int, Meta(ge=0)]
    required_state: Slots = []


class RequestedList(RequestedRoom):
    """One of ``lists``."""

    ranges: Annotated[list[tuple[int, int]], Meta(max_length=100)] | None = None
    slow_get_all_rooms: bool | None = None
    filters: RequestedFilters | None = None


class DeployedRequest(Struct):
    """The body of a request."""

    conn_id: Annotated[str, Meta(max_length=255)] | None = None
    txn_id: Annotated[str, Meta(max_length=255)] | None = None
    lists: Annotated[dict[ListName, RequestedList], Meta(max_length=MOST_LISTS)] | None = None
    room_subscriptions: Annotated[dict[str, RequestedRoom], Meta(max_length=MOST_ROOMS)] | None = None
    extensions: dict[str, Any] | None = None


class Requests:
    """Remembers what requests asked for: a client asks for the same again and again, and reading that costs more than
    to see that nothing happened.
    """

    def __init__(self) -> None:
        self._read: SizedLru[tuple[str, bytes], tuple[DeployedRequest, Wishes]] = SizedLru(MOST_REMEMBERED)

    def find(self, user_id: str, body: bytes) -> tuple[DeployedRequest, Wishes] | None:
        """What a body that was there before asks for; nobody may change it."""
        return self._read.get((user_id, body))

    def note(self, user_id: str, body: bytes, asked: DeployedRequest, wanted: Wishes) -> None:
        """Remember what a body asks for."""
        if len(body) <= LONGEST_REMEMBERED:
            self._read.put((user_id, body), (asked, wanted), _OBJECTS * len(body))


def wishes(body: DeployedRequest, user_id: str) -> Wishes:
    """What a request asks for.

    Args:
        body: its body.
        user_id: who ``$ME`` is.

    Raises:
        MatrixError: 400 ``M_INVALID_PARAM`` for ranges that make no sense, or more state than can be wanted.
    """
    check_wanted(
        len(one.required_state) for one in (*(body.lists or {}).values(), *(body.room_subscriptions or {}).values())
    )
    return Wishes(
        body.conn_id or "",
        {name: _list(one, user_id) for name, one in (body.lists or {}).items()},
        {room_id: _room(one, user_id) for room_id, one in (body.room_subscriptions or {}).items()},
        wanted_extensions(body.extensions),
    )


def _list(one: RequestedList, user_id: str) -> ListWish:
    ranges = None if one.slow_get_all_rooms or one.ranges is None else tuple(one.ranges)
    for first, last in ranges or ():
        if not 0 <= first <= last:
            raise invalid_param("A range goes from one index to another that is not before it, counted from 0.")
    filters = one.filters or RequestedFilters()
    return ListWish(
        _room(one, user_id),
        ranges,
        Filters(
            is_dm=filters.is_dm,
            spaces=None if filters.spaces is None else tuple(filters.spaces),
            is_encrypted=filters.is_encrypted,
            is_invite=filters.is_invite,
            room_types=None if filters.room_types is None else tuple(filters.room_types),
            not_room_types=tuple(filters.not_room_types or ()),
            room_name_like=filters.room_name_like,
            tags=None if filters.tags is None else tuple(filters.tags),
            not_tags=tuple(filters.not_tags or ()),
        ),
    )


def _room(one: RequestedRoom, user_id: str) -> RoomConfig:
    types: dict[str, set[str]] = {}
    any_type: set[str] = set()
    lazy = False
    for event_type, state_key in one.required_state:
        if state_key == LAZY:
            if event_type == MEMBER:
                lazy = True
                types.setdefault(MEMBER, set())
            continue
        key = user_id if state_key == ME else state_key
        if event_type == ANY:
            any_type.add(key)
        else:
            types.setdefault(event_type, set()).add(key)
    required = RequiredState(
        {event_type: frozenset(keys) for event_type, keys in types.items()}, frozenset(any_type), lazy=lazy
    )
    return RoomConfig(limited(one.timeline_limit), required)


def render(answered: Answered, body: DeployedRequest) -> bytes:
    """An answer in this form."""
    told: dict[str, Any] = {
        "pos": str(answered.token),
        "lists": {name: {"count": count} for name, count in answered.counts.items()},
        "rooms": {room_id: _told(result) for room_id, result in answered.rooms.items()},
        "extensions": answered.extensions,
    }
    if body.txn_id is not None:
        told["txn_id"] = body.txn_id
    return orjson.dumps(told)


def _told(result: RoomResult) -> dict[str, Any]:
    told = room_answer(result)
    if result.notifications is not None:
        told["notification_count"], told["highlight_count"] = result.notifications, result.highlights
    if result.expanded:
        told["unstable_expanded_timeline"] = True
    if result.stripped_state is not None:
        told["invite_state"] = result.stripped_state
    return told


__all__ = ["DeployedRequest", "RequestedExtension", "render", "wishes"]
