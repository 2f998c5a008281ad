"""Names of rooms, the rooms that are published, and what a room shows of itself, as rows."""

from collections.abc import Collection

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class AliasRow(Struct, frozen=True):
    """Where a local alias leads, and who made it."""

    room_id: str
    creator: str


def alias(database: Reads, name: str) -> AliasRow | None:
    """The alias of that name, or None."""
    rows = database.read("SELECT room_id, creator FROM aliases WHERE alias = ?", (name,))
    return AliasRow(*rows[0]) if rows else None


def remove_alias(tx: Tx, name: str, room_id: str) -> bool:
    """Take an alias off a room; False where it does not lead there (any more)."""
    if not tx.execute("SELECT 1 FROM aliases WHERE alias = ? AND room_id = ?", (name, room_id)):
        return False
    tx.execute("DELETE FROM aliases WHERE alias = ?", (name,))
    return True


def is_listed(database: Reads, room_id: str) -> bool | None:
    """Whether a room is published; None for a room that is not known."""
    rows = database.read("SELECT listed FROM rooms WHERE room_id = ?", (room_id,))
    return bool(rows[0][0]) if rows else None


def listed(database: Reads) -> list[tuple[str, int, int]]:
    """(room id, room number, how many are in it) of every published room. May be many: for a thread."""
    return [
        (room_id, room_nid, joined)
        for room_id, room_nid, joined in database.read(
            "SELECT r.room_id, r.room_nid,"
            " (SELECT COUNT(*) FROM memberships m WHERE m.room_nid = r.room_nid AND m.membership = 'join')"
            " FROM rooms r WHERE r.listed = 1"
        )
    ]


def joined_count(database: Reads, room_nid: int) -> int:
    """How many are in a room."""
    rows = database.read("SELECT COUNT(*) FROM memberships WHERE room_nid = ? AND membership = 'join'", (room_nid,))
    return int(rows[0][0])


def keyless_state(database: Reads, room_nid: int, types: Collection[str]) -> dict[str, int]:
    """The numbers of the current state events of some types with the empty state key, by type."""
    marks = ",".join("?" * len(types))
    # The few slots first: the other way round SQLite might walk through all members of a room.
    return dict(
        database.read(
            "SELECT s.type, c.event_nid FROM slots s CROSS JOIN current_state c ON c.slot_nid = s.slot_nid"
            f" WHERE s.type IN ({marks}) AND s.state_key = '' AND c.room_nid = ?",
            (*types, room_nid),
        )
    )


def state_of_type(database: Reads, room_nid: int, event_type: str) -> list[int]:
    """The numbers of the current state events of one type, for types of which a server has few."""
    rows = database.read(
        "SELECT c.event_nid FROM slots s CROSS JOIN current_state c ON c.slot_nid = s.slot_nid"
        " WHERE s.type = ? AND c.room_nid = ?",
        (event_type, room_nid),
    )
    return [row[0] for row in rows]
