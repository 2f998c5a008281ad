"""The order of somebody's rooms goes on from event to event, and is at any time what it would be if made anew."""

import asyncio
import random
from pathlib import Path

from appliance.rooms.room import Room
from appliance.rooms.snapshot import Transaction
from appliance.sync.sliding.order import Order, Orders
from tests.federation.house import ALICE, HERE, House, house

BOB = f"@bob:{HERE}"


def orders(home: House) -> Orders:
    """Orders that remember nothing yet."""
    graph, syncing = home.living.graph, home.living.syncing
    return Orders(graph.standings, syncing.activity, graph.store, home.living.people.invite_rules)


async def act(home: House, dice: random.Random, rooms: list[Room]) -> None:
    """Somebody does something in some room."""
    room, membership = dice.choice(rooms), home.living.acts.membership
    here = room.published.members.of(BOB)
    deed = dice.choice(["say"] * 6 + ["go", "come", "invite", "remove", "forget"])
    if deed == "say":
        transaction = Transaction(ALICE, "D", room.room_id, str(dice.random()))
        await home.living.acts.sending.send(ALICE, room.room_id, "m.room.message", {"body": "tea"}, transaction)
    elif deed == "go" and here in ("join", "invite"):
        await membership.leave(BOB, room.room_id)
    elif deed == "come" and here in ("leave", "invite"):
        await membership.join(BOB, room.room_id)
    elif deed == "invite" and here == "leave":
        await membership.invite(ALICE, room.room_id, BOB)
    elif deed == "remove" and here in ("join", "invite"):
        await membership.kick(ALICE, room.room_id, BOB)
    elif deed == "forget" and here == "leave" and room.nid in home.living.graph.standings.of(BOB).histories:
        await home.living.graph.standings.forget(BOB, room.nid)


async def walk(home: House, seed: int) -> None:
    """Ask after each deed, or after some."""
    dice = random.Random(seed)  # noqa: S311 - a walk
    await home.owning.accounts.create("bob", "wonderland")
    rooms = [await home.room() for _ in range(6)]
    kept, since, went_on = orders(home), 0, 0
    told = {room.nid: None for room in rooms}
    before: Order | None = None
    for _ in range(80):
        for _ in range(dice.choice((1, 1, 3))):
            await act(home, dice, rooms)
        upto = home.owning.database.position
        order, anew = kept.of(BOB, upto, since, told), orders(home).of(BOB, upto, since, told)
        assert (order.ranked, order.candidates, order.lasting) == (anew.ranked, anew.candidates, anew.lasting)
        went_on += order is before
        before = order
        if dice.random() < 0.5:
            since = upto
    assert went_on > 10


def test_an_order_that_goes_on(tmp_path: Path) -> None:
    """Whatever happens, also between two questions, and to rooms that are told once more."""

    async def live() -> None:
        async with house(tmp_path) as home:
            await walk(home, 3)

    asyncio.run(live())
