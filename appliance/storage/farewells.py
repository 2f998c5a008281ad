"""Leaves of local users that the room's servers have not heard of: rejected invitations and knocks taken back."""

from msgspec import Struct
from msgspec.structs import astuple

from appliance.storage.database import Reads, Tx

MOST = 2000
"""With more, the oldest are given up."""


class Farewell(Struct, frozen=True):
    """One of them.

    Args:
        room_id: the room, which nobody here need know any more.
        user_id: who left.
        event_id: the leave as it was noted here.
        rejected_id: the invitation or the knock that it ended.
        content: of the leave, as JSON.
        servers: who may be told, the best first, separated by spaces.
        since_ts: when that was.
        attempts: how often telling them has failed.
        next_ts: when it is tried next.
    """

    room_id: str
    user_id: str
    event_id: str
    rejected_id: str
    content: str
    servers: str
    since_ts: int
    attempts: int
    next_ts: int


def put(tx: Tx, farewell: Farewell) -> None:
    """Note one, in the place of an earlier one of the same user and room."""
    tx.execute(
        "INSERT OR REPLACE INTO farewells (room_id, user_id, event_id, rejected_id, content, servers, since_ts,"
        " attempts, next_ts) VALUES (?,?,?,?,?,?,?,?,?)",
        astuple(farewell),
    )
    tx.execute(
        "DELETE FROM farewells WHERE (room_id, user_id) IN"
        " (SELECT room_id, user_id FROM farewells ORDER BY since_ts DESC LIMIT -1 OFFSET ?)",
        (MOST,),
    )


def failed(tx: Tx, farewell: Farewell) -> None:
    """Note how often it failed and when it is tried next, unless another one is there by now."""
    tx.execute(
        "UPDATE farewells SET attempts = ?, next_ts = ? WHERE room_id = ? AND user_id = ? AND event_id = ?",
        (farewell.attempts, farewell.next_ts, farewell.room_id, farewell.user_id, farewell.event_id),
    )


def drop(tx: Tx, farewell: Farewell) -> None:
    """It is settled."""
    tx.execute(
        "DELETE FROM farewells WHERE room_id = ? AND user_id = ? AND event_id = ?",
        (farewell.room_id, farewell.user_id, farewell.event_id),
    )


def all_of(reads: Reads) -> list[Farewell]:
    """All of them, so many at most."""
    return [Farewell(*row) for row in reads.read("SELECT * FROM farewells ORDER BY since_ts")]
