"""The lists of devices of other servers' users, as far as they are followed."""

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class RemoteList(Struct, frozen=True):
    """One user's list.

    Args:
        user_id: the user.
        stream_id: the version of the list, as their server counts.
        stale: whether something was missed, so that the list is to be fetched again.
        json: the answer of ``/user/devices`` as it is kept, with later changes.
    """

    user_id: str
    stream_id: int
    stale: bool
    json: bytes


def find(reads: Reads, user_id: str) -> RemoteList | None:
    """The list of a user; None where it is not followed."""
    rows = reads.read("SELECT user_id, stream_id, stale, json FROM remote_lists WHERE user_id = ?", (user_id,))
    return RemoteList(rows[0][0], rows[0][1], bool(rows[0][2]), rows[0][3]) if rows else None


def keep(tx: Tx, found: RemoteList) -> None:
    """Keep a list."""
    tx.execute(
        "INSERT OR REPLACE INTO remote_lists (user_id, stream_id, stale, json) VALUES (?, ?, ?, ?)",
        (found.user_id, found.stream_id, int(found.stale), found.json),
    )


def mark_stale(tx: Tx, user_id: str) -> None:
    """Note that a list is to be fetched again."""
    tx.execute("UPDATE remote_lists SET stale = 1 WHERE user_id = ?", (user_id,))


def drop(tx: Tx, user_id: str) -> None:
    """Follow a list no more."""
    tx.execute("DELETE FROM remote_lists WHERE user_id = ?", (user_id,))


def stale(reads: Reads, limit: int) -> list[str]:
    """The users whose lists are to be fetched again."""
    return [row[0] for row in reads.read("SELECT user_id FROM remote_lists WHERE stale = 1 LIMIT ?", (limit,))]
