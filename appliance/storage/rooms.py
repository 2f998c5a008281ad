"""Rooms as rows."""

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class RoomRow(Struct, frozen=True):
    """One room: its number, its id, the identifier of its version, who created it, and when (ms)."""

    room_nid: int
    room_id: str
    version: str
    creator: str
    created_ts: int


def insert(tx: Tx, room: RoomRow) -> None:
    """Store a new room."""
    tx.execute(
        "INSERT INTO rooms (room_nid, room_id, version, creator, created_ts) VALUES (?,?,?,?,?)",
        (room.room_nid, room.room_id, room.version, room.creator, room.created_ts),
    )


def settle_in(tx: Tx, room: RoomRow) -> None:
    """Store what a room that had a number only turns out to be."""
    tx.execute(
        "UPDATE rooms SET version = ?, creator = ?, created_ts = ? WHERE room_nid = ?",
        (room.version, room.creator, room.created_ts, room.room_nid),
    )


def by_id(database: Reads, room_id: str) -> RoomRow | None:
    """The room of that id, or None."""
    rows = database.read(
        "SELECT room_nid, room_id, version, creator, created_ts FROM rooms WHERE room_id = ?", (room_id,)
    )
    return RoomRow(*rows[0]) if rows else None


def last_positions(database: Reads) -> dict[int, int]:
    """For each room the position of the last event that arrived in its timeline."""
    rows = database.read(
        "SELECT room_nid, (SELECT MAX(position) FROM events e WHERE e.room_nid = r.room_nid"
        # Said, since the index has no others: without it every event there is would be looked at for each room.
        " AND e.position IS NOT NULL) FROM rooms r"
    )
    return {room_nid: position for room_nid, position in rows if position is not None}


def set_listed(tx: Tx, room_nid: int, listed: bool) -> None:
    """Publish a room in the directory, or take it out."""
    tx.execute("UPDATE rooms SET listed = ? WHERE room_nid = ?", (listed, room_nid))


def add_alias(tx: Tx, alias: str, room_id: str, creator: str) -> bool:
    """Give a room an alias; False where the alias is taken."""
    taken = tx.execute("SELECT 1 FROM aliases WHERE alias = ?", (alias,))
    if taken:
        return False
    tx.execute("INSERT INTO aliases VALUES (?,?,?)", (alias, room_id, creator))
    return True


def room_of_alias(database: Reads, alias: str) -> str | None:
    """The id of the room behind a local alias, or None."""
    rows = database.read("SELECT room_id FROM aliases WHERE alias = ?", (alias,))
    return rows[0][0] if rows else None


def version_of(database: Reads, room_nid: int) -> str:
    """The identifier of the version of a room that is there."""
    return str(database.read("SELECT version FROM rooms WHERE room_nid = ?", (room_nid,))[0][0])


def last_position(database: Reads, room_nid: int) -> int:
    """The position of the last event that arrived in a room's timeline; 0 for none."""
    rows = database.read("SELECT MAX(position) FROM events WHERE room_nid = ? AND position IS NOT NULL", (room_nid,))
    return int(rows[0][0] or 0)


def set_state_group(tx: Tx, room_nid: int, group_nid: int | None) -> None:
    """Note the group of the current state while the graph has several ends; None where the state after the one end
    says it.
    """
    tx.execute("UPDATE rooms SET state_group_nid = ? WHERE room_nid = ?", (group_nid, room_nid))


def state_group(database: Reads, room_nid: int) -> int | None:
    """What ``set_state_group`` noted last."""
    rows = database.read("SELECT state_group_nid FROM rooms WHERE room_nid = ?", (room_nid,))
    return rows[0][0] if rows else None


def aliases_of(database: Reads, room_id: str) -> list[str]:
    """The local aliases of a room."""
    return [row[0] for row in database.read("SELECT alias FROM aliases WHERE room_id = ? ORDER BY alias", (room_id,))]


def move_names(tx: Tx, old_nid: int, old_id: str, new_nid: int, new_id: str) -> None:
    """Move a room's local aliases and its place in the directory to another room."""
    tx.execute("UPDATE aliases SET room_id = ? WHERE room_id = ?", (new_id, old_id))
    tx.execute(
        "UPDATE rooms SET listed = (SELECT listed FROM rooms WHERE room_nid = ?) WHERE room_nid = ?", (old_nid, new_nid)
    )
    tx.execute("UPDATE rooms SET listed = 0 WHERE room_nid = ?", (old_nid,))
