"""The push rules of one user: what they changed of the predefined ones, and their own (module "Push notifications").

Only the changes are kept, so that a rule that a later version of the specification predefines is there for everybody.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from appliance.protocol import canonical
from appliance.protocol.push_rules import KINDS, ME, Rule, default_rules

MOST_BYTES = 64 * 1024
"""What a user's own rules may take as JSON: everything that is judged is judged by them."""
LONGEST_ID = 255
CONDITIONAL = ("override", "underride")
"""The kinds whose rules have conditions."""
MASTER = ".m.rule.master"
_DEFAULTS = {kind: tuple(rules) for kind, rules in default_rules(ME).items()}
_DEFAULT_KINDS = {rule["rule_id"]: kind for kind, rules in _DEFAULTS.items() for rule in rules}


class NoSuchRule(Exception):  # noqa: N818 - an answer
    """There is no rule of that kind and id."""


class BadRule(Exception):  # noqa: N818 - an answer
    """A rule that cannot be kept; says why."""


class BadPlace(BadRule):
    """A rule that another one is to be placed by is not there."""


class Changes(Struct, frozen=True):
    """What a user changed.

    Args:
        rules: their own rules by kind, the most important first.
        defaults: by the id of a predefined rule, its ``enabled`` and ``actions`` where the user set them.
    """

    rules: Mapping[str, tuple[Rule, ...]] = {}
    defaults: Mapping[str, Rule] = {}

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Changes":
        """Changes as ``content`` gave them."""
        rules = {kind: tuple(found) for kind, found in content.get("rules", {}).items()}
        return cls(rules, content.get("defaults", {}))

    def content(self) -> dict[str, Any]:
        """The changes as JSON to keep."""
        return {"rules": {kind: list(rules) for kind, rules in self.rules.items()}, "defaults": dict(self.defaults)}

    def of(self, kind: str) -> tuple[Rule, ...]:
        """The user's own rules of a kind."""
        return self.rules.get(kind, ())

    def with_rules(self, kind: str, rules: tuple[Rule, ...]) -> "Changes":
        """The same with other own rules of a kind."""
        return Changes({**self.rules, kind: rules}, self.defaults)


NO_CHANGES = Changes()


def ruleset(user_id: str, changes: Changes) -> dict[str, list[Rule]]:
    """The rules as clients see them: each kind with its rules, the most important first."""
    found: dict[str, list[Rule]] = {}
    for kind, defaults in default_rules(user_id).items():
        changed = [{**rule, **changes.defaults.get(rule["rule_id"], {})} for rule in defaults]
        own = [dict(rule) for rule in changes.of(kind)]
        first = changed[:1] if changed and changed[0]["rule_id"] == MASTER else []
        found[kind] = [*first, *own, *changed[len(first) :]]
    return found


def find_rule(user_id: str, changes: Changes, kind: str, rule_id: str) -> Rule:
    """One rule as clients see it.

    Raises:
        NoSuchRule: there is none.
    """
    for rule in ruleset(user_id, changes).get(kind, ()):
        if rule["rule_id"] == rule_id:
            return rule
    raise NoSuchRule


def put_rule(changes: Changes, kind: str, rule: Rule, before: str | None = None, after: str | None = None) -> Changes:
    """Add a rule of the user's own, or change one, which stays switched on or off as it is.

    Args:
        changes: what there is.
        kind: its kind.
        rule: as ``read_rule`` gives it.
        before: the rule that it shall be the next more important to; counts where both are given.
        after: the rule that it shall be the next less important to.

    Raises:
        BadPlace: ``before`` or ``after`` names no rule of the user's own of that kind.
        BadRule: there are too many.
    """
    own = changes.of(kind)
    ids = [one["rule_id"] for one in own]
    place = ids.index(rule["rule_id"]) if rule["rule_id"] in ids else None
    if place is not None:
        rule = {**rule, "enabled": own[place]["enabled"]}
    rest = [one for one in own if one["rule_id"] != rule["rule_id"]]
    anchor = before if before is not None else after
    if anchor is not None:
        others = [one["rule_id"] for one in rest]
        if anchor not in others:
            raise BadPlace(f"before/after rule not found: {anchor}")
        place = others.index(anchor) + (before is None)
    rest.insert(place or 0, rule)
    return _bounded(changes.with_rules(kind, tuple(rest)))


def delete_rule(changes: Changes, kind: str, rule_id: str) -> Changes:
    """Remove one of the user's own rules.

    Raises:
        NoSuchRule: there is none; predefined rules cannot be removed.
    """
    own = changes.of(kind)
    rest = tuple(one for one in own if one["rule_id"] != rule_id)
    if len(rest) == len(own):
        raise NoSuchRule
    return changes.with_rules(kind, rest)


def alter_rule(changes: Changes, kind: str, rule_id: str, name: str, value: Any) -> Changes:
    """Set ``enabled`` or ``actions`` of a rule, one's own or a predefined one.

    Raises:
        NoSuchRule: there is none.
        BadRule: that would be too much to keep.
    """
    if _DEFAULT_KINDS.get(rule_id) == kind:
        changed = {**changes.defaults.get(rule_id, {}), name: value}
        return _bounded(Changes(changes.rules, {**changes.defaults, rule_id: changed}))
    own = changes.of(kind)
    if all(one["rule_id"] != rule_id for one in own):
        raise NoSuchRule
    rules = tuple({**one, name: value} if one["rule_id"] == rule_id else one for one in own)
    return _bounded(changes.with_rules(kind, rules))


def read_rule(kind: str, rule_id: str, body: Mapping[str, Any]) -> Rule:
    """A rule of a user's own out of the body of a request.

    Raises:
        BadRule: a sentence that says what is wrong.
    """
    if kind not in KINDS:
        raise BadRule(f"There is no kind of push rules called {kind}.")
    if not rule_id or rule_id.startswith(".") or "/" in rule_id or "\\" in rule_id:
        raise BadRule("The id of a push rule of one's own may not begin with a dot nor have slashes or backslashes.")
    if len(rule_id.encode()) > LONGEST_ID:
        raise BadRule(f"The id of a push rule may have at most {LONGEST_ID} bytes.")
    rule: Rule = {"rule_id": rule_id, "default": False, "enabled": True, "actions": read_actions(body.get("actions"))}
    if kind == "content":
        if not isinstance(body.get("pattern"), str):
            raise BadRule("A content rule needs a pattern.")
        rule["pattern"] = body["pattern"]
    elif kind in CONDITIONAL:
        conditions = body.get("conditions", [])
        if not isinstance(conditions, list) or not all(
            isinstance(one, dict) and isinstance(one.get("kind"), str) for one in conditions
        ):
            raise BadRule("conditions must be a list of objects with a kind.")
        rule["conditions"] = conditions
    return rule


def read_actions(value: Any) -> list[Any]:
    """Actions out of the body of a request.

    Raises:
        BadRule: a sentence that says what is wrong.
    """
    if not isinstance(value, list):
        raise BadRule("actions must be a list.")
    for action in value:
        if isinstance(action, dict):
            if not isinstance(action.get("set_tweak"), str):
                raise BadRule("An action that is an object must have set_tweak, the name of a tweak.")
        elif action not in ("notify", "dont_notify", "coalesce"):
            raise BadRule("An action is notify, or an object with set_tweak.")
    return value


# What counts in one room --------------------------------------------------------------------------------------------


class RoomRules(Struct, frozen=True):
    """What is left of a user's changes where events of one room are judged.

    Args:
        key: a number that users with the same rules in that room have in common; 0 for no changes.
        changes: the changes, without what can match nothing there.
    """

    key: int
    changes: Changes


UNCHANGED = RoomRules(0, NO_CHANGES)


def in_room(changes: Changes, room_id: str) -> RoomRules:
    """What of a user's changes may have an effect in a room, so that many users have it in common."""
    rules = {kind: tuple(_bare(kind, rule) for rule in found) for kind, found in _effective(changes, room_id)}
    rules = {kind: found for kind, found in rules.items() if found}
    defaults = {rule_id: changed for rule_id, changed in changes.defaults.items() if _differs(rule_id, changed)}
    if not rules and not defaults:
        return UNCHANGED
    left = Changes(rules, defaults)
    digest = hashlib.blake2b(canonical.encode(left.content()), digest_size=8).digest()
    return RoomRules(int.from_bytes(digest, "big", signed=True), left)


def _effective(changes: Changes, room_id: str) -> list[tuple[str, list[Rule]]]:
    return [
        (kind, [rule for rule in rules if rule["enabled"] and _may_match(kind, rule, room_id)])
        for kind, rules in changes.rules.items()
    ]


def _may_match(kind: str, rule: Rule, room_id: str) -> bool:
    """Whether a rule may match in a room; false only for one about other rooms."""
    if kind == "room":
        return bool(rule["rule_id"] == room_id)
    return kind not in CONDITIONAL or all(_may_hold(one, room_id) for one in rule["conditions"])


def _may_hold(condition: Rule, room_id: str) -> bool:
    """Whether a condition may hold in a room; false only for one that names another room."""
    pattern = condition.get("pattern")
    if condition.get("kind") != "event_match" or condition.get("key") != "room_id" or not isinstance(pattern, str):
        return True
    return "*" in pattern or "?" in pattern or pattern.lower() == room_id.lower()


def _bare(kind: str, rule: Rule) -> Rule:
    """A rule without a name that says nothing."""
    return rule if kind in ("room", "sender") else {**rule, "rule_id": ""}


def _differs(rule_id: str, changed: Rule) -> bool:
    default = next((one for one in _DEFAULTS[_DEFAULT_KINDS[rule_id]] if one["rule_id"] == rule_id), {})
    return any(default.get(name) != value for name, value in changed.items())


def _bounded(changes: Changes) -> Changes:
    try:
        size = len(canonical.encode(changes.content()))
    except ValueError as error:
        raise BadRule(f"This cannot be part of a push rule: {error}.") from error
    if size > MOST_BYTES:
        raise BadRule("These are more push rules than can be kept. Delete some first.")
    return changes
