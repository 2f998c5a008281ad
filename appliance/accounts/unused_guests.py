"""Guests who do not come back: nobody else could ever use their accounts, so these end by themselves."""

from collections.abc import Callable

from appliance.accounts.accounts import Accounts
from appliance.storage.accounts import unused_guests
from appliance.storage.database import Database

DAY_MS = 24 * 3600 * 1000
UNUSED_MS = 30 * DAY_MS
"""How long a guest is waited for. A guest has no password: once the token is lost, nobody comes back as them."""
AT_ONCE = 20


class UnusedGuests:
    """Ends the accounts of guests who did not come back.

    Args:
        database: where accounts and devices are.
        accounts: ends accounts.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, database: Database, accounts: Accounts, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._accounts = accounts
        self._now_ms = now_ms

    async def clear(self) -> int:
        """End some accounts that no device used for long; answers how many."""
        before = self._now_ms() - UNUSED_MS
        found = await self._database.reading(lambda reader: unused_guests(reader, before, AT_ONCE))
        for user_id in found:
            await self._accounts.deactivate(user_id)
        return len(found)
