"""What a room shows of itself to those outside: its name, its topic, how to come in, how many are there.

The directory, room summaries and spaces all tell of many rooms at a time, most of which are not in memory. So the few
things that they tell are kept by themselves, for many more rooms than are kept whole.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from appliance.protocol.identifiers import is_room_alias, is_room_id
from appliance.protocol.versions import VERSIONS
from appliance.rooms.graph.appending import Statement
from appliance.rooms.room import Rooms
from appliance.rooms.snapshot import Step
from appliance.rooms.standings import Standings
from appliance.rooms.store import EventStore
from appliance.storage import directory as rows
from appliance.storage import rooms as room_rows
from appliance.storage.database import Database
from appliance.storage.lru import Lru

FACTS_KEPT = 5_000
"""Rooms; about a kilobyte each."""
CREATE, JOIN_RULES, ENCRYPTION = "m.room.create", "m.room.join_rules", "m.room.encryption"
TYPES = (
    CREATE,
    JOIN_RULES,
    ENCRYPTION,
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.history_visibility",
    "m.room.guest_access",
)
"""The state, all with empty state keys, out of which facts are made."""


class Facts(Struct, frozen=True, kw_only=True):
    """What can be told of a room.

    Args:
        room_id: its id.
        room_nid: its number.
        version: the identifier of its version.
        joined: how many are in it.
        join_rule: the join rule as the state says it; ``invite`` where that says nothing.
        allowed_room_ids: the rooms whose members may come in, for restricted rooms.
        world_readable: whether everybody may read in it.
        guest_can_join: whether guests may come in.
        room_type: what kind of room, such as ``m.space``.
        name, topic, canonical_alias, avatar_url: as the state says, None where it says nothing.
        encryption: the algorithm, None where messages are not encrypted.
        federated: whether people of other servers may come in at all.
    """

    room_id: str
    room_nid: int
    version: str
    joined: int
    join_rule: str
    allowed_room_ids: tuple[str, ...]
    world_readable: bool
    guest_can_join: bool
    room_type: str | None
    name: str | None
    topic: str | None
    canonical_alias: str | None
    avatar_url: str | None
    encryption: str | None
    federated: bool

    @property
    def knockable(self) -> bool:
        """Whether those outside may knock."""
        version = VERSIONS[self.version]
        return (self.join_rule == "knock" and version.knocking) or (
            self.join_rule == "knock_restricted" and version.knock_restricted
        )

    @property
    def restricted(self) -> bool:
        """Whether the members of other rooms may come in."""
        version = VERSIONS[self.version]
        return (self.join_rule == "restricted" and version.restricted) or (
            self.join_rule == "knock_restricted" and version.knock_restricted
        )

    def entry(self) -> dict[str, Any]:
        """The room as an entry of the directory (definitions/public_rooms_chunk.yaml)."""
        told: dict[str, Any] = {
            "room_id": self.room_id,
            "num_joined_members": self.joined,
            "world_readable": self.world_readable,
            "guest_can_join": self.guest_can_join,
            "join_rule": self.join_rule,
        }
        for field in ("room_type", "name", "topic", "canonical_alias", "avatar_url"):
            value = getattr(self, field)
            if value is not None:
                told[field] = value
        return told

    def summary(self) -> dict[str, Any]:
        """The room as a summary (definitions/room_summary.yaml)."""
        told = {**self.entry(), "room_version": self.version}
        if self.encryption is not None:
            told["encryption"] = self.encryption
        if self.allowed_room_ids:
            told["allowed_room_ids"] = list(self.allowed_room_ids)
        return told


class RoomFacts:
    """Keeps the facts of rooms; a contributor, since events change them.

    Args:
        database: where they are.
        rooms: the rooms in memory.
        store: where events are read.

    Attributes:
        version: another number whenever facts changed, apart from how many people are in a room.
        joined_listeners: told the id of a room whenever another number of people is in it.
    """

    def __init__(self, database: Database, rooms: Rooms, store: EventStore) -> None:
        self._database = database
        self._rooms = rooms
        self._store = store
        self._facts: Lru[str, Facts] = Lru(FACTS_KEPT)
        self.version = 0
        self.joined_listeners: list[Callable[[str], None]] = []

    def of(self, room_id: str) -> Facts | None:
        """The facts of a room, read if need be (about a tenth of a millisecond); None for a room that is not known."""
        facts = self._facts.get(room_id)
        if facts is None:
            facts = self._read(room_id)
            if facts is not None:
                self._facts.put(room_id, facts)
        return facts

    def forget(self, room_nid: int, room_id: str) -> None:
        """Drop what is kept of a room that is gone."""
        self.version += 1
        self._facts.drop(room_id)

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store: the state's own rows say it."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Bring the facts of the room up to date, as far as they are kept."""
        joined = step.after.members.joined
        # What a redaction empties may be any part of the state.
        if step.event.type == "m.room.redaction" or any((one, "") in step.changes for one in TYPES):
            self.version += 1
            self._facts.drop(step.room_id)
        elif step.before.members.joined != joined:
            kept = self._facts.get(step.room_id)
            if kept is not None:
                self._facts.put(step.room_id, msgspec.structs.replace(kept, joined=joined))
        if step.before.members.joined != joined:
            for listener in self.joined_listeners:
                listener(step.room_id)

    def _read(self, room_id: str) -> Facts | None:
        room = self._rooms.loaded(room_id)
        if room is not None:
            state = room.published.state
            nids = {one: state[one, ""] for one in TYPES if (one, "") in state}
            room_nid, version, joined = room.nid, room.version.identifier, room.published.members.joined
        else:
            row = room_rows.by_id(self._database, room_id)
            if row is None:
                return None
            room_nid, version = row.room_nid, row.version
            nids = rows.keyless_state(self._database, room_nid, TYPES)
            joined = rows.joined_count(self._database, room_nid)
        if CREATE not in nids:
            return None
        events = self._store.events(nids.values())
        contents = {one: events[nid].content for one, nid in nids.items() if nid in events}
        return _facts(room_id, room_nid, version, joined, contents)


class Outlook:
    """Says which rooms somebody may be told of: those that they are in, may come into, may knock at, or may read.

    Client-server API, ``GET /rooms/{roomId}/hierarchy`` and ``GET /room_summary/{roomIdOrAlias}``.

    Args:
        database: where the position of the stream is known.
        standings: who is where.
    """

    def __init__(self, database: Database, standings: Standings) -> None:
        self._database = database
        self._standings = standings

    def membership(self, user_id: str, facts: Facts) -> str:
        """How a user stands to a room now; ``leave`` where they never had to do with it."""
        history = self._standings.of(user_id).of(facts.room_nid)
        return "leave" if history is None else history.membership_at(self._database.position)

    def allows(self, user_id: str, facts: Facts) -> bool:
        """Whether somebody may be told of a room.

        Args:
            user_id: who asks, empty where that is not known.
            facts: the room.
        """
        if facts.world_readable:
            return True
        membership = self.membership(user_id, facts) if user_id else "leave"
        if membership in ("join", "invite"):
            return True
        if membership == "ban":
            return False
        if facts.join_rule == "public" or facts.knockable:
            return True
        return bool(user_id) and facts.restricted and self._is_in_one_of(user_id, facts.allowed_room_ids)

    def _is_in_one_of(self, user_id: str, room_ids: tuple[str, ...]) -> bool:
        joined = {history.room_id for history in self._standings.of(user_id).joined.values()}
        return not joined.isdisjoint(room_ids)


def _facts(room_id: str, room_nid: int, version: str, joined: int, contents: dict[str, dict[str, Any]]) -> Facts:
    def said(event_type: str, field: str) -> str | None:
        value = contents.get(event_type, {}).get(field)
        return value if isinstance(value, str) and value else None

    rule = said(JOIN_RULES, "join_rule") or "invite"
    alias, avatar = said("m.room.canonical_alias", "alias"), said("m.room.avatar", "url")
    return Facts(
        room_id=room_id,
        room_nid=room_nid,
        version=version,
        joined=joined,
        join_rule=rule,
        allowed_room_ids=_allowed(contents.get(JOIN_RULES, {})) if rule.endswith("restricted") else (),
        world_readable=said("m.room.history_visibility", "history_visibility") == "world_readable",
        guest_can_join=said("m.room.guest_access", "guest_access") == "can_join",
        room_type=said(CREATE, "type"),
        name=said("m.room.name", "name"),
        topic=said("m.room.topic", "topic"),
        canonical_alias=alias if alias is not None and is_room_alias(alias) else None,
        avatar_url=avatar if avatar is not None and avatar.startswith("mxc://") else None,
        encryption=said(ENCRYPTION, "algorithm"),
        federated=contents.get(CREATE, {}).get("m.federate") is not False,
    )


def _allowed(rules: dict[str, Any]) -> tuple[str, ...]:
    allow = rules.get("allow")
    named = [
        entry.get("room_id")
        for entry in (allow if isinstance(allow, list) else ())
        if isinstance(entry, dict) and entry.get("type") == "m.room_membership"
    ]
    return tuple(dict.fromkeys(one for one in named if isinstance(one, str) and is_room_id(one)))
