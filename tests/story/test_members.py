"""Who is in a room: its members, now and at a point, with their names."""

from tests.support.client import Client, seg, timeline

VERSIONS = ["10", "11", "12"]


def members(client: Client, room: str, **query: str) -> dict[str, str]:
    """User to membership."""
    found = client.must("GET", f"/rooms/{seg(room)}/members", **query)["chunk"]
    assert all(event["room_id"] == room and event["type"] == "m.room.member" for event in found)
    return {event["state_key"]: event["content"]["membership"] for event in found}


def test_members_and_their_filters(alice: Client, bob: Client, carol: Client) -> None:
    """All who ever had to do with the room, or those of some memberships."""
    room = alice.create_room(preset="public_chat", invite=[carol.user_id])
    bob.join(room)
    bob.leave(room)
    everybody = {alice.user_id: "join", bob.user_id: "leave", carol.user_id: "invite"}
    assert members(alice, room) == everybody
    assert members(alice, room, membership="join") == {alice.user_id: "join"}
    assert members(alice, room, membership="leave") == {bob.user_id: "leave"}
    assert members(alice, room, not_membership="leave") == {alice.user_id: "join", carol.user_id: "invite"}
    both = members(alice, room, membership="leave", not_membership="join")
    assert both == {bob.user_id: "leave", carol.user_id: "invite"}
    assert alice.must("GET", f"/rooms/{seg(room)}/joined_members")["joined"].keys() == {alice.user_id}
    path = f"/rooms/{seg(room)}/members"
    alice.refused("M_INVALID_PARAM", 400, "GET", path, membership="unheard-of")
    alice.refused("M_INVALID_PARAM", 400, "GET", path, at="unheard-of")


def test_members_at_a_point(alice: Client, bob: Client, carol: Client) -> None:
    """A token of sync says who was there then; for somebody who left, never later than that."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    answer = alice.sync()
    carol.join(room)
    for token in (answer["next_batch"], alice.messages(room, "b", limit=1)["end"]):
        assert members(alice, room, at=token) == {alice.user_id: "join", bob.user_id: "join"}
    assert carol.user_id in members(alice, room)
    # Before a timeline that is whole nobody was there: then the first members are told.
    before = answer["rooms"]["join"][room]["timeline"]["prev_batch"]
    assert members(alice, room, at=before) == {alice.user_id: "join"}
    bob.leave(room)
    carol.leave(room)
    now = alice.sync()["next_batch"]
    alice.send(room, "alone")
    assert members(alice, room, at=now)[carol.user_id] == "leave"
    for query in ({}, {"at": now}):
        assert members(bob, room, **query) == {
            alice.user_id: "join", bob.user_id: "leave", carol.user_id: "join"
        }  # fmt: skip


def test_strangers_see_nobody(alice: Client, bob: Client) -> None:
    """Neither who is there nor anything else, and neither do the invited."""
    room = alice.create_room()
    for path in ("members", "joined_members", "state", "messages?dir=b"):
        bob.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/{path}")
        bob.refused("M_FORBIDDEN", 403, "GET", f"/rooms/!nowhere:elsewhere.example/{path}")
    alice.invite(room, bob)
    for path in ("members", "joined_members", "state", "messages?dir=b"):
        bob.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/{path}")


def test_joined_members_is_for_members(alice: Client) -> None:
    """Who left is not told."""
    room = alice.create_room()
    alice.leave(room)
    alice.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/joined_members")


def test_a_new_name_is_said_everywhere(alice: Client, bob: Client) -> None:
    """A changed profile changes the memberships, without the reason of the joining."""
    room = alice.create_room(preset="public_chat")
    bob.must("POST", f"/join/{seg(room)}", {"reason": "curious"})
    alice.sync()
    bob.must("PUT", f"/profile/{seg(bob.user_id)}/displayname", {"displayname": "Robert"})
    answer = alice.sync_until(lambda sync: timeline(sync, room))
    (event,) = timeline(answer, room)
    assert event["content"] == {"membership": "join", "displayname": "Robert"}
    name = bob.user_id[1:].partition(":")[0]
    assert event["unsigned"]["prev_content"] == {"membership": "join", "displayname": name, "reason": "curious"}
    joined = alice.must("GET", f"/rooms/{seg(room)}/joined_members")["joined"]
    assert joined[bob.user_id] == {"display_name": "Robert"}
