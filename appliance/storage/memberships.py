"""Who is in which room, now and before: the kept tables behind sync, joined rooms and visibility."""

from collections.abc import Sequence

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class Standing(Struct, frozen=True):
    """How a user stands to a room.

    Args:
        room_nid: the room.
        room_id: its id.
        membership: join, invite, leave, ban or knock.
        event_nid: the membership event.
        sender: who sent it.
        position: when it came into force.
        forgotten: whether the user forgot the room after leaving.
    """

    room_nid: int
    room_id: str
    membership: str
    event_nid: int
    sender: str
    position: int
    forgotten: int


def put(
    tx: Tx,
    room_nid: int,
    user_id: str,
    membership: str,
    previous: str | None,
    event_nid: int,
    sender: str,
    position: int,
) -> None:
    """Note a change of membership: the present standing and its place in the stream."""
    put_all(tx, room_nid, [(user_id, membership, previous, event_nid, sender)], position)


def put_all(tx: Tx, room_nid: int, changes: Sequence[tuple[str, str, str | None, int, str]], position: int) -> None:
    """Note changes of memberships at one place in the stream.

    Args:
        tx: the unit.
        room_nid: the room.
        changes: of each user once: who, the membership now and before, the event that says so, and its sender.
        position: the place.
    """
    tx.execute_many(
        "INSERT OR REPLACE INTO memberships (room_nid, user_id, membership, event_nid, sender, position)"
        " VALUES (?,?,?,?,?,?)",
        [(room_nid, user, membership, nid, sender, position) for user, membership, _, nid, sender in changes],
    )
    tx.execute_many(
        "INSERT INTO membership_changes (position, room_nid, user_id, membership, previous, event_nid)"
        " VALUES (?,?,?,?,?,?)",
        [(position, room_nid, user, membership, previous, nid) for user, membership, previous, nid, _ in changes],
    )


def first_change(database: Reads, room_nid: int) -> int:
    """The position of the first change of a membership in a room; 0 where there was none."""
    ((position,),) = database.read("SELECT MIN(position) FROM membership_changes WHERE room_nid = ?", (room_nid,))
    return int(position or 0)


def forget(tx: Tx, room_nid: int, user_id: str) -> None:
    """Note that a user forgot a room; undone by the next change of membership."""
    tx.execute("UPDATE memberships SET forgotten = 1 WHERE room_nid = ? AND user_id = ?", (room_nid, user_id))


def of_room(database: Reads, room_nid: int) -> dict[str, str]:
    """User to membership, for everybody who ever had one in a room."""
    return dict(database.read("SELECT user_id, membership FROM memberships WHERE room_nid = ?", (room_nid,)))


def of_server(database: Reads, room_nid: int, server_name: str) -> list[str]:
    """The users of a server who ever had a membership of a room."""
    rows = database.read(
        "SELECT user_id FROM memberships WHERE room_nid = ? AND substr(user_id, instr(user_id, ':') + 1) = ?",
        (room_nid, server_name),
    )
    return [row[0] for row in rows]


def server_left(database: Reads, room_nid: int, server_name: str) -> int:
    """The ordering of the last event by which a user of a server left a room; 0 where none ever did."""
    ((ordering,),) = database.read(
        "SELECT MAX(e.ordering) FROM membership_changes c JOIN events e USING (event_nid) WHERE c.room_nid = ?"
        " AND c.previous = 'join' AND c.membership <> 'join' AND substr(c.user_id, instr(c.user_id, ':') + 1) = ?",
        (room_nid, server_name),
    )
    return int(ordering or 0)


def of_user(database: Reads, user_id: str) -> list[Standing]:
    """Every room that a user has or had to do with."""
    rows = database.read(
        "SELECT m.room_nid, r.room_id, m.membership, m.event_nid, m.sender, m.position, m.forgotten"
        " FROM memberships m JOIN rooms r USING (room_nid) WHERE m.user_id = ?",
        (user_id,),
    )
    return [Standing(*row) for row in rows]


def joined_rooms_of(database: Reads, user_id: str) -> list[int]:
    """The numbers of the rooms that a user is in."""
    rows = database.read("SELECT room_nid FROM memberships WHERE user_id = ? AND membership = 'join'", (user_id,))
    return [row[0] for row in rows]


def history_of_user(database: Reads, user_id: str) -> list[tuple[int, int, str, int]]:
    """(room number, position, membership, event number) of every change of a user's memberships, earliest first; of
    rooms that are known, as there may be rows left of one that is on its way out.
    """
    return database.read(
        "SELECT room_nid, position, membership, event_nid FROM membership_changes"
        " WHERE user_id = ? AND room_nid IN (SELECT room_nid FROM rooms) ORDER BY position",
        (user_id,),
    )


def left_behind(database: Reads) -> list[tuple[str, str]]:
    """(user id, room id) wherever a user whose account has ended is still in a room, invited or knocking."""
    return [
        (user_id, room_id)
        for user_id, room_id in database.read(
            "SELECT m.user_id, r.room_id FROM accounts a JOIN memberships m USING (user_id)"
            " JOIN rooms r USING (room_nid) WHERE a.deactivated = 1 AND m.membership IN ('join', 'invite', 'knock')"
        )
    ]


def shared_rooms(database: Reads, user_id: str, other: str, after_nid: int, limit: int) -> list[tuple[int, str]]:
    """(number, id) of rooms that two users are both in, from a number on."""
    return database.read(
        "SELECT r.room_nid, r.room_id FROM memberships o INDEXED BY memberships_by_user"
        " CROSS JOIN memberships m ON m.room_nid = o.room_nid AND m.user_id = ? AND m.membership = 'join'"
        " JOIN rooms r ON r.room_nid = o.room_nid"
        " WHERE o.user_id = ? AND o.membership = 'join' AND o.room_nid > ? ORDER BY o.room_nid LIMIT ?",
        (other, user_id, after_nid, limit),
    )


def count_shared_rooms(database: Reads, user_id: str, other: str) -> int:
    """How many rooms two users are both in."""
    ((count,),) = database.read(
        "SELECT count(*) FROM memberships o INDEXED BY memberships_by_user"
        " CROSS JOIN memberships m ON m.room_nid = o.room_nid AND m.user_id = ? AND m.membership = 'join'"
        " WHERE o.user_id = ? AND o.membership = 'join'",
        (other, user_id),
    )
    return int(count)
