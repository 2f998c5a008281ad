"""What a connection tells of encryption (MSC3884, MSC3885): messages to the device, keys, whose devices changed."""

import re

from appliance.errors import invalid_param
from appliance.sync.encryption import EncryptionParts
from appliance.sync.lineage import Lineage
from appliance.sync.sliding.extensions import Context, Part
from appliance.sync.sliding.wishes import ExtensionWish

MOST = 100
_TOKEN = re.compile(r"d1_(\d{1,18})(?:_(\d{1,18}))?", re.ASCII)


class ToDeviceExtension:
    """Messages to the device, by a cursor of their own: ``since`` acknowledges all that came with it or before.

    Args:
        parts: tells of encryption.
        lineage: knows whose ``since`` says what is true here.
    """

    def __init__(self, parts: EncryptionParts, lineage: Lineage) -> None:
        self._parts = parts
        self._lineage = lineage

    async def tell(self, context: Context, wish: ExtensionWish) -> Part:
        """The next messages, and where to go on.

        Raises:
            MatrixError: 400 ``M_INVALID_PARAM`` for a ``since`` that this server did not make.
        """
        since, limit = wish.options.get("since"), wish.options.get("limit")
        match = _TOKEN.fullmatch(since) if isinstance(since, str) else None
        if since is not None and match is None:
            raise invalid_param("This token of messages to devices was not made by this server. Start without it.")
        most = min(limit, MOST) if isinstance(limit, int) and limit > 0 else MOST
        delivered = 0 if match is None else int(match[1])
        if match is not None and not self._lineage.knows(int(match[2] or 0), delivered):
            delivered = 0
        events, cursor = self._parts.to_device(context.asker, delivered, context.upto, most)
        return Part({"next_batch": f"d1_{cursor}_{context.news.boot}", "events": events}, not events)


class EncryptionExtension:
    """How many keys are left, and whose devices changed.

    Args:
        parts: tells of encryption.
    """

    def __init__(self, parts: EncryptionParts) -> None:
        self._parts = parts

    async def tell(self, context: Context, wish: ExtensionWish) -> Part:
        """The keys every time; whose devices changed since the token."""
        told = self._parts.keys_left(context.asker)
        lists = {}
        if context.token is not None:
            lists = await self._parts.device_lists(context.asker, context.token.position, context.upto)
        return Part({**told, **({"device_lists": lists} if lists else {})}, not lists)
