"""Rows of sliding sync: what each connection remembers of what it told, and when each room last came to the top.

A *generation* is what a connection had told at some answer: rooms, how they are wanted, up to where. It is stored as
what differs from the one before. Two are kept: the *base*, which the client is known to have, and the *latest*.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class Told(Struct, frozen=True):
    """What a connection told of a room.

    Args:
        config_nid: how, as a number of the connection's ways.
        upto: None while all that happens is told; else the position up to which it was.
    """

    config_nid: int
    upto: int | None = None


class ConnectionRow(Struct, frozen=True):
    """One connection."""

    connection_nid: int
    user_id: str
    device_id: str
    name: str
    base: int
    latest: int
    used_ts: int


_COLUMNS = "connection_nid, user_id, device_id, name, base, latest, used_ts"


def connection(reads: Reads, user_id: str, device_id: str, name: str) -> ConnectionRow | None:
    """The connection of a device that goes by a name."""
    rows = reads.read(
        f"SELECT {_COLUMNS} FROM sliding_connections WHERE user_id = ? AND device_id = ? AND name = ?",
        (user_id, device_id, name),
    )
    return ConnectionRow(*rows[0]) if rows else None


def configs_of(reads: Reads, connection_nid: int) -> dict[int, bytes]:
    """The ways in which a connection told rooms, encoded, by number."""
    return dict(
        reads.read("SELECT config_nid, config FROM sliding_configs WHERE connection_nid = ?", (connection_nid,))
    )


def generation(reads: Reads, connection_nid: int, number: int) -> dict[int, Told]:
    """What a connection had told as of a generation, by room."""
    rows = reads.read(
        "SELECT room_nid, config_nid, upto FROM sliding_rooms WHERE connection_nid = ? AND generation <= ?"
        " ORDER BY room_nid, generation",
        (connection_nid, number),
    )
    found = {room_nid: (config_nid, upto) for room_nid, config_nid, upto in rows}
    return {room_nid: Told(config, upto) for room_nid, (config, upto) in found.items() if config is not None}


def begin(tx: Tx, user_id: str, device_id: str, name: str, now_ms: int, most: int) -> int:
    """Begin a connection anew; what went by its name before is forgotten, and the oldest ones of the device beyond
    ``most``. Answers its number.
    """
    old = tx.execute(
        "SELECT connection_nid FROM sliding_connections WHERE user_id = ? AND device_id = ?"
        " ORDER BY name = ? DESC, used_ts DESC, connection_nid DESC",
        (user_id, device_id, name),
    )
    same = tx.execute(
        "SELECT 1 FROM sliding_connections WHERE user_id = ? AND device_id = ? AND name = ?", (user_id, device_id, name)
    )
    drop(tx, [nid for (nid,) in (old[:1] if same else [])] + [nid for (nid,) in old[most:]])
    rows = tx.execute(
        "INSERT INTO sliding_connections (user_id, device_id, name, base, latest, used_ts) VALUES (?,?,?,0,0,?)"
        " RETURNING connection_nid",
        (user_id, device_id, name, now_ms),
    )
    return int(rows[0][0])


def advance(
    tx: Tx,
    connection_nid: int,
    base: int,
    latest: int,
    changes: Mapping[int, Told | None],
    configs: Mapping[int, bytes],
) -> None:
    """Store a generation as what differs from the base, which the client has by now.

    Args:
        tx: the unit.
        connection_nid: the connection.
        base: the generation that the client has.
        latest: the new one; what was answered between them never arrived, or is of no use any more.
        changes: what differs, by room; None for a room that is forgotten.
        configs: ways in which rooms are told that are not stored yet, by number.
    """
    tx.execute("DELETE FROM sliding_rooms WHERE connection_nid = ? AND generation > ?", (connection_nid, base))
    tx.execute(
        "DELETE FROM sliding_rooms AS o WHERE o.connection_nid = ?1 AND (EXISTS (SELECT 1 FROM sliding_rooms n"
        " WHERE n.connection_nid = ?1 AND n.room_nid = o.room_nid AND n.generation > o.generation)"
        " OR o.config_nid IS NULL)",
        (connection_nid,),
    )
    tx.execute_many(
        "INSERT INTO sliding_rooms (connection_nid, room_nid, generation, upto, config_nid) VALUES (?,?,?,?,?)",
        [
            (connection_nid, room_nid, latest, told and told.upto, told and told.config_nid)
            for room_nid, told in changes.items()
        ],
    )
    tx.execute_many(
        "INSERT OR REPLACE INTO sliding_configs (connection_nid, config_nid, config) VALUES (?,?,?)",
        [(connection_nid, config_nid, config) for config_nid, config in configs.items()],
    )
    tx.execute(
        "UPDATE sliding_connections SET base = ?, latest = ? WHERE connection_nid = ?", (base, latest, connection_nid)
    )


def drop(tx: Tx, connection_nids: Sequence[int]) -> None:
    """Forget connections."""
    for table in ("sliding_rooms", "sliding_configs", "sliding_connections"):
        tx.execute_many(f"DELETE FROM {table} WHERE connection_nid = ?", [(nid,) for nid in connection_nids])


def drop_configs(tx: Tx, connection_nid: int, config_nids: Sequence[int]) -> None:
    """Forget ways of telling that no room is told in any more."""
    tx.execute_many(
        "DELETE FROM sliding_configs WHERE connection_nid = ? AND config_nid = ?",
        [(connection_nid, nid) for nid in config_nids],
    )


def drop_of_device(tx: Tx, user_id: str, device_id: str) -> None:
    """Forget the connections of a device that is gone."""
    rows = tx.execute(
        "SELECT connection_nid FROM sliding_connections WHERE user_id = ? AND device_id = ?", (user_id, device_id)
    )
    drop(tx, [nid for (nid,) in rows])


def use(tx: Tx, connection_nid: int, now_ms: int) -> None:
    """Note that a connection is in use."""
    tx.execute("UPDATE sliding_connections SET used_ts = ? WHERE connection_nid = ?", (now_ms, connection_nid))


def unused(reads: Reads, before_ms: int, most: int) -> list[int]:
    """Some of the connections that were not in use since a time."""
    rows = reads.read("SELECT connection_nid FROM sliding_connections WHERE used_ts < ? LIMIT ?", (before_ms, most))
    return [nid for (nid,) in rows]


# Bumps ------------------------------------------------------------------------------------------------------------


def bumps(reads: Reads) -> dict[int, int]:
    """For each room the position of the last event that brought it to the top of a list."""
    return dict(reads.read("SELECT room_nid, position FROM room_bumps"))


def bump(tx: Tx, room_nid: int, position: int) -> None:
    """Note that an event brought a room to the top."""
    tx.execute(
        "INSERT INTO room_bumps VALUES (?,?) ON CONFLICT (room_nid) DO UPDATE SET position = excluded.position",
        (room_nid, position),
    )
