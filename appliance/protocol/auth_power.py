"""The authorisation rules for ``m.room.power_levels``: what it must look like, and who may change what in it."""

from typing import Any

from appliance.protocol.auth_state import Judged, NotAllowed, require
from appliance.protocol.identifiers import is_user_id
from appliance.protocol.power import DEFAULTS, parse_level
from appliance.protocol.versions import RoomVersion

Levels = dict[str, int]

_NAMED = tuple(DEFAULTS)
"""The levels at the top of the content."""


def check_power_levels(judged: Judged) -> None:
    """Judge a change of the power levels, the first ones included.

    Raises:
        NotAllowed: with the reason.
    """
    version, new = judged.version, judged.event.content
    if version.integer_levels:
        _check_integers(version, new)
    _check_users(judged)
    current = judged.state("m.room.power_levels", "")
    if current is None:
        return
    old = current.content
    power = judged.sender_power
    _check_changes(_old_levels(version, _named(old)), _new_levels(version, _named(new)), power)
    for group in ("events", "notifications") if version.notifications_guarded else ("events",):
        _check_changes(_old_levels(version, old.get(group)), _new_levels(version, new.get(group, {})), power)
    _check_user_changes(
        _old_levels(version, old.get("users")),
        _new_levels(version, new.get("users", {})),
        power,
        judged.event.sender,
    )


def _check_integers(version: RoomVersion, content: dict[str, Any]) -> None:
    """From version 10 on: every level that is there must be an integer, also in the first event."""
    _new_levels(version, _named(content))
    for group in ("events", "notifications"):
        _new_levels(version, content.get(group, {}))


def _check_users(judged: Judged) -> None:
    """Powers are given to user ids, as integers, and from version 12 on not to creators."""
    users = judged.event.content.get("users", {})
    _new_levels(judged.version, users)
    require(all(is_user_id(user_id) for user_id in users), "A power level is given to something that is no user id.")
    if judged.version.creators_above_all:
        require(
            judged.levels.creators.isdisjoint(users),
            "A creator of the room stands above all power levels and cannot be given one.",
        )


def _check_changes(old: Levels, new: Levels, power: float) -> None:
    """Nobody may touch a level above their own power, nor set one above it."""
    for name in _changed(old, new):
        require(
            old.get(name, power) <= power and new.get(name, power) <= power,
            f"The power level of {name} is, or would be, above that of the sender.",
        )


def _check_user_changes(old: Levels, new: Levels, power: float, sender: str) -> None:
    """Nobody may change the level of others with as much power as themselves, nor give more than they have."""
    for user_id in _changed(old, new):
        require(
            user_id == sender or user_id not in old or old[user_id] < power,
            f"The power level of {user_id} is not below that of the sender.",
        )
        require(new.get(user_id, power) <= power, f"The power level of {user_id} would be above that of the sender.")


def _changed(old: Levels, new: Levels) -> list[str]:
    """What was added, changed or removed."""
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _named(content: dict[str, Any]) -> dict[str, Any]:
    return {name: content[name] for name in _NAMED if name in content}


def _new_levels(version: RoomVersion, group: Any) -> Levels:
    """The levels of a group in the event that is judged.

    Raises:
        NotAllowed: for what is no group or no level.
    """
    if not isinstance(group, dict):
        raise NotAllowed("A group of power levels is not an object.")
    levels = {}
    for name, value in group.items():
        level = parse_level(version, value)
        if level is None:
            raise NotAllowed(f"The power level of {name} is not an integer.")
        levels[name] = level
    return levels


def _old_levels(version: RoomVersion, group: Any) -> Levels:
    """The levels of a group in the event that is replaced.

    Up to version 9 the first event of a room is not looked at closely: what is no level there counts as absent.
    """
    if not isinstance(group, dict):
        return {}
    parsed = {name: parse_level(version, value) for name, value in group.items()}
    return {name: level for name, level in parsed.items() if level is not None}
