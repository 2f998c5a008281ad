"""A backup is put back: clients come with tokens of a time of which the server knows nothing."""

import shutil
from pathlib import Path

from tests.support.client import Client, Json, joined, timeline
from tests.support.hearth import HearthProcess
from tests.support.keys import changed, messages, send_to_device, with_keys
from tests.support.sliding import DEPLOYED, Sliding, texts, window


def tell(sender: Client, receiver: Client, text: str) -> None:
    """Send a message to a device."""
    send_to_device(sender, {receiver.user_id: {receiver.device_id: {"text": text}}})


def told_of(events: list[Json]) -> list[str]:
    """What messages to a device say."""
    return [one["content"]["text"] for one in events]


def test_clients_begin_anew_and_miss_nothing(tmp_path: Path) -> None:
    """What came since the backup, at positions that they have heard of already for other things, is told to them: by
    both ways of syncing, and messages to devices and changes of devices too.
    """
    server = HearthProcess(tmp_path / "data").start()
    try:
        alice, bob = (Client.register(server.url, name) for name in ("alice", "bob"))
        room, left = alice.create_room(preset="public_chat"), alice.create_room(preset="public_chat")
        for one in (room, left):
            bob.join(one)
        bob.leave(left)
        alice.send(room, "before")
        server.stop()
        shutil.copytree(server.folder, tmp_path / "backup")

        server.start()
        bob.join(left)
        for number in range(20):
            alice.send(room, f"lost {number}")
            tell(alice, bob, f"lost {number}")
        sliding = Sliding(bob, all=window(0, 5, timeline_limit=10))
        sliding.extensions = {"to_device": {"enabled": True}, "e2ee": {"enabled": True}}
        cursor = sliding.sync()["extensions"]["to_device"]["next_batch"]
        bob.sync()
        bob.sync()  # which acknowledges what was sent to the device
        lost = bob.since
        server.stop()

        shutil.rmtree(server.folder)
        shutil.copytree(tmp_path / "backup", server.folder)
        server.start()
        tell(alice, bob, "kept")
        for number in range(30):
            alice.send(room, f"new {number}")
        with_keys(alice)

        bob.since = lost
        told = bob.sync()
        assert told_of(messages(told)) == ["kept"]
        assert alice.user_id in changed(told)
        assert joined(told, room)["timeline"]["limited"]
        assert [one["content"].get("body") for one in timeline(told, room)][-1] == "new 29"
        assert told["rooms"]["leave"].keys() == {left}
        page = bob.messages(room, limit=100, **{"from": joined(told, room)["timeline"]["prev_batch"]})
        bodies = [one["content"].get("body") for one in page["chunk"]]
        assert {"before", "new 0"} <= set(bodies)
        assert not any(str(one).startswith("lost") for one in bodies)
        # From here on all is as ever.
        alice.send(room, "on")
        told = bob.sync()
        assert not joined(told, room)["timeline"]["limited"]
        assert [one["content"]["body"] for one in timeline(told, room)] == ["on"]

        bob.refused("M_UNKNOWN_POS", 400, "POST", DEPLOYED, sliding.body(), pos=sliding.pos)
        tell(alice, bob, "kept, too")
        sliding.pos = None
        sliding.extensions["to_device"]["since"] = cursor
        answer = sliding.sync()
        assert texts(answer["rooms"][room])[-1] == "on"
        assert told_of(answer["extensions"]["to_device"]["events"])[-1] == "kept, too"
    finally:
        server.end()


def test_tokens_outlive_starts_and_kills(tmp_path: Path) -> None:
    """Whoever has a token of the run before, or of one before that, goes on where they were."""
    server = HearthProcess(tmp_path / "data").start()
    try:
        alice = Client.register(server.url, "alice")
        room = alice.create_room()
        alice.sync()
        first = alice.since
        for end in (server.kill, server.stop):
            alice.send(room, end.__name__)
            end()
            server.start()
            alice.sync()
        for since, expected in ((first, ["kill", "stop"]), (alice.since, [])):
            alice.since = since
            told = alice.sync()
            found = timeline(told, room) if expected else told.get("rooms", [])
            assert [one["content"]["body"] for one in found] == expected
    finally:
        server.end()
