"""What a sync tells of who is online: what changed since its token, or at first everybody who is there."""

from typing import Any

from appliance.protocol.filters import EventRule
from appliance.rooms.signs.presence import Presence
from appliance.storage.tokens import SyncToken

PRESENCE = "m.presence"


class PresenceStream:
    """Tells presence.

    Args:
        presence: who is online.
    """

    def __init__(self, presence: Presence) -> None:
        self._presence = presence

    def events(self, user_id: str, since: SyncToken | None, rule: EventRule) -> list[dict[str, Any]]:
        """The ``m.presence`` events that a user has to be told, of what a filter wants.

        Args:
            user_id: who asks.
            since: the token of their last sync; None for the first.
            rule: the filter.
        """
        if rule.types == [] or rule.senders == [] or rule.limit == 0:
            return []
        changed = (
            self._presence.all(user_id) if since is None else self._presence.since(user_id, since.boot, since.serial)
        )
        return [
            {"type": PRESENCE, "sender": each, "content": self._presence.content(each)}
            for each in changed
            if rule.allows(PRESENCE, each)
        ]
