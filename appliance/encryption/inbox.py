"""What waits for a device: messages from other devices, told by sync, deleted when a later sync has acknowledged them.

A message is told to a device again and again until the device comes with a token that was given out with it or after
it. For devices that never come there is a most: then the oldest messages go.
"""

import logging
from asyncio import Future
from collections.abc import Callable, Iterable

from appliance.storage import to_device as rows
from appliance.storage.database import Database, Reads, Tx
from appliance.storage.lru import Lru
from appliance.storage.to_device import Waiting

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Messages in one answer."""
DEVICES_KEPT = 2_000
MOST, MOST_BYTES = 20_000, 64 * 1024 * 1024
"""Messages of a device that wait, and their bytes: months of a lively life, far more than a device misses that is in
use."""
_ROOM = 0.9
"""What is left of the most when the oldest go, so that they do not go one by one."""


class Inbox:
    """The messages that wait for local devices.

    Args:
        database: where they are.
        most: how many may wait for a device.
        most_bytes: how many bytes.
    """

    def __init__(self, database: Database, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._database = database
        self._most = most
        self._most_bytes = most_bytes
        self._known: Lru[tuple[str, str], Waiting] = Lru(DEVICES_KEPT)

    def messages(
        self, user_id: str, device_id: str, after: int, upto: int, limit: int = AT_ONCE, reads: Reads | None = None
    ) -> tuple[list[bytes], int]:
        """What a device is told.

        Args:
            user_id: the user.
            device_id: the device.
            after: up to which position it was told everything.
            upto: the last position that counts.
            limit: how many messages at most.
            reads: where to read, if not on the loop.

        Returns:
            the messages as JSON, and the position up to which the device is told everything with them.
        """
        waiting = self._waiting(user_id, device_id)
        # What was acknowledged is gone, even while it is still being deleted.
        after = max(after, waiting.oldest - 1)
        if waiting.newest <= after:
            return [], max(after, upto)
        found = rows.messages(reads or self._database, user_id, device_id, after, upto, limit + 1)
        if len(found) > limit:
            del found[limit:]
            return [message for _, message in found], found[-1][0] if found else after
        return [message for _, message in found], max(after, upto)

    def acknowledge(self, user_id: str, device_id: str, upto: int) -> None:
        """A device has what it was told up to a position: it is deleted, without anybody waiting for that."""
        waiting = self._waiting(user_id, device_id)
        if not waiting.count or waiting.oldest > upto:
            return
        # Not asked for twice; what is left is counted anew when it is gone.
        waiting.oldest = upto + 1
        self._write(user_id, device_id, lambda tx: rows.delete_messages(tx, user_id, device_id, upto))

    def arrived(self, user_id: str, position: int, devices: Iterable[tuple[str, int]]) -> None:
        """Messages for devices of a user, (device, size), are being published."""
        for device_id, size in devices:
            waiting = self._known.get((user_id, device_id))
            if waiting is None:
                # Read from the database, which has it already.
                waiting = self._waiting(user_id, device_id)
            else:
                waiting.oldest = waiting.oldest if waiting.count else position
                waiting.newest = position
                waiting.count += 1
                waiting.size += size
            if waiting.count > self._most or waiting.size > self._most_bytes:
                self._trim(user_id, device_id)

    def forget(self, user_id: str, device_id: str) -> None:
        """A device's messages were deleted, or are not known any more."""
        self._known.drop((user_id, device_id))

    def _waiting(self, user_id: str, device_id: str) -> Waiting:
        known = self._known.get((user_id, device_id))
        if known is None:
            known = rows.waiting(self._database, user_id, device_id)
            self._known.put((user_id, device_id), known)
        return known

    def _trim(self, user_id: str, device_id: str) -> None:
        log.warning("Too many messages wait for %s's device %s: the oldest are dropped.", user_id, device_id)
        most, most_bytes = int(self._most * _ROOM), int(self._most_bytes * _ROOM)
        self._known.drop((user_id, device_id))
        self._write(user_id, device_id, lambda tx: rows.trim(tx, user_id, device_id, most, most_bytes))

    def _write(self, user_id: str, device_id: str, work: Callable[[Tx], None]) -> None:
        def published(_: None) -> None:
            self._known.drop((user_id, device_id))

        def done(future: "Future[None]") -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                self._known.drop((user_id, device_id))
                log.warning("Messages that a device has had could not be deleted yet: %s", error)

        self._database.submit(work, published=published).add_done_callback(done)
