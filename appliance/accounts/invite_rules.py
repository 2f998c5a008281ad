"""By whom somebody wants to be invited (client-server API, module "Invite permission"; MSC4155 for the lists).

Three pieces of account data say it: whoever is ignored invites in vain, ``m.invite_permission_config`` refuses
everybody, and the lists of MSC4155 tell people and servers apart.
"""

from collections.abc import Callable
from typing import Any

import orjson
from msgspec import Struct

from appliance.accounts.ignored import Ignored
from appliance.errors import MatrixError
from appliance.protocol.globs import Fits, Patience, matches_whole
from appliance.protocol.identifiers import server_of
from appliance.storage.account_data import find_account_data
from appliance.storage.database import Database
from appliance.storage.lru import Lru

PERMISSION = "m.invite_permission_config"
LISTS = "org.matrix.msc4155.invite_permission_config"
USERS_KEPT = 1_000
MOST_GLOBS = 2_000
"""Entries of one list that are looked at."""


class _Rules(Struct, frozen=True):
    """One user's rules: whether everybody is blocked, and the lists in the order in which they are asked."""

    blocks_all: bool
    lists: tuple[tuple[str, Callable[[str], str], tuple[Fits, ...]], ...]


class InviteRules:
    """Judges invitations.

    Args:
        database: where account data is.
        ignored: whom somebody ignores.
    """

    def __init__(self, database: Database, ignored: Ignored) -> None:
        self._database = database
        self._ignored = ignored
        self._rules: Lru[str, _Rules] = Lru(USERS_KEPT)

    def check(self, user_id: str, sender: str) -> None:
        """Refuse an invitation that its receiver has blocked.

        Raises:
            MatrixError: 403 ``M_INVITE_BLOCKED``.
        """
        if self.blocks_invite(user_id, sender):
            raise MatrixError("M_INVITE_BLOCKED", f"{user_id} does not want to be invited by you.", 403)

    def blocks_invite(self, user_id: str, sender: str) -> bool:
        """Whether an invitation of a local user has to be refused."""
        return self._verdict(user_id, sender) == "block"

    def hides_invite(self, user_id: str, sender: str) -> bool:
        """Whether an invitation, which may be there already, must not be shown to a local user."""
        return self._verdict(user_id, sender) != "allow"

    def changed(self, user_id: str, position: int) -> None:
        """Read a user's rules anew when next asked: some account data of theirs changed."""
        self._rules.drop(user_id)

    def _verdict(self, user_id: str, sender: str) -> str:
        if sender in self._ignored.of(user_id):
            return "ignore"
        rules = self._rules.get(user_id)
        if rules is None:
            rules = self._read(user_id)
            self._rules.put(user_id, rules)
        if rules.blocks_all:
            return "block"
        patience = Patience()
        for verdict, aspect, globs in rules.lists:
            subject = aspect(sender).lower()
            if any(fits(subject, patience) for fits in globs):
                return verdict
        return "allow"

    def _read(self, user_id: str) -> _Rules:
        permission, config = self._datum(user_id, PERMISSION), self._datum(user_id, LISTS)
        lists: list[tuple[str, Callable[[str], str], tuple[Fits, ...]]] = []
        if config.get("enabled") is not False:
            for kind, aspect in (("users", _itself), ("servers", server_of)):
                for verdict, name in (("allow", "allowed"), ("ignore", "ignored"), ("block", "blocked")):
                    named = config.get(f"{name}_{kind}")
                    globs = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
                    if globs:
                        lists.append((verdict, aspect, tuple(matches_whole(glob) for glob in globs[:MOST_GLOBS])))
        return _Rules(permission.get("default_action") == "block", tuple(lists))

    def _datum(self, user_id: str, type_: str) -> dict[str, Any]:
        text = find_account_data(self._database, user_id, "", type_)
        found = orjson.loads(text) if text else {}
        return found if isinstance(found, dict) else {}


def _itself(user_id: str) -> str:
    return user_id
