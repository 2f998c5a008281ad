"""Account data: what clients keep on the server for their user, for all rooms or for one. Rows of the stream."""

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class AccountDatum(Struct, frozen=True):
    """One piece of account data.

    Args:
        room_id: the room that it is about; empty for all.
        type: its event type.
        content: its content as JSON.
        position: when it was last written, in the stream.
    """

    room_id: str
    type: str
    content: str
    position: int


def find_account_data(reads: Reads, user_id: str, room_id: str, type_: str) -> str | None:
    """The content of one piece as JSON; None where there is none."""
    rows = reads.read(
        "SELECT content FROM account_data WHERE user_id = ? AND room_id = ? AND type = ?", (user_id, room_id, type_)
    )
    return rows[0][0] if rows else None


def account_data_between(reads: Reads, user_id: str, after: int, upto: int) -> list[AccountDatum]:
    """What of a user's account data was last written after one position and not after another, earliest first."""
    rows = reads.read(
        "SELECT room_id, type, content, position FROM account_data"
        " WHERE user_id = ? AND position > ? AND position <= ? ORDER BY position",
        (user_id, after, upto),
    )
    return [AccountDatum(*row) for row in rows]


def put_account_data(tx: Tx, user_id: str, room_id: str, type_: str, content: str) -> int:
    """Write one piece; answers its position in the stream."""
    position = tx.position()
    tx.execute(
        "INSERT INTO account_data (user_id, room_id, type, content, position) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (user_id, room_id, type) DO UPDATE SET content = excluded.content, position = excluded.position",
        (user_id, room_id, type_, content, position),
    )
    return position


def size_of(reads: Reads, user_id: str) -> tuple[int, int]:
    """How many pieces a user has, and how long they are together."""
    rows = reads.read(
        "SELECT COUNT(*), COALESCE(SUM(length(content)), 0) FROM account_data WHERE user_id = ?", (user_id,)
    )
    return rows[0][0], rows[0][1]


def of_type(reads: Reads, user_id: str, type_: str) -> list[tuple[str, str]]:
    """(room id, content as JSON) of a user's account data of one type for each room that has it."""
    return reads.read(
        "SELECT room_id, content FROM account_data WHERE user_id = ? AND type = ? AND room_id <> ''", (user_id, type_)
    )


def in_room(reads: Reads, user_id: str, room_id: str, after: int, upto: int) -> list[AccountDatum]:
    """What of a user's account data about one room was last written after one position and not after another."""
    rows = reads.read(
        "SELECT room_id, type, content, position FROM account_data"
        " WHERE user_id = ? AND room_id = ? AND position > ? AND position <= ? ORDER BY position",
        (user_id, room_id, after, upto),
    )
    return [AccountDatum(*row) for row in rows]
