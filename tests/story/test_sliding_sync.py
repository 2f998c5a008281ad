"""Sliding sync: windows over lists of rooms, and what a connection remembers (MSC4186, the deployed form)."""

import threading
from pathlib import Path

from tests.support.client import Client, seg
from tests.support.hearth import HearthProcess
from tests.support.sliding import DEPLOYED, Sliding, slots, texts, window


def read(client: Client, room_id: str, event_id: str) -> None:
    """Say that one has read an event."""
    client.must("POST", f"/rooms/{seg(room_id)}/receipt/m.read/{seg(event_id)}", {})


def test_a_window_shows_the_rooms_that_moved_last(alice: Client) -> None:
    """The rooms are sorted by what happened last; the window cuts a part out, and the count is that of all."""
    rooms = [alice.create_room(name=f"Room {number}") for number in range(5)]
    alice.send(rooms[1], "hello")
    sliding = Sliding(alice, main=window(0, 1))
    answer = sliding.sync()
    assert answer["lists"] == {"main": {"count": 5}}
    assert set(answer["rooms"]) == {rooms[1], rooms[4]}
    told = answer["rooms"][rooms[1]]
    assert told["initial"] is True
    assert told["name"] == "Room 1"
    assert texts(told) == ["hello"]
    assert told["limited"] is True
    assert told["num_live"] == 0
    assert (told["joined_count"], told["invited_count"]) == (1, 0)
    assert told["is_dm"] is False
    assert "heroes" not in told
    assert told["bump_stamp"] > answer["rooms"][rooms[4]]["bump_stamp"] > 0
    assert ("m.room.member", alice.user_id) in slots(told)
    assert ("m.room.create", "") in slots(told)
    assert ("m.room.guest_access", "") not in slots(told)
    assert alice.messages(rooms[1], **{"from": told["prev_batch"]})["chunk"]
    assert answer["extensions"] == {}


def test_only_what_happened_is_told_again(alice: Client, bob: Client) -> None:
    """An update has the new events, no fields that did not change, and nothing at all where nothing happened."""
    room, other = alice.create_room(preset="public_chat", name="Here"), alice.create_room()
    sliding = Sliding(alice, main=window(0, 9))
    sliding.sync()
    assert sliding.sync()["rooms"] == {}
    bob.join(room)
    bob.send(room, "I am new")
    told = sliding.until_told(room)
    assert "initial" not in told
    assert "name" not in told
    assert (told["joined_count"], told["invited_count"]) == (2, 0)
    assert texts(told) == ["I am new"]
    assert told["limited"] is True  # the joining had no place
    assert told["num_live"] == 1
    assert slots(told) == {("m.room.member", bob.user_id)}
    assert sliding.sync()["rooms"] == {}
    alice.set_state(room, "m.room.name", {"name": "There"})
    told = sliding.until_told(room)
    assert told["name"] == "There"
    assert "joined_count" not in told
    assert other not in sliding.sync()["rooms"]


def test_the_same_position_gives_the_same_again(alice: Client) -> None:
    """A client that did not get the answer asks again with the position before, also with another window."""
    rooms = [alice.create_room() for _ in range(3)]
    sliding = Sliding(alice, main=window(0, 0))
    first = sliding.sync()
    alice.send(rooms[0], "one")
    lost = sliding.ask(pos=first["pos"])
    again = sliding.ask(pos=first["pos"])
    assert set(lost["rooms"]) == set(again["rooms"]) == {rooms[0]}
    assert lost["rooms"][rooms[0]]["initial"]
    assert again["rooms"][rooms[0]]["initial"]
    sliding.lists["main"] = window(0, 2)
    wider = sliding.ask(pos=first["pos"])
    assert set(wider["rooms"]) == {rooms[0], rooms[1]}
    # What was answered last is what counts from now on; the answer that was lost is not known any more.
    after = sliding.ask(pos=wider["pos"])
    assert after["rooms"] == {}
    refusal = alice.ask("POST", DEPLOYED, sliding.body(), pos=lost["pos"])
    assert (refusal.status_code, refusal.json()["errcode"]) == (400, "M_UNKNOWN_POS")


def test_a_position_is_its_devices_own(alice: Client, bob: Client) -> None:
    """A position that is not known, is another device's, or of a connection begun anew, is refused."""
    alice.create_room()
    sliding = Sliding(alice, main=window(0, 9))
    first = sliding.sync()["pos"]
    for client in (bob, alice.login()):
        client.refused("M_UNKNOWN_POS", 400, "POST", DEPLOYED, sliding.body(), pos=first)
    alice.refused("M_UNKNOWN_POS", 400, "POST", DEPLOYED, {**sliding.body(), "conn_id": "other"}, pos=first)
    for nonsense in ("s1_1_0_0_0", "abc", "0", "c1_1_1_1"):
        alice.refused("M_UNKNOWN_POS", 400, "POST", DEPLOYED, sliding.body(), pos=nonsense)
    sliding.pos = None
    anew = sliding.sync()
    assert anew["rooms"]
    alice.refused("M_UNKNOWN_POS", 400, "POST", DEPLOYED, sliding.body(), pos=first)


def test_a_room_that_was_out_of_sight_comes_back_with_what_was_missed(alice: Client, bob: Client) -> None:
    """A room that fell out of the window is told from where it was told last, and not as a new one."""
    rooms = [alice.create_room(preset="public_chat") for _ in range(3)]
    sliding = Sliding(alice, main=window(0, 0, timeline_limit=5))
    sliding.sync()
    assert set(sliding.rooms) == {rooms[2]}
    bob.join(rooms[0])  # takes its place
    assert sliding.until_told(rooms[0])["initial"]
    alice.send(rooms[2], "missed")
    alice.set_state(rooms[2], "m.room.topic", {"topic": "missed, too"})
    sliding.lists["main"] = window(0, 0, timeline_limit=5, filters={"is_dm": True})
    assert sliding.sync()["rooms"] == {}
    sliding.lists["main"] = window(0, 0, timeline_limit=5)
    told = sliding.sync()["rooms"][rooms[2]]
    assert "initial" not in told
    assert texts(told) == ["missed"]
    assert [event["type"] for event in told["timeline"]] == ["m.room.message", "m.room.topic"]
    assert told["limited"] is False
    assert slots(told) == {("m.room.topic", ""), ("m.room.member", alice.user_id)}


def test_what_a_connection_told_survives_a_restart(tmp_path: Path) -> None:
    """The memory of a connection is on the disk: a restart costs no client its position."""
    server = HearthProcess(tmp_path / "data").start()
    try:
        alice = Client.register(server.url)
        rooms = [alice.create_room(preset="public_chat") for _ in range(4)]
        sliding = Sliding(alice, main=window(0, 1))
        sliding.sync()
        alice.send(rooms[0], "comes in")
        sliding.sync()
        alice.send(rooms[1], "told after the restart")
        server.kill()
        server.start()
        told = sliding.sync()["rooms"]
        assert set(told) == {rooms[1]}
        assert told[rooms[1]]["initial"]
        alice.send(rooms[2], "was told before")
        again = sliding.sync()["rooms"]
        assert set(again) == {rooms[2]}
        assert "initial" not in again[rooms[2]]
    finally:
        server.end()


def test_the_state_that_is_asked_for(alice: Client, bob: Client) -> None:
    """``*`` stands for any, ``$ME`` for the asker, ``$LAZY`` for the members that the timeline tells of."""
    room = alice.create_room(preset="public_chat", topic="A topic")
    bob.join(room)
    bob.send(room, "hello")

    def told(*required: tuple[str, str], limit: int = 1) -> set[tuple[str, str]]:
        wanted = {"timeline_limit": limit, "required_state": required}
        sliding = Sliding(bob, "state")
        sliding.subscriptions[room] = wanted
        return slots(sliding.sync()["rooms"][room])

    def member(client: Client) -> tuple[str, str]:
        return "m.room.member", client.user_id

    assert told() == set()
    assert told(("m.room.topic", ""), ("m.room.avatar", "")) == {("m.room.topic", "")}
    assert told(("m.room.member", "$ME")) == {member(bob)}
    assert told(("m.room.member", "$LAZY")) == {member(bob)}
    assert told(("m.room.member", "$LAZY"), limit=20) == {member(alice), member(bob)}
    assert told(("m.room.member", "*")) == {member(alice), member(bob)}
    assert told(("*", alice.user_id)) == {member(alice)}
    everything = told(("*", "*"))
    assert {member(alice), member(bob), ("m.room.create", ""), ("m.room.topic", "")} < everything
    lazy = told(("*", "*"), ("m.room.member", "$LAZY"))
    assert lazy == everything - {member(alice)}
    assert told(("*", "*"), ("m.room.topic", "nothing")) == everything - {("m.room.topic", "")}


def test_who_looks_closer_is_told_more(alice: Client) -> None:
    """A subscription with more of the timeline and more state gets both, once, and the room is not told anew."""
    room = alice.create_room(name="Here", topic="Now")
    for number in range(4):
        alice.send(room, f"message {number}")
    sliding = Sliding(alice, main={"timeline_limit": 1, "required_state": [["m.room.name", ""]], "ranges": [[0, 9]]})
    assert texts(sliding.sync()["rooms"][room]) == ["message 3"]
    sliding.subscriptions[room] = {"timeline_limit": 3, "required_state": [["m.room.topic", ""]]}
    told = sliding.sync()["rooms"][room]
    assert "initial" not in told
    assert told["unstable_expanded_timeline"] is True
    assert texts(told) == ["message 1", "message 2", "message 3"]
    assert told["num_live"] == 0
    assert slots(told) == {("m.room.topic", "")}
    assert sliding.sync()["rooms"] == {}
    # Looking away and back without a gap costs nothing.
    closer = sliding.subscriptions.pop(room)
    alice.send(room, "message 4")
    assert texts(sliding.sync()["rooms"][room]) == ["message 4"]
    sliding.subscriptions[room] = closer
    assert sliding.sync()["rooms"] == {}
    # With a gap there is something to make good, and a change that was not told.
    del sliding.subscriptions[room]
    alice.send(room, "message 5")
    alice.set_state(room, "m.room.topic", {"topic": "Then"})
    assert sliding.sync()["rooms"][room]["limited"] is True
    sliding.subscriptions[room] = closer
    told = sliding.sync()["rooms"][room]
    assert texts(told) == ["message 4", "message 5"]
    assert [event["content"] for event in told["required_state"]] == [{"topic": "Then"}]


def test_filters_say_which_rooms_belong_to_a_list(alice: Client, bob: Client) -> None:
    """Direct chats, tags, spaces, types, encryption, invitations, names."""
    secret = [{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]
    plain = alice.create_room(name="The Garden", initial_state=secret)
    direct, tagged = alice.create_room(), alice.create_room(room_alias_name=f"shed{alice.user_id[5:12]}".lower())
    space = alice.create_room(creation_content={"type": "m.space"})
    invited = bob.create_room(invite=[alice.user_id], preset="private_chat")
    alice.set_state(space, "m.space.child", {"via": ["hearth.example"]}, plain)
    own = f"/user/{seg(alice.user_id)}"
    alice.must("PUT", f"{own}/account_data/m.direct", {bob.user_id: [direct]})
    alice.must("PUT", f"{own}/rooms/{seg(tagged)}/tags/m.favourite", {"order": 0.5})
    sliding = Sliding(alice)

    def found(**filters: object) -> set[str]:
        sliding.lists = {"one": window(0, 9, filters=filters, required_state=[])}
        sliding.pos = None
        answer = sliding.sync()
        assert answer["lists"]["one"]["count"] == len(answer["rooms"])
        return set(answer["rooms"])

    everything = {plain, direct, tagged, space, invited}
    assert found() == everything
    assert found(is_dm=True) == {direct}
    assert found(is_dm=False) == everything - {direct}
    assert found(tags=["m.favourite", "m.lowpriority"]) == {tagged}
    assert found(not_tags=["m.favourite"]) == everything - {tagged}
    assert found(tags=["m.favourite"], not_tags=["m.favourite"]) == set()
    assert found(room_types=["m.space"]) == {space}
    assert found(room_types=[None, "m.space"], not_room_types=[None]) == {space}
    assert found(not_room_types=["m.space"]) == everything - {space}
    assert found(is_encrypted=True) == {plain}
    assert found(is_invite=True) == {invited}
    assert found(is_invite=False) == everything - {invited}
    assert found(spaces=[space]) == {plain}
    assert found(spaces=["!nowhere:hearth.example"]) == set()
    assert found(room_name_like="garden") == {plain}


def test_an_invitation_shows_what_may_be_known(alice: Client, bob: Client) -> None:
    """Stripped state and nothing else; joining tells the room anew; refusing takes it off, and says so once."""
    room = alice.create_room(name="Come", invite=[bob.user_id])
    alice.send(room, "not for your eyes")
    sliding = Sliding(bob, main=window(0, 9))
    told = sliding.sync()["rooms"][room]
    assert {event["type"] for event in told["invite_state"]} >= {"m.room.create", "m.room.name", "m.room.member"}
    assert all(set(event) == {"type", "state_key", "sender", "content"} for event in told["invite_state"])
    assert not {"timeline", "required_state", "joined_count", "prev_batch"} & set(told)
    assert told["bump_stamp"] > 0
    alice.send(room, "still not")
    assert sliding.sync()["rooms"] == {}
    bob.join(room)
    told = sliding.until_told(room)
    assert told["initial"]
    assert ("m.room.name", "") in slots(told)
    bob.leave(room)
    told = sliding.until_told(room)
    assert told["timeline"][-1]["content"]["membership"] == "leave"
    after = sliding.sync()
    assert after["rooms"] == {}
    assert after["lists"]["main"]["count"] == 0


def test_who_was_removed_still_sees_the_room_and_no_further(alice: Client, bob: Client) -> None:
    """A room that one was removed from stays in the list, up to that; coming back tells it anew."""
    room = alice.create_room(preset="public_chat", name="Then")
    bob.join(room)
    sliding = Sliding(bob, main=window(0, 9))
    sliding.sync()
    alice.kick(room, bob)
    told = sliding.until_told(room)
    assert told["timeline"][-1]["sender"] == alice.user_id
    assert told["timeline"][-1]["content"]["membership"] == "leave"
    alice.set_state(room, "m.room.name", {"name": "Now"})
    alice.send(room, "behind your back")
    assert sliding.sync()["rooms"] == {}
    told = Sliding(bob, "other", main=window(0, 9, timeline_limit=10)).sync()["rooms"][room]
    assert told["name"] == "Then"
    assert texts(told) == []
    assert "joined_count" not in told
    bob.join(room)
    told = sliding.until_told(room)
    assert told["initial"]
    assert told["name"] == "Now"


def test_a_room_that_is_forgotten_leaves_the_list(alice: Client, bob: Client) -> None:
    """Forgetting a room that one was removed from takes it off the list, although nothing happens in it."""
    room, other = alice.create_room(preset="public_chat"), bob.create_room()
    bob.join(room)
    sliding = Sliding(bob, main=window(0, 9))
    sliding.sync()
    alice.kick(room, bob)
    sliding.until_told(room)
    for _ in range(2):
        assert sliding.sync()["lists"]["main"]["count"] == 2
    bob.must("POST", f"/rooms/{seg(room)}/forget")
    assert sliding.sync()["lists"]["main"]["count"] == 1
    bob.send(other, "here")
    assert set(sliding.sync()["rooms"]) == {other}


def test_who_a_room_without_a_name_is_called_by(alice: Client, bob: Client, carol: Client) -> None:
    """Heroes with their names, as long as the room has none."""
    bob.must("PUT", f"/profile/{seg(bob.user_id)}/displayname", {"displayname": "Bob"})
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    sliding = Sliding(alice, main=window(0, 9))
    assert sliding.sync()["rooms"][room]["heroes"] == [{"user_id": bob.user_id, "displayname": "Bob"}]
    carol.join(room)
    assert {hero["user_id"] for hero in sliding.until_told(room)["heroes"]} == {bob.user_id, carol.user_id}
    alice.set_state(room, "m.room.name", {"name": "Named"})
    assert "heroes" not in sliding.until_told(room)
    alice.set_state(room, "m.room.name", {})
    told = sliding.until_told(room)
    assert told["name"] is None
    assert len(told["heroes"]) == 2


def test_account_data_comes_along(alice: Client) -> None:
    """All of it at first, rules for notifications included; then what changed; of a room once that is told."""
    room, other = alice.create_room(), alice.create_room()
    own = f"/user/{seg(alice.user_id)}"
    alice.must("PUT", f"{own}/account_data/com.example", {"a": 1})
    alice.must("PUT", f"{own}/rooms/{seg(room)}/account_data/com.example", {"room": 1})
    sliding = Sliding(alice, main=window(0, 0))
    sliding.extensions = {"account_data": {"enabled": True}}
    told = sliding.sync()["extensions"]["account_data"]
    assert {"type": "com.example", "content": {"a": 1}} in told["global"]
    assert any(event["type"] == "m.push_rules" for event in told["global"])
    assert "rooms" not in told  # the room is not in the window
    alice.must("PUT", f"{own}/account_data/com.example", {"a": 2})
    assert sliding.sync()["extensions"] == {"account_data": {"global": [{"type": "com.example", "content": {"a": 2}}]}}
    assert sliding.sync()["extensions"] == {}
    alice.send(room, "into the window")
    told = sliding.sync()["extensions"]["account_data"]
    assert told == {"rooms": {room: [{"type": "com.example", "content": {"room": 1}}]}}
    alice.must("PUT", f"{own}/rooms/{seg(room)}/tags/m.favourite", {})
    told = sliding.sync(timeout=5000)["extensions"]["account_data"]
    assert told == {"rooms": {room: [{"type": "m.tag", "content": {"tags": {"m.favourite": {}}}}]}}
    alice.send(other, "takes its place")
    alice.must("PUT", f"{own}/rooms/{seg(room)}/account_data/com.example", {"room": 2})
    assert "account_data" not in sliding.sync()["extensions"]
    sliding.lists["main"] = window(0, 1)
    told = sliding.sync()["extensions"]["account_data"]
    assert told == {"rooms": {room: [{"type": "com.example", "content": {"room": 2}}]}}


def test_receipts_and_typing_come_along(alice: Client, bob: Client) -> None:
    """Of a room told for the first time receipts for what is told of it; then what changes, which wakes who waits."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    old, new = alice.send(room, "old"), alice.send(room, "new")
    read(bob, room, old)
    sliding = Sliding(alice, main=window(0, 9))
    sliding.extensions = {"receipts": {"enabled": True}, "typing": {"enabled": True}}
    assert sliding.sync()["extensions"] == {}
    read(bob, room, new)
    told = sliding.sync(timeout=5000)["extensions"]["receipts"]["rooms"][room]
    assert told["type"] == "m.receipt"
    assert set(told["content"][new]["m.read"]) == {bob.user_id}
    bob.must("PUT", f"/rooms/{seg(room)}/typing/{seg(bob.user_id)}", {"typing": True, "timeout": 30_000})
    told = sliding.sync(timeout=5000)["extensions"]["typing"]["rooms"][room]
    assert told == {"type": "m.typing", "content": {"user_ids": [bob.user_id]}}
    other = Sliding(alice, "other", main=window(0, 9))
    other.extensions = sliding.extensions
    told = other.sync()["extensions"]
    assert set(told["receipts"]["rooms"][room]["content"]) == {new}
    assert told["typing"]["rooms"][room]["content"] == {"user_ids": [bob.user_id]}
    none = Sliding(alice, "none", main=window(0, 9))
    none.extensions = {"receipts": {"enabled": True, "lists": [], "rooms": []}}
    assert none.sync()["extensions"] == {}


def test_who_waits_is_woken_and_overtaken(alice: Client, bob: Client) -> None:
    """A long poll ends with the next thing that happens, or when another request comes on the connection."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    sliding = Sliding(alice, main=window(0, 9))
    sliding.sync()
    answers: list[dict[str, object]] = []

    def wait(client: Client) -> None:
        mine = Sliding(client, main=window(0, 9))
        answers.append(mine.ask(timeout=15_000, pos=sliding.pos)["rooms"])

    same = Client(alice.url, alice.token, alice.user_id, alice.device_id)
    thread = threading.Thread(target=wait, args=(same,))
    thread.start()
    bob.send(room, "wake up")
    thread.join(20)
    assert not thread.is_alive()
    assert room in answers[0]
    sliding.sync()
    first = threading.Thread(target=wait, args=(same,))
    first.start()
    # Comes on the same connection at some time while the first waits, or before it begins; both end at once then.
    while first.is_alive():
        sliding.ask()
    first.join(20)
    assert answers[1] == {}


def test_bad_requests_are_refused(alice: Client) -> None:
    """A list without a limit, a range that goes backwards, a name that is too long."""
    for lists in (
        {"a": {"timeline_limit": -1, "required_state": []}},
        {"x" * 65: {"timeline_limit": 1, "required_state": []}},
        {"a": {"timeline_limit": 1, "required_state": [["m.room.name"]]}},
    ):
        alice.refused("M_BAD_JSON", 400, "POST", DEPLOYED, {"lists": lists})
    alice.refused("M_MISSING_PARAM", 400, "POST", DEPLOYED, {"lists": {"a": {"ranges": [[0, 1]]}}})
    backwards = {"timeline_limit": 1, "required_state": [], "ranges": [[3, 1]]}
    alice.refused("M_INVALID_PARAM", 400, "POST", DEPLOYED, {"lists": {"a": backwards}})
    alice.refused("M_BAD_JSON", 400, "POST", DEPLOYED, {"extensions": {"typing": {"enabled": "yes"}}})
    Client(alice.url).refused("M_MISSING_TOKEN", 401, "POST", DEPLOYED, {})


def test_what_is_unread_is_counted(alice: Client, bob: Client) -> None:
    """With each update of a room, and when the asker has read it."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    sliding = Sliding(bob, main=window(0, 9))
    told = sliding.sync()["rooms"][room]
    assert (told["notification_count"], told["highlight_count"]) == (0, 0)
    alice.send(room, "one")
    last = alice.must(
        "PUT",
        f"/rooms/{seg(room)}/send/m.room.message/mention",
        {"msgtype": "m.text", "body": "you", "m.mentions": {"user_ids": [bob.user_id]}},
    )["event_id"]
    told = sliding.until_told(room)
    assert (told["notification_count"], told["highlight_count"]) == (2, 1)
    read(bob, room, last)
    told = sliding.sync(timeout=10_000)["rooms"][room]
    assert (told["notification_count"], told["highlight_count"]) == (0, 0)
    read(alice, room, last)
    assert sliding.sync()["rooms"] == {}
