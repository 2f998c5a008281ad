"""Two Hearths and a server that lies: both end up with the same room, and take in nothing that they must not."""

import asyncio
from pathlib import Path

import pytest

from appliance.rooms.incoming import holding
from appliance.rooms.incoming.accepting import Verdict
from appliance.rooms.snapshot import MAX_PARENTS, MEMBER
from tests.federation.adversary import (
    MALLORY,
    MAUD,
    MOSES,
    Siege,
    another_room,
    end_of,
    every_version,
    in_a_siege,
    rows,
    says,
)
from tests.federation.handshake import join_through
from tests.federation.house import ELSEWHERE, house
from tests.federation.resident import Server


async def besieged(seed: int, version: str, folder: Path, steps: int) -> None:
    """A room's life under attack."""
    siege = Siege(seed, version, folder)
    try:
        await siege.open()
        for _ in range(steps):
            await (siege.attack() if siege.random.random() < 0.5 else siege.happen(1))
        await siege.agree()
        await siege.agree_on_every_event()
        siege.agree_on_every_content()
        await siege.be_as_written()
        assert siege.done["split"] == 0
    finally:
        await siege.close()


@pytest.mark.parametrize("version", ["2", "6", "10", "12"])
def test_two_hearths_agree_under_siege(tmp_path: Path, version: str) -> None:
    """Whatever is thrown at one of them or at both, right, wrong, late or never told to the other."""
    asyncio.run(besieged(1, version, tmp_path, steps=120))


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1", "2", "3", "6", "8", "10", "11", "12"])
@pytest.mark.parametrize("seed", range(100, 108))
def test_two_hearths_agree_under_a_long_siege(tmp_path: Path, version: str, seed: int) -> None:
    """The same for longer."""
    asyncio.run(besieged(seed, version, tmp_path, steps=300))


# Different stories ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", ["the ban", "the name"])
@pytest.mark.parametrize("teller", ["b", "c"])
@in_a_siege
@every_version
async def test_a_ban_here_and_a_name_there(siege: Siege, b: Server, c: Server, later: str, teller: str) -> None:
    """B hears that a user was banned, C that the same user only changed their name. Once they talk, both hold the ban,
    and so does whoever comes after them.
    """
    end = await end_of(b)
    first, second = siege.time, siege.time + 5_000
    ban_ts, name_ts = (second, first) if later == "the ban" else (first, second)
    await says(siege, b, [end], MEMBER, {"membership": "ban"}, MOSES, timestamp=ban_ts)
    renamed = {"membership": "join", "displayname": "Moses!"}
    await says(siege, c, [end], MEMBER, renamed, MOSES, sender=MOSES, timestamp=name_ts)
    assert (await c.room()).head.members.of(MOSES) == "join"
    await says(siege, c, [await end_of(c)], "m.room.message", {"body": "still here"}, sender=MOSES)
    await siege.agree()
    await siege.agree_on_every_event()
    for server in (b, c):
        room = await server.room()
        assert room.head.members.of(MOSES) == "ban"
    (siege.folder / "late").mkdir()
    async with house(siege.folder / "late", name="late.example", ring=siege.ring) as late:
        resident = b if teller == "b" else c
        room, _ = await join_through(resident.house, late, siege.room_id, "@alice:late.example")
        assert room.head.members.of(MOSES) == "ban"
        more = siege.adversary.upon(
            resident.house, [await end_of(resident)], "m.room.message", {"body": "x"}, sender=MOSES
        )
        assert await late.accepting.accept(siege.room_id, more.pdu) is Verdict.REJECTED


@in_a_siege
@every_version
async def test_power_here_and_nothing_there(siege: Siege, b: Server, c: Server) -> None:
    """B hears that Maud lost her power, C that she used it: both agree in the end, and she has no power any more."""
    end = await end_of(b)
    room = await b.room()
    levels = room.state_event(room.head, "m.room.power_levels")
    assert levels is not None
    users = {user: level for user, level in levels.content["users"].items() if user != MAUD}
    assert await b.do("m.room.power_levels", b.anchor, {**levels.content, "users": users}, "")
    b.inbox, c.inbox, c.lost = [], [], []  # C does not hear of it
    await says(siege, c, [end], "m.room.topic", {"topic": "mine"}, "", sender=MAUD)
    await says(siege, c, [await end_of(c)], MEMBER, {"membership": "ban"}, b.people[1], sender=MAUD)
    await siege.agree()
    await siege.agree_on_every_event()
    for server in (b, c):
        room = await server.room()
        assert room.power(room.head).user(MAUD) == 0
        attempt = siege.adversary.upon(server.house, [await end_of(server)], "m.room.topic", {}, "", sender=MAUD)
        assert await siege.tell(server, attempt) is Verdict.REJECTED


# Floods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["m.room.message", MEMBER, "m.room.topic"])
@in_a_siege
async def test_a_flood_of_forks(siege: Siege, b: Server, c: Server, what: str) -> None:
    """Hundreds of events on the same place: few ends, few rows for each, the honest fork stays, and all merge."""
    start = await end_of(b)
    assert await b.do("m.room.name", b.anchor, {"name": "honest"}, "")
    await siege.deliver_all()
    before, most, forks = rows(b), 0, 150
    for number in range(forks):
        key = {MEMBER: MALLORY, "m.room.topic": ""}.get(what)
        content = {"membership": "join", "displayname": f"M{number}"} if what == MEMBER else {"topic": str(number)}
        event = siege.adversary.upon(b.house, [start], what, content, key)
        for server in (b, c):
            assert await siege.tell(server, event) is Verdict.ACCEPTED
            most = max(most, len(await server.ends()))
    assert most <= MAX_PARENTS
    after = rows(b)
    assert {name: count for name, count in after.items() if count - before[name] > 8 * forks} == {}
    for server in (b, c):
        room = await server.room()
        assert room.state_event(room.head, "m.room.name").content == {"name": "honest"}  # type: ignore[union-attr]
        assert await server.do("m.room.message", server.anchor, {"body": "all together"})
        assert len(await server.ends()) <= 2
    await siege.agree()
    await siege.agree_on_every_event()


@in_a_siege
async def test_forks_from_long_ago(siege: Siege, b: Server, c: Server) -> None:
    """State that is set on a place far back costs as much to store as any other."""
    start = await end_of(b)
    for number in range(60):
        assert await b.do("org.example.thing", b.anchor, {"n": number}, str(number))
    await siege.deliver_all()
    before = rows(b)["state_group_entries"]
    for number in range(30):
        event = siege.adversary.upon(b.house, [start], MEMBER, {"membership": "join", "n": number}, MALLORY)
        assert await siege.tell(b, event) is Verdict.ACCEPTED
    assert rows(b)["state_group_entries"] - before < 30 * 8
    await siege.agree()


@in_a_siege
async def test_a_flood_of_what_cannot_come_in(
    siege: Siege, b: Server, c: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that name unknown ones, in several rooms, wait in bounded number for each room and for each server."""
    monkeypatch.setattr(holding, "MOST_OF_ROOM", 30)
    monkeypatch.setattr(holding, "MOST_OF_ORIGIN", 50)
    home = b.house
    rooms = [siege.room_id, *[await another_room(siege, b, number) for number in range(3)]]
    for number in range(80):
        for room_id in rooms:
            lost = [f"${number:03}{other:02}" + "F" * 38 for other in range(20)]
            room = await home.found(room_id)
            event = siege.adversary.event(room, "m.room.message", {"n": number}, parents=lost)
            assert await home.accepting.accept(room_id, event.pdu, ELSEWHERE) is Verdict.WAITING
    assert rows(b)["waiting_events"] <= 50
    assert rows(b)["waiting_for"] <= 50 * 20
    assert await siege.tell(b, siege.adversary.upon(home, [await end_of(b)], "m.room.message", {})) is Verdict.ACCEPTED


@in_a_siege
async def test_a_banned_server_goes_on(siege: Siege, b: Server, c: Server) -> None:
    """What the banned send is kept, as others may have built upon it, in few rows each; nobody sees or builds on it."""
    place = await end_of(b)
    assert await b.do(MEMBER, b.anchor, {"membership": "ban"}, MOSES)
    await siege.deliver_all()
    before, events = rows(b), 60
    for number in range(events):
        content = {"membership": "join", "displayname": str(number)}
        event = siege.adversary.upon(b.house, [place], MEMBER, content, MOSES, sender=MOSES)
        for server in (b, c):
            assert await siege.tell(server, event) is Verdict.SOFT_FAILED
        place = event.event_id
    after = rows(b)
    assert sum(after.values()) - sum(before.values()) <= 12 * events
    assert after["current_state"] == before["current_state"]
    assert after["membership_changes"] == before["membership_changes"]
    room = await b.room()
    assert room.head.members.of(MOSES) == "ban"
    assert place not in await b.ends()
    await siege.agree()


@in_a_siege
async def test_other_rooms_go_on(siege: Siege, b: Server, c: Server) -> None:
    """While one room is flooded with forks of its state, people talk in another one as if nothing was."""
    start = await end_of(b)
    room_id = await another_room(siege, b, 1)
    forks = [
        siege.adversary.upon(b.house, [start], MEMBER, {"membership": "join", "n": number}, MALLORY)
        for number in range(60)
    ]
    said: list[str] = []

    async def talk() -> None:
        while not flood.done():
            event = await b.house.living.acts.appender.append(
                room_id, lambda draft: draft.add("m.room.message", b.anchor, {"body": "x"})
            )
            said.append(event.event_id)

    flood = asyncio.ensure_future(asyncio.gather(*(siege.tell(b, fork) for fork in forks)))
    await asyncio.gather(flood, talk())
    assert len(said) > 20
    assert len(await b.ends()) <= MAX_PARENTS
