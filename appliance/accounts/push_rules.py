"""The push rules of this server's users: kept as account data, of which only what they changed is stored.

What is changed counts at once for what is judged from then on, before it is committed, as a room's head does: an event
whose unit comes after that of a change is judged by it.
"""

from collections.abc import Callable
from typing import Any

from appliance.accounts.account_data import PUSH_RULES, AccountData
from appliance.errors import MatrixError, invalid_param, not_found, too_large
from appliance.protocol import canonical
from appliance.protocol.push_rules import KINDS, Rule
from appliance.protocol.push_ruleset import (
    NO_CHANGES,
    BadPlace,
    BadRule,
    Changes,
    NoSuchRule,
    alter_rule,
    delete_rule,
    find_rule,
    put_rule,
    read_actions,
    read_rule,
    ruleset,
)
from appliance.storage import push_rules as rows
from appliance.storage.database import Database, Lane, Tx


class PushRules:
    """The rules of all users.

    Args:
        database: hearth.db.
        account_data: where they are kept.

    Attributes:
        changed: called on the loop with the user's id whenever their rules are others, before that is committed.
    """

    def __init__(self, database: Database, account_data: AccountData) -> None:
        self._database = database
        self._account_data = account_data
        self._users = {user_id: Changes.read(canonical.decode(text)) for user_id, text in rows.all_push_rules(database)}
        """Of those who changed anything: few, and each bounded."""
        self._lanes: dict[str, Lane] = {}
        self.changed: list[Callable[[str], None]] = []

    def of(self, user_id: str) -> Changes:
        """What a user changed."""
        return self._users.get(user_id, NO_CHANGES)

    def changed_by(self, user_id: str) -> bool:
        """Whether a user ever changed any."""
        return user_id in self._users

    def all(self, user_id: str) -> dict[str, list[Rule]]:
        """A user's rules by kind, as clients see them."""
        return ruleset(user_id, self.of(user_id))

    def rule(self, user_id: str, kind: str, rule_id: str) -> Rule:
        """One rule as clients see it.

        Raises:
            MatrixError: ``M_NOT_FOUND``.
        """
        try:
            return find_rule(user_id, self.of(user_id), kind, rule_id)
        except NoSuchRule as error:
            raise _no_such_rule() from error

    async def put(
        self, user_id: str, kind: str, rule_id: str, body: dict[str, Any], before: str | None, after: str | None
    ) -> None:
        """Add a rule of the user's own, or change one.

        Args:
            user_id: whose.
            kind: its kind.
            rule_id: its id.
            body: ``actions``, and ``conditions`` or ``pattern`` as the kind asks.
            before: the rule that it shall be the next more important to.
            after: the rule that it shall be the next less important to.

        Raises:
            MatrixError: ``M_INVALID_PARAM`` for what is no rule, ``M_UNKNOWN`` for ``before`` or ``after`` that is not
                there, ``M_TOO_LARGE``.
        """
        try:
            rule = read_rule(kind, rule_id, body)
        except BadRule as error:
            raise invalid_param(str(error)) from error
        await self._change(user_id, lambda changes: put_rule(changes, kind, rule, before, after))

    async def delete(self, user_id: str, kind: str, rule_id: str) -> None:
        """Remove one of the user's own rules; raises as ``rule``."""
        await self._change(user_id, lambda changes: delete_rule(changes, kind, rule_id))

    async def enable(self, user_id: str, kind: str, rule_id: str, enabled: bool) -> None:
        """Switch a rule on or off; raises as ``rule``."""
        await self._change(user_id, lambda changes: alter_rule(changes, kind, rule_id, "enabled", enabled))

    async def act(self, user_id: str, kind: str, rule_id: str, actions: Any) -> None:
        """Set what a rule does; raises as ``rule``, and ``M_INVALID_PARAM`` for what are no actions."""
        try:
            checked = read_actions(actions)
        except BadRule as error:
            raise invalid_param(str(error)) from error
        await self._change(user_id, lambda changes: alter_rule(changes, kind, rule_id, "actions", checked))

    async def follow(self, user_id: str, old_id: str, new_id: str) -> None:
        """Have the user's rules about a room for the room too that replaces it."""
        await self._change(user_id, lambda changes: _followed(changes, old_id, new_id))

    async def _change(self, user_id: str, work: Callable[[Changes], Changes]) -> None:
        before = self.of(user_id)
        try:
            after = work(before)
        except NoSuchRule as error:
            raise _no_such_rule() from error
        except BadPlace as error:
            raise MatrixError("M_UNKNOWN", str(error), 400) from error
        except BadRule as error:
            raise too_large(str(error)) from error
        if after == before:
            return
        self._set(user_id, after)
        lane = self._lanes.get(user_id)
        if lane is None or lane.broken is not None:
            lane = self._lanes[user_id] = Lane()
        content, former = (canonical.encode(one.content()).decode() for one in (after, before))

        def unit(tx: Tx) -> int:
            return rows.put_push_rules(tx, user_id, PUSH_RULES, content, former)

        try:
            await self._database.write(
                unit, lane=lane, published=lambda position: self._account_data.announce(user_id, position)
            )
        except BaseException:
            if lane.broken is not None:
                text = rows.push_rules_of(self._database, user_id)
                self._set(user_id, NO_CHANGES if text is None else Changes.read(canonical.decode(text)))
            raise

    def _set(self, user_id: str, changes: Changes) -> None:
        self._users[user_id] = changes
        for callback in self.changed:
            callback(user_id)


def _followed(changes: Changes, old_id: str, new_id: str) -> Changes:
    if any(rule["rule_id"] == old_id for rule in changes.of("room")):
        rule = next(rule for rule in changes.of("room") if rule["rule_id"] == old_id)
        if all(rule["rule_id"] != new_id for rule in changes.of("room")):
            changes = put_rule(changes, "room", {**rule, "rule_id": new_id})
    for kind in ("override", "underride"):
        known = {rule["rule_id"] for rule in changes.of(kind)}
        for rule in changes.of(kind):
            if not any(_names_room(condition, old_id) for condition in rule["conditions"]):
                continue
            rule_id = rule["rule_id"].replace(old_id, new_id) if old_id in rule["rule_id"] else new_id
            conditions = [
                {**condition, "pattern": new_id} if _names_room(condition, old_id) else condition
                for condition in rule["conditions"]
            ]
            if rule_id not in known:
                made = {**rule, "rule_id": rule_id, "conditions": conditions}
                changes = put_rule(changes, kind, made, after=rule["rule_id"])
    return changes


def _names_room(condition: Rule, room_id: str) -> bool:
    return (condition["kind"], condition.get("key"), condition.get("pattern")) == ("event_match", "room_id", room_id)


def _no_such_rule() -> MatrixError:
    return not_found("There is no such push rule.")


__all__ = ["KINDS", "PushRules"]
