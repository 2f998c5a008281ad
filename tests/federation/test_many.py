"""Events of one room that come together: judged one upon the other before any of them is in the database."""

import asyncio
import random
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from appliance.protocol.auth import auth_event_slots
from appliance.protocol.events import Event
from appliance.rooms.incoming.accepting import Unacceptable, Verdict
from appliance.rooms.room import Room
from appliance.storage.errors import LaneBroken
from tests.federation.house import ALICE, ELSEWHERE, MALLORY, House
from tests.federation.test_accepting import in_house, shown, text
from tests.rooms.test_failing_units import Failing, check_whole

MARTHA = f"@martha:{ELSEWHERE}"


class Chain:
    """Events one upon the other, made as a server makes them that has taken in the earlier ones."""

    def __init__(self, home: House, room: Room) -> None:
        self.home, self.room = home, room
        end = room.published.extremities[0]
        self.parents, self.depth = [end.event_id], end.ordering
        self.state = {slot: room.store.event(nid).event_id for slot, nid in room.published.state.items()}
        self.events: list[Event] = []

    def add(self, kind: str, content: dict[str, Any], key: str | None = None, sender: str = MALLORY) -> Event:
        """One more event."""
        slots = auth_event_slots(self.room.version, type=kind, sender=sender, state_key=key, content=content)
        self.depth += 1
        event = self.home.remote.event(
            self.room,
            kind,
            content,
            key,
            sender=sender,
            parents=self.parents,
            auth=[self.state[slot] for slot in slots if slot in self.state],
            depth=self.depth,
        )
        self.parents = [event.event_id]
        if key is not None:
            self.state[kind, key] = event.event_id
        self.events.append(event)
        return event

    @property
    def pdus(self) -> list[dict[str, Any]]:
        """The events as they are sent."""
        return [event.pdu for event in self.events]


@asynccontextmanager
async def held_back(home: House) -> AsyncIterator[threading.Event]:
    """Nothing is committed until the event is set."""
    go = threading.Event()
    blocking = home.owning.database.submit(lambda tx: go.wait(30) and None)
    try:
        yield go
    finally:
        go.set()
        await blocking


async def together(home: House, room: Room, pdus: list[Any]) -> list[Any]:
    """What becomes of events all of which are judged before any is committed."""
    async with held_back(home) as go:
        task = asyncio.ensure_future(home.accepting.accept_many(room.room_id, pdus, ELSEWHERE))
        while room.in_flight < len(pdus):
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # what was submitted last goes to the writer at the end of the loop's turn
        go.set()
        return await task


@pytest.mark.parametrize("version", ["3", "12"])
@in_house
async def test_a_transaction_is_committed_together(home: House, version: str) -> None:
    """Fifty events, each on the one before it, state among them, are one commit."""
    room = await home.with_mallory(room_version=version)
    chain = Chain(home, room)
    chain.add("m.room.member", {"membership": "join"}, MARTHA, MARTHA)
    for number in range(47):
        chain.add("m.room.message", text(str(number)), sender=(MALLORY, MARTHA)[number % 2])
    chain.add("m.room.member", {"membership": "leave"}, MARTHA, MARTHA)
    chain.add("m.room.message", text("last"))
    before = home.owning.database.commits
    assert await together(home, room, chain.pdus) == [Verdict.ACCEPTED] * 50
    # What held them back is one, unless the writer came to it late.
    assert home.owning.database.commits <= before + 2
    assert room.published.extremities[0].event_id == chain.events[-1].event_id
    assert room.published.members.of(MARTHA) == "leave"
    assert await shown(home, room) == ["last", *map(str, range(46, -1, -1))]
    assert check_whole(home, room)


@in_house
async def test_each_gets_the_verdict_that_it_would_get_alone(home: House) -> None:
    """What is rejected, refused, doubled, early or on a branch in the midst of others."""
    room = await home.with_mallory()
    chain = Chain(home, room)
    first = chain.add("m.room.message", text("first"))
    second = chain.add("m.room.message", text("second"))
    stranger = home.remote.event(
        room, "m.room.message", text("let me in"), sender=MARTHA, parents=[second.event_id], depth=9
    )
    third = chain.add("m.room.message", text("third"))
    branch = home.remote.event(room, "m.room.message", text("branch"), parents=[first.event_id], depth=8)
    early = home.remote.event(room, "m.room.message", text("early"), parents=["$" + "x" * 43], depth=9)
    unsigned = {**third.pdu, "signatures": {}}
    pdus = [*(one.pdu for one in (first, first, second, stranger)), unsigned, {"type": 5}]
    pdus += [one.pdu for one in (third, branch, early, second)]
    outcomes = await home.accepting.accept_many(room.room_id, pdus, ELSEWHERE)
    assert outcomes[:4] == [Verdict.ACCEPTED, Verdict.KNOWN, Verdict.ACCEPTED, Verdict.REJECTED]
    assert isinstance(outcomes[4], Unacceptable)
    assert isinstance(outcomes[5], Exception)
    assert outcomes[6:] == [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.WAITING, Verdict.KNOWN]
    assert {end.event_id for end in room.published.extremities} == {third.event_id, branch.event_id}


@pytest.mark.parametrize("backwards", [False, True])
@in_house
async def test_a_redaction_and_its_target_together(home: House, backwards: bool) -> None:
    """Whichever comes first, the content is gone, and nothing waits for anything."""
    room = await home.with_mallory()
    chain = Chain(home, room)
    parent = chain.parents
    message = chain.add("m.room.message", text("regrettable"))
    if backwards:
        chain.parents = parent
    chain.add("m.room.redaction", {"redacts": message.event_id})
    pdus = chain.pdus[::-1] if backwards else chain.pdus
    assert await home.accepting.accept_many(room.room_id, pdus) == [Verdict.ACCEPTED] * 2
    assert home.living.graph.store.find(message.event_id)[1].content == {}  # type: ignore[index]
    assert home.owning.database.read("SELECT applied FROM redactions") == [(1,)]


@in_house
async def test_our_own_in_between(home: House) -> None:
    """Events of our own and of others that are built one upon the other while nothing is committed."""
    room = await home.with_mallory()
    async with held_back(home) as go:
        tasks = []
        for number in range(6):
            append = home.living.acts.appender.append(
                room.room_id, lambda draft, n=number: draft.add("m.room.message", ALICE, text(f"ours {n}"))
            )
            tasks.append(asyncio.ensure_future(append))
            while room.in_flight < 2 * number + 1:
                await asyncio.sleep(0)
            end = room.head.extremities[0]
            theirs = home.remote.event(
                room, "m.room.message", text(f"theirs {number}"), parents=[end.event_id], depth=end.ordering + 1
            )
            tasks.append(asyncio.ensure_future(home.accepting.accept(room.room_id, theirs.pdu)))  # type: ignore[arg-type]
            while room.in_flight < 2 * number + 2:
                await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*tasks)
    assert await shown(home, room) == [f"{who} {number}" for number in range(5, -1, -1) for who in ("theirs", "ours")]


@pytest.mark.parametrize("every", [3, 7])
@in_house
async def test_what_stands_on_a_unit_that_fails_is_done_again(
    home: House, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the unit that failed is answered with its error; sent again, it brings what was built upon it."""
    room = await home.with_mallory()
    chain = Chain(home, room)
    for number in range(24):
        if number % 6 == 0:
            chain.add("m.room.member", {"membership": "join", "displayname": str(number)}, MALLORY)
        chain.add("m.room.message", text(str(number)))
    draw = random.Random(every)  # noqa: S311 - no secret
    with monkeypatch.context() as patch:
        failing = Failing(home.owning.database, every, patch)
        left = chain.pdus
        for _ in range(200):
            if not left:
                break
            size = draw.randrange(1, 9)
            try:
                outcomes = await home.accepting.accept_many(room.room_id, left[:size])
            except (sqlite3.IntegrityError, LaneBroken):
                continue
            assert set(outcomes) <= {Verdict.ACCEPTED, Verdict.KNOWN}
            left = left[size:]
        assert failing.failed > 5
        assert not left
    room = await home.found(room.room_id)
    assert [end.event_id for end in room.published.extremities] == [chain.events[-1].event_id]
    assert await shown(home, room) == [str(number) for number in range(23, -1, -1)]
    assert check_whole(home, room)
