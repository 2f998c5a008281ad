"""People of two servers talk with each other, and one of the servers is away for a while."""

import httpx
import pytest

from tests.support.client import Client, Json, body, joined, seg, timeline, unique
from tests.support.hearth import HearthProcess
from tests.support.network import Network


def together(alice: Client, bob: Client, **wanted: object) -> str:
    """A room of Alice's that Bob of another server is in, both up to date."""
    room = alice.create_room(preset="public_chat", **wanted)
    alice.sync()
    bob.must("POST", f"/join/{seg(room)}?via={alice.user_id.partition(':')[2]}", {})
    bob.sync_until(lambda sync: joined(sync, room))
    alice.sync_until(lambda sync: any(event.get("state_key") == bob.user_id for event in timeline(sync, room)))
    return room


def ephemeral(sync: Json, room: str, kind: str) -> list[Json]:
    """What of a kind a sync says of a room."""
    events = joined(sync, room).get("ephemeral", {}).get("events", [])
    return [event["content"] for event in events if event["type"] == kind]


@pytest.mark.parametrize("version", ["10", "12"])
def test_words_go_both_ways(alice: Client, bob: Client, version: str) -> None:
    room = together(alice, bob, room_version=version)
    said = alice.send(room, "hello")
    assert bob.sync_until_text(room, "hello")["event_id"] == said
    answered = bob.send(room, "hello yourself")
    assert alice.sync_until_text(room, "hello yourself")["event_id"] == answered
    alice.redact(room, said)
    bob.sync_until(lambda sync: any(event["type"] == "m.room.redaction" for event in timeline(sync, room)))
    assert bob.event(room, said)["content"] == {}
    bob.leave(room)
    alice.sync_until(lambda sync: any(event.get("state_key") == bob.user_id for event in timeline(sync, room)))
    assert alice.member(room, bob)["membership"] == "leave"


def test_who_types_and_who_has_read(alice: Client, bob: Client) -> None:
    room = together(alice, bob)
    alice.must("PUT", f"/rooms/{seg(room)}/typing/{seg(alice.user_id)}", {"typing": True, "timeout": 20000})
    bob.sync_until(lambda sync: ephemeral(sync, room, "m.typing") == [{"user_ids": [alice.user_id]}])
    said = alice.send(room, "there")
    seen: set[str] = set()

    def said_and_done(sync: Json) -> bool:
        """Either may come first."""
        seen.update(str(body(event)) for event in timeline(sync, room))
        seen.update("done" for content in ephemeral(sync, room, "m.typing") if content == {"user_ids": []})
        return {"there", "done"} <= seen

    bob.sync_until(said_and_done)
    bob.must("POST", f"/rooms/{seg(room)}/receipt/m.read/{seg(said)}", {"thread_id": "main"})
    told = alice.sync_until(lambda sync: ephemeral(sync, room, "m.receipt"))
    (content,) = ephemeral(told, room, "m.receipt")
    assert content[said]["m.read"][bob.user_id]["thread_id"] == "main"


def test_who_is_there(alice: Client, bob: Client) -> None:
    room = together(alice, bob)
    bob.must("PUT", f"/presence/{seg(bob.user_id)}/status", {"presence": "unavailable", "status_msg": "out"})

    def is_out(sync: Json) -> bool:
        events = sync.get("presence", {}).get("events", [])
        return any(e["sender"] == bob.user_id and e["content"].get("status_msg") == "out" for e in events)

    alice.sync_until(is_out)
    assert room in alice.must("GET", "/joined_rooms")["joined_rooms"]


def test_a_server_comes_back(network: Network, alice: Client) -> None:
    three = network.hearth("three.test")
    carol = Client.register(three.url)
    room = together(alice, carol)
    three.kill()
    for number in range(60):
        alice.send(room, f"{number}")
    three.start()
    # It is told the newest as soon as it lets the others hear of it.
    carol.send(room, "back")
    alice.sync_until_text(room, "back")
    seen: set[str] = set()

    def all_there(sync: Json) -> bool:
        seen.update(str(body(event)) for event in timeline(sync, room))
        if not {f"{number}" for number in range(60)} <= seen:
            page = carol.messages(room, limit=100)
            seen.update(str(body(event)) for event in page["chunk"])
        return {f"{number}" for number in range(60)} <= seen

    carol.sync_until(all_there)
    carol.send(room, "and on")
    alice.sync_until_text(room, "and on")
    alice.send(room, "indeed")
    carol.sync_until_text(room, "indeed")


def test_a_third_server_comes_in_and_everybody_hears_everybody(network: Network, alice: Client, bob: Client) -> None:
    six = network.hearth("six.test")
    frida = Client.register(six.url)
    room = together(alice, bob)
    # Frida's join is given to Alice's server alone, which passes it on.
    frida.must("POST", f"/join/{seg(room)}?via=one.test", {})
    frida.sync_until(lambda sync: joined(sync, room))
    bob.sync_until(lambda sync: any(event.get("state_key") == frida.user_id for event in timeline(sync, room)))
    for who, text in ((alice, "one"), (bob, "two"), (frida, "three")):
        who.send(room, text)
    for who in (alice, bob, frida):
        seen: set[str] = set()

        def all_heard(sync: Json, seen: set[str] = seen) -> bool:
            seen.update(str(body(event)) for event in timeline(sync, room))
            return {"one", "two", "three"} <= seen

        who.sync_until(all_heard)
    frida.leave(room)
    bob.sync_until(lambda sync: any(event.get("state_key") == frida.user_id for event in timeline(sync, room)))


def test_the_owner_sees_how_it_goes(network: Network, one: HearthProcess, alice: Client) -> None:
    four = network.hearth("four.test")
    dora = Client.register(four.url)
    room = together(alice, dora)
    alice.send(room, "hello")
    dora.sync_until_text(room, "hello")
    line = _line(one, "four.test")
    assert line.startswith("four.test  fine, last answered 20")
    four.kill()
    alice.send(room, "lost")
    while "failing" not in line:
        line = _line(one, "four.test")
    assert "There is no connection to be had to 127.0.0.1 port" in line
    message = {"messages": {dora.user_id: {"*": {"n": 1}}}}
    alice.must("PUT", f"/sendToDevice/m.test/{unique('txn')}", message)
    while "messages between devices that wait: 1" not in (line := _line(one, "four.test")):
        assert "failing" in line
    assert "rooms it lacks something of: 1" in line
    four.start()
    assert one.command("federation", "retry").returncode == 0
    dora.sync_until_text(room, "lost")
    assert one.command("federation", "block", "four.*").returncode == 0
    assert _line(one, "four.test").startswith("four.test  blocked")
    answer = httpx.get(f"{one.url}/_matrix/federation/v1/event/x")
    assert answer.status_code == 401
    assert one.command("federation", "allow", "four.*").returncode == 0
    alice.send(room, "again")
    dora.sync_until_text(room, "again")


def _line(server: HearthProcess, name: str) -> str:
    lines = server.command("federation", "list").stdout.splitlines()
    return next(line for line in lines if line.startswith(name))
