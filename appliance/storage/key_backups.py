"""Backups of room keys: versions, and the keys in them, which the server cannot read."""

from collections.abc import Iterable

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class Backup(Struct, frozen=True):
    """One version of a user's backup.

    Args:
        version: its number.
        algorithm: how its keys are encrypted.
        auth_data: what belongs to the algorithm, as JSON.
        etag: changes with every change of the keys.
        count: how many keys there are.
        deleted: whether it was deleted.
    """

    version: int
    algorithm: str
    auth_data: str
    etag: int
    count: int
    deleted: bool


class BackedUpKey(Struct, frozen=True):
    """The key of one session.

    Args:
        room_id: the room.
        session_id: the session.
        first_message_index: the first message that the key decrypts.
        forwarded_count: how often the key was passed on.
        is_verified: whether the device that it is from was verified.
        session_data: the encrypted key, as JSON.
    """

    room_id: str
    session_id: str
    first_message_index: int
    forwarded_count: int
    is_verified: bool
    session_data: str


_BACKUP = "SELECT version, algorithm, auth_data, etag, count, deleted FROM key_backups WHERE user_id = ?"
_KEY = (
    "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data FROM backed_up_keys"
    " WHERE user_id = ? AND version = ?"
)


def create(tx: Tx, user_id: str, algorithm: str, auth_data: str) -> int:
    """Begin a new version; answers its number, which no other had before."""
    rows = tx.execute(
        "INSERT INTO key_backups (user_id, version, algorithm, auth_data)"
        " SELECT ?1, ifnull(max(version), 0) + 1, ?2, ?3 FROM key_backups WHERE user_id = ?1 RETURNING version",
        (user_id, algorithm, auth_data),
    )
    return int(rows[0][0])


def latest(reads: Reads, user_id: str) -> Backup | None:
    """The newest version that was not deleted."""
    rows = reads.read(f"{_BACKUP} AND deleted = 0 ORDER BY version DESC LIMIT 1", (user_id,))
    return _backup(rows[0]) if rows else None


def find(reads: Reads, user_id: str, version: int) -> Backup | None:
    """One version, also one that was deleted."""
    rows = reads.read(f"{_BACKUP} AND version = ?", (user_id, version))
    return _backup(rows[0]) if rows else None


def number(reads: Reads, user_id: str) -> int:
    """How many versions a user has that were not deleted."""
    rows = reads.read("SELECT count(*) FROM key_backups WHERE user_id = ? AND deleted = 0", (user_id,))
    return int(rows[0][0])


def put_auth_data(tx: Tx, user_id: str, version: int, auth_data: str) -> None:
    """Replace the data of a version."""
    tx.execute("UPDATE key_backups SET auth_data = ? WHERE user_id = ? AND version = ?", (auth_data, user_id, version))


def delete(tx: Tx, user_id: str, version: int | None = None) -> None:
    """Delete a version, or all of a user's. Its keys are out of reach at once and are cleared away later."""
    tx.execute(
        "UPDATE key_backups SET deleted = 1, auth_data = '{}', count = 0 WHERE user_id = ?1"
        " AND (?2 IS NULL OR version = ?2)",
        (user_id, version),
    )


# Keys -------------------------------------------------------------------------------------------------------------


def put_keys(tx: Tx, user_id: str, version: int, keys: Iterable[BackedUpKey]) -> Backup:
    """Add keys to a version, which must be there; one that is better than the one that is there takes its place.

    Better is one from a verified device, else one that decrypts more, else one that was passed on less.

    Returns:
        the version afterwards.
    """
    added = changed = 0
    for key in keys:
        there = tx.execute(
            "SELECT is_verified, first_message_index, forwarded_count FROM backed_up_keys"
            " WHERE user_id = ? AND version = ? AND room_id = ? AND session_id = ?",
            (user_id, version, key.room_id, key.session_id),
        )
        rank = (not key.is_verified, key.first_message_index, key.forwarded_count)
        if there and rank >= (not there[0][0], there[0][1], there[0][2]):
            continue
        added += not there
        changed += 1
        tx.execute(
            "INSERT OR REPLACE INTO backed_up_keys (user_id, version, room_id, session_id, first_message_index,"
            " forwarded_count, is_verified, session_data) VALUES (?,?,?,?,?,?,?,?)",
            (
                user_id,
                version,
                key.room_id,
                key.session_id,
                key.first_message_index,
                key.forwarded_count,
                key.is_verified,
                key.session_data,
            ),
        )
    return _changed(tx, user_id, version, changed, added)


def keys(
    reads: Reads, user_id: str, version: int, room_id: str | None = None, session_id: str | None = None
) -> list[BackedUpKey]:
    """The keys of a version: all of them, those of a room, or that of a session."""
    sql, parameters = _chosen(_KEY, user_id, version, room_id, session_id)
    return [
        BackedUpKey(room, session, first, forwarded, bool(verified), data)
        for room, session, first, forwarded, verified, data in reads.read(sql, parameters)
    ]


def delete_keys(
    tx: Tx, user_id: str, version: int, room_id: str | None = None, session_id: str | None = None
) -> Backup:
    """Delete keys as ``keys`` chooses them; answers the version afterwards."""
    where, parameters = _chosen(" WHERE user_id = ? AND version = ?", user_id, version, room_id, session_id)
    ((count,),) = tx.execute(f"SELECT count(*) FROM backed_up_keys{where}", parameters)
    tx.execute(f"DELETE FROM backed_up_keys{where}", parameters)
    return _changed(tx, user_id, version, count, -count)


def _chosen(
    sql: str, user_id: str, version: int, room_id: str | None, session_id: str | None
) -> tuple[str, list[str | int]]:
    parameters: list[str | int] = [user_id, version]
    for name, value in (("room_id", room_id), ("session_id", session_id)):
        if value is not None:
            sql += f" AND {name} = ?"
            parameters.append(value)
    return sql, parameters


def _changed(tx: Tx, user_id: str, version: int, changed: int, added: int) -> Backup:
    rows = tx.execute(
        "UPDATE key_backups SET etag = etag + ?, count = count + ? WHERE user_id = ? AND version = ?"
        " RETURNING version, algorithm, auth_data, etag, count, deleted",
        (changed > 0, added, user_id, version),
    )
    return _backup(rows[0])


def _backup(row: tuple[int, str, str, int, int, int]) -> Backup:
    return Backup(*row[:5], bool(row[5]))
