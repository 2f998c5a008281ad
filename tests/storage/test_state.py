"""States as deltas with whole ones now and then: what is read is what was stored, and neither costs much."""

import json
import random
from pathlib import Path

import pytest

from appliance.storage import events, memberships, state
from appliance.storage.database import Database, Tx
from appliance.storage.state_snapshots import pack, pick, unpack
from tests.storage.forest import ROOM, Counted, Forest, luck, member

pytestmark = pytest.mark.anyio


@pytest.fixture
def forest(database: Database) -> Forest:
    """No states yet."""
    return Forest(database)


async def stored(database: Database) -> list[tuple[int, int, int]]:
    """(group, chain, longest) of every group."""
    return [
        (group_nid, chain, longest)
        for group_nid, chain, longest in await database.fetch("SELECT group_nid, chain, longest FROM state_groups")
    ]


@pytest.mark.parametrize("seed", range(4))
async def test_every_state_is_read_as_it_was_stored(database: Database, forest: Forest, seed: int) -> None:
    rng = luck(seed)

    def grow(tx: Tx) -> None:
        trunk = forest.wander(tx, None, 250, rng.choice((5, 60, 400)), rng)
        for _ in range(4):
            forest.wander(tx, rng.randrange(1, trunk), 60, 300, rng)

    await database.write(grow)
    for number, held in forest.states.items():
        assert state.group(database, number) == held
    assert await database.reading(lambda reader: state.group(reader, 200)) == forest.states[200]


async def test_slots_are_looked_up_without_reading_the_state(database: Database, forest: Forest) -> None:
    rng = luck(5)

    def grow(tx: Tx) -> int:
        return forest.wander(tx, forest.crowd(tx, 2000), 300, 1000, rng)

    last = await database.write(grow)
    for number in (1, 2, 150, last):
        held = forest.states[number]
        slots = [member(one) for one in (0, 1, 2, 500, 999, 1500)] + [("m.room.topic", ""), member(99_999)]
        counted = Counted(database)
        assert state.lookup(counted, number, slots) == {slot: held[slot] for slot in slots if slot in held}
        assert counted.rows < 40
        assert state.slot_in_group(database, number, slots[3]) == held.get(slots[3])
    many = [member(one) for one in range(1000)]
    assert state.lookup(database, last, many) == {
        slot: nid for slot, nid in forest.states[last].items() if slot in many
    }
    assert state.lookup(database, last, ()) == {}


async def test_no_state_is_far_from_a_whole_one(database: Database, forest: Forest) -> None:
    rng = luck(6)
    await database.write(lambda tx: forest.wander(tx, None, 3000, 2500, rng))
    wholes = 0
    for _, chain, longest in await stored(database):
        assert 0 <= chain <= longest <= max(64, 2500 // 32)
        wholes += chain == 0
    ((size,),) = database.read("SELECT SUM(LENGTH(state)) FROM state_snapshots")
    ((entries,),) = database.read("SELECT COUNT(*) FROM state_group_entries")
    # Thirty-two slots of eight bytes for each change, a byte for each whole one.
    assert size <= entries * 32 * 8 + wholes
    assert wholes <= entries / 64


async def test_reading_a_state_costs_what_is_in_it_and_not_its_past(database: Database, forest: Forest) -> None:
    rng = luck(7)

    def grow(tx: Tx) -> int:
        return forest.wander(tx, forest.crowd(tx, 100), 3000, 100, rng)

    last = await database.write(grow)
    counted = Counted(database)
    assert len(state.numbered_group(counted, last)) <= 100
    assert counted.rows <= 64 + 1
    assert counted.bytes <= 1 + 100 * 8


async def test_a_large_first_state_is_stored_whole_at_once(database: Database, forest: Forest) -> None:
    number = await database.write(lambda tx: forest.crowd(tx, 500))
    assert await stored(database) == [(number, 0, 64)]
    counted = Counted(database)
    state.numbered_group(counted, number)
    assert counted.rows == 1


async def test_states_of_the_first_schema_are_read(database: Database, forest: Forest) -> None:
    """There a whole state had rows and no base, and nothing was stored as bytes."""

    def grow(tx: Tx) -> None:
        first = forest.crowd(tx, 20)
        forest.grow(tx, first, {member(3): 9, member(4): None})
        tx.execute("UPDATE state_groups SET chain = 0 WHERE group_nid = ?", (first,))

    await database.write(grow)
    assert state.group(database, 1) == forest.states[1]
    assert state.group(database, 2) == forest.states[2]
    assert state.lookup(database, 2, [member(3), member(4), member(5)]) == {
        member(3): 9,
        member(5): forest.states[1][member(5)],
    }


async def test_a_base_must_be_there_and_older(database: Database) -> None:
    await database.write(lambda tx: state.insert_changed(tx, 5, ROOM, None, {("a", ""): (None, 1)}))
    for number, base in ((7, 6), (4, 5), (5, 5)):
        with pytest.raises(ValueError, match="cannot be built"):
            await database.write(
                lambda tx, number=number, base=base: state.insert_changed(tx, number, ROOM, base, {})  # type: ignore[misc]
            )


async def test_names_of_slots_that_were_forgotten_are_read_again(
    database: Database, forest: Forest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "NAMES_KEPT", 30)
    await database.write(lambda tx: forest.wander(tx, None, 60, 100, luck(8)))
    for _ in range(2):
        for number, held in forest.states.items():
            assert state.group(database, number) == held
            assert await database.reading(lambda reader, number=number: state.group(reader, number)) == held  # type: ignore[misc]


async def test_names_of_slots_are_read_once_and_many_at_a_time(database: Database, forest: Forest) -> None:
    def grow(tx: Tx) -> int:
        last = forest.wander(tx, forest.crowd(tx, 1000), 10, 1000, luck(9))
        for slot in odd:
            numbers[state.slot_nid(tx, slot)] = slot
        tx.execute("INSERT INTO slots (slot_nid, type, state_key) VALUES (9000, 'm.of.another.room', '')")
        return last

    odd = [('m."quoted"', ""), ("m.x", 'a\0b"\\\n'), ("m.\u00fc", "\U0001f408\u2028"), ("", "")]
    numbers: dict[int, tuple[str, str]] = {}
    last = await database.write(grow)
    counted = Counted(database)
    held = state.numbered_group(database, last)
    assert {slot for number, slot in state.slots_of(counted, held).items() if number in held} == {*forest.states[last]}
    names = state.slots_of(Counted(database), {**held, **dict.fromkeys(numbers, 1)})
    assert {number: names[number] for number in numbers} == numbers
    assert counted.queries == 1  # most slots of the range are those of the room
    assert state.slots_of(counted, {**held, 9000: 1})[9000] == ("m.of.another.room", "")
    assert counted.queries > 2
    assert await database.reading(lambda reader: state.group(reader, last)) == forest.states[last]
    counted.file, counted.queries = database.file, 0  # type: ignore[attr-defined]
    state.slots_of(counted, held)
    assert not counted.queries


@pytest.mark.parametrize("share", [1, 2, 9])
async def test_the_present_state_is_what_the_rows_say(database: Database, share: int) -> None:
    """However the slots of two rooms lie among each other; and whoever has read it knows the names of its slots."""
    rng = luck(share)

    def grow(tx: Tx) -> None:
        for number in range(1200):
            room = 1 if rng.randrange(share) == 0 else 2
            changes: state.Changes = {member(number): (None, number), ("m.room.topic", ""): (None, number)}
            state.change_current(tx, room, tx.position(), changes)

    await database.write(grow)
    for room in (1, 2):
        rows = database.read(
            "SELECT s.type, s.state_key, c.event_nid FROM current_state c JOIN slots s USING (slot_nid)"
            " WHERE c.room_nid = ?",
            (room,),
        )
        expected = {(event_type, key): nid for event_type, key, nid in rows}
        assert await database.reading(lambda reader, room=room: state.current(reader, room)) == expected  # type: ignore[misc]
        assert await database.write(lambda tx, room=room: state.current(tx, room)) == expected  # type: ignore[misc]
        counted = Counted(database)
        counted.file = database.file  # type: ignore[attr-defined]
        state.current(counted, room)
        assert counted.queries == 1


def test_numbers_of_any_size_are_packed() -> None:
    for held in ({}, {1: 2}, {7: 1, 3: 2**32 - 1}, {7: 2**32, 3: 4}, {2**40: 1, 5: 2**62}):
        packed = pack(held)
        assert unpack(packed) == held
        assert pick(packed, [*held, 6]) == held
        assert pick(packed, [6]) == {}
    assert len(pack({7: 1, 3: 2**32 - 1})) == 17


# What nothing refers to -------------------------------------------------------------------------------------------


async def test_states_that_nothing_refers_to_are_dropped_from_the_top(database: Database, forest: Forest) -> None:
    def grow(tx: Tx) -> None:
        first = forest.grow(tx, None, {member(0): 1})
        kept = forest.grow(tx, first, {member(1): 2})
        top = forest.wander(tx, kept, 3, 10, luck(9))
        forest.grow(tx, kept, {member(2): 3})
        state.set_event_groups(tx, 100, first, kept)
        assert top == 5

    await database.write(grow)
    upto = state.highest_group(database)
    assert upto == 6
    gone = [await database.write(lambda tx: state.drop_loose(tx, upto)) for _ in range(5)]
    assert gone[4] == 0
    assert 0 not in gone[:4]
    assert [number for number, _, _ in await stored(database)] == [1, 2]
    assert database.read("SELECT DISTINCT group_nid FROM state_group_entries ORDER BY 1") == [(1,), (2,)]
    assert state.group(database, 2) == forest.states[2]


async def test_states_that_are_too_young_are_left(database: Database, forest: Forest) -> None:
    await database.write(lambda tx: forest.wander(tx, None, 3, 10, luck(9)))
    assert await database.write(lambda tx: state.drop_loose(tx, 2)) == 0
    assert await database.write(lambda tx: state.drop_loose(tx, 3)) > 0


async def test_the_present_state_of_a_room_with_several_ends_is_left(database: Database, forest: Forest) -> None:
    await database.write(lambda tx: forest.grow(tx, None, {member(0): 1}))
    await database.write(
        lambda tx: tx.execute(
            "INSERT INTO rooms (room_nid, room_id, version, creator, created_ts, state_group_nid)"
            " VALUES (?, '!r', '12', '@a:x', 0, 1)",
            (ROOM,),
        )
    )
    assert await database.write(lambda tx: state.drop_loose(tx, 9)) == 0
    await database.write(lambda tx: tx.execute("UPDATE rooms SET state_group_nid = NULL"))
    assert await database.write(lambda tx: state.drop_loose(tx, 9)) == 2


async def test_a_state_that_came_into_use_is_left(database: Database, forest: Forest) -> None:
    await database.write(lambda tx: forest.grow(tx, None, {member(0): 1}))
    await database.write(lambda tx: state.set_event_groups(tx, 7, 1, 1))
    assert await database.write(lambda tx: state.drop_loose(tx, 9)) == 0


# How much a room takes --------------------------------------------------------------------------------------------


def change(tx: Tx, number: int, members: int, held: dict[int, int], rng: random.Random) -> int:
    """One member comes in or changes their name, as a room stores it; returns the length of the event."""
    one = number if number < members else rng.randrange(members)
    slot = member(one)
    user, nid, previous = slot[1], number + 1, held.get(one)

    def noise(size: int) -> str:
        return rng.randbytes(size).hex()[:size]

    pdu = {
        "auth_events": [f"${noise(43)}" for _ in range(4)],
        "content": {"avatar_url": f"mxc://example.org/{noise(24)}", "displayname": noise(16), "membership": "join"},
        "depth": nid,
        "hashes": {"sha256": noise(43)},
        "origin_server_ts": 1763900000000 + number,
        "prev_events": [f"${noise(43)}"],
        "sender": user,
        "signatures": {"server.example": {"ed25519:a_abcd": noise(86)}},
        "state_key": user,
        "type": "m.room.member",
    }
    json_ = json.dumps(pdu, separators=(",", ":")).encode()
    auth = {1, 2, 3} | ({previous} if previous else set())
    event = events.NewEvent(
        nid=nid,
        event_id=f"${noise(43)}",
        room_nid=ROOM,
        type=slot[0],
        state_key=user,
        sender=user,
        ordering=nid,
        json=json_,
        parents=(number,) if number else (),
        auth=tuple(auth),
        replaces_nid=previous,
    )
    position = tx.position()
    events.insert(tx, event, position)
    state.insert_changed(tx, nid, ROOM, number or None, {slot: (previous, nid)})
    state.set_event_groups(tx, nid, number, nid)
    state.change_current(tx, ROOM, position, {slot: (previous, nid)})
    memberships.put(tx, ROOM, user, "join", "join" if previous else None, nid, user, position)
    held[one] = nid
    return len(json_)


async def test_many_slots_get_the_numbers_that_each_alone_would(database: Database) -> None:
    slots = [member(one) for one in range(900)] + [(kind, "") for kind in ("m.room.create", "m.room.topic")]

    def some(tx: Tx) -> dict[state.Slot, int]:
        given = {slot: state.slot_nid(tx, slot) for slot in slots[100:700:3]}
        tx.execute("INSERT INTO unused_slots SELECT slot_nid FROM slots WHERE slot_nid % 2")
        return given

    given = await database.write(some)
    found = await database.write(lambda tx: state.slot_nids(tx, slots))
    assert sorted(found) == sorted(slots)
    assert len(set(found.values())) == len(slots)
    assert {slot: found[slot] for slot in given} == given
    assert await database.write(lambda tx: {slot: state.slot_nid(tx, slot) for slot in slots}) == found
    assert database.read("SELECT count(*) FROM unused_slots") == [(0,)], "they are in use again"


@pytest.mark.parametrize("members", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_a_room_takes_less_than_3_kb_for_each_change_of_state(
    database: Database, tmp_path: Path, members: int
) -> None:
    """So that 10,000 members and 20,000 changes stay under 60 MB, events and all."""
    rng = luck(10)
    held: dict[int, int] = {}
    lengths = []
    for start in range(0, 2 * members, 500):
        lengths += await database.write(
            lambda tx, start=start: [change(tx, number, members, held, rng) for number in range(start, start + 500)]  # type: ignore[misc]
        )
    assert sum(lengths) / len(lengths) > 650
    ((pages,),) = database.read("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
    assert pages < 3000 * 2 * members
    assert state.group(database, 2 * members) == {member(one): nid for one, nid in held.items()}
    assert state.groups_of(database, members) == (members - 1, members)
