"""What is no event: typing, receipts and presence, to other servers and from them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.federation.edus import EduInbox
from appliance.federation.signs import MOST, Signs
from appliance.federation.spreading import Spreading
from appliance.rooms.room import Room
from appliance.rooms.signs import receipts
from tests.federation.house import ALICE, ELSEWHERE, MALLORY
from tests.federation.outbox_stage import THIRD, Stage, play
from tests.support.waiting import until

BOB, OTHER = "@bob:here.example", f"@other:{ELSEWHERE}"


class Access:
    """Keeps out whom a test wants to be kept out."""

    def __init__(self) -> None:
        self.denied: set[str] = set()

    def is_allowed(self, room: Room, server: str) -> bool:
        return server not in self.denied


class Signal:
    """What a stage needs for signs."""

    def __init__(self, stage: Stage) -> None:
        living, self.access, self.now = stage.house.living, Access(), 1000.0
        self.stage, self.living = stage, living
        self.inbox = EduInbox(
            living.graph.rooms, self.access, living.signs.typing, living.signs.receipts, living.signs.presence
        )
        neighbours = living.neighbours
        self.due: list[Callable[[], None]] = []
        self.spreading = Spreading(
            *(
                stage.outbox,
                living.graph.rooms,
                living.identity,
                self.access,
                living.signs.presence,
                neighbours.of_user,
            ),
            lambda: self.now,
            lambda seconds, call: self.due.append(call),
        )
        neighbours.met.append(self.spreading.met)
        neighbours.came.append(self.spreading.came)
        living.signs.typing.said.append(self.spreading.typing)
        living.signs.receipts.changed.append(self.spreading.receipt)

    async def take(self, kind: str, content: Any, origin: str = ELSEWHERE) -> None:
        await self.inbox.receive(origin, [{"edu_type": kind, "content": content}])

    def sent(self, server: str = ELSEWHERE) -> list[tuple[str, Any]]:
        edus = [edu for one in self.stage.peers.transactions.get(server, ()) for edu in one.get("edus", ())]
        return [(edu["edu_type"], edu["content"]) for edu in edus]

    def receipts(self, room: Room) -> list[tuple[Any, ...]]:
        return self.stage.house.owning.database.read(
            "SELECT user_id, type, thread_id, event_id, data FROM receipts WHERE room_id = ? ORDER BY position",
            (room.room_id,),
        )


def test_typing_goes_out_now_and_then(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        signal, room = Signal(stage), await stage.room(ELSEWHERE, THIRD)
        signal.access.denied.add(THIRD)
        typing = stage.house.living.signs.typing
        content = {"room_id": room.room_id, "user_id": ALICE}
        await typing.say(ALICE, room.room_id, 20_000)
        await until(lambda: signal.sent() == [("m.typing", {**content, "typing": True})])
        signal.now += 10
        await typing.say(ALICE, room.room_id, 20_000)
        signal.now += 11
        await typing.say(ALICE, room.room_id, 20_000)
        await until(lambda: len(signal.sent()) == 2)
        await stage.say(room, "said")  # which ends it
        await until(lambda: len(signal.sent()) == 3)
        assert [content["typing"] for _, content in signal.sent()] == [True, True, False]
        assert signal.sent(THIRD) == []

    play(tmp_path, story)


def test_typing_comes_in_from_those_who_are_in_the_room(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        signal, room = Signal(stage), await stage.room(ELSEWHERE)
        typing = stage.house.living.signs.typing
        good = {"room_id": room.room_id, "user_id": MALLORY, "typing": True}
        for bad in (
            {**good, "user_id": ALICE},
            {**good, "user_id": f"@other:{ELSEWHERE}"},
            {**good, "user_id": 7},
            {**good, "room_id": "!other:here.example"},
            {**good, "room_id": None},
            {**good, "typing": "yes"},
            [],
            None,
        ):
            await signal.take("m.typing", bad)
        await signal.take("m.typing", good, THIRD)
        signal.access.denied.add(ELSEWHERE)
        await signal.take("m.typing", good)
        assert typing.now() == {}
        signal.access.denied.clear()
        await signal.take("m.typing", good)
        assert typing.now() == {room.room_id: [MALLORY]}
        await signal.take("m.typing", {**good, "typing": False})
        assert typing.now() == {}
        assert signal.sent() == []  # nothing of it is sent back

    play(tmp_path, story)


def test_public_receipts_go_out_and_no_others(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        signal, room = Signal(stage), await stage.room(ELSEWHERE)
        receipts = stage.house.living.signs.receipts
        await stage.say(room, "one")
        event = stage.house.events_of(ALICE)[-1]
        await receipts.read(ALICE, room.room_id, "m.read.private", event.event_id)
        await receipts.mark(ALICE, room.room_id, event.event_id)
        await receipts.read(ALICE, room.room_id, "m.read", event.event_id, "main")
        await receipts.read(ALICE, room.room_id, "m.read", event.event_id)
        await until(lambda: len(signal.sent()) == 2)
        for kind, content in signal.sent():
            assert kind == "m.receipt"
            (receipt,) = content[room.room_id]["m.read"].values()
            assert list(content[room.room_id]["m.read"]) == [ALICE]
            assert receipt["event_ids"] == [event.event_id]
            assert set(receipt["data"]) - {"thread_id"} == {"ts"}
        threads = {
            next(iter(content[room.room_id]["m.read"].values()))["data"].get("thread_id")
            for _, content in signal.sent()
        }
        assert threads == {"main", None}

    play(tmp_path, story)


def test_receipts_come_in_from_those_who_are_in_the_room(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        signal, room = Signal(stage), await stage.room(ELSEWHERE)
        await stage.say(room, "one")
        event_id = stage.house.events_of(ALICE)[-1].event_id

        def content(user_id: str = MALLORY, kind: str = "m.read", **more: Any) -> dict[str, Any]:
            receipt = {"event_ids": [event_id], "data": {"ts": 5, "other": 1}, **more}
            return {room.room_id: {kind: {user_id: receipt}}}

        for bad in (
            content(ALICE),
            content(f"@other:{ELSEWHERE}"),
            content(kind="m.read.private"),
            content(kind="m.fully_read"),
            content(event_ids=[]),
            content(event_ids=["x" * 300]),
            content(event_ids=7),
            content(data=None),
            content(data={"ts": 5, "thread_id": 5}),
            {room.room_id: []},
            {"!other:x": {"m.read": {MALLORY: {}}}},
        ):
            await signal.take("m.receipt", bad)
        signal.access.denied.add(ELSEWHERE)
        await signal.take("m.receipt", content())
        assert signal.receipts(room) == []
        signal.access.denied.clear()
        await signal.take("m.receipt", {**content(), "!unknown:x": {"m.read": {MALLORY: {}}}})
        await signal.take("m.receipt", content(data={"ts": -1, "thread_id": "main"}))
        assert signal.receipts(room) == [
            (MALLORY, "m.read", "", event_id, '{"ts":5}'),
            (MALLORY, "m.read", "main", event_id, '{"thread_id":"main"}'),
        ]
        assert signal.sent() == []

    play(tmp_path, story)


def test_another_server_cannot_make_up_threads_without_end(tmp_path: Path) -> None:
    """Of each of its users so many receipts of threads are kept in a room, the last ones, and the one without."""

    async def story(stage: Stage) -> None:
        signal, room = Signal(stage), await stage.room(ELSEWHERE)
        await stage.say(room, "one")
        event_id = stage.house.events_of(ALICE)[-1].event_id
        for number in range(-1, 7):
            data = {"thread_id": f"$thread{number}"} if number >= 0 else {}
            receipt = {"event_ids": [event_id], "data": data}
            await signal.take("m.receipt", {room.room_id: {"m.read": {MALLORY: receipt}}})
        assert [row[2] for row in signal.receipts(room)] == ["", "$thread4", "$thread5", "$thread6"]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(receipts, "MOST_THREADS", 3)
        play(tmp_path, story)


def test_presence_goes_to_servers_that_share_a_room(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        signal = Signal(stage)
        await stage.room(ELSEWHERE)
        stage.house.living.signs.presence.put(ALICE, "D", "unavailable", "away")
        signal.spreading.presence([ALICE, BOB])
        await until(lambda: signal.sent())
        ((kind, content),) = signal.sent()
        assert kind == "m.presence"
        (push,) = content["push"]
        assert (push["user_id"], push["presence"], push["status_msg"]) == (ALICE, "unavailable", "away")
        assert isinstance(push["last_active_ago"], int)
        await signal.take("m.presence", {"push": [{"user_id": MALLORY, "presence": "online", "last_active_ago": 1}]})
        assert stage.house.living.signs.presence.content(MALLORY)["presence"] == "online"

    play(tmp_path, story)


def test_a_server_that_comes_into_a_room_learns_who_is_there(tmp_path: Path) -> None:
    """Once it can have taken the room in, and once more for a large one; of those alone who are there, and that alone
    which is new in the room."""

    async def story(stage: Stage) -> None:
        signal, presence = Signal(stage), stage.house.living.signs.presence
        presence.put(ALICE, "D", "online", None)
        await stage.room(ELSEWHERE)
        early, late = signal.due
        early()
        await until(lambda: len(signal.sent()) == 1)
        room = await stage.room(THIRD)
        assert len(signal.due) == 4  # two for each server
        again = await stage.room(ELSEWHERE)
        assert again.nid != room.nid
        assert len(signal.due) == 4
        late()
        await until(lambda: len(signal.sent()) == 2)
        for kind, content in signal.sent():
            assert kind == "m.presence"
            assert [(push["user_id"], push["presence"]) for push in content["push"]] == [(ALICE, "online")]
        presence.put(ALICE, "D", "offline", None)
        signal.due[2]()
        assert not stage.outbox.to(THIRD).signs  # type: ignore[union-attr]
        presence.put(ALICE, "D", "online", None)
        signal.due[3]()
        await until(lambda: len(signal.sent(THIRD)) == 1)
        other = stage.house.remote.event(again, "m.room.member", {"membership": "join"}, OTHER, sender=OTHER)
        await stage.house.accepting.accept(again.room_id, other.pdu)
        assert len(signal.due) == 4  # one more of a server that is there already

    play(tmp_path, story)


def test_a_bad_edu_keeps_no_other_from_coming_in(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        signal, taken = Signal(stage), []

        async def take(origin: str, content: Any) -> None:
            if content.get("bad"):
                raise RuntimeError("a mistake")
            taken.append((origin, content))

        signal.inbox.takers["m.test"] = take
        edu = {"edu_type": "m.test", "content": {}}
        bad: list[Any] = [7, {}, {"edu_type": 5}, {"edu_type": "m.unknown", "content": {}}, {"edu_type": "m.test"}]
        await signal.inbox.receive(ELSEWHERE, [*bad, {"edu_type": "m.test", "content": {"bad": True}}, edu])
        assert taken == [(ELSEWHERE, {})]
        await signal.inbox.receive(ELSEWHERE, [edu] * 200)
        assert len(taken) == 101

    play(tmp_path, story)


def test_signs_are_bounded_and_of_each_the_last_counts() -> None:
    signs = Signs()
    for number in range(2 * MOST):
        signs.typing(f"!{number}", ALICE, True)
        signs.typing(f"!{number}", ALICE, False)
        signs.receipt(f"!{number}", ALICE, "", f"${number}", {"ts": number})
        signs.presence(f"@{number}:x", {"presence": "online"})
    taken = []
    while signs:
        some = signs.take(100)
        assert 0 < len(some) <= 100
        taken += some
    assert len(taken) == MOST + 2
    assert sum(b'"typing":false' in edu for edu in taken) == MOST


@pytest.mark.parametrize("down", [True, False])
def test_signs_for_a_server_that_is_behind_are_dropped(tmp_path: Path, down: bool) -> None:
    async def story(stage: Stage) -> None:
        signal, room = Signal(stage), await stage.room(ELSEWHERE)
        if down:
            stage.peers.down.add(ELSEWHERE)
        await stage.say(room, "one")
        await until(lambda: bool(stage.behind) == down and not stage.outbox._destinations[ELSEWHERE]._task)
        await stage.house.living.signs.typing.say(ALICE, room.room_id, 20_000)
        stage.peers.down.clear()
        stage.standing.contacted(ELSEWHERE)
        await until(lambda: stage.peers.texts() == ["one"] and not stage.behind)
        await asyncio.sleep(0.02)
        assert [kind for kind, _ in signal.sent()] == ([] if down else ["m.typing"])

    play(tmp_path, story)
