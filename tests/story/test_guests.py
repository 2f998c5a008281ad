"""Guests in rooms (client-server API, module "Guest access")."""

from tests.support.client import Client, body, seg, timeline, unique
from tests.support.hearth import HearthProcess

WORLD = [{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}]


def guest_of(server: HearthProcess) -> Client:
    """A new guest."""
    told = Client(server.url).must("POST", "/register", {}, kind="guest")
    return Client(server.url, told["access_token"], told["user_id"], told["device_id"])


def test_where_guests_may_come_in(furnished: HearthProcess) -> None:
    """Only into rooms that say so; there they may speak, and they are out once the room says so no longer."""
    alice, guest = Client.register(furnished.url), guest_of(furnished)
    closed = alice.create_room(preset="public_chat")
    for path in (f"/join/{seg(closed)}", f"/rooms/{seg(closed)}/join"):
        guest.refused("M_GUEST_ACCESS_FORBIDDEN", 403, "POST", path, {})
    own = f"/rooms/{seg(closed)}/state/m.room.member/{seg(guest.user_id)}"
    guest.refused("M_GUEST_ACCESS_FORBIDDEN", 403, "PUT", own, {"membership": "join"})
    room = alice.create_room(initial_state=[
        {"type": "m.room.join_rules", "content": {"join_rule": "public"}},
        {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}},
    ])  # fmt: skip
    guest.join(room)
    said = guest.send(room, "hello")
    assert body(alice.event(room, said)) == "hello"
    guest.sync()
    alice.set_state(room, "m.room.guest_access", {"guest_access": "forbidden"})
    assert alice.member(room, guest) == {"membership": "leave"}
    last = timeline(guest.sync(), room, "leave")[-1]
    assert (last["type"], last["content"], last["sender"]) == (
        "m.room.member", {"membership": "leave"}, guest.user_id,
    )  # fmt: skip
    guest.refused("M_FORBIDDEN", 403, "PUT", f"/rooms/{seg(room)}/send/m.room.message/{unique('t')}", {"body": "x"})
    guest.refused("M_GUEST_ACCESS_FORBIDDEN", 403, "POST", f"/join/{seg(room)}", {})
    guest.refused("M_GUEST_ACCESS_FORBIDDEN", 403, "POST", f"/join/{seg('!elsewhere:a.example')}", {})


def test_what_guests_may_look_at(furnished: HearthProcess) -> None:
    """Rooms that everybody may read, by the endpoints that are for guests."""
    alice, guest = Client.register(furnished.url), guest_of(furnished)
    room = alice.create_room(initial_state=WORLD)
    said = alice.send(room, "hello")
    assert body(guest.messages(room)["chunk"][0]) == "hello"
    assert body(guest.event(room, said)) == "hello"
    where = f"/rooms/{seg(room)}"
    assert body(guest.must("GET", f"{where}/context/{seg(said)}")["event"]) == "hello"
    assert body(guest.must("GET", f"{where}/initialSync")["messages"]["chunk"][-1]) == "hello"
    assert guest.must("GET", f"{where}/members")["chunk"]
    assert guest.must("GET", f"{where}/state")
    for method, path, content in (
        ("POST", "/search", {"search_categories": {}}),
        ("POST", "/user_directory/search", {"search_term": "x"}),
        ("POST", f"{where}/invite", {"user_id": alice.user_id}),
        ("POST", f"{where}/report", {"reason": "x"}),
        ("GET", f"/_matrix/client/v1{where}/threads", None),
    ):
        guest.refused("M_GUEST_ACCESS_FORBIDDEN", 403, method, path, content)
    private = alice.create_room()
    guest.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(private)}/messages", dir="b")
