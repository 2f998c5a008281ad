"""A room for the tests of the rules: events in an order, the state that they make, nothing else."""

from collections.abc import Iterator
from typing import Any

from appliance.protocol.auth import NotAllowed, auth_event_slots, check_auth_events, check_event
from appliance.protocol.events import Event, build_event
from appliance.protocol.identifiers import server_of
from appliance.protocol.signing import SigningKey
from appliance.protocol.versions import VERSIONS, RoomVersion

KEY = SigningKey("ed25519:test", bytes(range(32)))
ALICE = "@alice:one.example"
BOB = "@bob:two.example"
CAROL = "@carol:one.example"
DAVE = "@dave:three.example"


def versions(first: int, last: int = 12) -> list[str]:
    """The identifiers of a range of room versions."""
    return [str(number) for number in range(first, last + 1)]


class Room:
    """A room that Alice has created and joined, before anything else was said.

    Args:
        version: the identifier of its version.
        create: what its create event says besides.
    """

    def __init__(self, version: str, create: dict[str, Any] | None = None) -> None:
        self.version: RoomVersion = VERSIONS[version]
        self.begin(create or {})

    def begin(self, create: dict[str, Any]) -> None:
        """Forget everything, and begin with a create event that says this besides."""
        content: dict[str, Any] = {"room_version": self.version.identifier, **create}
        if self.version.creator_in_content:
            content.setdefault("creator", ALICE)
        self.state: dict[tuple[str, str], Event] = {}
        self.last: Event | None = None
        self.clock = 1_700_000_000_000
        self.room_id: str | None = None if self.version.hash_room_ids else "!room:one.example"
        self.create = self.make("m.room.create", ALICE, content, "")
        self.room_id = self.create.room_id
        self.put(self.create)
        self.put(self.make("m.room.member", ALICE, {"membership": "join"}, ALICE))

    def make(
        self,
        kind: str,
        sender: str,
        content: dict[str, Any],
        state_key: str | None = None,
        **changed: Any,
    ) -> Event:
        """Build the next event, with the auth events that the selection names; ``changed`` overrides its parts."""
        self.clock += 1
        slots = auth_event_slots(self.version, type=kind, sender=sender, state_key=state_key, content=content)
        parts: dict[str, Any] = {
            "room_id": self.room_id,
            "depth": self.last.depth + 1 if self.last else 1,
            "prev_events": [self.last.event_id] if self.last else [],
            "auth_events": [self.state[slot].event_id for slot in slots if slot in self.state],
            "origin_server_ts": self.clock,
            "server_name": server_of(sender),
            **changed,
        }
        return build_event(
            self.version, type=kind, sender=sender, content=content, state_key=state_key, key=KEY, **parts
        )

    def put(self, event: Event) -> Event:
        """Make an event part of the room, unjudged."""
        self.last = event
        if event.state_key is not None:
            self.state[event.type, event.state_key] = event
        return event

    def set(self, kind: str, content: dict[str, Any], state_key: str = "", sender: str = ALICE) -> Event:
        """Make a state event and put it into the room, unjudged."""
        return self.put(self.make(kind, sender, content, state_key))

    def member(self, user_id: str, membership: str) -> Event:
        """Give a user a membership, unjudged."""
        return self.set("m.room.member", {"membership": membership}, user_id, user_id)

    def join_rule(self, rule: str) -> None:
        """Set the join rule, unjudged."""
        self.set("m.room.join_rules", {"join_rule": rule})

    def lookup(self, kind: str, state_key: str) -> Event | None:
        """Find a state event, as the rules do."""
        return self.state.get((kind, state_key))

    def refusal(self, event: Event) -> str | None:
        """Why the room's state does not allow an event; nothing if it does."""
        try:
            check_event(event, self.lookup, self.create)
        except NotAllowed as refusal:
            return str(refusal)
        return None

    def auth_refusal(
        self, event: Event, auth_events: list[Event], rejected: frozenset[str] = frozenset()
    ) -> str | None:
        """Why an event may not name these auth events; nothing if it may."""
        try:
            check_auth_events(event, auth_events, self.create, rejected.__contains__)
        except NotAllowed as refusal:
            return str(refusal)
        return None

    def selected(self, event: Event) -> Iterator[Event]:
        """The events that an event should name."""
        for slot in auth_event_slots(
            self.version, type=event.type, sender=event.sender, state_key=event.state_key, content=event.content
        ):
            if slot in self.state:
                yield self.state[slot]
