"""How local users stand to rooms that nobody here is in: invited, knocking, or no longer so.

Such a room has a row, so that it has a number, and an event that is no part of any graph known here; nothing else.
"""

import orjson
from msgspec import Struct

from appliance.storage import events as event_rows
from appliance.storage import memberships, rooms
from appliance.storage.database import Reads, Tx
from appliance.storage.events import NewEvent
from appliance.storage.rooms import RoomRow


class Outside(Struct, frozen=True):
    """A standing that rests on an event from outside.

    Args:
        room_nid: the room.
        version: the identifier of its version, as far as was said.
        membership: invite, knock, leave or ban.
        event_nid: the event.
        event_id: its id.
        json: its canonical form.
        shown: what the room shows of itself, a JSON list of stripped events.
        via: the server through which it came about.
    """

    room_nid: int
    version: str
    membership: str
    event_nid: int
    event_id: str
    json: bytes
    shown: str
    via: str


def put(
    tx: Tx, room: RoomRow, event: NewEvent, user_id: str, membership: str, sender: str, shown: str, via: str
) -> tuple[int, int, int]:
    """Note a standing.

    Args:
        tx: the unit.
        room: the room, with a number to use where it has none.
        event: the event, with a number to use where it has none; the room's number in it does not count.
        user_id: whose standing.
        membership: which.
        sender: who sent the event.
        shown: what the room shows of itself, a JSON list.
        via: the server through which it came about.

    Returns:
        the numbers of the room and of the event, and the position.
    """
    known = rooms.by_id(tx, room.room_id)
    if known is None:
        rooms.insert(tx, room)
    room_nid = room.room_nid if known is None else known.room_nid
    present = event_rows.by_id(tx, event.event_id)
    nid = event.nid if present is None else present.nid
    if present is None:
        tx.execute(
            "INSERT INTO events (event_nid, event_id, room_nid, type, state_key, sender, ordering, outlier, json)"
            " VALUES (?,?,?,?,?,?,?,1,?)",
            (nid, event.event_id, room_nid, event.type, event.state_key, event.sender, event.ordering, event.json),
        )
    position = tx.position()
    memberships.put(tx, room_nid, user_id, membership, None, nid, sender, position)
    tx.execute("INSERT OR REPLACE INTO outside_memberships VALUES (?,?,?,?,?)", (room_nid, user_id, nid, shown, via))
    return room_nid, nid, position


def find(reads: Reads, room_id: str, user_id: str) -> Outside | None:
    """A user's standing to a room, where it rests on an event from outside."""
    rows = reads.read(
        "SELECT m.room_nid, r.version, m.membership, m.event_nid, e.event_id, e.json, o.shown, o.via"
        " FROM rooms r JOIN memberships m USING (room_nid) JOIN outside_memberships o USING (room_nid, user_id)"
        " JOIN events e ON e.event_nid = m.event_nid"
        " WHERE r.room_id = ? AND m.user_id = ? AND o.event_nid = m.event_nid",
        (room_id, user_id),
    )
    return Outside(*rows[0]) if rows else None


def shown(reads: Reads, room_nid: int, user_id: str, event_nid: int) -> list[dict[str, object]] | None:
    """What a room shows of itself to a user whose standing rests on an event from outside; None where it does not."""
    rows = reads.read(
        "SELECT shown FROM outside_memberships WHERE room_nid = ? AND user_id = ? AND event_nid = ?",
        (room_nid, user_id, event_nid),
    )
    return list(orjson.loads(rows[0][0])) if rows else None


def inside(reads: Reads, room_nid: int) -> dict[str, str | None]:
    """For each user whose standing to a room rests on an event from outside: what the room's own state says of them."""
    rows = reads.read(
        "SELECT o.user_id, e.json FROM outside_memberships o JOIN memberships m USING (room_nid, user_id)"
        " LEFT JOIN slots s ON s.type = 'm.room.member' AND s.state_key = o.user_id"
        " LEFT JOIN current_state c ON c.room_nid = o.room_nid AND c.slot_nid = s.slot_nid"
        " LEFT JOIN events e ON e.event_nid = c.event_nid"
        " WHERE o.room_nid = ? AND m.event_nid = o.event_nid",
        (room_nid,),
    )
    return {
        user_id: None if json is None else str(orjson.loads(json)["content"].get("membership"))
        for user_id, json in rows
    }
