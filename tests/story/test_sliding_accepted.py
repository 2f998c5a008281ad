"""Sliding sync in its accepted form (MSC4186, ``/v4/sync``): the same core, other words."""

from tests.support.client import Client, Json

UNSTABLE = "/_matrix/client/unstable/org.matrix.msc4186/sync"


def listed(limit: int = 3, **more: object) -> Json:
    """A request for all rooms, with their names and the members that are needed."""
    state = {"include": [{"type": "m.room.name"}], "lazy_members": True}
    return {"lists": {"all": {"timeline_limit": limit, "required_state": state, "range": [0, 9], **more}}}


def test_a_session(alice: Client, bob: Client) -> None:
    """Position and time-out stand in the body; what a room is to the asker, and in which lists it stands, is said."""
    room = alice.create_room(preset="public_chat", name="Here")
    bob.join(room)
    alice.send(room, "hello")
    first = bob.must("POST", UNSTABLE, listed())
    told = first["rooms"][room]
    assert told["membership"] == "join"
    assert told["lists"] == ["all"]
    assert told["initial"] is True
    assert told["timeline"][-1]["content"]["body"] == "hello"
    slots = {(event["type"], event["state_key"]) for event in told["required_state"]}
    assert slots == {("m.room.name", ""), ("m.room.member", alice.user_id), ("m.room.member", bob.user_id)}
    assert not {"notification_count", "highlight_count"} & set(told)
    alice.kick(room, bob)
    after = bob.must("POST", UNSTABLE, {**listed(), "pos": first["pos"], "timeout": 5000})
    assert after["rooms"][room]["membership"] == "leave"
    bob.refused("M_UNKNOWN_POS", 400, "POST", UNSTABLE, {**listed(), "pos": "x"})


def test_invitations(alice: Client, bob: Client) -> None:
    """``is_invited`` finds them; what may be known of them is ``stripped_state``."""
    room = alice.create_room(invite=[bob.user_id])
    told = bob.must("POST", UNSTABLE, listed(filters={"is_invited": True}))["rooms"][room]
    assert told["membership"] == "invite"
    assert told["stripped_state"]
    assert bob.must("POST", UNSTABLE, listed(filters={"is_invited": False}))["rooms"] == {}


def test_elements_of_the_state(alice: Client) -> None:
    """``{}`` matches everything, what is excluded is left out, and a subscription adds to a list."""
    room = alice.create_room(topic="Here")

    def told(**state: object) -> set[str]:
        body = {"room_subscriptions": {room: {"timeline_limit": 0, "required_state": state}}}
        answer = alice.must("POST", UNSTABLE, body)["rooms"][room]
        assert "timeline" not in answer
        return {event["type"] for event in answer.get("required_state", ())}

    everything = told(include=[{}])
    assert {"m.room.create", "m.room.topic", "m.room.member"} < everything
    assert told(include=[{}], exclude=[{"type": "m.room.topic"}]) == everything - {"m.room.topic"}
    assert told(include=[{}], lazy_members=True) == everything - {"m.room.member"}
    assert told(include=[{"state_key": alice.user_id}]) == {"m.room.member"}
    assert told() == set()
