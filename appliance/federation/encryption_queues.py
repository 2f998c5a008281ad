"""Messages to devices and changes of lists of devices on their way to other servers: both must arrive.

Messages wait in the database from the unit in which they were sent. Of lists there is only noted after which position a
server lacks changes; what those are is read when they are sent, so that of each device only the last change counts.

A server that a user meets in a room is told of their devices (server-server API, "Device Management"), from memory
alone: whoever learns of somebody new in a room asks for their devices anyway.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import orjson

from appliance.encryption.local_lists import LocalLists
from appliance.protocol import canonical
from appliance.storage import destinations as destination_rows
from appliance.storage import to_device
from appliance.storage.database import Database, Tx
from appliance.storage.device_lists import DeviceUpdate

MOST_BYTES = 1024 * 1024
"""Of the messages in one transaction; one goes always."""
PAGE = 200
MOST_MET = 200
"""Users whom one server is to be told of as they met it; the devices of further ones it asks for when it needs them."""


class Messages:
    """Messages to devices.

    Args:
        database: where they wait.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def servers(self) -> Collection[str]:
        """For which servers something waits."""
        return to_device.destinations(self._database)

    def take(self, server: str, limit: int) -> tuple[Sequence[bytes], Any]:
        """The first EDUs for a server, and the position of the last."""
        found: list[bytes] = []
        size, last = 0, 0
        for position, content in to_device.outgoing(self._database, server, 0, self._database.position, limit):
            edu = canonical.encode({"content": orjson.loads(content), "edu_type": "m.direct_to_device"})
            size += len(edu)
            if found and size > MOST_BYTES:
                break
            found.append(edu)
            last = position
        return found, last

    def sent(self, tx: Tx, server: str, mark: Any) -> None:
        """In a unit: they arrived."""
        to_device.sent(tx, server, mark)

    def arrived(self, server: str, mark: Any) -> None:
        """After it: nothing to do."""


class ListUpdates:
    """Changes of lists of devices.

    Args:
        database: where they are.
        lists: says what changed.
        is_local: whether a user is one.
        servers_of: the other servers that share a room with a user.

    Attributes:
        waiting: called with each server for which there is something.
    """

    def __init__(
        self,
        database: Database,
        lists: LocalLists,
        is_local: Callable[[str], bool],
        servers_of: Callable[[str], Collection[str]],
    ) -> None:
        self._database = database
        self._lists = lists
        self._is_local = is_local
        self._servers_of = servers_of
        self._due: dict[str, int] = dict(destination_rows.lists_due(database))
        self._met: dict[str, dict[str, None]] = {}
        self.waiting: list[Callable[[str], None]] = []

    def changed(self, user_id: str) -> None:
        """A user's list changed, and that is being published (a listener of ``DeviceLists``)."""
        if self._is_local(user_id) and self._servers_of(user_id):
            # Other changes may be published with it, and before it or behind it: all are after this position.
            self._note(user_id, self._database.position)

    def met(self, user_id: str, servers: Collection[str]) -> None:
        """A local user shares a room with some servers, and did not until now."""
        for server in servers:
            users = self._met.setdefault(server, {})
            if len(users) < MOST_MET:
                users[user_id] = None
            for listener in self.waiting:
                listener(server)

    def servers(self) -> Collection[str]:
        """For which servers something waits; also what a kill kept from being noted."""
        after, upto = destination_rows.mark(self._database), self._database.position
        while updates := self._lists.updates(after, upto, PAGE):
            for update in updates:
                self._note(update.user_id, update.position - 1)
            after = updates[-1].position
        return list(self._due)

    def _note(self, user_id: str, after: int) -> None:
        fresh = [server for server in self._servers_of(user_id) if server not in self._due]
        self._due.update(dict.fromkeys(fresh, after))
        if fresh:
            self._database.submit(lambda tx: destination_rows.note_lists(tx, fresh, after))
        for server in self._servers_of(user_id):
            for listener in self.waiting:
                listener(server)

    def take(self, server: str, limit: int) -> tuple[Sequence[bytes], Any]:
        """The first EDUs for a server; the position of the last change that was looked at, and who is no more new."""
        found: list[bytes] = []
        users: list[str] = []
        met = tuple(self._met.get(server, ()))
        for user_id in met:
            updates = self._lists.updates_of(user_id)
            if len(found) + len(updates) > limit:
                break  # with the next transaction: of half of somebody's devices nobody could make anything
            users.append(user_id)
            found.extend(self._edu(update) for update in updates)
        after = self._due.get(server)
        if after is not None and len(found) < limit:
            after = self._changes(server, after, limit, found)
        if not found and len(users) == len(met):
            self._met.pop(server, None)
        return found, (after, users)

    def _changes(self, server: str, after: int, limit: int, found: list[bytes]) -> int | None:
        """Add the changes that a server lacks after a position; gives the position of the last that was looked at, None
        where it lacks none.
        """
        shared: dict[str, bool] = {}
        had = len(found)
        while len(found) < limit:
            updates = self._lists.updates(after, self._database.position, limit - len(found))
            if not updates:
                break
            after = updates[-1].position
            for update in updates:
                if update.user_id not in shared:
                    shared[update.user_id] = server in self._servers_of(update.user_id)
                if shared[update.user_id]:
                    found.append(self._edu(update))
        if len(found) == had:
            del self._due[server]
            self._database.submit(lambda tx: destination_rows.drop_lists(tx, server, after))
            return None
        return after

    def _edu(self, update: DeviceUpdate) -> bytes:
        kind, content = self._lists.edu(update)
        return canonical.encode({"content": content, "edu_type": kind})

    def sent(self, tx: Tx, server: str, mark: Any) -> None:
        """In a unit: they arrived."""
        if mark[0] is not None:
            destination_rows.move_lists(tx, server, mark[0])

    def arrived(self, server: str, mark: Any) -> None:
        """After it: go on from there."""
        after, users = mark
        if after is not None:
            self._due[server] = after
        left = self._met.get(server, {})
        for user_id in users:
            left.pop(user_id, None)
        if not left:
            self._met.pop(server, None)
