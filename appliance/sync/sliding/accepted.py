"""The accepted form of sliding sync (MSC4186): ``/v4/sync``."""

from typing import Annotated, Any

import orjson
from msgspec import Meta, Struct

from appliance.errors import invalid_param
from appliance.rooms.snapshot import MEMBER
from appliance.sync.sliding.forms import (
    MOST_LISTS,
    ListName,
    Names,
    check_wanted,
    limited,
    room_answer,
    wanted_extensions,
)
from appliance.sync.sliding.rooms import RoomResult
from appliance.sync.sliding.service import Answered
from appliance.sync.sliding.wishes import ANY, Filters, ListWish, RequiredState, RoomConfig, Wishes


class Element(Struct):
    """A kind of state events; what is left out stands for any."""

    type: str | None = None
    state_key: str | None = None


Elements = Annotated[list[Element], Meta(max_length=500)]


class RequestedState(Struct):
    """``required_state``."""

    include: Elements = []
    exclude: Elements = []
    lazy_members: bool = False


class RequestedFilters(Struct):
    """``filters`` of a list."""

    is_dm: bool | None = None
    spaces: Names | None = None
    is_encrypted: bool | None = None
    is_invited: bool | None = None
    room_types: Annotated[list[str | None], Meta(max_length=100)] | None = None
    not_room_types: Annotated[list[str | None], Meta(max_length=100)] | None = None
    tags: Names | None = None
    not_tags: Names | None = None


class RequestedRoom(Struct):
    """How rooms are wanted."""

    timeline_limit: Annotated[int, Meta(ge=0)]
    required_state: RequestedState | None = None


class RequestedList(RequestedRoom):
    """One of ``lists``."""

    range: tuple[int, int] | None = None
    filters: RequestedFilters | None = None


class AcceptedRequest(Struct):
    """The body of a request."""

    conn_id: Annotated[str, Meta(max_length=255)] | None = None
    pos: str | None = None
    timeout: Annotated[int, Meta(ge=0)] | None = None
    set_presence: str | None = None
    lists: Annotated[dict[ListName, RequestedList], Meta(max_length=MOST_LISTS)] | None = None
    room_subscriptions: Annotated[dict[str, RequestedRoom], Meta(max_length=100)] | None = None
    extensions: dict[str, Any] | None = None


def wishes(body: AcceptedRequest) -> Wishes:
    """What a request asks for.

    Raises:
        MatrixError: 400 ``M_INVALID_PARAM`` for a range that makes no sense, or more state than can be wanted.
    """
    rooms = (*(body.lists or {}).values(), *(body.room_subscriptions or {}).values())
    states = [one.required_state for one in rooms if one.required_state is not None]
    check_wanted(len(one.include) + len(one.exclude) for one in states)
    return Wishes(
        body.conn_id or "",
        {name: _list(one) for name, one in (body.lists or {}).items()},
        {room_id: _room(one) for room_id, one in (body.room_subscriptions or {}).items()},
        wanted_extensions(body.extensions),
    )


def _list(one: RequestedList) -> ListWish:
    if one.range is not None and not 0 <= one.range[0] <= one.range[1]:
        raise invalid_param("A range goes from one index to another that is not before it, counted from 0.")
    filters = one.filters or RequestedFilters()
    return ListWish(
        _room(one),
        None if one.range is None else (one.range,),
        Filters(
            is_dm=filters.is_dm,
            spaces=None if filters.spaces is None else tuple(filters.spaces),
            is_encrypted=filters.is_encrypted,
            is_invite=filters.is_invited,
            room_types=None if filters.room_types is None else tuple(filters.room_types),
            not_room_types=tuple(filters.not_room_types or ()),
            tags=None if filters.tags is None else tuple(filters.tags),
            not_tags=tuple(filters.not_tags or ()),
        ),
    )


def _room(one: RequestedRoom) -> RoomConfig:
    wanted = one.required_state or RequestedState()
    types: dict[str, set[str]] = {}
    any_type: set[str] = set()
    for element in wanted.include:
        key = ANY if element.state_key is None else element.state_key
        if element.type is None:
            any_type.add(key)
        else:
            types.setdefault(element.type, set()).add(key)
    if ANY in any_type:
        # All there is: what is named besides is among it, but for members, who may be wanted lazily.
        types = {MEMBER: types.get(MEMBER, set())} if wanted.lazy_members else {}
    elif wanted.lazy_members:
        types.setdefault(MEMBER, set())
    required = RequiredState(
        {event_type: frozenset(keys) for event_type, keys in types.items()},
        frozenset(any_type),
        frozenset((element.type, element.state_key) for element in wanted.exclude),
        wanted.lazy_members,
    )
    return RoomConfig(limited(one.timeline_limit), required)


def render(answered: Answered) -> bytes:
    """An answer in this form."""
    return orjson.dumps(
        {
            "pos": str(answered.token),
            "lists": {name: {"count": count} for name, count in answered.counts.items()},
            "rooms": {room_id: _told(result) for room_id, result in answered.rooms.items()},
            "extensions": answered.extensions,
        }
    )


def _told(result: RoomResult) -> dict[str, Any]:
    told = room_answer(result)
    told["membership"] = result.membership
    if result.lists:
        told["lists"] = list(result.lists)
    if result.gone:
        gone = [{"type": event_type, "state_key": state_key} for event_type, state_key in result.gone]
        state = result.required_state
        told["required_state"] = [*(() if state is None else orjson.loads(state.contents)), *gone]
    if result.expanded:
        told["expanded_timeline"] = True
    if result.stripped_state is not None:
        told["stripped_state"] = result.stripped_state
    return told
