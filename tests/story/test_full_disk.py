"""A disk without room: what cannot be kept is refused with a sentence, all else goes on, and so does that once there is
room again.
"""

import resource
from pathlib import Path

import httpx
import pytest

from tests.support.client import Client, seg
from tests.support.hearth import HearthProcess

TEXT = "x" * 30_000


@pytest.mark.slow
def test_a_full_disk(tmp_path: Path) -> None:
    """What was acknowledged is there, now and after a kill; what was refused is not, and can be sent again, once."""
    server = HearthProcess(tmp_path / "data").start()
    unlimited = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    try:
        alice = Client.register(server.url)
        room = alice.create_room()
        path = f"/rooms/{seg(room)}/send/m.room.message"
        alice.sync()
        largest = max(file.stat().st_size for file in server.folder.iterdir())
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (largest + 100_000, unlimited[1]))
        kept: list[str] = []
        while True:
            answer = alice.ask("PUT", f"{path}/{len(kept)}", {"msgtype": "m.text", "body": TEXT})
            if answer.status_code != 200:
                break
            kept.append(answer.json()["event_id"])
        assert (answer.status_code, answer.json()["errcode"]) == (503, "M_UNKNOWN")
        assert answer.json()["error"].endswith("look after.")
        assert "hearth.db" in server.tail()  # the owner is told what it is
        assert "hearth.db" not in answer.text
        assert kept
        # Whoever only reads, or says what is not kept, notices nothing.
        told = alice.sync()["rooms"]["join"][room]["timeline"]["events"]
        assert [event["event_id"] for event in told if event["type"] == "m.room.message"] == kept[-10:]
        assert alice.event(room, kept[0])["content"]["body"] == TEXT
        alice.must("PUT", f"/rooms/{seg(room)}/typing/{seg(alice.user_id)}", {"typing": True, "timeout": 1000})
        assert httpx.get(f"{server.url}/health").status_code == 200
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
        again = alice.send(room, "again", txn=f"{len(kept)}")
        assert alice.send(room, "again", txn=f"{len(kept)}") == again
        server.kill()
        server.start()
        chunk = alice.messages(room, limit=100)["chunk"]
        assert [event["event_id"] for event in chunk if event["type"] == "m.room.message"] == [again, *kept[::-1]]
        alice.send(room, "and on")
    finally:
        server.end()
