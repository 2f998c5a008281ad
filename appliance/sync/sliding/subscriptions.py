"""MSC4308: which threads the asker follows, as an extension of sliding sync."""

from appliance.rooms.signs.following import Following, told
from appliance.storage.tokens import SyncToken
from appliance.sync.sliding.extensions import NOTHING, Context, Part
from appliance.sync.sliding.wishes import ExtensionWish

NAME = "io.element.msc4308.thread_subscriptions"
USUAL, MOST = 100, 1000


class ThreadSubscriptionsExtension:
    """What changed, the latest first; where that is too much, the point from which to page on.

    Args:
        following: who follows what.
    """

    def __init__(self, following: Following) -> None:
        self._following = following

    async def tell(self, context: Context, wish: ExtensionWish) -> Part:
        """What changed since the token; at first all that there is, threads that are followed no more included."""
        limit = wish.options.get("limit", USUAL)
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            limit = USUAL
        since = 0 if context.token is None else context.token.position
        found, more = self._following.between(context.asker.user_id, since, context.upto, min(limit, MOST))
        if not found:
            return NOTHING
        content = told(found)
        if more is not None:
            content["prev_batch"] = str(SyncToken(more))
        return Part(content, False)
