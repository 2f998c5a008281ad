"""Whose invitations users do not want (client-server API, "Invite permission")."""

from typing import Protocol

import orjson

from appliance.errors import MatrixError

CONFIG = "m.invite_permission_config"


class AccountData(Protocol):
    """What users keep about themselves."""

    def get(self, user_id: str, type_: str, room_id: str = "") -> bytes:
        """The content of one piece as JSON; raises ``MatrixError`` where there is none."""
        ...


class InviteBlocking:
    """Reads it in their account data.

    Args:
        account_data: where it stands.
    """

    def __init__(self, account_data: AccountData) -> None:
        self._account_data = account_data

    def blocks_invite(self, user_id: str, sender: str) -> bool:
        """Whether a local user does not want to be invited, by whomsoever."""
        try:
            content = orjson.loads(self._account_data.get(user_id, CONFIG))
        except MatrixError:
            return False
        return isinstance(content, dict) and content.get("default_action") == "block"
