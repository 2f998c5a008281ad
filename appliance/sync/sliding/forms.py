"""What the two forms of sliding sync have in common."""

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from appliance.errors import bad_json, invalid_param
from appliance.sync.sliding.rooms import RoomResult
from appliance.sync.sliding.wishes import ExtensionWish

MOST_LISTS, MOST_ROOMS, MOST_TIMELINE = 100, 1_000, 500
MOST_WANTED = 2_000
"""Entries of ``required_state`` in one request: what rooms are wanted for is put together for each of them."""
ListName = Annotated[str, Meta(max_length=64)]
Names = Annotated[list[str], Meta(max_length=MOST_ROOMS)]
_PLAIN = ("joined_count", "invited_count", "bump_stamp", "prev_batch", "limited", "num_live")


class RequestedExtension(Struct):
    """What every extension has."""

    enabled: bool | None = None
    lists: Names | None = None
    rooms: Names | None = None


def wanted_extensions(requested: dict[str, Any] | None) -> dict[str, ExtensionWish]:
    """The extensions that are wanted. Whether a server knows them is for the core to say.

    Raises:
        MatrixError: 400 ``M_BAD_JSON`` for one whose shape is wrong.
    """
    found: dict[str, ExtensionWish] = {}
    for name, options in (requested or {}).items():
        if not isinstance(options, dict):
            continue
        try:
            one = msgspec.convert(options, RequestedExtension)
        except msgspec.ValidationError as error:
            raise bad_json(f"The extension {name} cannot be read: {error}") from error
        if one.enabled:
            found[name] = ExtensionWish(options, _names(one.lists), _names(one.rooms))
    return found


def _names(names: list[str] | None) -> frozenset[str] | None:
    return None if names is None or "*" in names else frozenset(names)


def check_wanted(entries: Iterable[int]) -> None:
    """Refuse a request with too many entries of ``required_state`` in all its lists and subscriptions.

    Raises:
        MatrixError: 400 ``M_INVALID_PARAM``.
    """
    if sum(entries) > MOST_WANTED:
        raise invalid_param(f"A request may have at most {MOST_WANTED} entries of required_state in all.")


def limited(timeline_limit: int) -> int:
    """How many events of a timeline are given, whatever is asked for."""
    return min(timeline_limit, MOST_TIMELINE)


def room_answer(result: RoomResult) -> dict[str, Any]:
    """What both forms say of a room in the same words."""
    told: dict[str, Any] = {}
    if result.initial:
        told["initial"] = True
    for field in ("name", "avatar"):
        value = getattr(result, field)
        if value is not None:
            told[field] = value or None
    if result.heroes:
        told["heroes"] = result.heroes
    if result.is_direct is not None:
        told["is_dm"] = result.is_direct
    if result.required_state is not None:
        told["required_state"] = result.required_state
    if result.timeline is not None:
        told["timeline"] = result.timeline
    for field in _PLAIN:
        value = getattr(result, field)
        if value is not None:
            told[field] = value
    return told
