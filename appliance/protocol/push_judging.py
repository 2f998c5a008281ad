"""Judging an event by push rules: once for all users who have the same rules (module "Push notifications").

Most rules ask nothing about the user, so that what they say holds for all of them. Those that do (who is mentioned, who
is invited) make *branches*, tried for those whom the event names, before what is left for the rest.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import orjson
from msgspec import Struct

from appliance.protocol.globs import Patience
from appliance.protocol.push_conditions import Occasion, Personal, Test, event_match, ready
from appliance.protocol.push_rules import KINDS, ME, Rule
from appliance.protocol.push_ruleset import Changes, ruleset


class Outcome(Struct, frozen=True):
    """What a rule has done.

    Args:
        notify: whether to notify.
        highlight: whether it is to stand out; never without ``notify``.
        actions: what the rule says, as JSON.
    """

    notify: bool
    highlight: bool
    actions: str


NOTHING = Outcome(False, False, "[]")


class Verdict(Struct, frozen=True):
    """What a set of rules says of an event.

    Args:
        branches: personal conditions, and what follows for whomever all of them hold, the most important first.
        rest: what follows for everybody else.
    """

    branches: tuple[tuple[tuple[Personal, ...], Outcome], ...]
    rest: Outcome

    def exceptions(
        self, occasion: Occasion, users: Collection[str], name_of: Callable[[str], str | None]
    ) -> dict[str, Outcome]:
        """The users of whom something else is said than of the rest.

        Args:
            occasion: what was judged.
            users: all who have the rules; a collection that knows quickly who is in it.
            name_of: a user's display name in the room.
        """
        if not self.branches:
            return {}
        found: dict[str, Outcome] = {}
        for user_id in self._concerned(occasion, users):
            outcome = next(
                (outcome for tests, outcome in self.branches if _all_hold(tests, occasion, user_id, name_of)), self.rest
            )
            if outcome != self.rest:
                found[user_id] = outcome
        return found

    def _concerned(self, occasion: Occasion, users: Collection[str]) -> Iterator[str]:
        """Those for whom one of the branches may hold."""
        seen: set[str] = set()
        for tests, _ in self.branches:
            named = [one for one in (test.named(occasion) for test in tests) if one is not None]
            for user_id in min(named, key=len) if named else users:
                if user_id in users and user_id not in seen:
                    seen.add(user_id)
                    yield user_id


def _all_hold(
    tests: tuple[Personal, ...], occasion: Occasion, user_id: str, name_of: Callable[[str], str | None]
) -> bool:
    return all(test.holds(occasion, user_id, name_of(user_id) if test.asks_name else None) for test in tests)


class _Ready(Struct, frozen=True):
    """A rule made ready: what it asks of the event, what of the user, and what then follows."""

    tests: tuple[Test, ...]
    personal: tuple[Personal, ...]
    outcome: Outcome
    event_type: str | None


class Program:
    """A set of rules made ready.

    Args:
        changes: what its users changed of the predefined rules.
    """

    __slots__ = ("_by_type", "_others")

    def __init__(self, changes: Changes) -> None:
        rules = ruleset(ME, changes)
        prepared = [_prepare(kind, rule) for kind in KINDS for rule in rules[kind] if rule["enabled"]]
        types = {one.event_type for one in prepared if one.event_type is not None}
        self._others = tuple(one for one in prepared if one.event_type is None)
        self._by_type = {
            event_type: tuple(one for one in prepared if one.event_type in (None, event_type)) for event_type in types
        }

    def judge(self, occasion: Occasion) -> Verdict:
        """What the rules say of an event."""
        branches: list[tuple[tuple[Personal, ...], Outcome]] = []
        occasion.patience = Patience()  # of their own, so that nobody's rules use up that of others
        for rule in self._by_type.get(occasion.event.type.lower(), self._others):
            if all(test(occasion) for test in rule.tests):
                if not rule.personal:
                    return Verdict(tuple(branches), rule.outcome)
                if all(test.named(occasion) != frozenset() for test in rule.personal):
                    branches.append((rule.personal, rule.outcome))
        return Verdict(tuple(branches), NOTHING)


def _prepare(kind: str, rule: Rule) -> _Ready:
    if kind == "content":
        conditions = [event_match("content.body", rule["pattern"])]
        return _Ready(tuple(conditions), (), _outcome(rule["actions"]), None)
    if kind == "room":
        return _Ready((_is_room(rule["rule_id"]),), (), _outcome(rule["actions"]), None)
    if kind == "sender":
        return _Ready((_is_sender(rule["rule_id"]),), (), _outcome(rule["actions"]), None)
    event_type = None
    tests: list[Test] = []
    personal: list[Personal] = []
    for condition in rule["conditions"]:
        literal = _literal_type(condition)
        if literal is not None and event_type in (None, literal):
            event_type = literal
            continue
        made = ready(condition)
        if isinstance(made, Personal):
            personal.append(made)
        else:
            tests.append(made)
    return _Ready(tuple(tests), tuple(personal), _outcome(rule["actions"]), event_type)


def _literal_type(condition: Rule) -> str | None:
    """The type that an event must have, where a condition says no more than that."""
    pattern = condition.get("pattern")
    if condition.get("kind") != "event_match" or condition.get("key") != "type" or not isinstance(pattern, str):
        return None
    return None if "*" in pattern or "?" in pattern else pattern.lower()


def _is_room(room_id: str) -> Test:
    return lambda occasion: occasion.event.room_id == room_id


def _is_sender(user_id: str) -> Test:
    return lambda occasion: occasion.event.sender == user_id


def _outcome(actions: list[Any]) -> Outcome:
    notify = "notify" in actions
    highlight = any(
        isinstance(one, dict) and one.get("set_tweak") == "highlight" and one.get("value", True) is True
        for one in actions
    )
    return Outcome(notify, notify and highlight, orjson.dumps(actions).decode())
