"""Rooms with something in every table that can hold something of a room."""

from appliance.storage import state
from appliance.storage.database import Tx

ALICE, BOB, REMOTE = "@alice:here.example", "@bob:here.example", "@mallory:elsewhere.example"
ROOM_COLUMNS = {"room_nid", "room_id", "event_nid", "event_id", "group_nid", "redaction_nid", "slot_nid"}
APART = {
    *("purges", "number_floors", "unused_slots", "slots", "backed_up_keys", "reports", "sliding_rooms"),
    *("outbox_relays", "farewells"),  # what other servers are still to be told
}
"""Tables that have such columns and belong to no room."""


def accounts(tx: Tx) -> None:
    """Two local users with a device each."""
    for user_id in (ALICE, BOB):
        tx.execute("INSERT INTO accounts (user_id, created_ts) VALUES (?, 0)", (user_id,))
        tx.execute("INSERT INTO devices (user_id, device_id, created_ts) VALUES (?, 'D', 0)", (user_id,))


def join(tx: Tx, room_nid: int, user_id: str, membership: str, *, forgotten: bool = False) -> None:
    """A user's standing in a room."""
    tx.execute(
        "INSERT OR REPLACE INTO memberships VALUES (?, ?, ?, 1, ?, 1, ?)",
        (room_nid, user_id, membership, user_id, forgotten),
    )


def furnish(tx: Tx, room_nid: int, room_id: str, events: int = 4) -> None:
    """A room that Alice left and forgot and in which somebody of another server still is.

    Every other event is state; the last one is an outlier, the one before was rejected.
    """
    tx.execute(
        "INSERT INTO rooms (room_nid, room_id, version, creator, created_ts) VALUES (?, ?, '12', ?, 0)",
        (room_nid, room_id, REMOTE),
    )
    first = room_nid * 1000
    for nid in range(first, first + events):
        _event(tx, room_nid, nid, nid - first >= events - 2)
        state.insert_changed(tx, nid, room_nid, nid - 1 if nid > first else None, {_slot(room_id, nid): (None, nid)})
        state.set_event_groups(tx, nid, nid, nid)
        state.change_current(tx, room_nid, nid, {_slot(room_id, nid): (None, nid)})
    last = first + events - 1
    tx.execute("INSERT INTO state_snapshots VALUES (?, x'04')", (last,))
    tx.execute("INSERT INTO redactions (target_event_id, redaction_nid, applied) VALUES (?, 1, 1)", (f"${first}",))
    tx.execute("INSERT INTO redactions (target_event_id, redaction_nid, applied) VALUES ('$unknown', ?, 0)", (last,))
    tx.execute("INSERT INTO redacted_originals VALUES (?, 0, x'00')", (first,))
    tx.execute("INSERT INTO transaction_ids VALUES (?, 'D', 'send', ?, ?, 0)", (ALICE, room_id, first))
    tx.execute("INSERT INTO forward_extremities VALUES (?, ?)", (room_nid, last))
    tx.execute("INSERT INTO backward_extremities VALUES (?, '$missing', ?)", (room_nid, first))
    tx.execute("INSERT INTO gaps VALUES (?, ?, 1, 1)", (room_nid, first))
    tx.execute("INSERT INTO aliases VALUES (?, ?, ?)", (f"#{room_nid}:here.example", room_id, ALICE))
    tx.execute("INSERT INTO receipts VALUES (?, ?, 'm.read', '', '$1', '{}', 1)", (room_id, REMOTE))
    tx.execute("INSERT INTO account_data VALUES (?, ?, 'm.tag', '{}', 1)", (ALICE, room_id))
    tx.execute("INSERT INTO thread_subscriptions VALUES (?, ?, '$1', 1, 0, 1)", (ALICE, room_id))
    tx.execute(
        "INSERT INTO delayed_events (delay_id, user_id, device_id, room_id, type, content, delay_ms, since_ts, send_ts)"
        " VALUES (?, ?, 'D', ?, 'm.text', '{}', 1, 1, 2)",
        (f"delay{room_nid}", ALICE, room_id),
    )
    tx.execute(
        "INSERT INTO waiting_events (event_id, room_id, origin, received_ts, json) VALUES (?, ?, 'x', 0, x'00')",
        (f"$waiting{room_nid}", room_id),
    )
    tx.execute("INSERT INTO waiting_for VALUES ('$missing', ?)", (f"$waiting{room_nid}",))
    tx.execute(
        "INSERT INTO relations VALUES (?, '$1', 1, 1, ?, 'm.thread', 'm.text', ?, NULL)", (room_nid, first, REMOTE)
    )
    tx.execute("INSERT INTO edits VALUES (?, '$1', ?, 'm.text', 0, '$2', ?)", (room_nid, REMOTE, first))
    tx.execute("INSERT INTO threads VALUES (?, '$1', 1, 1, 1, ?)", (room_nid, first))
    tx.execute("INSERT INTO user_names VALUES (?, ?, 'mallory')", (room_nid, REMOTE))
    tx.execute("INSERT INTO open_rooms VALUES (?)", (room_nid,))
    tx.execute("INSERT INTO room_bumps VALUES (?, 1)", (room_nid,))
    tx.execute("INSERT INTO event_times VALUES (?, 7, ?)", (room_nid, first))
    tx.execute("INSERT INTO thread_senders VALUES (?, '$1', ?, 1)", (room_nid, REMOTE))
    tx.execute("INSERT INTO notifications VALUES (?, 0, ?, '', ?, ?, 0, '[]')", (room_nid, first, first, REMOTE))
    tx.execute(
        "INSERT INTO personal_notifications VALUES (?, ?, ?, '', ?, ?, 1, 0, 0, 0, '[]')",
        (ALICE, room_nid, first, first, REMOTE),
    )
    tx.execute("INSERT INTO said_up_to VALUES (?, ?, '', ?)", (ALICE, room_nid, first))
    tx.execute("INSERT INTO outbox_rooms VALUES ('elsewhere.example', ?, ?)", (room_nid, first))
    tx.execute("INSERT INTO outside_memberships VALUES (?, ?, ?, '[]', '')", (room_nid, ALICE, first))
    tx.execute(
        "INSERT INTO unread_events VALUES (?, ?, ?, 'x', 0, x'00')",
        (room_nid, f"$unread{room_nid}", room_id),
    )
    for user_id, membership in ((ALICE, "leave"), (REMOTE, "join")):
        join(tx, room_nid, user_id, membership, forgotten=user_id == ALICE)
        tx.execute(
            "INSERT INTO membership_changes VALUES (?, ?, ?, ?, NULL, ?)", (first, room_nid, user_id, membership, first)
        )


def _slot(room_id: str, nid: int) -> tuple[str, str]:
    """Every other slot is the room's own."""
    return ("m.room.member", f"@{nid % 1000}:{room_id if nid % 2 else 'shared.example'}")


def _event(tx: Tx, room_nid: int, nid: int, aside: bool) -> None:
    tx.execute(
        "INSERT INTO events (event_nid, event_id, room_nid, type, state_key, sender, ordering, position, outlier, json)"
        " VALUES (?, ?, ?, 'm.room.member', '', '@x:x', 1, ?, ?, x'00')",
        (nid, f"${nid}", room_nid, None if aside else nid, aside),
    )
    tx.execute("INSERT INTO edges VALUES (?, 0, ?)", (nid, nid - 1))
    tx.execute("INSERT INTO edges VALUES (?, 1, ?)", (nid, nid - 1))
