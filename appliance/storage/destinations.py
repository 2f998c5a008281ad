"""Other servers as destinations: how it goes with each, and what those lack that are behind."""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from appliance.protocol.identifiers import server_of
from appliance.storage.database import Reads, Tx


class DestinationRow(Struct):
    """How it goes with a server.

    Args:
        server_name: the server.
        last_success_ts: when it last answered, as far as that is kept: with changes, and every now and then.
        failing_since_ts: since when it has not; None while it does.
        failures: tries that failed in a row.
        retry_ts: when to try again.
        last_error: what went wrong last, in plain words.
        behind: whether it lacks something that it could not be told.
    """

    server_name: str
    last_success_ts: int = 0
    failing_since_ts: int | None = None
    failures: int = 0
    retry_ts: int = 0
    last_error: str = ""
    behind: bool = False


class OutboxEvent(Struct, frozen=True):
    """An event that may have to be sent.

    Args:
        position: its place in the stream.
        nid: its number.
        room_nid: its room.
        sender: who sent it.
        relayed: whether it is another server's, to be passed on.
        withdrawn: the user whose invitation, or knock, it put an end to.
    """

    position: int
    nid: int
    room_nid: int
    sender: str
    relayed: bool
    withdrawn: str | None


_COLUMNS = "server_name, last_success_ts, failing_since_ts, failures, retry_ts, last_error, behind"


def find(reads: Reads, server_name: str) -> DestinationRow | None:
    """A server as it is kept; None for one with which nothing has ever happened that had to be."""
    rows = reads.read(f"SELECT {_COLUMNS} FROM destinations WHERE server_name = ?", (server_name,))
    return _row(rows[0]) if rows else None


def all_of(reads: Reads) -> list[DestinationRow]:
    """Every server that is kept, by name."""
    return [_row(row) for row in reads.read(f"SELECT {_COLUMNS} FROM destinations ORDER BY server_name")]


def troubled(reads: Reads) -> list[DestinationRow]:
    """The servers that are behind or do not answer."""
    rows = reads.read(f"SELECT {_COLUMNS} FROM destinations WHERE behind = 1 OR failures > 0 ORDER BY server_name")
    return [_row(row) for row in rows]


def keep(tx: Tx, row: DestinationRow) -> None:
    """Keep how it goes with a server."""
    tx.execute(
        f"INSERT OR REPLACE INTO destinations ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)",
        (
            row.server_name,
            row.last_success_ts,
            row.failing_since_ts,
            row.failures,
            row.retry_ts,
            row.last_error,
            int(row.behind),
        ),
    )


def drop(tx: Tx, names: Collection[str]) -> None:
    """Forget how it goes with servers."""
    tx.execute_many("DELETE FROM destinations WHERE server_name = ?", [(name,) for name in names])


def idle(reads: Reads, before_ts: int, limit: int) -> list[str]:
    """Servers that are fine, lack nothing, and have not answered since a time, as nobody asked them; some of them."""
    rows = reads.read(
        "SELECT server_name FROM destinations WHERE failures = 0 AND behind = 0 AND last_success_ts < ? LIMIT ?",
        (before_ts, limit),
    )
    return [row[0] for row in rows]


# What a server lacks -------------------------------------------------------------------------------------------------


def note_lacking(tx: Tx, server_name: str, newest: Mapping[int, int]) -> None:
    """Note the newest event of each room that a server lacks."""
    for room_nid, event_nid in newest.items():
        tx.execute("INSERT OR REPLACE INTO outbox_rooms VALUES (?, ?, ?)", (server_name, room_nid, event_nid))


def lacking(reads: Reads, server_name: str, limit: int) -> dict[int, int]:
    """Room to the newest event that a server lacks of it, the latest rooms first."""
    rows = reads.read(
        "SELECT room_nid, event_nid FROM outbox_rooms WHERE server_name = ? ORDER BY event_nid DESC LIMIT ?",
        (server_name, limit),
    )
    return dict(rows)


def count_lacking(reads: Reads, server_name: str) -> int:
    """In how many rooms a server lacks something."""
    return int(reads.read("SELECT count(*) FROM outbox_rooms WHERE server_name = ?", (server_name,))[0][0])


def told(tx: Tx, server_name: str, events: Mapping[int, int]) -> None:
    """A server has these events of rooms now; where a newer one has been noted meanwhile, that stays."""
    for room_nid, event_nid in events.items():
        tx.execute(
            "DELETE FROM outbox_rooms WHERE server_name = ? AND room_nid = ? AND event_nid <= ?",
            (server_name, room_nid, event_nid),
        )


# Lists of devices ----------------------------------------------------------------------------------------------------


def lists_due(reads: Reads) -> list[tuple[str, int]]:
    """(server, position after which it lacks changes of local users' devices)."""
    return [(row[0], row[1]) for row in reads.read("SELECT server_name, after FROM outbox_lists")]


def note_lists(tx: Tx, servers: Collection[str], after: int) -> None:
    """Note that servers lack changes after a position, unless they lack earlier ones."""
    for server in servers:
        tx.execute("INSERT OR IGNORE INTO outbox_lists VALUES (?, ?)", (server, after))


def move_lists(tx: Tx, server: str, after: int) -> None:
    """A server has all changes up to a position."""
    tx.execute("UPDATE outbox_lists SET after = ? WHERE server_name = ?", (after, server))


def drop_lists(tx: Tx, server: str, upto: int) -> None:
    """A server lacks nothing, as far as a position is concerned."""
    tx.execute("DELETE FROM outbox_lists WHERE server_name = ? AND after <= ?", (server, upto))


# The mark ------------------------------------------------------------------------------------------------------------


def mark(reads: Reads) -> int:
    """The position up to which all was sent, or noted of those that are behind."""
    return int(reads.read("SELECT position FROM outbox_mark")[0][0])


def set_mark(tx: Tx, position: int) -> None:
    """Move the mark; what was to be passed on up to there was."""
    tx.execute("UPDATE outbox_mark SET position = ?", (position,))
    tx.execute("DELETE FROM outbox_relays WHERE position <= ?", (position,))


def note_relay(tx: Tx, position: int, event_nid: int) -> None:
    """Note, in an event's own unit, that it is to be passed on."""
    tx.execute("INSERT INTO outbox_relays VALUES (?, ?)", (position, event_nid))


def events_after(reads: Reads, position: int, server_name: str, limit: int) -> tuple[list[OutboxEvent], int]:
    """Events of this server's users, or to be passed on, after a position; and the position to go on from.

    Args:
        reads: the database.
        position: where to begin.
        server_name: this server's.
        limit: how many events of any kind to look at.
    """
    rows = reads.read(
        "SELECT e.position, e.event_nid, e.room_nid, e.sender, r.event_nid IS NOT NULL, c.user_id FROM events e"
        " LEFT JOIN outbox_relays r ON r.position = e.position"
        " LEFT JOIN membership_changes c ON c.user_id = e.state_key AND c.position = e.position"
        " AND c.room_nid = e.room_nid AND c.event_nid = e.event_nid"
        " AND c.previous IN ('invite', 'knock') AND c.membership IN ('leave', 'ban')"
        " WHERE e.position > ? ORDER BY e.position LIMIT ?",
        (position, limit),
    )
    found = [
        OutboxEvent(row[0], row[1], row[2], row[3], bool(row[4]), row[5])
        for row in rows
        if row[4] or row[3].partition(":")[2] == server_name
    ]
    return found, rows[-1][0] if rows else position


def servers_at(reads: Reads, room_nid: int, position: int) -> set[str]:
    """The servers of those who were in a room at a position."""
    now: dict[str, str] = dict(
        reads.read("SELECT user_id, membership FROM memberships WHERE room_nid = ?", (room_nid,))
    )
    later = reads.read(
        "SELECT user_id, previous FROM membership_changes WHERE room_nid = ? AND position > ? ORDER BY position DESC",
        (room_nid, position),
    )
    now.update(later)  # of each user the earliest change counts, which comes last
    return {server_of(user_id) for user_id, membership in now.items() if membership == "join"}


def servers_in(reads: Reads, room_nid: int, position: int) -> dict[str, int]:
    """Server to how many of its users were in a room at a position."""
    found = {
        row[0]: row[1]
        for row in reads.read(
            "SELECT substr(user_id, instr(user_id, ':') + 1) AS server, count(*) FROM memberships"
            " WHERE room_nid = ? AND membership = 'join' GROUP BY server",
            (room_nid,),
        )
    }
    later = {
        row[0]: (row[1] == "join") - (row[2] == "join")
        for row in reads.read(
            "SELECT c.user_id, c.previous, m.membership FROM membership_changes c JOIN memberships m"
            " USING (room_nid, user_id) WHERE c.room_nid = ? AND c.position > ? ORDER BY c.position DESC",
            (room_nid, position),
        )
    }  # of each user the earliest change counts, which comes last
    for user_id, undone in later.items():
        server = server_of(user_id)
        found[server] = found.get(server, 0) + undone
    return {server: count for server, count in found.items() if count > 0}


def _row(row: tuple[Any, ...]) -> DestinationRow:
    name, success, since, failures, retry, error, behind = row
    return DestinationRow(name, success, since, failures, retry, error, bool(behind))
