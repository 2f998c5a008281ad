"""Account data: what clients keep on the server for their user, for all rooms or for one of them.

Client-server API, "Client config". Two types are the server's own: ``m.push_rules`` and ``m.fully_read`` are read and
synced like the others, but written through their own endpoints.
"""

from collections.abc import Callable
from typing import Any

from appliance.errors import MatrixError, invalid_param, not_found, too_large
from appliance.protocol import canonical
from appliance.protocol.identifiers import fits, is_room_id
from appliance.protocol.push_ruleset import NO_CHANGES, Changes, ruleset
from appliance.storage import account_data
from appliance.storage.database import Database, Tx

PUSH_RULES = "m.push_rules"
LOCAL_NOTIFICATIONS = "org.matrix.msc3890.local_notification_settings."
"""With a device's id: whether that device is silent."""
MOST_PIECES, MOST_BYTES = 20_000, 32 * 1024 * 1024
"""What is kept of one user: a first sync tells all of it."""
DELETED = "{}"
"""What is stored of a piece that was deleted, so that devices are told."""
SERVERS_OWN = frozenset({PUSH_RULES, "m.fully_read"})


class AccountData:
    """The account data of this server's users.

    Args:
        database: hearth.db.

    Attributes:
        changed: called on the loop after the commit of a change, with the user's id and the position of the change.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.changed: list[Callable[[str, int], None]] = []
        self._deleted: dict[tuple[str, str], int] = {}

    def get(self, user_id: str, type_: str, room_id: str = "") -> bytes:
        """The content of one piece as JSON; ``room_id`` is empty for what is about all rooms.

        Raises:
            MatrixError: 400 ``M_INVALID_PARAM`` for what is no room id, 404 ``M_NOT_FOUND``.
        """
        _check_room(room_id)
        content = account_data.find_account_data(self._database, user_id, room_id, type_)
        if type_ == PUSH_RULES and not room_id:
            return push_rules_content(user_id, content)
        if content is None or content == DELETED:
            raise not_found("Nothing is kept under this type.")
        return content.encode()

    async def put(self, user_id: str, type_: str, content: dict[str, Any], room_id: str = "") -> None:
        """Keep one piece as its user asks; an empty content deletes it (MSC3391).

        Raises:
            MatrixError: 405 ``M_BAD_JSON`` for a type that is the server's own; 400 ``M_INVALID_PARAM`` for what is no
                room id, or a type of more than 255 bytes; 413 ``M_TOO_LARGE`` for more than is kept of one user.
        """
        _check_room(room_id)
        if type_ in SERVERS_OWN:
            raise MatrixError("M_BAD_JSON", f"{type_} cannot be set through this endpoint.", 405)
        if not fits(type_):
            raise invalid_param("A type may have at most 255 bytes.")
        text = canonical.encode(content).decode()

        def unit(tx: Tx) -> int | None:
            before = account_data.find_account_data(tx, user_id, room_id, type_)
            grows = before is None or len(text) > len(before)
            if grows and not self.is_room(tx, user_id, len(text) - len(before or ""), new=before is None):
                return None
            return account_data.put_account_data(tx, user_id, room_id, type_, text)

        def published(position: int | None) -> None:
            if position is not None:
                self.announce(user_id, position)

        if await self._database.write(unit, published=published) is None:
            raise too_large("This is more account data than can be kept. Delete some first.")

    @staticmethod
    def is_room(tx: Tx, user_id: str, added: int, *, new: bool) -> bool:
        """Whether so much more of a user's can be kept, in the unit that keeps it.

        Args:
            tx: the unit.
            user_id: whose.
            added: by how much it grows.
            new: whether it is a further piece.
        """
        pieces, size = account_data.size_of(tx, user_id)
        return pieces + new <= MOST_PIECES and size + added <= MOST_BYTES

    async def delete(self, user_id: str, type_: str, room_id: str = "") -> None:
        """Delete one piece: the user's devices are told of an empty content once. Raises as ``put``."""
        await self.put(user_id, type_, {}, room_id)

    def deleting(self, tx: Tx, user_id: str, device_id: str) -> None:
        """Delete what is kept about a device, in the unit that deletes it (MSC3890)."""
        type_ = LOCAL_NOTIFICATIONS + device_id
        self._deleted.pop((user_id, device_id), None)  # of a unit that failed
        text = account_data.find_account_data(tx, user_id, "", type_)
        if text is not None and text != DELETED:
            position = account_data.put_account_data(tx, user_id, "", type_, DELETED)
            self._deleted[user_id, device_id] = position

    def deleted(self, user_id: str, device_id: str) -> None:
        """A device is gone."""
        position = self._deleted.pop((user_id, device_id), None)
        if position is not None:
            self.announce(user_id, position)

    async def keep(self, user_id: str, type_: str, content: dict[str, Any], room_id: str = "") -> None:
        """Keep one piece, whatever its type: for the server's own ones."""
        text = canonical.encode(content).decode()
        await self._database.write(
            lambda tx: account_data.put_account_data(tx, user_id, room_id, type_, text),
            published=lambda position: self.announce(user_id, position),
        )

    async def alter(
        self, user_id: str, type_: str, room_id: str, work: Callable[[Tx, dict[str, Any]], dict[str, Any] | None]
    ) -> None:
        """Change one piece in a unit with reading it, so that of two changes at a time none is lost.

        Args:
            user_id: whose it is.
            type_: its type.
            room_id: the room that it is about; empty for all.
            work: given the transaction and the present content (empty where nothing is kept), makes the new one, or
                None where nothing is to be changed. It may run twice, in the writer's thread.
        """

        def unit(tx: Tx) -> int | None:
            text = account_data.find_account_data(tx, user_id, room_id, type_)
            content = work(tx, {} if text is None else canonical.decode(text))
            if content is None:
                return None
            return account_data.put_account_data(tx, user_id, room_id, type_, canonical.encode(content).decode())

        def published(position: int | None) -> None:
            if position is not None:
                self.announce(user_id, position)

        await self._database.write(unit, published=published)

    def announce(self, user_id: str, position: int) -> None:
        """Tell of a change that was just committed; for those who keep a type of their own."""
        for callback in self.changed:
            callback(user_id, position)


def push_rules_content(user_id: str, kept: str | None) -> bytes:
    """The content of ``m.push_rules`` as clients see it, as JSON, out of what is kept of it."""
    changes = NO_CHANGES if kept is None else Changes.read(canonical.decode(kept))
    return canonical.encode({"global": ruleset(user_id, changes)})


def _check_room(room_id: str) -> None:
    if room_id and not is_room_id(room_id):
        raise invalid_param("This is not the id of a room.")
