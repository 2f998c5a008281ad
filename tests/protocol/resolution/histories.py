"""Histories of rooms, made from numbers that hypothesis draws: plausible ones, and ones that no server would take in.

Their events are light: trusted as if they came from our own database, with made-up ids and without signatures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from appliance.protocol.auth import NotAllowed, auth_event_slots, check_event
from appliance.protocol.events import Event
from appliance.protocol.power import creators
from appliance.protocol.resolution.resolver import resolve
from appliance.protocol.versions import VERSIONS, RoomVersion
from tests.protocol.resolution.cases import KnownEvents, State

USERS = [f"@{name}:{name}.example" for name in ("alice", "bob", "carol", "dave")]
LEVELS = (0, 50, 100)
RULES = ("public", "invite", "knock")
MEMBERSHIPS = ("join", "join", "leave", "ban", "invite", "knock")

Draw = tuple[int, ...]
"""What makes one event: sender, kind, target, two details, a step of the clock, and parents counted from the end."""

DRAWS = st.lists(st.tuples(*[st.integers(0, 23)] * 8), min_size=1, max_size=24)
PICKS = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=5), min_size=2, max_size=4)
"""What makes the states to resolve: for each, the event after which it is, and what is put wrong in it."""


@dataclass
class History:
    """Events of a room in an order in which they may have come, and the states after them."""

    version: RoomVersion
    lookup: KnownEvents = field(default_factory=KnownEvents)
    after: list[State] = field(default_factory=list)

    @property
    def create(self) -> Event:
        """The create event."""
        return self.lookup.events[0]

    def add(
        self,
        sender: str,
        kind: str,
        state_key: str | None,
        content: dict[str, Any],
        *,
        parents: Sequence[int],
        auth: Sequence[int],
        clock: int,
    ) -> int:
        """Add an event."""
        nid = len(self.lookup.events)
        known = [self.lookup.events[one].event_id for one in parents]
        named = [self.lookup.events[one].event_id for one in auth if one < nid]
        pdu: dict[str, Any] = {
            "type": kind,
            "sender": sender,
            "content": content,
            "depth": 1 + max((self.lookup.events[one].depth for one in parents), default=0),
            "origin_server_ts": clock,
            "prev_events": [[one, {}] for one in known] if self.version.hashed_references else known,
            "auth_events": [[one, {}] for one in named] if self.version.hashed_references else named,
        }
        if kind != "m.room.create" or not self.version.hash_room_ids:
            pdu["room_id"] = self.create.room_id if nid else "!room:alice.example"
        if state_key is not None:
            pdu["state_key"] = state_key
        # Ids that sort neither by age nor against it.
        return self.lookup.add(Event(self.version, pdu, f"${nid * 37 % 101:03}", b""), auth)


def honest(version: str, draws: Sequence[Draw]) -> History:
    """A history in which every event is allowed by the state before it."""
    history = _beginning(version)
    for draw in draws:
        parents = sorted({max(0, len(history.after) - 1 - back) for back in draw[6:]})
        before = resolve(history.version, [history.after[one] for one in parents], history.lookup, history.create)
        _say(history, draw, parents, before)
    return history


def hostile(version: str, draws: Sequence[Draw]) -> History:
    """A history that keeps to nothing: auth events are any events, also of no use, of the future or the event itself,
    many are said to be rejected, and states hold events in places of others.
    """
    history = _beginning(version)
    for draw in draws:
        nid = len(history.lookup.events)
        kind, state_key, content = _meaning(history, draw)
        auth = [back % (nid + 3) for back in (*draw[1:], nid)]
        history.add(
            USERS[draw[0] % 4],
            kind,
            None if draw[5] % 7 == 0 else state_key,
            content,
            parents=[nid - 1],
            auth=auth,
            clock=draw[5],
        )
        history.after.append({**history.after[-1], (kind, state_key): draw[6] % (nid + 1)})
        if draw[7] % 3 == 0:
            history.lookup.rejected.add(nid)
    count = len(history.lookup.events)
    history.lookup.named = [tuple(one for one in named if one < count) for named in history.lookup.named]
    return history


def states(history: History, picks: Sequence[Sequence[int]]) -> list[State]:
    """States after some events, in which some places hold what they once held, or nothing."""
    found = []
    for start, *wrong in picks:
        state = dict(history.after[-1 - start % len(history.after)])
        for one in wrong:
            nid = one % len(history.lookup.events)
            event = history.lookup.events[nid]
            if event.state_key is None:
                continue
            if one % 5:
                state[event.type, event.state_key] = nid
            else:
                state.pop((event.type, event.state_key), None)
        found.append(state)
    return found


def _beginning(version: str) -> History:
    history = History(VERSIONS[version])
    content = {"room_version": version, "creator": USERS[0]}
    history.add(USERS[0], "m.room.create", "", content, parents=[], auth=[], clock=0)
    history.after.append({("m.room.create", ""): 0})
    for draw in ((0, 0, 0, 0, 0, 1), (0, 1, 0, 2, 1, 2), (0, 2, 0, 0, 0, 3), (1, 0, 1, 0, 0, 4)):
        _say(history, draw, [len(history.after) - 1], history.after[-1])
    return history


def _say(history: History, draw: Draw, parents: Sequence[int], before: State) -> None:
    """Add an event, unless the state before it does not allow it."""
    kind, state_key, content = _meaning(history, draw)
    sender = USERS[draw[0] % 4]
    slots = auth_event_slots(history.version, type=kind, sender=sender, state_key=state_key, content=content)
    auth = [before[slot] for slot in slots if slot in before]
    lookup = history.lookup
    nid = history.add(
        sender, kind, state_key, content, parents=parents, auth=auth, clock=len(lookup.events) // 3 + draw[5]
    )

    def find(event_type: str, key: str) -> Event | None:
        found = before.get((event_type, key))
        return None if found is None else lookup.events[found]

    try:
        check_event(lookup.events[nid], find, history.create)
    except NotAllowed:
        lookup.events.pop()
        lookup.named.pop()
    else:
        history.after.append({**before, (kind, state_key): nid})


def _meaning(history: History, draw: Draw) -> tuple[str, str, dict[str, Any]]:
    sender, choice, target, detail, other = draw[:5]
    match choice % 6:
        case 1:
            users = {
                USERS[0]: 100,
                USERS[target % 4]: LEVELS[detail % 3],
                USERS[(target + other) % 4]: LEVELS[other % 3],
            }
            above = creators(history.create) if history.version.creators_above_all else ()
            return (
                "m.room.power_levels",
                "",
                {"users": {one: level for one, level in users.items() if one not in above}},
            )
        case 2:
            return "m.room.join_rules", "", {"join_rule": RULES[detail % 3]}
        case 3:
            return "m.room.topic", "", {"topic": str(detail)}
        case 4:
            return "m.room.member", USERS[target % 4], {"membership": MEMBERSHIPS[detail % 6]}
        case _:
            return (
                "m.room.member",
                USERS[sender % 4],
                {"membership": MEMBERSHIPS[detail % 3], "displayname": str(other)},
            )
