"""The events that are to be sent later, in memory."""

from msgspec.structs import replace

from appliance.rooms.acts.pending import Pending
from appliance.storage.delayed_events import DelayedEvent

FIRST = DelayedEvent(
    delay_id="first",
    user_id="@alice:here",
    device_id="D",
    room_id="!room",
    type="m.room.topic",
    state_key="",
    content="{}",
    delay_ms=10,
    since_ts=0,
    send_ts=10,
)
SECOND = replace(FIRST, delay_id="second", send_ts=20, user_id="@bob:here")
THIRD = replace(FIRST, delay_id="third", send_ts=30, room_id="!other")


def filled() -> Pending:
    pending = Pending()
    for event in (THIRD, FIRST, SECOND):
        pending.put(event)
    return pending


def test_they_are_given_in_order_each_once_and_kept() -> None:
    pending = filled()
    assert pending.next_ts() == 10
    assert pending.take(9) is None
    assert [pending.take(25), pending.take(25), pending.take(25)] == [FIRST, SECOND, None]
    assert pending.get("first") is FIRST
    assert pending.next_ts() == 30
    pending.put(FIRST)  # it could not be sent
    assert pending.take(30) is FIRST


def test_one_that_begins_anew_is_due_at_its_new_time_alone() -> None:
    pending = filled()
    later = replace(FIRST, send_ts=25)
    pending.put(later)
    assert [pending.take(99), pending.take(99), pending.take(99), pending.take(99)] == [SECOND, later, THIRD, None]
    # At the same moment, too.
    same = replace(THIRD, since_ts=5)
    pending.put(THIRD)
    pending.put(same)
    assert pending.take(30) is same


def test_what_is_dropped_is_nowhere() -> None:
    pending = filled()
    pending.drop("first")
    pending.drop("first")
    assert "first" not in pending
    assert list(pending.of_room("!room")) == [SECOND]
    assert pending.of_user("@alice:here") == [THIRD]
    assert pending.take(99) is SECOND
    pending.drop("second")
    assert list(pending.of_room("!room")) == []
    assert pending.next_ts() == 30
