"""What a server refuses for what is in it, and what there is little room for: the rest arrives all the same."""

import asyncio
from pathlib import Path
from typing import Any

import orjson

from appliance.federation.encryption_queues import ListUpdates
from tests.federation.house import ELSEWHERE
from tests.federation.outbox_stage import Stage, play
from tests.support.waiting import until


def test_what_a_server_cannot_take_keeps_nothing_else_from_it(tmp_path: Path) -> None:
    """A transaction that is refused for what is in it is sent in parts; what is refused alone is given up, where the
    server takes a transaction that holds nothing."""

    async def story(stage: Stage) -> None:
        peers, room = stage.peers, await stage.room(ELSEWHERE)
        bad = {"msg 3", "msg 17"}

        def spits_out(transaction: dict[str, Any]) -> bool:
            said = {pdu["content"].get("body") for pdu in transaction["pdus"]}
            return not bad.isdisjoint(said) or len(said) > 12

        async def say(numbers: range) -> None:
            peers.held[ELSEWHERE] = asyncio.Event()
            for number in numbers:
                await stage.say(room, f"msg {number}")
            peers.held.pop(ELSEWHERE).set()

        peers.spits_out = spits_out
        await say(range(60))
        await until(lambda: "msg 59" in peers.texts())
        assert peers.texts() == [f"msg {number}" for number in range(60) if f"msg {number}" not in bad]
        assert stage.behind == []
        assert peers.tries < 60
        # Whole again, as far as that goes.
        peers.spits_out = lambda transaction: False
        before = len(peers.transactions[ELSEWHERE])
        await say(range(60, 120))
        await until(lambda: "msg 119" in peers.texts())
        assert len(peers.transactions[ELSEWHERE]) < before + 8

    play(tmp_path, story)


def test_a_server_that_takes_nothing_at_all_loses_nothing(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        peers, room = stage.peers, await stage.room(ELSEWHERE)
        peers.spits_out = lambda transaction: True
        for number in range(3):
            await stage.say(room, f"msg {number}")
        await until(lambda: stage.behind == [ELSEWHERE])
        peers.spits_out = lambda transaction: False
        stage.later(10)
        await until(lambda: stage.behind == [])
        assert peers.texts() == ["msg 0", "msg 1", "msg 2"]

    play(tmp_path, story)


class Lists:
    """Three devices of everybody, of which nothing changes."""

    def updates_of(self, user_id: str, limit: int = 100) -> list[str]:
        return [f"{user_id} {number}" for number in range(3)][:limit]

    def updates(self, *_: int) -> list[str]:
        return []

    def edu(self, update: str) -> tuple[str, dict[str, Any]]:
        return "m.device_list_update", {"device_id": update}


def test_whoever_is_new_to_a_server_is_told_of_with_all_their_devices(tmp_path: Path) -> None:
    """Also where a transaction has little room left for them, or none."""

    async def story(stage: Stage) -> None:
        lists: Any = Lists()
        updates = ListUpdates(stage.house.owning.database, lists, lambda user_id: True, lambda user_id: (ELSEWHERE,))
        updates.met("@a:x", (ELSEWHERE,))
        updates.met("@b:x", (ELSEWHERE,))
        for limit in (0, 2):
            assert updates.take(ELSEWHERE, limit)[0] == []
        for user_id in ("@a:x", "@b:x"):
            found, mark = updates.take(ELSEWHERE, 4)
            assert [orjson.loads(edu)["content"]["device_id"] for edu in found] == lists.updates_of(user_id)
            updates.arrived(ELSEWHERE, mark)
        assert updates.take(ELSEWHERE, 4)[0] == []

    play(tmp_path, story, start=False)
