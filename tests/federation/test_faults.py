"""Three servers, many people, and everything that can break: nothing that was acknowledged is lost or doubled."""

import contextlib
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.federation.test_memberships import enter
from tests.support.chance import seed
from tests.support.client import Client, Json, seg
from tests.support.hearth import HearthProcess
from tests.support.network import Network
from tests.support.wires import Wire, Wires

SEED = seed(6)
NAMES = ("one.test", "two.test", "three.test")
PEOPLE, ROOMS = 3, 2
"""People on each server, and rooms in which all of them are."""
MESSAGES = 2_000
STATE_EVERY = 20
"""Of somebody's messages, so many come with one change of state."""
TROUBLES = ["kill"] * 2 + ["away"] * 3 + ["cut"] * 4 + ["midway"] * 5
"""What happens to each server, in some order."""
PATIENCE = 120.0


class Speaker(threading.Thread):
    """Somebody who sends until it was acknowledged, whatever happens to the server meanwhile.

    Args:
        person: who.
        rooms: where, in turn.
        count: how much.
        crowd: what all have achieved together.

    Attributes:
        said: what was acknowledged, by room: text to event id.
        progress: what one's own slot of state was set to last, by room.
        problem: what put an end to it, if something did.
    """

    def __init__(self, person: Client, rooms: list[str], count: int, crowd: "Crowd") -> None:
        super().__init__(daemon=True)
        self.person, self.rooms, self.count, self.crowd = person, rooms, count, crowd
        self.said: dict[str, dict[str, str]] = {room: {} for room in rooms}
        self.progress: dict[str, int] = {}
        self.problem: Exception | None = None

    def run(self) -> None:
        """Speak."""
        try:
            for number in range(self.count):
                self._say(number, self.rooms[number // STATE_EVERY % len(self.rooms)])
        except Exception as problem:  # noqa: BLE001 - told by who waits for it
            self.problem = problem
            self.crowd.over.set()

    def _say(self, number: int, room: str) -> None:
        text = f"{self.person.user_id} {number}"
        path = f"/rooms/{seg(room)}/send/m.room.message/{number}"
        self.said[room][text] = self._put(path, {"msgtype": "m.text", "body": text})
        if number % STATE_EVERY == 0:
            self._put(f"/rooms/{seg(room)}/state/m.room.topic/", {"topic": text})
            self._put(f"/rooms/{seg(room)}/state/test.progress/{seg(self.person.user_id)}", {"at": number})
            self.progress[room] = number
        self.crowd.step()

    def _put(self, path: str, content: Json) -> str:
        while not self.crowd.over.is_set():
            with contextlib.suppress(httpx.HTTPError):  # the server is away
                answer = self.person.ask("PUT", path, content)
                if answer.status_code == 200:
                    return str(answer.json()["event_id"])
                assert answer.status_code >= 500, answer.text
            self.crowd.over.wait(0.05)
        raise AssertionError("It was over before that was acknowledged.")


class Crowd:
    """How far all are together, and how far they may go before something else happens."""

    def __init__(self) -> None:
        self.steps = self.allowed = 0
        self.over = threading.Event()
        self._moved = threading.Condition()

    def step(self) -> None:
        """One message more, once that is allowed."""
        with self._moved:
            self._moved.wait_for(lambda: self.steps < self.allowed or self.over.is_set())
            self.steps += 1
            self._moved.notify_all()

    def go_on(self, steps: int) -> None:
        """Allow so many messages in all."""
        with self._moved:
            self.allowed = steps
            self._moved.notify_all()

    def wait_for(self, steps: int) -> None:
        """Wait until so many messages were acknowledged."""
        with self._moved:
            assert self._moved.wait_for(lambda: self.steps >= steps, PATIENCE), f"stuck at {self.steps}"


class Troubles:
    """What happens to the servers: each is killed several times, and wires are cut in every way.

    Args:
        servers: all.
        wires: what is between them.
        lines: the wire to each.
    """

    def __init__(self, servers: list[HearthProcess], wires: Wires, lines: list[Wire]) -> None:
        self._servers, self._wires, self._lines = servers, wires, lines
        draw = random.Random(SEED)  # noqa: S311 - no secret
        self.coming = [(kind, number) for number in range(len(servers)) for kind in TROUBLES]
        draw.shuffle(self.coming)

    def happen(self, kind: str, which: int) -> None:
        """One of them; a wire that is taken down stays so until the next."""
        self.end()
        match kind:
            case "kill":
                self._servers[which].kill()
                self._servers[which].start()
            case "away":
                self._wires.take_down(self._lines[which])
            case "cut":
                self._wires.cut(self._lines[which])
            case _:
                self._wires.cut_midway(self._lines[which])

    def end(self) -> None:
        """All wires are good again."""
        for line in self._lines:
            self._wires.put_up(line)


def history(reader: Client, room: str) -> dict[str, Json]:
    """All events of a room by their ids, paged through from the end; none is told twice."""
    found: dict[str, Json] = {}
    page = reader.messages(room, limit=500)
    while True:
        for event in page["chunk"]:
            assert event["event_id"] not in found
            found[event["event_id"]] = event
        if "end" not in page:
            return found
        page = reader.messages(room, limit=500, **{"from": page["end"]})


def state_of_room(reader: Client, room: str) -> dict[tuple[str, str], str]:
    """The state by ids."""
    events = reader.must("GET", f"/rooms/{seg(room)}/state")
    return {(event["type"], event["state_key"]): event["event_id"] for event in events}


def until_all_agree(readers: list[Client], room: str, said: dict[str, str]) -> dict[str, Json]:
    """Wait until all have everything that was said in a room, and the same of all else; the events."""
    deadline = time.monotonic() + PATIENCE
    while True:
        told = [history(reader, room) for reader in readers]
        states = [state_of_room(reader, room) for reader in readers]
        ids = [set(one) for one in told]
        everything = set().union(*ids, said.values())
        if all(one == everything for one in ids) and all(one == states[0] for one in states):
            return told[0]
        differing = [sum(states[0].get(slot) != event for slot, event in one.items()) for one in states]
        lacking = [len(everything - one) for one in ids]
        assert time.monotonic() < deadline, f"events that are lacking {lacking}, states that differ {differing}"
        time.sleep(0.5)


@pytest.mark.slow
def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """2,000 messages from all sides while wires are cut and each server is killed again and again."""
    with Network(tmp_path) as network, Wires(SEED) as wires:
        servers = [network.hearth(name, start=False) for name in NAMES]
        with ThreadPoolExecutor() as pool:
            list(pool.map(HearthProcess.start, servers))
        lines = [wires.lay(server.federation) for server in servers]
        for name, line in zip(NAMES, lines, strict=True):
            network.names.serve(name, line.port)
        people = [[Client.register(server.url) for _ in range(PEOPLE)] for server in servers]
        rooms = [found_room(people, number) for number in range(ROOMS)]
        speakers = speak_through(Troubles(servers, wires, lines), people, rooms)
        for server in servers:
            done = server.command("federation", "retry")
            assert done.returncode == 0, done.stderr
        for room in rooms:
            said = {text: event_id for speaker in speakers for text, event_id in speaker.said[room].items()}
            events = until_all_agree([here[0] for here in people], room, said)
            heard = Counter(event["content"]["body"] for event in events.values() if event["type"] == "m.room.message")
            assert heard == dict.fromkeys(said, 1)
            for speaker in speakers:
                now = people[0][0].state(room, "test.progress", speaker.person.user_id)
                assert now == {"at": speaker.progress[room]}


def found_room(people: list[list[Client]], number: int) -> str:
    """A room of one of the servers in which everybody is and everybody may set state."""
    founder = people[number][0]
    levels = {"state_default": 0}
    room = founder.create_room(preset="public_chat", power_level_content_override=levels)
    for person in (person for here in people for person in here if person is not founder):
        enter(person, room, NAMES[number])
    return room


def speak_through(troubles: Troubles, people: list[list[Client]], rooms: list[str]) -> list[Speaker]:
    """Let everybody speak through all troubles."""
    crowd = Crowd()
    everybody = [person for here in people for person in here]
    count = -(-MESSAGES // len(everybody))
    speakers = [Speaker(person, rooms, count, crowd) for person in everybody]
    for speaker in speakers:
        speaker.start()
    try:
        for number, (kind, which) in enumerate(troubles.coming):
            # Half of what may be said until the next trouble is said before this one, and the rest through it.
            share = MESSAGES / len(troubles.coming)
            crowd.go_on(int((number + 1) * share))
            crowd.wait_for(int((number + 0.5) * share))
            troubles.happen(kind, which)
        troubles.end()
        crowd.go_on(count * len(everybody))
        crowd.wait_for(count * len(everybody))
    finally:
        crowd.over.set()
    for speaker in speakers:
        speaker.join(PATIENCE)
        assert speaker.problem is None, speaker.problem
    return speakers
