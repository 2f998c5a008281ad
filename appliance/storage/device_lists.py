"""Changes of the lists of devices: whose list changed when, for clients by user, for other servers by device.

A change says that the list must be asked for anew, and nothing of what it was: only the last one counts.
"""

from collections.abc import Collection

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class DeviceUpdate(Struct, frozen=True):
    """The last change of a device of a local user.

    Args:
        user_id: whose.
        device_id: which device; empty for the user's cross-signing keys.
        position: when.
        previous: the position of the change of the user's devices before it, 0 for none.
    """

    user_id: str
    device_id: str
    position: int
    previous: int


def note_change(tx: Tx, user_id: str) -> int:
    """Note that a user's list of devices, or their cross-signing keys, changed; answers the position."""
    position = tx.position()
    tx.execute("INSERT INTO device_list_changes (position, user_id) VALUES (?, ?)", (position, user_id))
    return position


def note_update(tx: Tx, user_id: str, device_id: str) -> int:
    """The same for a local user, with the device that changed, or '' for the cross-signing keys."""
    position = note_change(tx, user_id)
    tx.execute(
        "INSERT OR REPLACE INTO device_updates (user_id, device_id, position, previous)"
        " SELECT ?1, ?2, ?3, ifnull(max(position), 0) FROM device_updates WHERE user_id = ?1 AND device_id <> ''",
        (user_id, device_id, position),
    )
    return position


def last_update(reads: Reads, user_id: str) -> int:
    """The position of the last change of a local user's devices, cross-signing keys aside; 0 for none."""
    rows = reads.read("SELECT max(position) FROM device_updates WHERE user_id = ? AND device_id <> ''", (user_id,))
    return int(rows[0][0] or 0)


def last_change(reads: Reads, user_id: str) -> int:
    """The position of a user's last change; 0 for none."""
    rows = reads.read("SELECT max(position) FROM device_list_changes WHERE user_id = ?", (user_id,))
    return int(rows[0][0] or 0)


def changed_users(reads: Reads, after: int, upto: int) -> set[str]:
    """Whose list changed in ``after < position <= upto``."""
    rows = reads.read("SELECT user_id FROM device_list_changes WHERE position > ? AND position <= ?", (after, upto))
    return {row[0] for row in rows}


def signed_users(reads: Reads, signer: str, after: int, upto: int) -> set[str]:
    """Whose keys a local user signed in ``after < position <= upto``."""
    rows = reads.read(
        "SELECT target FROM user_signatures WHERE signer = ? AND position > ? AND position <= ?", (signer, after, upto)
    )
    return {row[0] for row in rows}


def updates(reads: Reads, after: int, upto: int, limit: int) -> list[DeviceUpdate]:
    """The changes of local users' devices in ``after < position <= upto``, earliest first, each device once."""
    rows = reads.read(
        "SELECT user_id, device_id, position, previous FROM device_updates WHERE position > ? AND position <= ?"
        " ORDER BY position LIMIT ?",
        (after, upto, limit),
    )
    return [DeviceUpdate(*row) for row in rows]


def updates_of(reads: Reads, user_id: str, limit: int) -> list[DeviceUpdate]:
    """The last change of each of a local user's devices that are still there, earliest first; as if there had been none
    before it, for whoever was told of none.
    """
    rows = reads.read(
        "SELECT user_id, device_id, position, 0 FROM device_updates u WHERE user_id = ?"
        " AND EXISTS (SELECT 1 FROM devices d WHERE d.user_id = u.user_id AND d.device_id = u.device_id)"
        " ORDER BY position LIMIT ?",
        (user_id, limit),
    )
    return [DeviceUpdate(*row) for row in rows]


# Who shares a room with whom, at a position -----------------------------------------------------------------------


def joined_at(reads: Reads, room_nid: int, position: int) -> set[str]:
    """Who was in a room at a position."""
    found = {
        row[0]
        for row in reads.read(
            "SELECT user_id FROM memberships WHERE room_nid = ? AND membership = 'join' AND position <= ?",
            (room_nid, position),
        )
    }
    seen: set[str] = set()
    for user_id, previous in reads.read(
        "SELECT user_id, previous FROM membership_changes WHERE room_nid = ? AND position > ? ORDER BY position",
        (room_nid, position),
    ):
        if user_id not in seen and previous == "join":
            found.add(user_id)
        seen.add(user_id)
    return found


def moves(reads: Reads, room_nid: int, after: int, upto: int) -> tuple[set[str], set[str], set[str]]:
    """Who is in a room at one position and was not at an earlier one; the other way round; and who was in it at both
    and away in between.
    """
    away: set[str] = set()
    was: dict[str, bool] = {}
    now: dict[str, bool] = {}
    for user_id, previous, membership in reads.read(
        "SELECT user_id, previous, membership FROM membership_changes"
        " WHERE room_nid = ? AND position > ? AND position <= ? ORDER BY position",
        (room_nid, after, upto),
    ):
        was.setdefault(user_id, previous == "join")
        now[user_id] = membership == "join"
        if membership != "join":
            away.add(user_id)
    came = {user for user in now if now[user] and not was[user]}
    went = {user for user in now if was[user] and not now[user]}
    return came, went, {user for user in away if now[user] and was[user]}


def shares(reads: Reads, user_id: str, room_nids: Collection[int], position: int) -> bool:
    """Whether a user was in one of the rooms at a position."""
    for room_nid, membership, since in reads.read(
        "SELECT room_nid, membership, position FROM memberships WHERE user_id = ?", (user_id,)
    ):
        if room_nid not in room_nids:
            continue
        if since <= position:
            if membership == "join":
                return True
            continue
        earlier = reads.read(
            "SELECT previous FROM membership_changes WHERE user_id = ? AND position > ? AND room_nid = ?"
            " ORDER BY position LIMIT 1",
            (user_id, position, room_nid),
        )
        if earlier and earlier[0][0] == "join":
            return True
    return False
