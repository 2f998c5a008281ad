"""Messages from device to device: what waits for local devices, and what was sent before."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from appliance.storage.database import Reads, Tx
from appliance.storage.devices import device_ids


class Waiting(Struct):
    """What waits for a device: positions of the oldest and the newest message, how many they are, and their bytes."""

    oldest: int = 0
    newest: int = 0
    count: int = 0
    size: int = 0


def begin_transaction(tx: Tx, user_id: str, device_id: str, type_: str, transaction_id: str, now_ms: int) -> bool:
    """Note that a request of a device is served; False where it was before."""
    rows = tx.execute(
        "INSERT INTO sent_to_device (user_id, device_id, type, transaction_id, sent_ts) VALUES (?,?,?,?,?)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (user_id, device_id, type_, transaction_id, now_ms),
    )
    return bool(rows)


def begin_received(tx: Tx, origin: str, message_id: str, now_ms: int) -> bool:
    """Note that a message from another server is taken in; False where it was before."""
    rows = tx.execute(
        "INSERT INTO received_to_device (origin, message_id, received_ts) VALUES (?,?,?)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (origin, message_id, now_ms),
    )
    return bool(rows)


def put_messages(tx: Tx, position: int, messages: Iterable[tuple[str, str, bytes]]) -> None:
    """Let (user id, device id, message) wait for devices; what is for a device that is not there is passed over."""
    tx.execute_many(
        "INSERT INTO to_device_messages (position, user_id, device_id, message)"
        " SELECT ?, user_id, device_id, ? FROM devices WHERE user_id = ? AND device_id = ?",
        [(position, message, user_id, device_id) for user_id, device_id, message in messages],
    )


def spread(tx: Tx, user_id: str, wanted: Mapping[str, bytes]) -> dict[str, bytes]:
    """The messages to each device of a user, where ``*`` stands for all that are not named."""
    if "*" not in wanted:
        return dict(wanted)
    named = {device_id: message for device_id, message in wanted.items() if device_id != "*"}
    return {**dict.fromkeys(device_ids(tx, user_id), wanted["*"]), **named}


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


def delete_messages(tx: Tx, user_id: str, device_id: str, upto: int) -> None:
    """Delete what a device has had, up to a position."""
    tx.execute(
        "DELETE FROM to_device_messages WHERE user_id = ? AND device_id = ? AND position <= ?",
        (user_id, device_id, upto),
    )


def trim(tx: Tx, user_id: str, device_id: str, most: int, most_bytes: int) -> None:
    """Delete the oldest messages of a device beyond a number and a size."""
    tx.execute(
        "DELETE FROM to_device_messages WHERE user_id = ?1 AND device_id = ?2 AND position <= (SELECT max(position)"
        " FROM (SELECT position, row_number() OVER (ORDER BY position DESC) AS number,"
        " sum(length(message)) OVER (ORDER BY position DESC) AS size FROM to_device_messages"
        " WHERE user_id = ?1 AND device_id = ?2) WHERE number > ?3 OR size > ?4)",
        (user_id, device_id, most, most_bytes),
    )


def delete_of_device(tx: Tx, user_id: str, device_id: str) -> None:
    """Delete everything about a device that is gone."""
    tx.execute("DELETE FROM to_device_messages WHERE user_id = ? AND device_id = ?", (user_id, device_id))
    tx.execute("DELETE FROM sent_to_device WHERE user_id = ? AND device_id = ?", (user_id, device_id))


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
