"""A Hearth and a Synapse are parted while their people fight over a room: together again, both hold the same state."""

import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx
import pytest

from tests.support import synapse
from tests.support.client import PATIENCE, Client, Json, seg
from tests.support.hearth import HearthProcess
from tests.support.network import Network
from tests.support.synapse_server import SynapseProcess
from tests.support.wires import Wire, Wires

pytestmark = [pytest.mark.apt, pytest.mark.slow]

PEOPLE = 3
"""On each server; the first is never removed, so that each can speak at the end."""
PARTINGS, DEEDS = 2, 12
"""How often they are parted, and what is tried on each side meanwhile."""


class Side(NamedTuple):
    """One server.

    Args:
        people: on it.
        name: its server name.
        wire: the way to it.
    """

    people: list[Client]
    name: str
    wire: Wire


@pytest.fixture(scope="module")
def wires() -> Iterator[Wires]:
    with Wires(1) as wires:
        yield wires


@pytest.fixture(scope="module")
def hearth(sides: tuple[HearthProcess, list[Side]]) -> HearthProcess:
    return sides[0]


@pytest.fixture(scope="module")
def both(sides: tuple[HearthProcess, list[Side]]) -> list[Side]:
    return sides[1]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory, wires: Wires) -> Iterator[tuple[HearthProcess, list[Side]]]:
    """The Hearth, and both servers with their people."""
    synapse.require()
    with Network(tmp_path_factory.mktemp("network")) as network:
        laid: list[Wire] = []

        def lay(port: int) -> int:
            laid.append(wires.lay(port))
            return laid[-1].port

        hearth = network.hearth_by_address(lay)
        other = SynapseProcess(network).start()
        network.names.serve(other.name, lay(other.federation))
        names = f"127.0.0.1:{laid[0].port}", other.name
        yield (
            hearth,
            [
                Side([Client.register(url, f"user{number}") for number in range(PEOPLE)], name, wire)
                for url, name, wire in zip((hearth.url, other.url), names, laid, strict=True)
            ],
        )


class Fight:
    """One room, and what is done in it.

    Args:
        both: the servers; the first has made the room.
        version: the room's version.
        seed: of what is drawn by lot.
    """

    def __init__(self, both: list[Side], version: str, seed: int) -> None:
        self.both = both
        self._draw = random.Random(seed)  # noqa: S311 - no secret
        self.anchors = [side.people[0] for side in both]
        self.everybody = [person for side in both for person in side.people]
        self.movable = [person for person in self.everybody if person not in self.anchors]
        self._creators_above_all = version == "12"
        founder, second = self.anchors
        users = {person.user_id: 50 for person in self.movable} | {second.user_id: 75}
        if not self._creators_above_all:
            users[founder.user_id] = 100
        levels = {"users": users, "events": {"m.room.power_levels": 50, "m.room.join_rules": 50}}
        self.room = founder.create_room(preset="public_chat", room_version=version, power_level_content_override=levels)
        self._path = f"/rooms/{seg(self.room)}"
        self.redactable: list[str] = []
        for person in self.everybody:
            if person is not founder:
                person.must("POST", f"/join/{seg(self.room)}", {}, server_name=both[0].name, via=both[0].name)
        self.deeds: list[Callable[[Client], httpx.Response]] = [
            self._speak,
            self._speak,
            self._come_or_go,
            self._come_or_go,
            self._remove,
            self._remove,
            self._name,
            self._name,
            self._empower,
            self._empower,
            self._close_or_open,
            self._redact,
        ]

    def go_on(self, side: Side) -> None:
        """Somebody on a server does something, if they may."""
        done = self._draw.choice(self.deeds)(self._draw.choice(side.people))
        # An invitation needs the other server.
        assert done.status_code < 500 or "invite" in str(done.request.content), done.text
        if done.status_code == 200 and "event_id" in done.json():
            self.redactable.append(done.json()["event_id"])

    def _speak(self, who: Client) -> httpx.Response:
        return self._put(who, "m.room.message", {"msgtype": "m.text", "body": f"{self._draw.random()}"})

    def _come_or_go(self, who: Client) -> httpx.Response:
        content = {"membership": "join", "displayname": f"{self._draw.random()}"}
        if who in self.movable and self._draw.random() < 0.4:
            content = {"membership": "leave"}
        return self._state(who, "m.room.member", content, who.user_id)

    def _remove(self, who: Client) -> httpx.Response:
        membership = self._draw.choice(("ban", "ban", "leave", "invite"))
        return self._state(who, "m.room.member", {"membership": membership}, self._draw.choice(self.movable).user_id)

    def _name(self, who: Client) -> httpx.Response:
        kind, field = self._draw.choice((("m.room.topic", "topic"), ("m.room.name", "name")))
        return self._state(who, kind, {field: f"{self._draw.random()}"})

    def _close_or_open(self, who: Client) -> httpx.Response:
        return self._state(who, "m.room.join_rules", {"join_rule": self._draw.choice(("public", "public", "invite"))})

    def _empower(self, who: Client) -> httpx.Response:
        content = self.anchors[0].state(self.room, "m.room.power_levels")
        whom = self._draw.choice(self.movable + self.anchors[1:])
        content["users"][whom.user_id] = self._draw.choice((0, 25, 50, 50, 75))
        if self._draw.random() < 0.3:
            content[self._draw.choice(("kick", "ban", "invite", "state_default"))] = self._draw.choice((25, 50))
        return self._state(who, "m.room.power_levels", content)

    def _redact(self, who: Client) -> httpx.Response:
        if not self.redactable:
            return self._speak(who)
        target = self._draw.choice(self.redactable)
        return who.ask("PUT", f"{self._path}/redact/{seg(target)}/{self._draw.random()}", {})

    def _put(self, who: Client, kind: str, content: Json) -> httpx.Response:
        return who.ask("PUT", f"{self._path}/send/{kind}/{self._draw.random()}", content)

    def _state(self, who: Client, kind: str, content: Json, key: str = "") -> httpx.Response:
        return who.ask("PUT", f"{self._path}/state/{kind}/{seg(key)}", content)

    # Afterwards ------------------------------------------------------------------------------------------------------

    def states(self) -> list[dict[tuple[str, str], str]]:
        """The state by its events' ids, as each server has it."""
        told = [anchor.must("GET", f"{self._path}/state") for anchor in self.anchors]
        return [{(event["type"], event["state_key"]): event["event_id"] for event in one} for one in told]

    def until_they_agree(self, retry: Callable[[], object]) -> dict[tuple[str, str], str]:
        """Let the anchors speak until both servers hold the same; that state."""
        deadline = time.monotonic() + 2 * PATIENCE
        while True:
            retry()
            for number, anchor in enumerate(self.anchors):
                text = f"{number} {self._draw.random()}"
                anchor.send(self.room, text)
                for listener in self.anchors:
                    listener.sync_until_text(self.room, text)
            here, there = self.states()
            if here == there:
                return here
            differ = {slot: (here.get(slot), there.get(slot)) for slot in here.keys() | there.keys()}
            differ = {slot: pair for slot, pair in differ.items() if pair[0] != pair[1]}
            assert time.monotonic() < deadline, differ


@pytest.mark.parametrize("founder", [0, 1], ids=["of hearth", "of synapse"])
@pytest.mark.parametrize("version", ["2", "6", "10", "11", "12"])
def test_both_agree_after_a_fight(
    hearth: HearthProcess, both: list[Side], wires: Wires, version: str, founder: int
) -> None:
    """Power, bans, joins, join rules, names and redactions on both sides, of which neither knows while they are parted
    (server-server API, "PDUs"; room versions, "State resolution").
    """
    fight = Fight(both if founder == 0 else both[::-1], version, int(version) * 2 + founder)

    def retry() -> None:
        done = hearth.command("federation", "retry")
        assert done.returncode == 0, done.stderr

    fight.until_they_agree(retry)
    for _ in range(PARTINGS):
        try:
            for side in both:
                wires.take_down(side.wire)
            for _ in range(DEEDS):
                for side in both:
                    fight.go_on(side)
            here, there = fight.states()
            assert here != there
        finally:
            for side in both:
                wires.put_up(side.wire)
        fight.until_they_agree(retry)
