"""Typing notifications (client-server API, module "Typing notifications")."""

import pytest

from tests.support.client import Client, Json, joined, seg, together

NOBODY: Json = {"type": "m.typing", "content": {"user_ids": []}}


def typing(who: Client, *others: Client) -> Json:
    """The event that says who is typing."""
    return {"type": "m.typing", "content": {"user_ids": [one.user_id for one in (who, *others)]}}


def ephemeral(answer: Json, room: str) -> list[Json]:
    """The ephemeral events of a room in a sync."""
    found: list[Json] = joined(answer, room).get("ephemeral", {}).get("events", [])
    return found


def say(client: Client, room: str, timeout: int | None = 30_000) -> None:
    """Type for so many milliseconds, or no more."""
    body = {"typing": False} if timeout is None else {"typing": True, "timeout": timeout}
    assert client.must("PUT", f"/rooms/{seg(room)}/typing/{seg(client.user_id)}", body) == {}


def test_typing_is_told_and_ends_when_told(alice: Client, bob: Client) -> None:
    """The list of those who type replaces the one before; a room with nothing else has an empty timeline."""
    room = together(alice, bob)
    say(alice, room)
    answer = bob.sync_until(lambda sync: ephemeral(sync, room))
    assert ephemeral(answer, room) == [typing(alice)]
    assert joined(answer, room)["timeline"]["events"] == []
    assert joined(answer, room)["timeline"]["limited"] is False
    assert not ephemeral(bob.sync(), room)
    say(bob, room)
    assert ephemeral(bob.sync_until(lambda sync: ephemeral(sync, room)), room) == [typing(alice, bob)]
    say(alice, room, None)
    say(bob, room, None)
    assert ephemeral(bob.sync_until(lambda sync: ephemeral(sync, room)), room) == [NOBODY]


def test_typing_ends_by_itself(alice: Client, bob: Client) -> None:
    """Somebody whose client says nothing more ceases to type when their time is over, which wakes who waits."""
    room = together(alice, bob)
    say(alice, room, 300)
    assert ephemeral(bob.sync_until(lambda sync: ephemeral(sync, room)), room) == [typing(alice)]
    assert ephemeral(bob.sync(timeout=20_000), room) == [NOBODY]


def test_going_on_to_type_is_no_news(alice: Client, bob: Client) -> None:
    """A client says again and again that its user types; the others are told once."""
    room = together(alice, bob)
    say(alice, room)
    bob.sync_until(lambda sync: ephemeral(sync, room))
    say(alice, room)
    assert room not in bob.sync().get("rooms", {}).get("join", {})


def test_what_was_typed_arrives_and_the_typing_ends(alice: Client, bob: Client) -> None:
    """Sending a message ends the typing in the same answer; a reaction in between does not."""
    room = together(alice, bob)
    say(alice, room)
    bob.sync_until(lambda sync: ephemeral(sync, room))
    alice.send(room, "thumbs up", event_type="m.reaction")
    assert not ephemeral(bob.sync(), room)
    alice.send(room, "done")
    assert ephemeral(bob.sync(), room) == [NOBODY]


@pytest.mark.parametrize("way", ["leave", "kick", "ban"])
def test_whoever_leaves_types_no_more(alice: Client, bob: Client, way: str) -> None:
    """Leaving and being removed end the typing."""
    room = together(alice, bob)
    say(bob, room)
    alice.sync_until(lambda sync: ephemeral(sync, room))
    if way == "leave":
        bob.leave(room)
    else:
        getattr(alice, way)(room, bob)
    assert ephemeral(alice.sync(), room) == [NOBODY]


def test_newcomers_and_new_devices_see_who_types(alice: Client, bob: Client) -> None:
    """Whoever comes in while somebody types is told, and so is a device without a token; nobody typing is no event."""
    room = alice.create_room(preset="public_chat")
    bob.sync()
    assert not ephemeral(alice.sync(), room)
    say(alice, room)
    bob.join(room)
    assert ephemeral(bob.sync(), room) == [typing(alice)]
    assert ephemeral(bob.login().sync(), room) == [typing(alice)]


def test_typing_does_not_leak(alice: Client, bob: Client) -> None:
    """Whoever is not in the room hears nothing of it."""
    room = alice.create_room(preset="public_chat")
    bob.sync()
    say(alice, room)
    assert "rooms" not in bob.sync()


def test_filters(alice: Client, bob: Client) -> None:
    """A filter for ephemeral events is honoured."""
    room = together(alice, bob)
    say(alice, room)
    since = bob.since
    for rule in ('{"types":["m.receipt"]}', '{"not_types":["m.*"]}', '{"types":[]}', '{"rooms":[]}'):
        answer = bob.sync(since=since, filter=f'{{"room":{{"ephemeral":{rule}}}}}')
        assert "rooms" not in answer
    assert ephemeral(bob.sync(since=since, filter='{"room":{"ephemeral":{"types":["m.typing"]}}}'), room)


def test_a_token_of_another_run_of_the_server(alice: Client, bob: Client) -> None:
    """What the token says of memory means nothing then: who types now is told."""
    room = together(alice, bob)
    assert bob.since is not None
    position, to_device = bob.since.split("_")[1:3]
    say(alice, room)
    answer = bob.sync(since=f"s1_{position}_{to_device}_7_1000000")
    assert ephemeral(answer, room) == [typing(alice)]


def test_refusals(alice: Client, bob: Client) -> None:
    """Only for oneself, only where one is, and only with a body that says so."""
    room = alice.create_room()
    path = f"/rooms/{seg(room)}/typing/"
    alice.refused("M_FORBIDDEN", 403, "PUT", path + seg(bob.user_id), {"typing": True})
    bob.refused("M_FORBIDDEN", 403, "PUT", path + seg(bob.user_id), {"typing": True})
    bob.refused("M_FORBIDDEN", 403, "PUT", f"/rooms/!no:where/typing/{seg(bob.user_id)}", {"typing": True})
    own = path + seg(alice.user_id)
    assert alice.ask("PUT", own, {}).json()["errcode"] == "M_MISSING_PARAM"
    alice.refused("M_BAD_JSON", 400, "PUT", own, {"typing": "yes"})
    alice.refused("M_BAD_JSON", 400, "PUT", own, {"typing": True, "timeout": "long"})
    assert alice.must("PUT", own, {"typing": True}) == {}
    assert alice.must("PUT", own, {"typing": True, "timeout": 10**12}) == {}
