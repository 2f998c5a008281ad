"""Cases of state resolution, one JSON file each, and the rooms that they describe.

A file has these keys:

``about``
    What the case is about, and where it comes from if it is not our own.
``versions``
    The room versions that it is tried in; without it 1, 2, 6, 11 and 12, so that every algorithm is asked.
``start``
    ``public`` or ``invite``: the room begins with the events ``create``, ``alice`` (the creator joins), ``power``
    (where Alice has 100) and ``rule`` (that join rule). ``bare``: with the first two only.
``create``
    What the create event says besides.
``events``
    The further events, auth events before those that name them. Each has a ``name``, the user it is sent ``by``, and
    says one thing::

        "is": "join", "who": "bob"                the membership of a user; without "who" of the sender
        "power": {"users": {"bob": 50}}           the power levels
        "rule": "invite"                          the join rule
        "sets": "m.room.topic", "key": ""         any other state; the key may be left out
        "says": "Hello!"                          a message

    and may have: ``content`` (more content), ``after`` (the names of its parents; without it the event before it),
    ``auth`` (the names of its auth events; without it those that the specification selects from the state before it),
    ``at`` (its time; without it, later than all events before it), ``depth``, and ``rejected``.
``states``
    The states to resolve. Each is that ``after`` some event, ``with`` other events put into their places, and
    ``without`` the places of some events.
``expected``
    For each algorithm, what the result holds besides what all states hold, by name. Algorithms that agree share an
    entry ("v2 v2.1").

A user is a name; Bob is ``@bob:bob.example``. From version 12 on nothing gives a creator a power, and the create event
is no auth event: the reader leaves both out.

The events are real ones, with hashes and signatures, since ids decide between events of the same time.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from appliance.protocol.auth import Slot, auth_event_slots
from appliance.protocol.events import Event, build_event
from appliance.protocol.identifiers import server_of
from appliance.protocol.power import creators
from appliance.protocol.resolution.graph import downwards
from appliance.protocol.resolution.resolver import resolve
from appliance.protocol.versions import VERSIONS, RoomVersion
from tests.protocol.room import KEY

FOLDER = Path(__file__).parent
VERSIONS_TRIED = ["1", "2", "6", "11", "12"]
START = 1_700_000_000_000

State = dict[Slot, int]


def user(name: str) -> str:
    """The user id that a name stands for."""
    return f"@{name}:{name}.example"


class KnownEvents:
    """Events by number, as state resolution asks for them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.named: list[tuple[int, ...]] = []
        self.rejected: set[int] = set()

    def add(self, event: Event, auth: Iterable[int]) -> int:
        """Give an event a number."""
        self.events.append(event)
        self.named.append(tuple(auth))
        return len(self.events) - 1

    def event(self, nid: int) -> Event:
        """The event of a number."""
        return self.events[nid]

    def slot(self, nid: int) -> Slot | None:
        """Where an event is in the state."""
        event = self.events[nid]
        return None if event.state_key is None else (event.type, event.state_key)

    def membership(self, nid: int) -> str | None:
        """What an event says if it is a membership."""
        return self.events[nid].membership

    def auth(self, nid: int) -> Sequence[int]:
        """The numbers of its auth events."""
        return downwards(nid, self.named[nid])

    def is_rejected(self, nid: int) -> bool:
        """Whether it was rejected."""
        return nid in self.rejected


class Case:
    """A case in one room version.

    Args:
        name: the name of its file, without the ending.
        version: the identifier of the version.
    """

    def __init__(self, name: str, version: str) -> None:
        self.data: dict[str, Any] = read(name)
        self.version: RoomVersion = VERSIONS[version]
        self.lookup = KnownEvents()
        self.numbers: dict[str, int] = {}
        self._after: dict[str, State] = {}
        self._last: str | None = None
        self._clock = START
        for entry in [*self._beginning(), *self.data["events"]]:
            self._add(entry)

    @property
    def create(self) -> Event:
        """The room's create event."""
        return self.lookup.events[0]

    @property
    def states(self) -> list[State]:
        """The states to resolve."""
        return [self._state(entry) for entry in self.data["states"]]

    @property
    def expected(self) -> set[str]:
        """The names of the events that the result holds in places where not all states hold the same."""
        for algorithms, names in self.data["expected"].items():
            if self.version.state_resolution in algorithms.split():
                return set(names)
        raise AssertionError(f"Nothing is expected of {self.version.state_resolution}.")

    def resolved(self) -> State:
        """What the resolution of the states gives."""
        return resolve(self.version, self.states, self.lookup, self.create)

    def names(self, state: Mapping[Slot, int]) -> set[str]:
        """The names of the events in a state."""
        by_number = {nid: name for name, nid in self.numbers.items()}
        return {by_number[nid] for nid in state.values()}

    def _beginning(self) -> Iterator[dict[str, Any]]:
        content = {"room_version": self.version.identifier, **self.data.get("create", {})}
        if self.version.creator_in_content:
            content["creator"] = user("alice")
        yield {"name": "create", "by": "alice", "sets": "m.room.create", "content": content}
        yield {"name": "alice", "by": "alice", "is": "join"}
        if self.data["start"] != "bare":
            yield {"name": "power", "by": "alice", "power": {"users": {"alice": 100}}}
            yield {"name": "rule", "by": "alice", "rule": self.data["start"]}

    def _add(self, entry: dict[str, Any]) -> None:
        name = entry["name"]
        parents = entry.get("after", [self._last] if self._last else [])
        before = self._before(parents)
        kind, state_key, content = self._meaning(entry)
        sender = user(entry["by"])
        slots = auth_event_slots(self.version, type=kind, sender=sender, state_key=state_key, content=content)
        auth = [before[slot] for slot in slots if slot in before]
        if "auth" in entry:
            auth = [self.numbers[one] for one in entry["auth"]]
            auth = [nid for nid in auth if nid or not self.version.hash_room_ids]
        self._clock += 1000
        event = build_event(
            self.version,
            room_id=self._room_id(kind),
            type=kind,
            sender=sender,
            content=content,
            state_key=state_key,
            depth=entry.get("depth", 1 + max((self._event(one).depth for one in parents), default=0)),
            prev_events=[self._event(one).event_id for one in parents],
            auth_events=[self.lookup.events[nid].event_id for nid in auth],
            origin_server_ts=START + entry["at"] if "at" in entry else self._clock,
            server_name=server_of(sender),
            key=KEY,
        )
        nid = self.lookup.add(event, auth)
        self.numbers[name] = nid
        self._last = name
        if entry.get("rejected"):
            self.lookup.rejected.add(nid)
        elif state_key is not None:
            before = {**before, (kind, state_key): nid}
        self._after[name] = before

    def _before(self, parents: Sequence[str]) -> State:
        return resolve(self.version, [self._after[one] for one in parents], self.lookup, self.create) if parents else {}

    def _meaning(self, entry: dict[str, Any]) -> tuple[str, str | None, dict[str, Any]]:
        """The type, state key and content of an event."""
        more = entry.get("content", {})
        if "is" in entry:
            return "m.room.member", user(entry.get("who", entry["by"])), {"membership": entry["is"], **more}
        if "power" in entry:
            return "m.room.power_levels", "", self._power(entry["power"])
        if "rule" in entry:
            return "m.room.join_rules", "", {"join_rule": entry["rule"], **more}
        if "sets" in entry:
            return entry["sets"], entry.get("key", ""), more
        return "m.room.message", None, {"msgtype": "m.text", "body": entry["says"]}

    def _power(self, levels: dict[str, Any]) -> dict[str, Any]:
        users = {user(name): level for name, level in levels.get("users", {}).items()}
        if self.version.creators_above_all:
            users = {one: level for one, level in users.items() if one not in creators(self.create)}
        return {**levels, "users": users}

    def _room_id(self, kind: str) -> str | None:
        if kind != "m.room.create":
            return self.create.room_id
        return None if self.version.hash_room_ids else "!room:alice.example"

    def _event(self, name: str) -> Event:
        return self.lookup.events[self.numbers[name]]

    def _slot(self, name: str) -> Slot:
        event = self._event(name)
        assert event.state_key is not None
        return event.type, event.state_key

    def _state(self, entry: dict[str, Any]) -> State:
        state = dict(self._after[entry["after"]])
        for name in entry.get("without", []):
            del state[self._slot(name)]
        state.update({self._slot(name): self.numbers[name] for name in entry.get("with", [])})
        return state


@cache
def read(name: str) -> dict[str, Any]:
    """What a case's file says."""
    data: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return data


def all_cases() -> list[tuple[str, str]]:
    """The names of all cases, each with all room versions that it is tried in."""
    names = sorted(path.stem for path in FOLDER.glob("*.json"))
    return [(name, version) for name in names for version in read(name).get("versions", VERSIONS_TRIED)]
