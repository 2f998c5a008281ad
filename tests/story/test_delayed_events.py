"""Events that are sent later unless somebody says otherwise (MSC4140), also over a restart."""

from collections.abc import Iterator

import pytest

from tests.support.client import Client, Json, body, seg, timeline, unique
from tests.support.hearth import ANSWERS, HearthProcess

BASE = "/_matrix/client/unstable/org.matrix.msc4140"
ALL = f"{BASE}/delayed_events"
DELAY = "org.matrix.msc4140.delay"
TYPE = "com.example.test"
LONG = 600_000


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HearthProcess]:
    """A server of its own, which is stopped and started."""
    server = HearthProcess(tmp_path_factory.mktemp("delayed") / "data", ANSWERS.format(name="later.example")).start()
    yield server
    server.end()


def open_room(user: Client) -> str:
    """A room in which everybody may set the state of the tests' type."""
    levels = {"events": {TYPE: 0}}
    return user.create_room(preset="public_chat", power_level_content_override=levels)


def later(user: Client, room: str, content: Json, delay: int, txn: str = "") -> str:
    """A message to be sent later."""
    path = f"/rooms/{seg(room)}/send/m.room.message/{seg(txn or unique('txn'))}"
    return str(user.must("PUT", path, content, **{DELAY: delay})["delay_id"])


def later_state(user: Client, room: str, key: str, content: Json, delay: int = LONG) -> str:
    """State to be set later."""
    path = f"/rooms/{seg(room)}/state/{TYPE}/{seg(key)}"
    return str(user.must("PUT", path, content, **{DELAY: delay})["delay_id"])


def act(user: Client, delay_id: str, action: str) -> Json:
    """Cancel, restart or send."""
    return user.must("POST", f"{ALL}/{seg(delay_id)}/{action}", {})


def pending(user: Client) -> list[Json]:
    """What of a user's is still to be sent."""
    found: list[Json] = user.must("GET", ALL)["delayed_events"]
    return found


def test_messages_are_sent_when_their_time_comes(alice: Client, bob: Client) -> None:
    """In order, once; the same transaction again gives the same name; only their user sees them before."""
    room = open_room(alice)
    bob.join(room)
    bob.sync()
    names = [later(alice, room, {"body": f"{delay}"}, delay, f"t{delay}") for delay in (700, 300, 500)]
    again = alice.must("PUT", f"/rooms/{seg(room)}/send/m.room.message/t700", **{DELAY: 700})
    assert again == {"delay_id": names[0]}
    assert len(set(names)) == 3
    assert pending(bob) == []
    heard: list[str] = []

    def all_came(answer: Json) -> bool:
        heard.extend(str(body(event)) for event in timeline(answer, room))
        return len(heard) == 3

    bob.sync_until(all_came)
    # On a busy machine the requests may be further apart than the times.
    settled = [alice.must("GET", f"{ALL}/{seg(name)}") for name in names]
    settled.sort(key=lambda one: one["running_since"] + one["delay"])
    assert heard == [one["content"]["body"] for one in settled]
    assert pending(alice) == []
    told = alice.must("GET", f"{ALL}/{seg(names[0])}")
    event = alice.event(room, told["event_id"])
    assert event["content"] == {"body": "700"}
    assert event["unsigned"]["org.matrix.msc4140.delay_id"] == names[0]
    assert "transaction_id" not in event["unsigned"]
    assert "org.matrix.msc4140.delay_id" not in bob.event(room, told["event_id"])["unsigned"]
    assert told["finalised_ts"] >= told["running_since"] + 700
    assert "error" not in told
    bob.refused("M_NOT_FOUND", 404, "GET", f"{ALL}/{seg(names[0])}")


def test_what_is_listed_of_a_pending_event(alice: Client) -> None:
    """Room, type, key, content, the delay, and since when it runs; in the words of both forms of the proposal."""
    room = open_room(alice)
    name = later_state(alice, room, "key", {"a": 1})
    (told,) = pending(alice)
    since = told["running_since"]
    assert told == {
        "delay_id": name,
        "room_id": room,
        "type": TYPE,
        "state_key": "key",
        "content": {"a": 1},
        "delay": LONG,
        "delay_ms": LONG,
        "running_since": since,
        "scheduled_at": since,
    }
    alice.refused("M_NOT_FOUND", 404, "GET", f"/rooms/{seg(room)}/state/{TYPE}/key")


def test_the_form_of_the_proposals_present_text(alice: Client) -> None:
    """An endpoint of its own, with delay and state key in the body."""
    room = open_room(alice)
    path = f"{BASE}/rooms/{seg(room)}/delayed_event/{TYPE}/txn1"
    wish = {"delay_ms": LONG, "state_key": "k", "content": {"b": 2}}
    told = alice.must("PUT", path, wish)
    assert alice.must("PUT", path, wish) == told
    act(alice, told["delay_id"], "send")
    assert alice.state(room, TYPE, "k") == {"b": 2}


def test_whoever_knows_the_name_may_act(alice: Client) -> None:
    """Cancel, restart and send need no access token; by path or by body."""
    anybody, room = Client(alice.url), open_room(alice)
    cancelled, sent, restarted = (later_state(alice, room, key, {"k": key}) for key in "abc")
    before = next(one for one in pending(alice) if one["delay_id"] == restarted)["running_since"]
    assert act(anybody, restarted, "restart") == {}
    after = next(one for one in pending(alice) if one["delay_id"] == restarted)["running_since"]
    assert after > before
    assert anybody.must("POST", f"{ALL}/{seg(sent)}", {"action": "send"}) == {}
    assert alice.state(room, TYPE, "b") == {"k": "b"}
    act(anybody, cancelled, "cancel")
    assert [one["delay_id"] for one in pending(alice)] == [restarted]
    for name, action, status in (
        (cancelled, "cancel", 200),
        (cancelled, "send", 409),
        (cancelled, "restart", 409),
        (sent, "send", 200),
        (sent, "cancel", 409),
        ("delay_unknown", "send", 404),
        ("delay_unknown", "cancel", 404),
        ("delay_unknown", "restart", 404),
        (restarted, "oops", 404),
    ):
        assert anybody.ask("POST", f"{ALL}/{seg(name)}/{action}", {}).status_code == status, (name, action)
    anybody.refused("M_MISSING_PARAM", 400, "POST", f"{ALL}/{seg(restarted)}", {})
    anybody.refused("M_INVALID_PARAM", 400, "POST", f"{ALL}/{seg(restarted)}", {"action": "oops"})
    anybody.refused("M_MISSING_TOKEN", 401, "GET", ALL)


def test_what_cannot_be_scheduled(alice: Client, bob: Client) -> None:
    """A delay that is none or too long (the answer names the longest), a room that one is not in, too many at once."""
    room = open_room(alice)
    path = f"/rooms/{seg(room)}/send/m.room.message/"
    for delay in ("0", "-5", "soon", "1.5", ""):
        alice.refused("M_INVALID_PARAM", 400, "PUT", path + unique("t"), {}, **{DELAY: delay})
    told = alice.refused("M_UNKNOWN", 400, "PUT", path + unique("t"), {}, **{DELAY: 10**11})
    assert told["org.matrix.msc4140.errcode"] == "M_MAX_DELAY_EXCEEDED"
    limits = alice.must("GET", "/capabilities")["capabilities"]["org.matrix.msc4140.delayed_events"]
    assert told["org.matrix.msc4140.max_delay"] == limits["max_delay_ms"] >= 24 * 3600 * 1000
    bob.refused("M_FORBIDDEN", 403, "PUT", path + unique("t"), {}, **{DELAY: 1000})
    for _ in range(limits["max_scheduled"]):
        later(alice, room, {}, LONG)
    told = alice.refused("M_LIMIT_EXCEEDED", 429, "PUT", path + unique("t"), {}, **{DELAY: 1000})
    assert told["retry_after_ms"] > 0


def test_the_right_to_send_is_judged_when_it_is_sent(alice: Client, bob: Client) -> None:
    """Whoever may not by then does not; what became of it can be asked."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    name = later_state(bob, room, "x", {})
    bob.refused("M_FORBIDDEN", 403, "POST", f"{ALL}/{seg(name)}/send", {})
    told = bob.must("GET", f"{ALL}/{seg(name)}")
    assert told["error"]
    assert "event_id" not in told
    assert pending(bob) == []


def test_state_that_somebody_else_changes_is_not_set_later(alice: Client, bob: Client) -> None:
    """One's own change leaves it pending."""
    room = open_room(alice)
    bob.join(room)
    mine, other = later_state(alice, room, "seat", {"by": "later"}), later_state(alice, room, "table", {})
    alice.set_state(room, TYPE, {"by": "alice"}, "seat")
    assert len(pending(alice)) == 2
    bob.set_state(room, TYPE, {"by": "bob"}, "seat")
    assert [one["delay_id"] for one in pending(alice)] == [other]
    assert alice.must("GET", f"{ALL}/{seg(mine)}")["error"] == "cancelled"


def test_whoever_leaves_a_room_sends_nothing_there_later(alice: Client, bob: Client) -> None:
    """Nor does somebody who was removed; other rooms are as before."""
    room, other = open_room(alice), open_room(alice)
    bob.join(room)
    bob.join(other)
    later(bob, room, {"body": "gone"}, LONG)
    kept = later(bob, other, {"body": "kept"}, LONG)
    alice.kick(room, bob)
    assert [one["delay_id"] for one in pending(bob)] == [kept]


def test_events_are_kept_over_a_restart(restarted: HearthProcess) -> None:
    """What was due meanwhile is sent at the start, and what was not is still pending, after a kill too."""
    user = Client.register(restarted.url)
    room = open_room(user)
    due, kept = later_state(user, room, "due", {"n": 1}, 400), later_state(user, room, "kept", {"n": 2})
    message = later(user, room, {"body": "last words"}, 400)
    restarted.kill()
    restarted.start()
    user = Client(restarted.url, user.token, user.user_id, user.device_id)
    user.sync_until(lambda answer: any(body(event) == "last words" for event in timeline(answer, room)))
    assert [one["delay_id"] for one in pending(user)] == [kept]
    assert user.state(room, TYPE, "due") == {"n": 1}
    assert {user.must("GET", f"{ALL}/{seg(name)}").get("error") for name in (due, message)} == {None}
