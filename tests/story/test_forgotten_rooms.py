"""A room that everybody has left and forgotten is cleared away, and its space is free again."""

import sqlite3
import time
from pathlib import Path

import pytest

from tests.support.client import PATIENCE, Client, seg
from tests.support.hearth import HearthProcess


@pytest.mark.slow
def test_a_forgotten_room_goes(tmp_path: Path) -> None:
    """After the last one forgot it, nothing of the room is left in the file; another room is untouched."""
    server = HearthProcess(tmp_path / "data").start()
    try:
        alice, bob = Client.register(server.url), Client.register(server.url)
        kept = alice.create_room(name="kept")
        room = alice.create_room(preset="public_chat", name="to be forgotten")
        bob.join(room)
        for number in range(50):
            bob.send(room, f"line {number}")
        for person in (alice, bob):
            person.leave(room)
            person.must("POST", f"/rooms/{seg(room)}/forget", {})
        deadline = time.monotonic() + PATIENCE * 3
        while left_in(server.folder / "hearth.db") > 1:
            assert time.monotonic() < deadline, f"{left_in(server.folder / 'hearth.db')} rooms are left"
            time.sleep(0.2)
        assert alice.state(kept, "m.room.name") == {"name": "kept"}
        alice.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/state")
    finally:
        server.end()


def left_in(path: Path) -> int:
    """How many rooms the events of a file belong to."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
        return int(file.execute("SELECT COUNT(DISTINCT room_nid) FROM events").fetchone()[0])
