"""What is sent to other servers: to whom, in which order, and what becomes of it when they do not answer."""

import asyncio
from pathlib import Path

import pytest

from appliance.federation import outbox
from appliance.federation.failures import Unreachable
from appliance.storage import destinations as rows
from tests.federation.house import ALICE, ELSEWHERE, MALLORY, Remote, house
from tests.federation.outbox_stage import INVITED, INVITED_TO, THIRD, Peers, Stage, play, watched
from tests.support.waiting import until


def test_events_go_to_the_servers_in_the_room_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MARK_SECONDS", 3600.0)

    async def story(stage: Stage) -> None:
        room, alone = await stage.room(ELSEWHERE, THIRD), await stage.room()
        await stage.say(alone, "to nobody")
        await asyncio.gather(*(stage.say(room, f"{number}") for number in range(120)))
        peers = stage.peers
        await until(lambda: len(peers.texts()) == len(peers.texts(THIRD)) == 120)
        sent = [stage.house.events_of(ALICE)]
        order = [
            event.content["body"] for event in sent[0] if event.room_id == room.room_id and "body" in event.content
        ]
        assert peers.texts() == peers.texts(THIRD) == order
        assert len(set(peers.ids)) == len(peers.ids) < 60
        assert not stage.behind
        written = await watched(stage, monkeypatch, lambda: stage.say(room, "one more"))
        await until(lambda: peers.texts()[-1] == peers.texts(THIRD)[-1] == "one more")
        assert len(written) == 1, written  # the message itself

    play(tmp_path, story)


def test_nobody_hears_of_us_before_we_can_be_reached(tmp_path: Path) -> None:
    """Else they call, nobody answers, and they leave us alone for a while."""

    async def story(stage: Stage) -> None:
        await stage.reaching.start()
        room = await stage.room(ELSEWHERE)
        for text in ("one", "two"):
            await stage.say(room, text)
        for _ in range(20):
            await asyncio.sleep(0)
        stage.outbox.wake(ELSEWHERE)
        await stage.house.owning.database.write(lambda tx: None)
        assert not stage.peers.ids
        stage.reaching.release()
        await until(lambda: stage.peers.texts() == ["one", "two"])

    play(tmp_path, story, start=False)


def test_who_is_removed_hears_of_it_and_nothing_after_it(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        room = await stage.room(ELSEWHERE, THIRD)
        await stage.say(room, "before")
        await stage.house.living.acts.membership.kick(ALICE, room.room_id, MALLORY, None)
        await stage.say(room, "after")
        await until(lambda: stage.peers.texts(THIRD) == ["before", "after"])
        await until(lambda: len(stage.peers.transactions[ELSEWHERE]) >= 1)
        told = [pdu for one in stage.peers.transactions[ELSEWHERE] for pdu in one["pdus"]]
        assert [pdu["content"] for pdu in told] == [{"body": "before"}, {"membership": "leave"}]

    play(tmp_path, story)


def test_what_others_made_is_not_sent_but_passed_on_where_that_is_asked_for(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        room = await stage.room(ELSEWHERE, THIRD)
        remote = Remote("fourth.example")
        stage.ring(remote)
        user = "@new:fourth.example"
        join = remote.event(room, "m.room.member", {"membership": "join"}, user, sender=user)
        with stage.outbox.relaying(join.event_id, "fourth.example"):
            await stage.house.accepting.accept(room.room_id, join.pdu)
        await until(lambda: set(stage.peers.transactions) == {ELSEWHERE, THIRD})
        for server in (ELSEWHERE, THIRD):
            (transaction,) = stage.peers.transactions[server]
            assert [pdu["sender"] for pdu in transaction["pdus"]] == [user]

    play(tmp_path, story)


def test_a_server_that_is_away_for_a_thousand_events_is_told_the_newest_of_each_room(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        peers = stage.peers
        rooms = [await stage.room(ELSEWHERE, THIRD) for _ in range(3)]
        peers.down.add(ELSEWHERE)
        for number in range(1000):
            await stage.say(rooms[number % 3], f"{number}")
        await until(lambda: len(peers.texts(THIRD)) == 1000)
        assert stage.behind == [ELSEWHERE]
        assert peers.tries < 1200
        await stage.outbox._mark()
        assert len(stage.noted()) == 3
        database = stage.house.owning.database
        assert rows.mark(database) == database.position  # a dead server pins nothing
        row = stage.standing.row(ELSEWHERE)
        assert (row.failures, row.last_error, row.failing_since_ts) == (1, "Nothing answers.", stage.now)
        peers.down.clear()
        stage.later(3)
        assert peers.texts() == []
        stage.later(3)
        await until(lambda: not stage.behind)
        assert sorted(peers.texts()) == ["997", "998", "999"]
        assert stage.noted() == {}
        await stage.say(rooms[0], "again")
        await until(lambda: peers.texts()[-1] == "again")

    play(tmp_path, story)


def test_a_server_that_is_away_for_a_moment_misses_nothing(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        peers, room = stage.peers, await stage.room(ELSEWHERE)
        peers.down.add(ELSEWHERE)
        for number in range(10):
            await stage.say(room, f"{number}")
        await until(lambda: stage.behind)
        peers.down.clear()
        stage.standing.contacted(ELSEWHERE)
        await until(lambda: not stage.behind)
        assert peers.texts() == [f"{number}" for number in range(10)]

    play(tmp_path, story)


def test_waits_grow_and_a_contact_ends_them(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        peers, room = stage.peers, await stage.room(ELSEWHERE)
        peers.down.add(ELSEWHERE)
        await stage.say(room, "lost")
        waits = []
        for tries in range(1, 13):
            await until(lambda tries=tries: stage.standing.row(ELSEWHERE).failures == tries)
            await until(lambda: stage.outbox._destinations[ELSEWHERE]._task is None)
            waits.append(stage.standing.wait_ms(ELSEWHERE) // 1000)
            with pytest.raises(Unreachable, match="left alone"):
                stage.standing.before(ELSEWHERE)
            stage.later(waits[-1] - 1)
            assert peers.tries == tries
            stage.later(1)
        assert waits == [5, 20, 60, 180, 600, 1800, 3600, 7200, 14400, 28800, 43200, 43200]
        await until(lambda: peers.tries == 13)
        await until(lambda: stage.outbox._destinations[ELSEWHERE]._task is None)
        stage.standing.contacted(ELSEWHERE)  # it can call, but not be called
        await until(lambda: peers.tries == 14)
        await until(lambda: stage.outbox._destinations[ELSEWHERE]._task is None)
        peers.down.clear()
        stage.standing.contacted(ELSEWHERE)
        assert peers.tries == 14
        stage.now += 60_000
        stage.standing.contacted(ELSEWHERE)
        await until(lambda: peers.texts() == ["lost"])

    play(tmp_path, story)


def test_a_server_is_left_alone_for_as_long_as_it_asks(tmp_path: Path) -> None:
    """``Retry-After``: longer than it would be, if it wants that, but not for ever, and never shorter."""

    async def story(stage: Stage) -> None:
        standing = stage.standing
        for name, rest, left in (("a.test", 90_000, 90), ("b.test", 1, 5), ("c.test", 10**12, 3600)):
            standing.after(name, "It answered 429: Wait.", rest)
            assert standing.wait_ms(name) == left * 1000

    play(tmp_path, story)


def test_a_server_that_refuses_is_tried_again_too(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        peers, room = stage.peers, await stage.room(ELSEWHERE)
        peers.refusing.add(ELSEWHERE)
        await stage.say(room, "no")
        await until(lambda: stage.behind)
        assert stage.standing.row(ELSEWHERE).last_error == "It refused what was sent: 403 No."
        peers.refusing.clear()
        stage.later(6)
        await until(lambda: peers.texts() == ["no"])

    play(tmp_path, story)


def test_what_was_not_sent_before_a_kill_is_sent_after_it_and_only_to_whom_it_was_for(tmp_path: Path) -> None:
    peers = Peers()

    async def before(stage: Stage) -> None:
        room = await stage.room(ELSEWHERE, THIRD)
        await stage.outbox._mark()
        peers.held = {server: asyncio.Event() for server in (ELSEWHERE, THIRD, INVITED_TO)}
        await stage.say(room, "to both")
        sending = stage.house.living.acts.sending
        await sending.set_state(ALICE, room.room_id, "m.room.power_levels", "", {"invite": 0})
        invite = stage.house.remote.event(room, "m.room.member", {"membership": "invite"}, INVITED)
        await stage.house.accepting.accept(room.room_id, invite.pdu)
        for user in (MALLORY, INVITED):
            await stage.house.living.acts.membership.kick(ALICE, room.room_id, user, None)
        await stage.say(room, "to one")
        for destination in stage.outbox._destinations.values():
            await destination.stop()  # killed: nothing arrives, and the mark does not move
        stage.outbox._running = False
        await stage.house.owning.database.close()

    async def killed() -> None:
        async with house(tmp_path) as found:
            stage = Stage(found, peers)
            await stage.reaching.start()
            stage.reaching.release()
            await before(stage)

    asyncio.run(killed())
    peers.held = {}

    async def after(stage: Stage) -> None:
        await until(lambda: len(peers.texts(THIRD)) == 2)
        assert peers.texts(THIRD) == ["to both", "to one"]
        await until(lambda: peers.texts() == ["to both"])
        kick = peers.transactions[ELSEWHERE][-1]["pdus"][-1]
        assert kick["content"] == {"membership": "leave"}
        # Whoever was invited only is told alone that this is over.
        await until(lambda: INVITED_TO in peers.transactions)
        (told,) = peers.transactions[INVITED_TO]
        assert [(one["state_key"], one["content"]) for one in told["pdus"]] == [(INVITED, {"membership": "leave"})]

    play(tmp_path, after, peers)
    told = len(peers.ids)

    async def again(stage: Stage) -> None:
        await asyncio.sleep(0.05)
        assert len(peers.ids) == told  # an ordinary stop moves the mark

    play(tmp_path, again, peers)


def test_what_a_dead_server_lacks_survives_a_restart(tmp_path: Path) -> None:
    peers = Peers()
    peers.down.add(ELSEWHERE)

    async def before(stage: Stage) -> None:
        room = await stage.room(ELSEWHERE)
        for number in range(200):
            await stage.say(room, f"{number}")
        await until(lambda: stage.behind)

    play(tmp_path, before, peers)
    peers.down.clear()

    async def after(stage: Stage) -> None:
        assert stage.behind == [ELSEWHERE]
        assert len(stage.noted()) == 1
        stage.standing.contacted(ELSEWHERE)
        await until(lambda: not stage.behind)
        assert peers.texts() == ["199"]

    play(tmp_path, after, peers)


def test_a_blocked_server_is_sent_nothing(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        room = await stage.room(ELSEWHERE, THIRD)
        stage.house.owning.settings.federation_blocked_servers = [ELSEWHERE]
        await stage.say(room, "not for them")
        await until(lambda: stage.peers.texts(THIRD) == ["not for them"])
        assert ELSEWHERE not in stage.peers.transactions

    play(tmp_path, story)


def test_servers_that_nobody_asks_any_more_are_forgotten(tmp_path: Path) -> None:
    """Rows of servers that never answered do not pile up; that of one that lacks something or was asked now stays."""

    async def story(stage: Stage) -> None:
        standing, hour = stage.standing, 3_600_000
        room = await stage.room(ELSEWHERE)
        stage.peers.down.add(ELSEWHERE)
        await stage.say(room, "lost")
        await until(lambda: stage.behind)
        for number in range(450):
            standing.after(f"made-up-{number}.example", "There is no such server.")
        standing.after("fine.example", "")
        await stage.house.owning.database.write(lambda tx: None)
        assert len(standing.all_rows()) == 452
        assert await standing.prune() == 0
        stage.now += 2 * hour
        standing.after("made-up-7.example", "There is no such server.")
        assert [await standing.prune() for _ in range(4)] == [200, 200, 49, 0]
        kept = {"made-up-7.example", "fine.example", ELSEWHERE}
        assert {row.server_name for row in standing.all_rows()} == kept
        assert {row.server_name for row in rows.all_of(stage.house.owning.database)} == kept
        stage.now += 91 * 24 * hour
        assert await standing.prune() == 2
        assert [row.server_name for row in rows.all_of(stage.house.owning.database)] == [ELSEWHERE]
        assert stage.behind == [ELSEWHERE]

    play(tmp_path, story)
