"""The process is killed while many people talk: whatever was acknowledged is there after the start, once."""

import contextlib
import threading
from pathlib import Path

import httpx
import pytest

from tests.support.client import Client, seg, timeline
from tests.support.hearth import HearthProcess

PEOPLE, ROOMS, KILLS = 12, 3, 3
EVENTS_BEFORE_A_KILL = 150


class Load:
    """People who send until their server is gone, and remember what was acknowledged under which transaction."""

    def __init__(self, people: list[Client], rooms: list[str], generation: int) -> None:
        self.acknowledged: dict[tuple[int, str], str] = {}
        self.enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._talk, args=(number, person, rooms[number % len(rooms)], generation))
            for number, person in enumerate(people)
        ]
        for thread in self._threads:
            thread.start()

    def _talk(self, number: int, person: Client, room: str, generation: int) -> None:
        with contextlib.suppress(httpx.HTTPError):
            for count in range(10_000):
                txn = f"{generation}.{count}"
                path = f"/rooms/{seg(room)}/send/m.room.message/{txn}"
                answer = person.ask("PUT", path, {"msgtype": "m.text", "body": f"{number} says {txn}"})
                if answer.status_code != 200:
                    return
                self.acknowledged[number, txn] = answer.json()["event_id"]
                if len(self.acknowledged) >= EVENTS_BEFORE_A_KILL:
                    self.enough.set()

    def join(self) -> None:
        """Wait until everybody has noticed that the server is gone."""
        for thread in self._threads:
            thread.join(60)


def everything(reader: Client, room: str) -> list[str]:
    """The ids of all events of a room, paged through from the end."""
    found: list[str] = []
    page = reader.messages(room, limit=200)
    while True:
        found += [event["event_id"] for event in page["chunk"]]
        if "end" not in page:
            return found
        page = reader.messages(room, limit=200, **{"from": page["end"]})


@pytest.mark.slow
def test_kills_under_load(tmp_path: Path) -> None:
    """Three kills; after each every acknowledged event is there once, in /messages and in /sync, and its transaction
    still gives the same event.
    """
    server = HearthProcess(tmp_path / "data").start()
    try:
        people = [Client.register(server.url) for _ in range(PEOPLE)]
        rooms = [people[0].create_room(preset="public_chat") for _ in range(ROOMS)]
        for person in people[1:]:
            for room in rooms:
                person.join(room)
        watcher = people[0].login()
        watcher.sync()
        heard: set[str] = set()
        acknowledged: dict[tuple[int, str], str] = {}
        for generation in range(KILLS):
            load = Load(people, rooms, generation)
            assert load.enough.wait(60)
            server.kill()
            load.join()
            acknowledged.update(load.acknowledged)
            server.start()
            stored = [event_id for room in rooms for event_id in everything(people[0], room)]
            assert len(stored) == len(set(stored))
            assert set(acknowledged.values()) <= set(stored)
            answer = watcher.sync(filter='{"room":{"timeline":{"limit":500}}}')
            for room in rooms:
                assert not answer["rooms"]["join"][room]["timeline"]["limited"]
                heard.update(event["event_id"] for event in timeline(answer, room))
            assert set(acknowledged.values()) <= heard
            (number, txn), event_id = next(reversed(acknowledged.items()))
            path = f"/rooms/{seg(rooms[number % ROOMS])}/send/m.room.message/{txn}"
            assert people[number].must("PUT", path, {"body": "once more"}) == {"event_id": event_id}
    finally:
        server.end()
