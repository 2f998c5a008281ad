"""What waits for a device: messages from other devices, told by sync, deleted when a later sync has acknowledged them.

A message is told to a device again and again until the device comes with a token that was given out with it or after
it. For devices that never come there is a most: then the oldest messages go.

Most messages are fetched soon. So what was sent lately is kept in memory, and in the database in the order in which it
was sent (``to_device_sends``): a request to many devices writes one row. What is fetched goes from there without having
been anywhere else. What is not, goes on to rows of each device (``to_device_messages``), many at a time, once so much
was sent that it is to be kept in memory no longer. Up to where devices have what was sent lately is noted as long as
that is in the database, so that none of it comes again after a kill.
"""

import asyncio
import logging
import sys
from asyncio import Future
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from itertools import islice, takewhile
from operator import itemgetter

from appliance.encryption.parcels import EMPTY, Key, Parcel
from appliance.encryption.sent_requests import SentRequests
from appliance.storage import to_device as rows
from appliance.storage.database import Database, Tx
from appliance.storage.devices import device_ids
from appliance.storage.lru import Lru
from appliance.storage.to_device import Request, Waiting

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Messages in one answer."""
KEPT = 2_000
"""Devices of which it is known what waits for longer, and users whose devices are known."""
MOST, MOST_BYTES = 20_000, 64 * 1024 * 1024
"""Messages of a device that wait for longer, and their bytes: months of a lively life, far more than a device misses
that is in use."""
LATELY, LATELY_BYTES = 5_000, 4 * 1024 * 1024
"""Messages of all devices that are kept in memory, and their bytes."""
SETTLED_AT_ONCE = 500
"""Messages that go on to the rows of their devices in one unit, or as many as the first request had."""
GATHERED = 0.05
"""Seconds in which what devices acknowledge is gathered before it is written, unless one of them is to be answered
sooner (``settling``). Most wait for news longer than that."""
AGAIN = 5.0
"""Seconds until it is tried again, where it could not be written."""
_position = itemgetter(0)
_ROOM = 0.9
"""What is left of the most when the oldest go, so that they do not go one by one."""
_BESIDE = 150
"""Bytes that a message takes in memory beside its own."""


class Inbox:
    """The messages that wait for local devices.

    Args:
        database: where they are.
        most: how many may wait for a device.
        most_bytes: how many bytes.
        lately: how many may be in memory, of all devices.

    Attributes:
        deleted_at: the position at which a device was last deleted, perhaps in a unit that was not committed. Set and
            read in units alone.
        requests: the requests that sent what is kept in memory.
    """

    def __init__(
        self, database: Database, most: int = MOST, most_bytes: int = MOST_BYTES, lately: int = LATELY
    ) -> None:
        self._database = database
        self._most = most
        self._most_bytes = most_bytes
        self._lately = lately
        self._known: Lru[Key, Waiting] = Lru(KEPT)
        self._devices: Lru[str, frozenset[str]] = Lru(KEPT)
        self._recent: dict[Key, list[tuple[int, bytes]]] = {}
        self._sends: OrderedDict[int, set[Key]] = OrderedDict()
        self._count = self._bytes = self._last = 0
        self._acked: dict[Key, int] = {}
        self._unwritten: dict[Key, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: Future[None] | None = None
        self._first = 0  # nothing that was sent before this is in the database
        self._settling = False
        self.deleted_at = 0
        had, sends = rows.marks(database), rows.sends(database)
        self.requests = SentRequests((position, request) for position, request, _ in sends if request is not None)
        for position, _, found in sends:
            left = [(key, message) for key, message in found if had.get(key, 0) < position]
            self._take_in(position, [key for key, _ in left], [message for _, message in left])

    # Reading -----------------------------------------------------------------------------------------------------

    def messages(
        self, user_id: str, device_id: str, after: int, upto: int, limit: int = AT_ONCE
    ) -> tuple[list[bytes], int]:
        """What a device is told.

        Args:
            user_id: the user.
            device_id: the device.
            after: up to which position it was told everything.
            upto: the last position that counts.
            limit: how many messages at most.

        Returns:
            the messages as JSON, and the position up to which the device is told everything with them.
        """
        key = user_id, device_id
        # What was acknowledged is gone, even while it is still being deleted.
        after = max(after, self._acked.get(key, 0))
        recent = self._recent.get(key)
        found: list[tuple[int, bytes]] = []
        if self._waiting(key).newest > after:
            # What is just going on to those rows may be in both places.
            before = upto if recent is None else min(upto, recent[0][0] - 1)
            found = rows.messages(self._database, user_id, device_id, after, before, limit + 1)
        if recent is not None:
            start = bisect_right(recent, after, key=_position)
            for one in islice(recent, start, start + limit + 1 - len(found)):
                if one[0] > upto:
                    break
                found.append(one)
        if len(found) > limit:
            del found[limit:]
            return [message for _, message in found], found[-1][0] if found else after
        return [message for _, message in found], max(after, upto)

    def devices(self, user_id: str) -> frozenset[str]:
        """The devices of a local user, for whom messages can wait."""
        there = self._devices.get(user_id)
        if there is None:
            there = frozenset(device_ids(self._database, user_id))
            self._devices.put(user_id, there)
        return there

    # What happens --------------------------------------------------------------------------------------------------

    def put(self, tx: Tx, parcel: Parcel, known: int, request: Request | None, now_ms: int) -> tuple[int, Parcel]:
        """Let messages wait, in a unit; to be published by ``arrived``.

        Args:
            tx: the unit.
            parcel: the messages, for ``devices``.
            known: the published position when it was seen which devices are there.
            request: the request that sends them; None for what comes from another server.
            now_ms: when.

        Returns:
            the position of the messages, and those of them whose devices are still there; 0 and none where the request
            was served before.
        """
        if self.deleted_at > known:
            parcel = parcel.only(rows.present(tx, parcel.keys))
        position = tx.position()
        if parcel.keys:
            new = rows.put_send(tx, position, request, now_ms, parcel.packed)
        else:
            new = request is None or rows.note_sent(tx, request, now_ms)
        return (position, parcel) if new else (0, EMPTY)

    def arrived(self, position: int, parcel: Parcel) -> None:
        """Messages are being published."""
        self._take_in(position, parcel.keys, parcel.messages)
        if self._count > self._lately or self._bytes > LATELY_BYTES:
            self._settle()

    def acknowledge(self, user_id: str, device_id: str, upto: int) -> None:
        """A device has what it was told up to a position: it is deleted, without anybody waiting for that."""
        key = user_id, device_id
        recent = self._recent.get(key)
        waiting = self._waiting(key)
        fresh = recent is not None and recent[0][0] <= upto
        if not fresh and not (waiting.count and waiting.oldest <= upto):
            return
        if fresh:
            self._drop(key, upto)
        # Not asked for twice; what is left is counted anew when it is gone.
        waiting.oldest = upto + 1
        self._acked[key] = self._unwritten[key] = upto
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHERED, self._write)

    def settling(self, user_id: str, device_id: str) -> "Awaitable[object] | None":
        """What is to be waited for before a device is answered: that what it acknowledged is deleted for good. None
        where it is, as nearly always.

        Whoever has that answer knows that the messages arrived: an older token must not bring them again, whatever
        happens. Where it cannot be written now, that is tried again later, and nobody waits for it.
        """
        key = user_id, device_id
        if key not in self._acked:
            return None
        if key in self._unwritten:
            if self._timer is not None:
                self._timer.cancel()
            self._write()
        return None if self._writing is None else asyncio.wait([self._writing])

    def changed(self, user_id: str) -> None:
        """A user's devices are others now, which is being published."""
        self._devices.drop(user_id)

    def deleting(self, tx: Tx, user_id: str, device_id: str, position: int) -> None:
        """Take note of the unit that deletes a device, and of a position of that; what waits for it is gone already."""
        self.deleted_at = max(self.deleted_at, position)
        rows.forget_sent(tx, user_id, device_id)

    def deleted(self, user_id: str, device_id: str) -> None:
        """A device is gone, which is being published."""
        key = user_id, device_id
        self._drop(key, sys.maxsize)
        self._known.drop(key)
        self._devices.drop(user_id)
        self._acked.pop(key, None)
        self._unwritten.pop(key, None)
        self.requests.forget(user_id, device_id)

    async def close(self) -> None:
        """Write what was acknowledged and is not written yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._write()
        if self._writing is not None:
            await asyncio.wait([self._writing])

    # In memory -----------------------------------------------------------------------------------------------------

    def _take_in(self, position: int, keys: Sequence[Key], messages: Sequence[bytes]) -> None:
        """Keep messages, one for each device."""
        if keys:
            recent = self._recent
            for key, message in zip(keys, messages, strict=True):
                box = recent.get(key)
                if box is None:
                    recent[key] = [(position, message)]
                else:
                    box.append((position, message))
            self._count += len(keys)
            self._bytes += sum(map(len, messages)) + _BESIDE * len(keys)
            self._sends[position] = set(keys)
        self._last = max(self._last, position)

    def _drop(self, key: Key, upto: int) -> None:
        """Forget what was sent to a device lately, up to a position."""
        box = self._recent.get(key)
        if box is None:
            return
        sends, size = self._sends, 0
        count = bisect_right(box, upto, key=_position)
        for position, message in islice(box, count):
            size += len(message)
            keys = sends[position]
            keys.discard(key)
            if not keys:
                del sends[position]
        self._count -= count
        self._bytes -= size + _BESIDE * count
        if count == len(box):
            del self._recent[key]
        else:
            del box[:count]

    def _waiting(self, key: Key) -> Waiting:
        known = self._known.get(key)
        if known is None:
            known = rows.waiting(self._database, *key)
            self._known.put(key, known)
        return known

    # In the database -----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write what was acknowledged, and forget what was sent and everybody has."""
        self._timer = None
        acks, self._unwritten = self._unwritten, {}
        first = next(iter(self._sends), self._last + 1)
        had = [(*key, upto) for key, upto in acks.items()]
        # What is just going on to the rows of its devices is in them by the time that this is written.
        stored = [(*key, upto) for key, upto in acks.items() if self._settling or self._waiting(key).count]
        fewer = first > self._first

        def work(tx: Tx) -> None:
            if stored:
                rows.delete_messages(tx, stored)
            rows.put_marks(tx, [one for one in had if one[2] >= first])
            if fewer:
                rows.drop_sends(tx, first)

        def published(_: None) -> None:
            self._first = max(self._first, first)
            self.requests.drop(first)
            for user_id, device_id, _upto in stored:
                self._known.drop((user_id, device_id))
            for key, upto in acks.items():
                if self._acked.get(key) == upto:
                    del self._acked[key]

        def done(future: "Future[None]") -> None:
            if future.cancelled() or (error := future.exception()) is None:
                return
            log.warning("Messages that devices have had could not be deleted yet: %s", error)
            self._unwritten = {key: upto for key, upto in acks.items() if key in self._acked} | self._unwritten
            if self._timer is None and self._unwritten:
                self._timer = asyncio.get_running_loop().call_later(AGAIN, self._write)

        # Units are committed in their order: when the last one is over, all are.
        self._writing = self._database.submit(work, published=published)
        self._writing.add_done_callback(done)

    def _settle(self) -> None:
        """Let what was sent first of all that is in memory go on to the rows of its devices."""
        if self._settling:
            return
        self._settling = True
        keys: set[Key] = set()
        count = upto = 0
        for position, each in self._sends.items():
            upto = position
            keys |= each
            count += len(each)
            if count >= SETTLED_AT_ONCE:
                break
        # In the order of the rows.
        moved = [
            (position, *key, message)
            for key in sorted(keys)
            for position, message in takewhile(lambda one: one[0] <= upto, self._recent[key])
        ]

        def work(tx: Tx) -> None:
            rows.put_messages(tx, moved)
            rows.drop_sends(tx, upto + 1)

        def published(_: None) -> None:
            self.requests.drop(upto + 1)
            for key in keys:
                self._drop(key, upto)
                self._known.drop(key)
                waiting = self._waiting(key)
                if waiting.count > self._most or waiting.size > self._most_bytes:
                    self._trim(*key)

        def done(future: "Future[None]") -> None:
            self._settling = False
            if not future.cancelled() and (error := future.exception()) is not None:
                log.warning("Messages to devices could not be put away yet: %s", error)
            elif self._count > self._lately or self._bytes > LATELY_BYTES:
                self._settle()

        self._database.submit(work, published=published).add_done_callback(done)

    def _trim(self, user_id: str, device_id: str) -> None:
        log.warning("Too many messages wait for %s's device %s: the oldest are dropped.", user_id, device_id)
        most, most_bytes = int(self._most * _ROOM), int(self._most_bytes * _ROOM)

        def published(_: None) -> None:
            self._known.drop((user_id, device_id))

        self._database.submit(lambda tx: rows.trim(tx, user_id, device_id, most, most_bytes), published=published)
