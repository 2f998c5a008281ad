"""What a sync tells of encryption: messages to the device, whose devices changed, how many keys are left.

Each part can be had on its own, by the position or the cursor up to which the client knows it.
"""

from typing import Any

import orjson
from msgspec import Struct

from appliance.encryption.counts import Counts
from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.inbox import AT_ONCE, Inbox
from appliance.rooms.reading.serving import Asker


class EncryptionNews(Struct, frozen=True):
    """What there is to tell.

    Args:
        fields: the parts of a sync v2 answer, by name.
        to_device: up to which position the device is told all messages with that.
        empty: whether nothing of it is news.
    """

    fields: dict[str, Any]
    to_device: int
    empty: bool


class EncryptionParts:
    """Tells of encryption.

    Args:
        inbox: the messages that wait for devices.
        lists: whose devices changed.
        counts: how many keys are left.
    """

    def __init__(self, inbox: Inbox, lists: DeviceLists, counts: Counts) -> None:
        self._inbox = inbox
        self._lists = lists
        self._counts = counts

    async def news(self, asker: Asker, known: int | None, delivered: int, upto: int) -> EncryptionNews:
        """Everything for an answer of sync v2.

        Args:
            asker: the user and the device.
            known: the position up to which the client knows everything; None at first.
            delivered: the position up to which it has its messages, which are deleted now; 0 at first.
            upto: the last position that counts.
        """
        fields: dict[str, Any] = {}
        events, cursor = self.to_device(asker, delivered, upto)
        if events:
            fields["to_device"] = {"events": events}
        lists = {} if known is None else await self.device_lists(asker, known, upto)
        if lists:
            fields["device_lists"] = lists
        fields.update(self.keys_left(asker))
        return EncryptionNews(fields, cursor, not events and not lists)

    def to_device(
        self, asker: Asker, delivered: int, upto: int, limit: int = AT_ONCE
    ) -> tuple[list[orjson.Fragment], int]:
        """The next messages to a device, and the cursor to come back with once it has them.

        What comes with a cursor acknowledges all that came before it.

        Args:
            asker: the user and the device.
            delivered: the cursor that the device came with; 0 at first.
            upto: the last position that counts.
            limit: how many messages at most.
        """
        if not asker.device_id:
            return [], upto
        delivered = min(delivered, upto)
        if delivered:
            self._inbox.acknowledge(asker.user_id, asker.device_id, delivered)
        messages, cursor = self._inbox.messages(asker.user_id, asker.device_id, delivered, upto, limit)
        return [orjson.Fragment(message) for message in messages], cursor

    async def device_lists(self, asker: Asker, known: int, upto: int) -> dict[str, list[str]]:
        """Whose devices changed, and with whom the user shares no room any more; empty for no news."""
        found = await self._lists.between(asker.user_id, known, upto)
        if not found.changed and not found.left:
            return {}
        return {"changed": found.changed, "left": found.left}

    def keys_left(self, asker: Asker) -> dict[str, Any]:
        """How many keys the device has on the server, by the names that clients read."""
        left = self._counts.of(asker.user_id, asker.device_id)
        return {
            "device_one_time_keys_count": left.one_time,
            "device_unused_fallback_key_types": left.unused_fallback,
        }
