"""Which events notify whom, and up to where users have read: rows that unread counts are made of.

An event that notifies all who have certain rules in a room is one row, however many they are; only where something else
is said to one of them there is a row for that user, with what is to be added to or taken from the others' row.
"""

from collections.abc import Collection
from typing import Any

import orjson
from msgspec import Struct

from appliance.storage.database import Reads, Tx

MOST_COUNTED = 10_000
"""A number of unread events that is as good as any larger one."""


class Shared(Struct, frozen=True):
    """What is said to all who have certain rules: their number, whether it stands out, and the actions as JSON."""

    rules: int
    highlight: bool
    actions: str


class PersonalRow(Struct, frozen=True):
    """What is said to one user, and what to the rest of those who have the same rules.

    Args:
        user_id: the user.
        notify: whether they are notified.
        highlight: whether it stands out.
        rest_notify: whether the rest is notified.
        rest_highlight: whether it stands out for them.
        actions: the actions as JSON.
    """

    user_id: str
    notify: bool
    highlight: bool
    rest_notify: bool
    rest_highlight: bool
    actions: str


class Notified(Struct, frozen=True):
    """One event that notified somebody.

    Args:
        position: its place in the stream.
        room_nid: its room.
        thread: the root of its thread, empty for the main timeline.
        event_nid: its number.
        highlight: whether it stands out.
        actions: the actions as JSON.
        notify: false where it does not notify a user although it does others.
    """

    position: int
    room_nid: int
    thread: str
    event_nid: int
    highlight: int
    actions: str
    notify: int


# Writing ----------------------------------------------------------------------------------------------------------


def put_notifications(
    tx: Tx,
    room_nid: int,
    position: int,
    thread: str,
    event_nid: int,
    sender: str,
    shared: Collection[Shared],
    personal: Collection[PersonalRow],
) -> None:
    """Store whom an event notifies."""
    place = (position, thread, event_nid, sender)
    for one in shared:
        tx.execute(
            "INSERT INTO notifications VALUES (?,?,?,?,?,?,?,?)",
            (room_nid, one.rules, *place, one.highlight, one.actions),
        )
    tx.execute_many(
        "INSERT INTO personal_notifications (user_id, room_nid, position, thread, event_nid, sender, notify, highlight,"
        " rest_notify, rest_highlight, actions) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        [
            (
                one.user_id,
                room_nid,
                *place,
                one.notify,
                one.highlight,
                one.rest_notify,
                one.rest_highlight,
                one.actions,
            )
            for one in personal
        ],
    )


def was_redacted(tx: Tx, event_id: str) -> bool:
    """Whether a redaction of an event was carried out."""
    return bool(tx.execute("SELECT 1 FROM redactions WHERE target_event_id = ? AND applied = 1 LIMIT 1", (event_id,)))


def drop_notifications(tx: Tx, event_id: str) -> None:
    """Nobody is notified of an event any more."""
    rows = tx.execute("SELECT room_nid, position FROM events WHERE event_id = ? AND position IS NOT NULL", (event_id,))
    for room_nid, position in rows:
        tx.execute(
            f"DELETE FROM notifications WHERE room_nid = ?1 AND position = ?2 AND rules IN ({_RULES})",
            (room_nid, position),
        )
        tx.execute("DELETE FROM personal_notifications WHERE room_nid = ? AND position = ?", (room_nid, position))


_RULES = """
WITH RECURSIVE known (rules) AS (
    SELECT MIN(rules) FROM notifications WHERE room_nid = ?1
    UNION ALL
    SELECT (SELECT MIN(n.rules) FROM notifications n WHERE n.room_nid = ?1 AND n.rules > known.rules) FROM known
    WHERE known.rules IS NOT NULL
)
SELECT rules FROM known WHERE rules IS NOT NULL
"""
"""Every number of rules that there is in a room, found by leaps over the key."""


def say(tx: Tx, user_id: str, room_nid: int, thread: str, position: int) -> None:
    """Note that a user said something in a room, or a thread of it, and has read it up to there."""
    tx.execute(
        "INSERT INTO said_up_to VALUES (?,?,?,?)"
        " ON CONFLICT (user_id, room_nid, thread) DO UPDATE SET position = excluded.position",
        (user_id, room_nid, thread, position),
    )


# Reading ----------------------------------------------------------------------------------------------------------


def read_points(reads: Reads, user_id: str, room_nid: int, room_id: str) -> tuple[int, dict[str, int]]:
    """Up to which position a user has read a room as a whole, and each part of it: '' for the main timeline, else the
    id of a thread's root.
    """
    whole, parts = 0, {}
    for thread, position in reads.read(
        "SELECT thread, position FROM said_up_to WHERE user_id = ? AND room_nid = ?", (user_id, room_nid)
    ):
        parts[thread] = position
    for thread_id, position in reads.read(
        "SELECT r.thread_id, MAX(e.position) FROM receipts r JOIN events e USING (event_id)"
        " WHERE r.room_id = ? AND r.user_id = ? AND e.position IS NOT NULL GROUP BY r.thread_id",
        (room_id, user_id),
    ):
        if not thread_id:
            whole = position
        else:
            thread = "" if thread_id == "main" else thread_id
            parts[thread] = max(position, parts.get(thread, 0))
    return whole, parts


def count_main(
    reads: Reads, room_nid: int, rules: int, after: int, upto: int, without: Collection[str]
) -> tuple[int, int]:
    """(notifications, those that stand out) of the main timeline in ``after < position <= upto`` for certain rules,
    not counting some senders.
    """
    return _count(
        reads,
        f"SELECT highlight FROM notifications WHERE room_nid = ? AND rules = ? AND position > ? AND position <= ?"
        f" AND thread = '' AND {_OTHERS} LIMIT {MOST_COUNTED}",
        (room_nid, rules, after, upto, _json(without)),
    )


def count_thread(
    reads: Reads, room_nid: int, rules: int, thread: str, after: int, upto: int, without: Collection[str]
) -> tuple[int, int]:
    """The same for one thread."""
    return _count(
        reads,
        "SELECT highlight FROM notifications INDEXED BY notifications_by_thread WHERE room_nid = ? AND rules = ?"
        f" AND thread = ? AND thread <> '' AND position > ? AND position <= ? AND {_OTHERS} LIMIT {MOST_COUNTED}",
        (room_nid, rules, thread, after, upto, _json(without)),
    )


_OTHERS = "sender NOT IN (SELECT value FROM json_each(?))"
_BY_THREAD = (
    "FROM notifications n INDEXED BY notifications_by_thread WHERE n.room_nid = ?1 AND n.rules = ?2 AND n.thread <> ''"
)
_THREADS = f"""
WITH RECURSIVE known (thread) AS (
    SELECT MIN(n.thread) {_BY_THREAD}
    UNION ALL
    SELECT (SELECT MIN(n.thread) {_BY_THREAD} AND n.thread > known.thread) FROM known WHERE known.thread IS NOT NULL
)
SELECT thread, (SELECT MAX(n.position) {_BY_THREAD} AND n.thread = known.thread) FROM known WHERE thread IS NOT NULL
"""


def thread_ends(reads: Reads, room_nid: int, rules: int) -> list[tuple[str, int]]:
    """(root, position of the last notification) of each thread of a room that has any for certain rules."""
    return [(thread, last) for thread, last in reads.read(_THREADS, (room_nid, rules))]


def personal_between(
    reads: Reads, user_id: str, room_nid: int, after: int, upto: int
) -> list[tuple[str, int, str, int, int]]:
    """(thread, position, sender, notifications to add, highlights to add) of what is said to one user apart."""
    return [
        (thread, position, sender, notify - rest_notify, highlight - rest_highlight)
        for thread, position, sender, notify, highlight, rest_notify, rest_highlight in reads.read(
            "SELECT thread, position, sender, notify, highlight, rest_notify, rest_highlight"
            " FROM personal_notifications WHERE room_nid = ? AND user_id = ? AND position > ? AND position <= ?"
            f" ORDER BY position DESC LIMIT {MOST_COUNTED}",
            (room_nid, user_id, after, upto),
        )
    ]


def shared_page(
    reads: Reads,
    room_nid: int,
    rules: int,
    after: int,
    upto: int,
    limit: int,
    *,
    without: Collection[str],
    highlight: bool,
) -> list[Notified]:
    """The latest events of a room that notify all who have certain rules, the latest first.

    Args:
        reads: where to read.
        room_nid: the room.
        rules: the number of the rules.
        after: the position at which to end.
        upto: the position at which to begin.
        limit: how many at most.
        without: senders who do not count.
        highlight: whether only those count that stand out.
    """
    index, also = ("INDEXED BY notifications_highlights", "AND highlight = 1") if highlight else ("", "")
    rows = reads.read(
        f"SELECT position, room_nid, thread, event_nid, highlight, actions, 1 FROM notifications {index}"
        f" WHERE room_nid = ? AND rules = ? AND position > ? AND position <= ? {also} AND {_OTHERS}"
        " ORDER BY position DESC LIMIT ?",
        (room_nid, rules, after, upto, _json(without), limit),
    )
    return [Notified(*row) for row in rows]


def personal_page(
    reads: Reads, user_id: str, after: int, upto: int, limit: int, without: Collection[str]
) -> list[Notified]:
    """What was said to a user apart, the latest first; arguments as ``shared_page``."""
    rows = reads.read(
        "SELECT position, room_nid, thread, event_nid, highlight, actions, notify FROM personal_notifications"
        f" WHERE user_id = ? AND position > ? AND position <= ? AND {_OTHERS} ORDER BY position DESC LIMIT ?",
        (user_id, after, upto, _json(without), limit),
    )
    return [Notified(*row) for row in rows]


def _count(reads: Reads, sql: str, parameters: tuple[Any, ...]) -> tuple[int, int]:
    ((count, highlights),) = reads.read(f"SELECT COUNT(*), TOTAL(highlight) FROM ({sql})", parameters)
    return count, int(highlights)


def _json(senders: Collection[str]) -> str:
    return orjson.dumps(list(senders)).decode()
