"""Old rows that nothing can ask for any more, and the space that they leave.

What is not pruned, and why: ``state_changes`` and ``membership_changes`` answer what a room's state and a member's
right to see were at any position, however old: for a client that comes back after a year, for who left and may still
read what was before, for every event of the history. They are some thirty bytes beside a kilobyte for the event, and
go with their room (``purge.py``). ``receipts`` and ``account_data`` hold the last word on each matter alone. ``events``
are the history itself.
"""

from typing import Any

from msgspec import Struct

from appliance.storage.database import Database, Reads, Row, Tx

ROWS = 200
"""Rows that one unit takes."""
DAY_MS = 24 * 3600 * 1000


class Kind(Struct, frozen=True):
    """Rows of one kind that may go.

    Args:
        name: the table.
        keep_ms: how long they are kept.
        find: a query for the keys of what may go; its parameters are a time and how many. It may read a whole table
            and is run off the loop.
        drop: takes the row of one key. What ``find`` finds can never come into use again, so that it does not matter
            what happens between the two.
    """

    name: str
    keep_ms: int
    find: str
    drop: str


TRANSACTION_IDS = Kind(
    # A client repeats a request whose answer it did not see, at once or when it is online again, and knows its own
    # event by the id in the sync that brings it. After a week neither is waited for; other servers forget after a day.
    # Numbers of events rise with time, so the oldest are at the beginning of that index.
    "transaction_ids",
    7 * DAY_MS,
    "SELECT user_id, device_id, scope, transaction_id FROM (SELECT * FROM transaction_ids"
    " INDEXED BY transaction_ids_by_event ORDER BY event_nid LIMIT ?2) WHERE created_ts < ?1",
    "DELETE FROM transaction_ids WHERE user_id = ? AND device_id = ? AND scope = ? AND transaction_id = ?",
)
REFRESH_TOKENS = Kind(
    # Used up a week ago, and its successor was used, which ended it. The last of a session stays: whoever comes with it
    # is to be told to log in again and not to throw their keys away.
    "refresh_tokens",
    7 * DAY_MS,
    "SELECT t.hash FROM refresh_tokens t WHERE t.expires_ts < ?1"
    " AND EXISTS (SELECT 1 FROM refresh_tokens n WHERE n.session_id = t.session_id AND n.created_ts > t.created_ts)"
    " LIMIT ?2",
    "DELETE FROM refresh_tokens WHERE hash = ?",
)
ACCESS_TOKENS = Kind(
    # Expired a week ago, replaced by a newer one, and the refresh token that came with it is gone. While that one lives
    # the client may have got no newer one yet, and must be told that it only has to refresh.
    "access_tokens",
    7 * DAY_MS,
    "SELECT t.hash FROM access_tokens t WHERE t.expires_ts < ?1"
    " AND EXISTS (SELECT 1 FROM access_tokens n WHERE n.session_id = t.session_id AND n.created_ts > t.created_ts)"
    " AND NOT EXISTS"
    " (SELECT 1 FROM refresh_tokens r WHERE r.session_id = t.session_id AND r.created_ts = t.created_ts)"
    " LIMIT ?2",
    "DELETE FROM access_tokens WHERE hash = ?",
)
REDACTED_ORIGINALS = Kind(
    # What somebody took back is kept for those who look after the room, and no longer.
    "redacted_originals",
    7 * DAY_MS,
    "SELECT event_nid FROM redacted_originals WHERE redacted_ts < ? ORDER BY redacted_ts LIMIT ?",
    "DELETE FROM redacted_originals WHERE event_nid = ?",
)
DEVICE_LIST_CHANGES = Kind(
    # Whoever asks what changed since some position is told of a user once, by the last change; one that lies before it
    # tells nothing more, whatever the position is. So it holds whoever reads up to what is published, as all must.
    "device_list_changes",
    0,
    "SELECT d.user_id, d.position FROM device_list_changes d WHERE ?1 AND EXISTS"
    " (SELECT 1 FROM device_list_changes n WHERE n.user_id = d.user_id AND n.position > d.position) LIMIT ?2",
    "DELETE FROM device_list_changes WHERE user_id = ? AND position = ?",
)
TO_DEVICE_MESSAGES = Kind(
    # For devices that are gone: nobody can ask for them. A new device of the same name is not to have them either.
    "to_device_messages",
    0,
    "SELECT m.user_id, m.device_id, m.position FROM to_device_messages m WHERE ?1 AND NOT EXISTS"
    " (SELECT 1 FROM devices d WHERE d.user_id = m.user_id AND d.device_id = m.device_id) LIMIT ?2",
    "DELETE FROM to_device_messages WHERE user_id = ? AND device_id = ? AND position = ?",
)
SENT_TO_DEVICE = Kind(
    # As with transaction ids: nobody repeats such a request after a week.
    "sent_to_device",
    7 * DAY_MS,
    "SELECT user_id, device_id, type, transaction_id FROM sent_to_device WHERE sent_ts < ? ORDER BY sent_ts LIMIT ?",
    "DELETE FROM sent_to_device WHERE user_id = ? AND device_id = ? AND type = ? AND transaction_id = ?",
)
RECEIVED_TO_DEVICE = Kind(
    # Another server repeats a message until it hears that it arrived: for days, where it does not reach us.
    "received_to_device",
    30 * DAY_MS,
    "SELECT origin, message_id FROM received_to_device WHERE received_ts < ? ORDER BY received_ts LIMIT ?",
    "DELETE FROM received_to_device WHERE origin = ? AND message_id = ?",
)
BACKED_UP_KEYS = Kind(
    # Of backups that were deleted: nobody can ask for them.
    "backed_up_keys",
    0,
    "SELECT k.user_id, k.version, k.room_id, k.session_id FROM key_backups b CROSS JOIN backed_up_keys k"
    " USING (user_id, version) WHERE ?1 AND b.deleted = 1 LIMIT ?2",
    "DELETE FROM backed_up_keys WHERE user_id = ? AND version = ? AND room_id = ? AND session_id = ?",
)
SERVER_KEY_DOCUMENTS = Kind(
    # Kept to be handed on to those who ask us for another server's keys. Whoever asks for what is long over has us ask
    # that server again. The keys themselves stay (``server_keys``): they check what was signed when they were good.
    "server_key_documents",
    30 * DAY_MS,
    "SELECT server_name, fetched_ts FROM server_key_documents WHERE valid_until_ts < ? LIMIT ?",
    "DELETE FROM server_key_documents WHERE server_name = ? AND fetched_ts = ?",
)
SERVER_KEYS = Kind(
    # Of a server whose users were never in a room that is here, and which has told no keys for a year: a name that came
    # with a request once, or went with its rooms. Whoever needs them again has us ask for them again.
    "server_keys",
    365 * DAY_MS,
    "SELECT server_name, key_id FROM server_keys WHERE server_name IN (SELECT server_name FROM server_keys"
    " GROUP BY server_name HAVING MAX(valid_until_ts) < ?1"
    " AND server_name NOT IN (SELECT substr(user_id, instr(user_id, ':') + 1) FROM memberships)) LIMIT ?2",
    "DELETE FROM server_keys WHERE server_name = ? AND key_id = ?",
)
NOTIFICATIONS_KEPT = 10_000
"""Events of a room that notify those who have the same rules: the latest count, what stands out stays besides. Nobody
reads as many; whoever was away for so long is told that there are very many. What is said to single users only, mostly
that they are not notified, is taken off that, and goes with the room.
"""
NOTIFICATIONS = Kind(
    "notifications",
    0,
    "SELECT n.room_nid, n.rules, n.position FROM (SELECT room_nid, rules FROM notifications GROUP BY room_nid, rules"
    f" HAVING COUNT(*) > {NOTIFICATIONS_KEPT}) many JOIN notifications n USING (room_nid, rules)"
    " WHERE ?1 AND n.highlight = 0 AND n.position <= (SELECT last.position FROM notifications last"
    " WHERE last.room_nid = many.room_nid AND last.rules = many.rules"
    f" ORDER BY last.position DESC LIMIT 1 OFFSET {NOTIFICATIONS_KEPT}) LIMIT ?2",
    "DELETE FROM notifications WHERE room_nid = ? AND rules = ? AND position = ?",
)
KINDS = (
    TRANSACTION_IDS,
    REFRESH_TOKENS,
    ACCESS_TOKENS,
    REDACTED_ORIGINALS,
    DEVICE_LIST_CHANGES,
    TO_DEVICE_MESSAGES,
    SENT_TO_DEVICE,
    RECEIVED_TO_DEVICE,
    BACKED_UP_KEYS,
    SERVER_KEY_DOCUMENTS,
    SERVER_KEYS,
    NOTIFICATIONS,
)


async def find(database: Database, kind: Kind, now_ms: int, keep_ms: int | None = None) -> list[Row]:
    """The keys of some rows that may go, ``ROWS`` at most.

    Args:
        database: where they are.
        kind: what kind.
        now_ms: the time.
        keep_ms: how long they are kept, where that is not what the kind says.
    """
    return await database.fetch(kind.find, (now_ms - (kind.keep_ms if keep_ms is None else keep_ms), ROWS))


def drop(tx: Tx, kind: Kind, keys: list[Row]) -> None:
    """Take the rows of those keys."""
    tx.execute_many(kind.drop, keys)


# Space ------------------------------------------------------------------------------------------------------------


def free_pages(reads: Reads) -> tuple[int, int]:
    """(pages of the file that hold nothing, pages in all)."""
    return _number(reads, "PRAGMA freelist_count"), _number(reads, "PRAGMA page_count")


def give_back(tx: Tx, pages: int) -> None:
    """Take empty pages out of the file, moving others into their places; the file shrinks at the next checkpoint.

    One at a time: the statement frees a page with every step and has no rows, so that Python takes but one step.
    """
    for _ in range(pages):
        tx.execute("PRAGMA incremental_vacuum(1)")


def _number(reads: Reads, sql: str) -> int:
    value: Any = reads.read(sql)[0][0]
    return int(value)
