"""The index of words: SQLite's full-text index, which holds no text itself.

A row's number is the position of its event in the stream, so that the latest are found first without sorting. The index
follows the events: ``search_marks`` says up to which position, and for the past down to which, they are in it. What is
beyond comes in when there is enough of it, or when somebody searches; a redaction takes out what is in.
"""

import json
from collections.abc import Iterable, Sequence

import orjson

from appliance.protocol.wording import TYPES, terms_of, words_of
from appliance.storage.database import Reads, Tx

AT_A_TIME = 200
"""Events that one unit puts into the index: some milliseconds of the writer's time."""
MOST_ROOMS = 300
"""Rooms that are named in one question to the index; for more, all rooms are looked through."""
_WANTED = ",".join(f"'{one}'" for one in TYPES)
_COLUMNS = f"position, room_nid, type, CASE WHEN type IN ({_WANTED}) AND rejected = 0 AND soft_failed = 0 THEN json END"


def follow(tx: Tx) -> int:
    """Put some events into the index that are not in it; returns how many were looked at, 0 where it is complete."""
    ((upto, past),) = tx.execute("SELECT upto, past FROM search_marks WHERE only = 1")
    newer = tx.execute(f"SELECT {_COLUMNS} FROM events WHERE position > ? ORDER BY position LIMIT ?", (upto, AT_A_TIME))
    older = tx.execute(
        f"SELECT {_COLUMNS} FROM events WHERE position < ? ORDER BY position DESC LIMIT ?",
        (past, AT_A_TIME - len(newer)),
    )
    for position, room_nid, event_type, text in (*newer, *older):
        if text is not None:
            _change(tx, "", position, room_nid, event_type, text)
    if newer or older:
        tx.execute(
            "UPDATE search_marks SET upto = ?, past = ? WHERE only = 1",
            (newer[-1][0] if newer else upto, older[-1][0] if older else past),
        )
    return len(newer) + len(older)


def take_out(tx: Tx, nids: Iterable[int]) -> None:
    """Take events out of the index, while their rows are still as they were put in."""
    ((upto, past),) = tx.execute("SELECT upto, past FROM search_marks WHERE only = 1")
    for nid in nids:
        found = tx.execute(f"SELECT {_COLUMNS} FROM events WHERE event_nid = ? AND position IS NOT NULL", (nid,))
        for position, room_nid, event_type, text in found:
            if text is not None and past <= position <= upto:
                _change(tx, "delete", position, room_nid, event_type, text)


def _change(tx: Tx, command: str, position: int, room_nid: int, event_type: str, event: bytes) -> None:
    words = words_of(event_type, orjson.loads(event)["content"])
    if words is None:
        return
    column, text = words
    if command:
        tx.execute(
            f"INSERT INTO search (search, rowid, {column}, room) VALUES (?,?,?,?)",
            (command, position, text, f"r{room_nid}"),
        )
    else:
        tx.execute(f"INSERT INTO search (rowid, {column}, room) VALUES (?,?,?)", (position, text, f"r{room_nid}"))


def question(wanted: str, columns: Sequence[str], rooms: Sequence[int]) -> str | None:
    """What to ask the index for, all of the words in one of the columns; None where nothing is asked for.

    Args:
        wanted: what somebody searches for, as they typed it.
        columns: where.
        rooms: the numbers of the rooms.
    """
    words = " AND ".join(
        '"' + term.replace('"', '""') + '"' + ("*" if stem else "")
        for term, stem in terms_of(wanted.replace("\0", " "))
    )
    if not words or not columns or not rooms:
        return None
    asked = f"{{{' '.join(columns)}}} : ({words})"
    if len(rooms) > MOST_ROOMS:
        return asked
    return asked + " AND {room} : (" + " OR ".join(f'"r{room}"' for room in rooms) + ")"


def find(reads: Reads, asked: str, below: int, limit: int) -> list[tuple[int, float]]:
    """(position, how well it fits: more is better) of the latest matches below a position, the latest first."""
    rows = reads.read(
        "SELECT rowid, -bm25(search, 1.0, 1.0, 1.0, 0.0) FROM search WHERE search MATCH ? AND rowid < ?"
        " ORDER BY rowid DESC LIMIT ?",
        (asked, below, limit),
    )
    return [(position, fit) for position, fit in rows]


def count(reads: Reads, asked: str, most: int) -> int:
    """How many matches there are, counted up to a number."""
    ((found,),) = reads.read("SELECT count(*) FROM (SELECT 1 FROM search WHERE search MATCH ? LIMIT ?)", (asked, most))
    return int(found)


def nids_at(reads: Reads, positions: Sequence[int]) -> dict[int, int]:
    """The numbers of the events at those positions."""
    rows = reads.read(
        "SELECT e.position, e.event_nid FROM json_each(?) p JOIN events e ON e.position = p.value",
        (json.dumps(positions),),
    )
    return dict(rows)
