"""Events that were made elsewhere: what is accepted, rejected, soft-failed or refused, and what it leaves behind."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.protocol.event_format import InvalidEvent
from appliance.rooms.incoming.accepting import Unacceptable, Verdict
from appliance.rooms.room import Room
from tests.federation.house import ALICE, MALLORY, House, Remote, house

Story = Callable[..., Awaitable[None]]


def in_house(story: Story) -> Callable[..., None]:
    """Run a story in a house of its own."""

    @functools.wraps(story)
    def run(tmp_path: Path, **named: Any) -> None:
        async def live() -> None:
            async with house(tmp_path) as home:
                await story(home, **named)

        asyncio.run(live())

    parameters = [parameter for name, parameter in inspect.signature(story).parameters.items() if name != "home"]
    tmp_path = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([tmp_path, *parameters])  # type: ignore[attr-defined]
    return run


def text(words: str) -> dict[str, Any]:
    """The content of a message."""
    return {"msgtype": "m.text", "body": words}


async def shown(home: House, room: Room) -> list[str]:
    """The bodies of the messages that Alice sees, the last first."""
    point = home.living.reads.timeline.point(room.nid, None)
    page = home.living.reads.timeline.page(room.nid, ALICE, point, 100, backwards=True)
    return [
        home.living.graph.store.event(event.nid).content["body"]
        for event in page.events
        if event.type == "m.room.message"
    ]


@pytest.mark.parametrize("version", ["6", "10", "11", "12"])
@in_house
async def test_a_join_and_a_message_come_in(home: House, version: str) -> None:
    """What the rules allow becomes part of the room, and the next event of our own is built upon it."""
    room = await home.with_mallory(room_version=version)
    assert room.published.members.of(MALLORY) == "join"
    message = home.remote.event(room, "m.room.message", text("hello from afar"))
    assert await home.accepting.accept(room.room_id, message.pdu) is Verdict.ACCEPTED
    assert await home.accepting.accept(room.room_id, message.pdu) is Verdict.KNOWN
    assert await shown(home, room) == ["hello from afar"]
    assert [end.event_id for end in room.published.extremities] == [message.event_id]
    await home.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.message", ALICE, text("welcome"))
    )
    ours = room.store.event(room.published.extremities[0].nid)
    assert ours.prev_events == (message.event_id,)


@in_house
async def test_two_messages_at_once_fork_and_join_again(home: House) -> None:
    """Two events on the same parent are both ends of the graph, until the next event stands on both."""
    room = await home.with_mallory()
    first = home.remote.event(room, "m.room.message", text("one"))
    second = home.remote.event(room, "m.room.message", text("two"))
    for event in (first, second):
        assert await home.accepting.accept(room.room_id, event.pdu) is Verdict.ACCEPTED
    assert {end.event_id for end in room.published.extremities} == {first.event_id, second.event_id}
    both = home.remote.event(room, "m.room.topic", {"topic": "x"}, "", sender=MALLORY)
    assert set(both.prev_events) == {first.event_id, second.event_id}
    await home.living.acts.appender.append(
        room.room_id, lambda draft: draft.add("m.room.topic", ALICE, {"topic": "both"}, "")
    )
    assert len(room.published.extremities) == 1
    assert set(room.store.event(room.published.extremities[0].nid).prev_events) == {first.event_id, second.event_id}


@in_house
async def test_what_the_rules_refuse_is_rejected(home: House) -> None:
    """A change of power by somebody without any is kept as rejected: no state, no end, and nobody sees it."""
    room = await home.with_mallory()
    before = room.published
    grab = home.remote.event(room, "m.room.power_levels", {"users": {MALLORY: 100}}, "")
    assert await home.accepting.accept(room.room_id, grab.pdu) is Verdict.REJECTED
    assert room.published is before
    found = room.store.find(grab.event_id)
    assert found is not None
    assert found[0].rejected == 1
    assert await home.accepting.accept(room.room_id, grab.pdu) is Verdict.KNOWN


@in_house
async def test_an_event_that_names_a_rejected_one_is_rejected(home: House) -> None:
    """A rejected event vouches for nothing."""
    room = await home.with_mallory()
    grab = home.remote.event(room, "m.room.power_levels", {"users": {MALLORY: 100}}, "")
    await home.accepting.accept(room.room_id, grab.pdu)
    member = room.store.event(room.published.state["m.room.member", MALLORY])
    topic = home.remote.event(room, "m.room.topic", {"topic": "mine"}, "", auth=[grab.event_id, member.event_id])
    assert await home.accepting.accept(room.room_id, topic.pdu) is Verdict.REJECTED


@in_house
async def test_what_the_present_state_refuses_is_soft_failed(home: House) -> None:
    """A message that a banned user puts before the ban is kept, not shown, and not built upon."""
    room = await home.with_mallory()
    late = home.remote.event(room, "m.room.message", text("before the ban, they say"))
    await home.living.acts.membership.ban(ALICE, room.room_id, MALLORY)
    assert await home.accepting.accept(room.room_id, late.pdu) is Verdict.SOFT_FAILED
    assert await shown(home, room) == []
    assert late.event_id not in {end.event_id for end in room.published.extremities}


@in_house
async def test_a_forged_content_is_kept_redacted(home: House) -> None:
    """An event whose content does not match its hash loses its content, and keeps its id."""
    room = await home.with_mallory()
    message = home.remote.event(room, "m.room.message", text("signed"))
    forged = {**message.pdu, "content": text("forged")}
    assert await home.accepting.accept(room.room_id, forged) is Verdict.ACCEPTED
    found = room.store.find(message.event_id)
    assert found is not None
    assert found[1].content == {}


@in_house
async def test_what_is_not_kept_at_all(home: House) -> None:
    """Bad signatures, other rooms and broken formats leave no trace; unknown parents and vouchers are waited for."""
    room = await home.with_mallory()
    other = await home.room()
    before = room.published
    message = home.remote.event(room, "m.room.message", text("x"))
    stranger = Remote()
    unsigned = stranger.event(room, "m.room.message", text("y"))
    orphan = home.remote.event(room, "m.room.message", text("z"), parents=["$" + "A" * 43])
    unvouched = home.remote.event(room, "m.room.message", text("z"), auth=["$" + "B" * 43])
    with pytest.raises(Unacceptable, match="signed"):
        await home.accepting.accept(room.room_id, unsigned.pdu)
    with pytest.raises(Unacceptable, match="another room"):
        await home.accepting.accept(other.room_id, message.pdu)
    with pytest.raises(InvalidEvent):
        await home.accepting.accept(room.room_id, {**message.pdu, "depth": -1})
    for waiting in (orphan, unvouched):
        assert await home.accepting.accept(room.room_id, waiting.pdu) is Verdict.WAITING
    assert room.published is before


@in_house
async def test_a_fork_of_state_resolves(home: House) -> None:
    """A change of name beside a change of topic: both hold, and the next event stands on both."""
    room = await home.with_mallory()
    renamed = {"membership": "join", "displayname": "Mal"}
    fork = home.remote.event(room, "m.room.member", renamed, MALLORY)
    await home.living.acts.sending.set_state(ALICE, room.room_id, "m.room.topic", "", {"topic": "ours"})
    assert await home.accepting.accept(room.room_id, fork.pdu) is Verdict.ACCEPTED
    now = room.published
    assert len(now.extremities) == 2
    assert room.store.event(now.state["m.room.member", MALLORY]).content == renamed
    assert room.store.event(now.state["m.room.topic", ""]).content == {"topic": "ours"}
    await home.living.acts.sending.set_state(ALICE, room.room_id, "m.room.name", "", {"name": "together"})
    assert len(room.published.extremities) == 1


@in_house
async def test_a_ban_stands_against_a_change_of_name(home: House) -> None:
    """Whoever was banned on one branch and changed their name on the other is banned: the example to have in mind."""
    room = await home.with_mallory()
    renamed = home.remote.event(room, "m.room.member", {"membership": "join", "displayname": "Mal"}, MALLORY)
    await home.living.acts.membership.ban(ALICE, room.room_id, MALLORY)
    # By the state before it the change is right, by the present one it is not.
    assert await home.accepting.accept(room.room_id, renamed.pdu) is Verdict.SOFT_FAILED
    assert room.published.members.of(MALLORY) == "ban"
    # Another server has built upon it: the branches meet, and the ban stands.
    built = home.remote.event(room, "m.room.message", text("still here"), parents=[renamed.event_id])
    assert await home.accepting.accept(room.room_id, built.pdu) in (Verdict.REJECTED, Verdict.SOFT_FAILED)
    assert room.published.members.of(MALLORY) == "ban"


@in_house
async def test_events_wait_for_their_parents(home: House) -> None:
    """Three messages that arrive last to first are all there, in their order, once the first has come."""
    room = await home.with_mallory()
    first = home.remote.event(room, "m.room.message", text("one"))
    second = home.remote.event(room, "m.room.message", text("two"), parents=[first.event_id], depth=first.depth + 1)
    third = home.remote.event(room, "m.room.message", text("three"), parents=[second.event_id], depth=first.depth + 2)
    for event in (third, second):
        assert await home.accepting.accept(room.room_id, event.pdu, "elsewhere.example") is Verdict.WAITING
    assert await shown(home, room) == []
    assert await home.accepting.accept(room.room_id, first.pdu) is Verdict.ACCEPTED
    assert await shown(home, room) == ["three", "two", "one"]
    assert [end.event_id for end in room.published.extremities] == [third.event_id]


def test_what_waits_is_taken_up_after_a_restart(tmp_path: Path) -> None:
    """An event that waits survives; where what it waits for came just before the end, the next start finds out."""

    async def live() -> None:
        async with house(tmp_path) as home:
            room = await home.with_mallory()
            first = home.remote.event(room, "m.room.message", text("one"))
            second = home.remote.event(room, "m.room.message", text("two"), parents=[first.event_id])
            assert await home.accepting.accept(room.room_id, second.pdu) is Verdict.WAITING
            remote = home.remote
            home.holding.waiting_for = lambda event_id: []  # type: ignore[method-assign]  # a kill right after
            assert await home.accepting.accept(room.room_id, first.pdu) is Verdict.ACCEPTED
        async with house(tmp_path, remote) as home:
            await home.accepting.look()
            again = await home.living.graph.rooms.find(room.room_id)
            assert again is not None
            assert await shown(home, again) == ["two", "one"]

    asyncio.run(live())


@in_house
async def test_an_outlier_gets_its_place(home: House) -> None:
    """An event that was first known as one that allows others joins the timeline when it comes in earnest."""
    room = await home.with_mallory()
    topic = home.remote.event(room, "m.room.member", {"membership": "join", "displayname": "M"}, MALLORY)
    assert await home.accepting.accept_outlier(room.room_id, topic.pdu) is Verdict.ACCEPTED
    assert room.store.event(room.published.state["m.room.member", MALLORY]).content == {"membership": "join"}
    assert await home.accepting.accept(room.room_id, topic.pdu) is Verdict.ACCEPTED
    assert room.store.event(room.published.state["m.room.member", MALLORY]).content["displayname"] == "M"
    assert await home.accepting.accept(room.room_id, topic.pdu) is Verdict.KNOWN


@in_house
async def test_a_redaction_may_come_first(home: House) -> None:
    """A redaction that arrives before what it redacts empties it when that comes."""
    room = await home.with_mallory()
    message = home.remote.event(room, "m.room.message", text("regrettable"))
    content = {"redacts": message.event_id}
    redaction = home.remote.event(room, "m.room.redaction", content)
    assert await home.accepting.accept(room.room_id, redaction.pdu) is Verdict.ACCEPTED
    assert await home.accepting.accept(room.room_id, message.pdu) is Verdict.ACCEPTED
    assert room.store.find(message.event_id)[1].content == {}  # type: ignore[index]


@in_house
async def test_an_absurd_depth_counts_for_little(home: House) -> None:
    """However deep an event says it is, its place in the history is right after its parents."""
    room = await home.with_mallory()
    top = room.published.extremities[0].ordering
    deep = home.remote.event(room, "m.room.message", text("deep"), depth=2**53 - 1)
    assert await home.accepting.accept(room.room_id, deep.pdu) is Verdict.ACCEPTED
    assert room.published.extremities[0].ordering == top + 1


def test_a_room_is_read_as_it_was_written(tmp_path: Path) -> None:
    """After a restart a room has the same state, ends and members."""

    async def live() -> None:
        async with house(tmp_path) as home:
            room = await home.with_mallory()
            for number in range(200):
                await home.living.acts.sending.set_state(
                    ALICE, room.room_id, "m.room.topic", "", {"topic": f"number {number}"}
                )
            was = room.published
        async with house(tmp_path) as home:
            again = await home.living.graph.rooms.find(room.room_id)
            assert again is not None
            now = again.published
            assert (now.state, now.extremities, now.group_nid) == (
                was.state,
                was.extremities,
                was.group_nid,
            )
            assert now.members.memberships == was.members.memberships
            assert (now.members.joined, now.members.invited) == (was.members.joined, was.members.invited)

    asyncio.run(live())
