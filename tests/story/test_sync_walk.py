"""Sync as a whole: whoever follows their tokens ends with exactly the state of the room and all that they may see.

A room lives through a random walk of messages, state, comings and goings, while several clients, each with another
filter, sync now and then. What a client has put together from its answers is held against what the room says.
"""

import copy
import json
import random
from typing import Any

import pytest

from tests.support.client import Client, Json, seg

Slot = tuple[str, str]
MEMBER = "m.room.member"
SETTINGS = ["world_readable", "shared", "invited", "joined"]


class Follower:
    """A client that does with syncs what the specification says clients do.

    Args:
        device: who asks.
        room: the room that it watches.
        limit: of its timeline.
        lazy: whether members are lazily loaded.
        after: whether it asks for the state after the timeline.
    """

    def __init__(self, device: Client, room: str, limit: int, *, lazy: bool = False, after: bool = False) -> None:
        self.device, self.room, self.lazy, self.after = device, room, lazy, after
        self.query: Json = {
            "filter": json.dumps({"room": {"timeline": {"limit": limit}, "state": {"lazy_load_members": lazy}}})
        }
        if after:
            self.query["use_state_after"] = "true"
        self.token: str | None = None
        self.state: dict[Slot, str] = {}
        self.seen: list[str] = []
        self.comings = 0
        self.membership = ""
        self.knows = False

    def fork(self) -> "Follower":
        """Another with the same knowledge, which will go on from the same token."""
        other = copy.copy(self)
        other.state, other.seen = dict(self.state), list(self.seen)
        return other

    def sync(self, comings: int) -> None:
        """Ask what is new and take it in.

        Args:
            comings: how often the user has come into the room so far; tells whether the room is new to the client.
        """
        query = {**self.query, **({"since": self.token} if self.token else {})}
        answer = self.device.must("GET", "/sync", **query)
        assert self._comparable(self.device.must("GET", "/sync", **query)) == self._comparable(answer)
        anew, self.comings = self.token is None or comings != self.comings, comings
        for membership, rooms in answer.get("rooms", {}).items():
            if self.room in rooms:
                # Somebody who was in, out and invited in between is told of the invitation alone.
                self.knows &= membership != "invite" or not (anew or self.membership == "join")
                self.membership = membership
                if membership in ("join", "leave"):
                    self.knows |= membership == "join" or (anew and self.token is not None)
                    self._take(rooms[self.room], anew=anew)
        self.token = answer["next_batch"]

    def _comparable(self, answer: Json) -> Any:
        """What of an answer must be the same when it is asked for again: where members are lazily loaded, whoever was
        told of one may be told again.
        """
        found = without_age(answer)
        if self.lazy:
            for section in found.get("rooms", {}).get("join", {}).values():
                state = section["state_after" if self.after else "state"]
                state["events"] = [event for event in state["events"] if event["type"] != MEMBER]
        return found

    def _take(self, section: Json, *, anew: bool) -> None:
        timeline = section["timeline"]
        events = timeline["events"]
        ids = [event["event_id"] for event in events]
        assert len(set(ids)) == len(ids)
        if not anew:
            assert not set(ids) & set(self.seen), "told twice"
        assert ("state_after" in section, "state" in section) == (self.after, not self.after)
        told = section["state_after" if self.after else "state"]["events"]
        slots = [(event["type"], event["state_key"]) for event in told]
        assert len(set(slots)) == len(slots)
        if anew and self.lazy:
            self.state = {slot: event_id for slot, event_id in self.state.items() if slot[0] != MEMBER}
        for event in [*told, *(() if self.after else events)]:
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event["event_id"]
        if self.lazy and self.membership == "join":
            assert all((MEMBER, event["sender"]) in self.state for event in events if event["type"] != "m.room.create")
        gap: list[str] = []
        if (timeline["limited"] or anew) and self.comings:
            until = {} if anew else {"to": self.token}
            gap = pages(self.device, self.room, **{"from": timeline["prev_batch"]}, **until)
            if not anew:
                assert not set(gap) & set(self.seen), "told twice"
        self.seen += [one for one in [*gap[::-1], *ids] if one not in self.seen]


def without_age(value: Any) -> Any:
    """JSON without what changes from one moment to the next."""
    if isinstance(value, dict):
        return {key: without_age(inner) for key, inner in value.items() if key not in ("age", "next_batch")}
    return [without_age(inner) for inner in value] if isinstance(value, list) else value


def pages(client: Client, room: str, **query: Any) -> list[str]:
    """The ids of a history, latest first."""
    found: list[str] = []
    while True:
        page = client.messages(room, "b", limit=100, **query)
        found += [event["event_id"] for event in page["chunk"]]
        if "end" not in page:
            return found
        query["from"] = page["end"]


class Walk:
    """A room with three people in it, now and then."""

    def __init__(self, chance: random.Random, alice: Client, bob: Client, carol: Client, setting: str) -> None:
        self.chance, self.alice = chance, alice
        visibility = {"type": "m.room.history_visibility", "content": {"history_visibility": setting}}
        self.room = alice.create_room(
            preset="public_chat", initial_state=[visibility], power_level_content_override={"state_default": 0}
        )
        self.memberships = {alice.user_id: "join", bob.user_id: "leave", carol.user_id: "leave"}
        self.guests = [bob, carol]
        self.comings = {alice.user_id: 1, bob.user_id: 0, carol.user_id: 0}
        self.messages: list[str] = []
        self.setting = setting
        self.count = 0

    def step(self) -> None:
        """Let something happen."""
        self.count += 1
        here = [one for one in (self.alice, *self.guests) if self.memberships[one.user_id] == "join"]
        who, other = self.chance.choice(here), self.chance.choice(self.guests)
        what = self.chance.choices(("say", "state", "move", "setting", "redact"), (10, 6, 8, 1, 1))[0]
        if what == "say":
            self.messages.append(who.send(self.room, str(self.count)))
        elif what == "state":
            event_type, key = self.chance.choice((("m.room.topic", ""), ("a.type", "1"), ("a.type", "2")))
            who.set_state(self.room, event_type, {"topic": str(self.count)}, key)
        elif what == "move":
            self._move(other)
        elif what == "setting":
            self.setting = self.chance.choice(SETTINGS)
            content = {"history_visibility": self.setting}
            self.alice.set_state(self.room, "m.room.history_visibility", content)
        elif self.messages:
            self.alice.redact(self.room, self.chance.choice(self.messages))

    def _move(self, other: Client) -> None:
        """Somebody comes or goes, by themselves or by Alice's doing."""
        now = self.memberships[other.user_id]
        ways = {
            "enter": (other.join, "join"),
            "leave": (other.leave, "leave"),
            "invite": (self.alice.invite, "invite"),
            "kick": (self.alice.kick, "leave"),
            "ban": (self.alice.ban, "ban"),
            "unban": (self.alice.unban, "leave"),
        }
        possible = {
            "leave": ("enter", "enter", "invite", "ban"),
            "invite": ("enter", "enter", "leave", "kick", "ban"),
            "join": ("leave", "kick", "ban", "name"),
            "ban": ("unban",),
        }[now]
        way = self.chance.choice(possible)
        if way == "name":
            content = {"membership": "join", "displayname": str(self.count)}
            other.set_state(self.room, MEMBER, content, other.user_id)
            return
        act, after = ways[way]
        if act in (other.leave, other.join):
            act(self.room)
        else:
            act(self.room, other)
        self.memberships[other.user_id] = after
        self.comings[other.user_id] += after == "join"

    def check(self, follower: Follower) -> None:
        """Hold what a client knows against what its user may ask of the room."""
        user = follower.device.user_id
        path = f"/rooms/{seg(self.room)}/state"
        if self.memberships[user] == "join":
            assert follower.membership == "join"
        elif follower.membership != "leave" or not follower.knows:
            return
        state: Any = follower.device.must("GET", path)
        wanted = {(event["type"], event["state_key"]): event["event_id"] for event in state}
        known = follower.state
        if self.memberships[user] != "join":
            # What happened to somebody who is out already is told to them and is no part of the state they left.
            wanted.pop((MEMBER, user))
            known = {slot: event_id for slot, event_id in known.items() if slot != (MEMBER, user)}
        if follower.lazy:
            assert all(wanted.get(slot) == event_id for slot, event_id in known.items())
            wanted = {slot: event_id for slot, event_id in wanted.items() if slot in known or slot[0] != MEMBER}
        assert known == wanted


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("seed", [1, 2])
def test_following_leads_to_the_present(alice: Client, bob: Client, setting: str, seed: int) -> None:
    """Each client ends with the state of the room and with each event that its user may see, once."""
    chance = random.Random(f"{setting} {seed}")  # noqa: S311 - a walk that repeats
    carol = Client.register(alice.url)
    walk = Walk(chance, alice, bob, carol, setting)
    followers = [
        Follower(alice, walk.room, 3),
        Follower(bob, walk.room, 100),
        Follower(bob, walk.room, 4),
        Follower(bob, walk.room, 1, after=True),
        Follower(bob, walk.room, 5, lazy=True),
        Follower(carol, walk.room, 2, lazy=True, after=True),
    ]
    for _ in range(40):
        walk.step()
        for follower in [one for one in followers if chance.random() < 0.25]:
            if chance.random() < 0.1:
                followers.append(follower.fork())
            follower.sync(walk.comings[follower.device.user_id])
            walk.check(follower)
    for user in (bob, carol):
        if walk.memberships[user.user_id] != "join":
            if walk.memberships[user.user_id] == "ban":
                alice.unban(walk.room, user)
            user.join(walk.room)
            walk.memberships[user.user_id] = "join"
            walk.comings[user.user_id] += 1
    for follower in followers:
        follower.sync(walk.comings[follower.device.user_id])
        walk.check(follower)
        assert set(follower.seen) == set(pages(follower.device, walk.room))
