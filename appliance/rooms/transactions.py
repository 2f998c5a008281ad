"""Transaction ids: the same request twice, at once or after a restart, makes one event.

The id's scope is the device and the endpoint with its room and type (client-server API, "Transaction identifiers").
The row that remembers it is part of the event's own unit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from appliance.rooms.appending import Statement
from appliance.rooms.snapshot import Step, Transaction
from appliance.storage import transaction_ids as rows
from appliance.storage.database import Database, Tx
from appliance.storage.lru import Lru

REMEMBERED = 5_000


class Transactions:
    """Remembers what each transaction made; a contributor.

    Args:
        database: where that is kept.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._running: dict[Transaction, asyncio.Future[str]] = {}
        self._recent: Lru[int, Transaction] = Lru(REMEMBERED)

    async def once(self, transaction: Transaction, make: Callable[[], Awaitable[str]]) -> str:
        """The event of a transaction: the one it made before, the one it is making now, or one made now.

        Args:
            transaction: which.
            make: makes the event and returns its id; what it raises, every waiting repetition raises.
        """
        running = self._running.get(transaction)
        if running is not None:
            return await asyncio.shield(running)
        before = rows.event_of(
            self._database,
            transaction.user_id,
            transaction.device_id,
            transaction.scope,
            transaction.transaction_id,
        )
        if before is not None:
            return before
        task = asyncio.ensure_future(make())
        self._running[transaction] = task
        task.add_done_callback(lambda _: self._running.pop(transaction, None))
        return await asyncio.shield(task)

    def of_events(self, user_id: str, device_id: str, nids: Sequence[int]) -> dict[int, str]:
        """For those of a user's own events that this device sent: their transaction ids."""
        found: dict[int, str] = {}
        missing: list[int] = []
        for nid in nids:
            recent = self._recent.get(nid)
            if recent is None:
                missing.append(nid)
            elif (recent.user_id, recent.device_id) == (user_id, device_id):
                found[nid] = recent.transaction_id
        if missing:
            found.update(rows.of_events(self._database, user_id, device_id, missing))
        return found

    def prepare(self, step: Step) -> Statement | None:
        """Store the transaction with the event that it makes."""
        transaction = step.transaction
        if transaction is None:
            return None
        now_ms = self._now_ms()

        def statement(tx: Tx, position: int) -> None:
            rows.put(
                tx,
                transaction.user_id,
                transaction.device_id,
                transaction.scope,
                transaction.transaction_id,
                step.nid,
                now_ms,
            )

        return statement

    def published(self, step: Step, position: int) -> None:
        """Remember it: the sender's own sync asks at once."""
        if step.transaction is not None:
            self._recent.put(step.nid, step.transaction)
