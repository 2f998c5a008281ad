"""Messages from device to device: what waits for local devices, and what was sent before."""

from collections.abc import Iterable, Sequence

import orjson
from msgspec import Struct

from appliance.storage.database import Reads, Tx
from appliance.storage.devices import device_ids

Key = tuple[str, str]
"""User and device."""
Request = tuple[str, str, str, str]
"""A device's request: its user, itself, the type of what it sent, the client's id of the request."""
_NO_REQUEST = (None, None, None, None)


class Waiting(Struct):
    """What waits for a device for longer: positions of the oldest and the newest, how many they are, their bytes."""

    oldest: int = 0
    newest: int = 0
    count: int = 0
    size: int = 0


def note_sent(tx: Tx, request: Request, now_ms: int) -> bool:
    """Note that a request that leaves nothing for local devices is served; False where it was before. Of those of
    lately ``sends`` tells.
    """
    return bool(
        tx.change(
            "INSERT OR IGNORE INTO sent_to_device (user_id, device_id, type, transaction_id, sent_ts)"
            " VALUES (?,?,?,?,?)",
            (*request, now_ms),
        )
    )


def begin_received(tx: Tx, origin: str, message_id: str, now_ms: int) -> bool:
    """Note that a message from another server is taken in; False where it was before."""
    return bool(
        tx.change(
            "INSERT OR IGNORE INTO received_to_device (origin, message_id, received_ts) VALUES (?,?,?)",
            (origin, message_id, now_ms),
        )
    )


# What was sent lately -----------------------------------------------------------------------------------------------


def put_send(tx: Tx, position: int, request: Request | None, now_ms: int, messages: bytes) -> bool:
    """Keep the messages of one request, as ``packed`` makes them, at its position of the stream.

    Args:
        tx: the unit.
        position: where.
        request: which request; None for what came from another server.
        now_ms: when.
        messages: packed.

    Returns:
        False, and nothing is kept, where the request was served before; of those of lately ``sends`` tells.
    """
    return bool(
        tx.change(
            "INSERT INTO to_device_sends (position, user_id, device_id, type, transaction_id, sent_ts, messages)"
            " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM sent_to_device"
            " WHERE user_id = ?2 AND device_id = ?3 AND type = ?4 AND transaction_id = ?5)",
            (position, *(request or _NO_REQUEST), now_ms, messages),
        )
    )


def sends(reads: Reads) -> list[tuple[int, Request | None, list[tuple[Key, bytes]]]]:
    """(position, the request, (user, device) and message of each device) of what was sent lately, in order."""
    return [
        (position, None if user_id is None else (user_id, *request), _unpacked(packed))
        for position, user_id, *request, packed in reads.read(
            "SELECT position, user_id, device_id, type, transaction_id, messages FROM to_device_sends ORDER BY position"
        )
    ]


def marks(reads: Reads) -> dict[tuple[str, str], int]:
    """(user, device) to the position up to which they have, or are not to have, what was sent lately."""
    return {(row[0], row[1]): row[2] for row in reads.read("SELECT user_id, device_id, upto FROM to_device_marks")}


def put_marks(tx: Tx, found: Iterable[tuple[str, str, int]]) -> None:
    """Note up to where devices have what was sent lately."""
    tx.execute_many(
        "INSERT INTO to_device_marks (user_id, device_id, upto) VALUES (?,?,?)"
        " ON CONFLICT (user_id, device_id) DO UPDATE SET upto = max(upto, excluded.upto)",
        found,
    )


def drop_sends(tx: Tx, before: int) -> None:
    """Forget what was sent before a position, which everybody has or which went on to ``to_device_messages``; but not
    which requests sent it.
    """
    tx.execute(
        "INSERT OR IGNORE INTO sent_to_device (user_id, device_id, type, transaction_id, sent_ts)"
        " SELECT user_id, device_id, type, transaction_id, sent_ts FROM to_device_sends"
        " WHERE position < ? AND user_id IS NOT NULL",
        (before,),
    )
    tx.execute("DELETE FROM to_device_sends WHERE position < ?", (before,))
    tx.execute("DELETE FROM to_device_marks WHERE upto < ?", (before,))


def present(reads: Reads, keys: Iterable[Key]) -> set[Key]:
    """Of some devices those that are there."""
    there: dict[str, set[str]] = {}
    found = set()
    for user_id, device_id in keys:
        if user_id not in there:
            there[user_id] = set(device_ids(reads, user_id))
        if device_id in there[user_id]:
            found.add((user_id, device_id))
    return found


def packed(keys: Sequence[Key], messages: Sequence[bytes]) -> bytes:
    """Messages, one for each device, as they are kept; the devices of a user stand together.

    A line that names users and devices with the length of their messages, then these. A message that is the very one
    before it has the length 0, and is not repeated.
    """
    before: bytes | None = None
    user: str | None = None
    lengths: dict[str, int] = {}
    named, parts = [], []
    for (user_id, device_id), message in zip(keys, messages, strict=True):
        if user_id != user:
            user, lengths = user_id, {}
            named.append((user_id, lengths))
        if message is before:
            lengths[device_id] = 0
        else:
            lengths[device_id] = len(message)
            parts.append(message)
            before = message
    return b"\n".join((orjson.dumps(named), b"".join(parts)))


def _unpacked(stored: bytes) -> list[tuple[Key, bytes]]:
    head, _, rest = stored.partition(b"\n")
    start, message = 0, b""
    found = []
    for user_id, lengths in orjson.loads(head):
        for device_id, length in lengths.items():
            if length:
                message = rest[start : start + length]
                start += length
            found.append(((user_id, device_id), message))
    return found


# What waits for longer ----------------------------------------------------------------------------------------------


def put_messages(tx: Tx, messages: Iterable[tuple[int, str, str, bytes]]) -> None:
    """Let (position, user id, device id, message) wait for devices that are there and are still to have it."""
    tx.execute_many(
        "INSERT INTO to_device_messages (position, user_id, device_id, message)"
        " SELECT ?1, user_id, device_id, ?4 FROM devices WHERE user_id = ?2 AND device_id = ?3 AND NOT EXISTS"
        " (SELECT 1 FROM to_device_marks m WHERE m.user_id = ?2 AND m.device_id = ?3 AND m.upto >= ?1)",
        messages,
    )


def messages(reads: Reads, user_id: str, device_id: str, after: int, upto: int, limit: int) -> list[tuple[int, bytes]]:
    """(position, message) of what waits for a device in ``after < position <= upto``, in order of arrival."""
    return [
        (row[0], row[1])
        for row in reads.read(
            "SELECT position, message FROM to_device_messages WHERE user_id = ? AND device_id = ?"
            " AND position > ? AND position <= ? ORDER BY position LIMIT ?",
            (user_id, device_id, after, upto, limit),
        )
    ]


def waiting(reads: Reads, user_id: str, device_id: str) -> Waiting:
    """What waits for a device."""
    rows = reads.read(
        "SELECT ifnull(min(position), 0), ifnull(max(position), 0), count(*), ifnull(sum(length(message)), 0)"
        " FROM to_device_messages WHERE user_id = ? AND device_id = ?",
        (user_id, device_id),
    )
    return Waiting(*rows[0])


def delete_messages(tx: Tx, had: Iterable[tuple[str, str, int]]) -> None:
    """Delete what devices have had: (user id, device id, up to which position)."""
    tx.execute_many("DELETE FROM to_device_messages WHERE user_id = ? AND device_id = ? AND position <= ?", had)


def trim(tx: Tx, user_id: str, device_id: str, most: int, most_bytes: int) -> None:
    """Delete the oldest messages of a device beyond a number and a size."""
    tx.execute(
        "DELETE FROM to_device_messages WHERE user_id = ?1 AND device_id = ?2 AND position <= (SELECT max(position)"
        " FROM (SELECT position, row_number() OVER (ORDER BY position DESC) AS number,"
        " sum(length(message)) OVER (ORDER BY position DESC) AS size FROM to_device_messages"
        " WHERE user_id = ?1 AND device_id = ?2) WHERE number > ?3 OR size > ?4)",
        (user_id, device_id, most, most_bytes),
    )


def forget_sent(tx: Tx, user_id: str, device_id: str) -> None:
    """Forget the requests of a device that is gone; what waits for it goes with its row."""
    tx.execute("DELETE FROM sent_to_device WHERE user_id = ? AND device_id = ?", (user_id, device_id))
    tx.execute("UPDATE to_device_sends SET user_id = NULL WHERE user_id = ? AND device_id = ?", (user_id, device_id))


# To other servers -------------------------------------------------------------------------------------------------


def put_outgoing(tx: Tx, destination: str, position: int, content: str) -> None:
    """Let a message wait for its journey to another server."""
    tx.execute(
        "INSERT INTO outgoing_to_device (destination, position, content) VALUES (?,?,?)",
        (destination, position, content),
    )


def outgoing(reads: Reads, destination: str, after: int, upto: int, limit: int) -> list[tuple[int, str]]:
    """(position, content of the EDU as JSON) of what waits for a server in ``after < position <= upto``, in order."""
    return [
        (row[0], row[1])
        for row in reads.read(
            "SELECT position, content FROM outgoing_to_device WHERE destination = ? AND position > ? AND position <= ?"
            " ORDER BY position LIMIT ?",
            (destination, after, upto, limit),
        )
    ]


def destinations(reads: Reads) -> list[str]:
    """The servers for which something waits."""
    return [row[0] for row in reads.read("SELECT DISTINCT destination FROM outgoing_to_device")]


def outgoing_counts(reads: Reads) -> dict[str, int]:
    """How much waits for each server for which something does."""
    return dict(reads.read("SELECT destination, count(*) FROM outgoing_to_device GROUP BY destination"))


def sent(tx: Tx, destination: str, upto: int) -> None:
    """A server has taken what waited for it, up to a position."""
    tx.execute("DELETE FROM outgoing_to_device WHERE destination = ? AND position <= ?", (destination, upto))


def trim_outgoing(tx: Tx, destination: str, most: int) -> None:
    """Delete the oldest of what waits for a server beyond a number."""
    tx.execute(
        "DELETE FROM outgoing_to_device WHERE destination = ?1 AND position <= (SELECT position"
        " FROM outgoing_to_device WHERE destination = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)",
        (destination, most),
    )
