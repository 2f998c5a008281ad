"""Who can be found by a name or an id: what is looked through, and who may see whom.

A row with the room number 0 is a local user with the name in their profile; any other row is a user of another server
with the name that they have in a room.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from appliance.storage.database import Reads, Tx

MOST_CANDIDATES = 200


class Candidate(Struct, frozen=True):
    """Somebody who was found: the room in which the name stands (0: the profile), and the membership event there."""

    user_id: str
    room_nid: int
    event_nid: int


def put(tx: Tx, names: Iterable[tuple[str, int, str]]) -> None:
    """Keep names: (user id, room number, folded text to look through)."""
    tx.execute_many("INSERT OR REPLACE INTO user_names (user_id, room_nid, folded) VALUES (?,?,?)", names)


def drop(tx: Tx, keys: Iterable[tuple[str, int]]) -> None:
    """Forget names: (user id, room number)."""
    tx.execute_many("DELETE FROM user_names WHERE user_id = ? AND room_nid = ?", keys)


def set_open(tx: Tx, room_nid: int, is_open: bool) -> None:
    """Note whether everybody may join a room or read in it, so that whoever is in it can be found by everybody."""
    if is_open:
        tx.execute("INSERT OR IGNORE INTO open_rooms VALUES (?)", (room_nid,))
    else:
        tx.execute("DELETE FROM open_rooms WHERE room_nid = ?", (room_nid,))


_SEEN = (
    "EXISTS (SELECT 1 FROM memberships m INDEXED BY memberships_by_user WHERE m.user_id = {user} AND"
    " m.membership = 'join' AND (EXISTS (SELECT 1 FROM open_rooms o WHERE o.room_nid = m.room_nid)"
    " OR EXISTS (SELECT 1 FROM memberships own WHERE own.room_nid = m.room_nid AND own.user_id = ?1"
    " AND own.membership = 'join')))"
)


def local(reads: Reads, asker: str, words: Sequence[str], everybody: bool) -> list[Candidate]:
    """Local users whose name or id holds all of some folded words; reads all accounts, so off the loop.

    Args:
        reads: where to read.
        asker: who looks; not found themselves.
        words: the words.
        everybody: all there are, rather than those who share a room with the asker or are in an open one.
    """
    matching = "".join(
        f" AND instr(COALESCE(n.folded, lower(a.user_id)), ?{number}) > 0" for number, _ in enumerate(words, 2)
    )
    seen = "" if everybody else f" AND {_SEEN.format(user='a.user_id')}"
    rows = reads.read(
        "SELECT a.user_id FROM accounts a LEFT JOIN user_names n ON n.user_id = a.user_id AND n.room_nid = 0"
        f" WHERE a.user_id <> ?1 AND a.deactivated = 0{matching}{seen} LIMIT {MOST_CANDIDATES}",
        (asker, *words),
    )
    return [Candidate(user_id, 0, 0) for (user_id,) in rows]


def remote(reads: Reads, asker: str, words: Sequence[str]) -> list[Candidate]:
    """Users of other servers in rooms that the asker is in, or that are open, whose name there or id holds all of some
    folded words; reads all names of these rooms, so off the loop.
    """
    matching = "".join(f" AND instr(n.folded, ?{number}) > 0" for number, _ in enumerate(words, 2))
    rows = reads.read(
        "SELECT n.user_id, n.room_nid, m.event_nid FROM (SELECT room_nid FROM open_rooms UNION"
        " SELECT own.room_nid FROM memberships own WHERE own.user_id = ?1 AND own.membership = 'join') seen"
        f" CROSS JOIN user_names n ON n.room_nid = seen.room_nid{matching}"
        " CROSS JOIN memberships m ON m.room_nid = n.room_nid AND m.user_id = n.user_id AND m.membership = 'join'"
        f" LIMIT {MOST_CANDIDATES}",
        (asker, *words),
    )
    return [Candidate(*row) for row in rows]
