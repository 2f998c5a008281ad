"""Large rooms, written straight into a database: what they went through would take too long to go through again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.protocol import canonical, hashes
from appliance.protocol.events import Event
from appliance.protocol.slim import plain_columns
from appliance.protocol.versions import VERSIONS
from appliance.storage import events as event_rows
from appliance.storage import memberships as membership_rows
from appliance.storage import rooms as room_rows
from appliance.storage import state as state_rows
from appliance.storage.database import Tx
from appliance.storage.events import NewEvent
from appliance.storage.rooms import RoomRow
from appliance.storage.state import Slot

ADMIN = "@admin:bench.example"
HASH = "a" * 43
SIGNATURE = "s" * 86
START = 1_700_000_000_000


def person(number: int) -> str:
    """One of the users, who are spread over fifty servers."""
    return f"@user{number}:server{number % 50}.example"


@dataclass
class Counters:
    """The next numbers that a database has to give."""

    event: int = 0
    group: int = 0
    room: int = 0


@dataclass
class LargeRoom:
    """A room as it grows. Its events have all that real ones have, but neither true hashes nor true signatures.

    Args:
        tx: where it is written.
        version: the identifier of its version.
        counters: numbers its rows.
    """

    tx: Tx
    version: str
    counters: Counters
    nid: int = 0
    room_id: str = ""
    group_nid: int = 0
    state: dict[Slot, int] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counters.room += 1
        self.nid = self.counters.room
        version = VERSIONS[self.version]
        content: dict[str, Any] = {"room_version": self.version}
        if version.creator_in_content:
            content["creator"] = ADMIN
        self.put("m.room.create", "", content)
        self.room_id = self.create.room_id
        room_rows.insert(self.tx, RoomRow(self.nid, self.room_id, self.version, ADMIN, START))
        users = {} if version.creators_above_all else {ADMIN: 100}
        for event_type, key, content in (
            ("m.room.member", ADMIN, {"membership": "join"}),
            ("m.room.power_levels", "", {"users": users}),
            ("m.room.join_rules", "", {"join_rule": "public"}),
        ):
            self.put(event_type, key, content)

    @property
    def create(self) -> Event:
        """Its create event."""
        return self.events[self.state["m.room.create", ""]]

    def put(self, event_type: str, key: str, content: dict[str, Any], sender: str = ADMIN) -> None:
        """A state event in the state."""
        self.state[event_type, key] = self.add(event_type, key, content, self.state, sender)

    def add(
        self, event_type: str, key: str, content: dict[str, Any], before: Mapping[Slot, int], sender: str = ADMIN
    ) -> int:
        """An event; gives its number.

        Args:
            event_type: its type.
            key: its state key.
            content: its content.
            before: the state that it rests on.
            sender: who sent it.
        """
        version, counters = VERSIONS[self.version], self.counters
        counters.event += 1
        nid = counters.event
        slots = dict.fromkeys(
            [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", sender), ("m.room.join_rules", ""),
             ("m.room.member", key)]
        )  # fmt: skip
        if version.hash_room_ids:
            del slots["m.room.create", ""]
        auth = tuple(sorted(before[slot] for slot in slots if slot in before))
        parent = max(self.events, default=None)
        pdu: dict[str, Any] = {
            "type": event_type, "state_key": key, "sender": sender, "content": content, "depth": nid,
            "origin_server_ts": START + nid, "hashes": {"sha256": HASH},
            "signatures": {sender.partition(":")[2]: {"ed25519:key": SIGNATURE}},
            "prev_events": [] if parent is None else [self.events[parent].event_id],
            "auth_events": [self.events[one].event_id for one in auth],
        }  # fmt: skip
        if event_type != "m.room.create" or not version.hash_room_ids:
            pdu["room_id"] = self.room_id or f"!room{self.nid}:bench.example"
        event = Event(version, pdu, hashes.event_id(version, pdu), canonical.encode(pdu))
        self.events[nid] = event
        parents = () if parent is None else (parent,)
        row = NewEvent(
            nid, event.event_id, self.nid, event_type, key, sender, nid, event.json, parents, auth,
            plain=plain_columns(event),
        )  # fmt: skip
        event_rows.insert(self.tx, row, self.tx.position())
        return nid

    def fill(self, numbers: Iterable[int]) -> None:
        """Let users join, and make the state so far the current one."""
        for number in numbers:
            user_id = person(number)
            self.put("m.room.member", user_id, {"membership": "join", "displayname": f"User {number}"}, user_id)
        position = self.tx.position()
        for (event_type, key), nid in self.state.items():
            state_rows.change_current(self.tx, self.nid, position, {(event_type, key): (None, nid)})
            if event_type == "m.room.member":
                membership_rows.put(self.tx, self.nid, key, "join", None, nid, key, position)
        self.group_nid = self.group(None, {slot: (None, nid) for slot, nid in self.state.items()})
        last = max(self.events)
        state_rows.set_event_groups(self.tx, last, self.group_nid, self.group_nid)
        event_rows.move_extremities(self.tx, self.nid, (), last)

    def group(self, base_nid: int | None, changes: Mapping[Slot, tuple[int | None, int | None]]) -> int:
        """Store a state; gives its number."""
        self.counters.group += 1
        state_rows.insert_changed(self.tx, self.counters.group, self.nid, base_nid, changes)
        return self.counters.group

    def fork(self, conflicts: int) -> list[dict[Slot, int]]:
        """Two states that hold different things in so many slots: names, and one ban against a name."""
        members = [slot for slot in self.state if slot[0] == "m.room.member" and slot[1] != ADMIN][:conflicts]
        sides = [dict(self.state), dict(self.state)]
        for slot in members:
            for number, side in enumerate(sides):
                content = {"membership": "join", "displayname": f"Fork {number}"}
                side[slot] = self.add(*slot, content, side, slot[1])
        banned = members[-1]
        sides[0][banned] = self.add(*banned, {"membership": "ban"}, sides[0])
        return sides
