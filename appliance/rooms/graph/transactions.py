"""Transaction ids: the same request twice, at once or after a restart, makes one event.

The id's scope is the device and the endpoint with its room and type (client-server API, "Transaction identifiers").
The row that remembers it is part of the event's own unit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from appliance.errors import invalid_param
from appliance.protocol.identifiers import fits
from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step, Transaction
from appliance.storage import transaction_ids as rows
from appliance.storage.database import Database, Tx
from appliance.storage.lru import Lru

REMEMBERED = 5_000
DELAYED = "org.matrix.msc4140"
"""The scope of events that were sent later; in place of a client's id stands the name of the delayed event."""
DEVICES_KEPT, MOST_OF_DEVICE = 200, 2_000
"""Devices of which all transactions are known, so that a new one need not be looked up, unless they are too many."""
_NONE = Transaction("", "", "", "")
"""Of an event that no transaction made, or none that is known any more."""
_TOO_MANY: set[tuple[str, str]] = set()
"""In place of what is known of a device whose transactions are looked up one by one."""


def check_transaction(transaction_id: str) -> None:
    """Refuse an id of a transaction that is too long to be kept, with ``M_INVALID_PARAM``."""
    if not fits(transaction_id):
        raise invalid_param("A transaction id may have at most 255 bytes.")


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
        self._devices: Lru[tuple[str, str], set[tuple[str, str]]] = Lru(DEVICES_KEPT)

    async def once(self, transaction: Transaction, make: Callable[[], Awaitable[str]]) -> str:
        """The event of a transaction: the one it made before, the one it is making now, or one made now.

        Args:
            transaction: which.
            make: makes the event and returns its id; what it raises, every waiting repetition raises.

        Raises:
            MatrixError: 400 ``M_INVALID_PARAM`` for an id of more than 255 bytes.
        """
        check_transaction(transaction.transaction_id)
        running = self._running.get(transaction)
        if running is not None:
            return await asyncio.shield(running)
        before = self._before(transaction)
        if before is not None:
            return before
        task = asyncio.ensure_future(make())
        self._running[transaction] = task
        task.add_done_callback(lambda _: self._running.pop(transaction, None))
        return await asyncio.shield(task)

    def _before(self, transaction: Transaction) -> str | None:
        """The event that a transaction made before, if it did."""
        user_id, device_id = transaction.user_id, transaction.device_id
        known = self._devices.get((user_id, device_id))
        if known is None:
            found = rows.of_device(self._database, user_id, device_id, MOST_OF_DEVICE)
            known = set(found) if len(found) < MOST_OF_DEVICE else _TOO_MANY
            self._devices.put((user_id, device_id), known)
        if known is not _TOO_MANY and (transaction.scope, transaction.transaction_id) not in known:
            return None
        return rows.event_of(self._database, user_id, device_id, transaction.scope, transaction.transaction_id)

    def of_events(self, user_id: str, device_id: str, nids: Sequence[int]) -> dict[int, dict[str, str]]:
        """For those of a user's own events that this device sent: what ``unsigned`` says of that. It is the transaction
        id, or of an event that was sent later its name (MSC4140).
        """
        recent, missing = self._recent.look(nids)
        if missing:
            read = {nid: Transaction(*row) for nid, *row in rows.of_events(self._database, missing)}
            for nid in missing:
                recent[nid] = one = read.get(nid, _NONE)
                self._recent.put(nid, one)
        return {
            nid: _told(one.scope, one.transaction_id)
            for nid, one in recent.items()
            if one.device_id == device_id and one.user_id == user_id
        }

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
        transaction = step.transaction
        if transaction is None:
            return
        self._recent.put(step.nid, transaction)
        device = (transaction.user_id, transaction.device_id)
        known = self._devices.get(device)
        if known is not None and known is not _TOO_MANY:
            known.add((transaction.scope, transaction.transaction_id))
            if len(known) >= MOST_OF_DEVICE:
                self._devices.put(device, _TOO_MANY)


def _told(scope: str, transaction_id: str) -> dict[str, str]:
    return {"org.matrix.msc4140.delay_id" if scope == DELAYED else "transaction_id": transaction_id}
