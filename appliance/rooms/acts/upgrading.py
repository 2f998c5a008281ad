"""Replacing a room by one of another version (client-server API, module "Room upgrades").

The old room gets a tombstone that names the new one; the new one names its predecessor, and holds the state that makes
sense without those who set it. Both are one unit. People come over by themselves; what they had set for the old room,
its tags and whom it is a direct chat with, comes with them (``Inheritance``).
"""

from typing import Any

from appliance.accounts.account_data import AccountData
from appliance.accounts.push_rules import PushRules
from appliance.errors import MatrixError, bad_json, forbidden
from appliance.protocol import canonical
from appliance.protocol.events import Event
from appliance.protocol.identifiers import is_user_id
from appliance.protocol.power import DEFAULTS, creators, parse_level
from appliance.protocol.versions import VERSIONS, RoomVersion
from appliance.rooms.acts.creation import Creation
from appliance.rooms.graph.appending import Appender, Beside, Draft
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import MEMBER
from appliance.storage import rooms as rows
from appliance.storage.database import Database, Tx

Content = dict[str, Any]
TOMBSTONE, POWER_LEVELS, ALIAS = "m.room.tombstone", "m.room.power_levels", "m.room.canonical_alias"
CARRIED = (
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
)
CHILD = "m.space.child"
MOST_BANS = MOST_CHILDREN = 1_000
"""Bans, and rooms of a space, that are carried over; each is an event to sign while the loop waits."""


class Upgrading:
    """Upgrades rooms.

    Args:
        database: where aliases are.
        rooms: the rooms in memory.
        appender: writes the tombstone.
        creation: makes the new room.
    """

    def __init__(self, database: Database, rooms: Rooms, appender: Appender, creation: Creation) -> None:
        self._database = database
        self._rooms = rooms
        self._appender = appender
        self._creation = creation

    async def upgrade(self, user_id: str, room_id: str, new_version: str, additional_creators: object = None) -> str:
        """Replace a room.

        Args:
            user_id: the local user who asks.
            room_id: the room.
            new_version: the version of the new one.
            additional_creators: who else stands above all power levels there, in versions that have that.

        Returns:
            the id of the new room.

        Raises:
            MatrixError: ``M_UNSUPPORTED_ROOM_VERSION``; ``M_FORBIDDEN`` for somebody who may not send a tombstone;
                ``M_BAD_JSON`` for creators that are no user ids.
        """
        version = VERSIONS.get(new_version)
        if version is None:
            raise MatrixError("M_UNSUPPORTED_ROOM_VERSION", f"Hearth knows no room version {new_version}.")
        named = _checked_creators(additional_creators) if version.creators_above_all else []
        room = await self._rooms.joined(room_id, user_id)

        def work(old: Draft) -> Room:
            old.room.must_be_joined(user_id, old.snapshot)
            power = old.room.power(old.snapshot)
            if power.user(user_id) < power.event(TOMBSTONE, True):
                raise forbidden("You may not upgrade this room.")
            # In versions whose ids are free to choose the tombstone comes first, so that the new room can name it.
            predecessor = {"room_id": room_id}
            if new_id is not None:
                predecessor["event_id"] = self._bury(old, user_id, new_id)
            content = _create_content(old, version, user_id, predecessor, named)
            old.beside = self._replacement(old, user_id, version, content, new_id)
            replacement = old.beside.draft.room
            if new_id is None:
                self._bury(old, user_id, replacement.room_id)
            self._close(old, user_id)
            return replacement

        new_id = None if version.hash_room_ids else self._creation.new_room_id()
        replacement = await self._appender.append(room.room_id, work)
        await self._creation.tell(user_id, replacement)
        return replacement.room_id

    def _replacement(
        self, old: Draft, user_id: str, version: RoomVersion, content: Content, new_id: str | None
    ) -> Beside:
        """The new room, with what is carried over, the aliases and the place in the directory."""
        room = old.room
        aliases = set(rows.aliases_of(self._database, room.room_id))

        def fill(draft: Draft) -> None:
            levels = _levels(old, version, user_id, content)
            raised = levels if version.creators_above_all else _raised(levels, user_id)
            draft.add(POWER_LEVELS, user_id, raised, "")
            for event_type in CARRIED:
                event = old.state_event(event_type)
                if event is not None and event.content:
                    draft.add(event_type, user_id, event.content, "")
            alias = old.state_event(ALIAS)
            if alias is not None and alias.content.get("alias") in aliases:
                draft.add(ALIAS, user_id, alias.content, "")
            for child in _children(old):
                draft.add(CHILD, user_id, child.content, child.state_key)
            for banned in old.snapshot.members.having("ban")[:MOST_BANS]:
                draft.add(MEMBER, user_id, {"membership": "ban"}, banned)
            if raised is not levels:
                draft.add(POWER_LEVELS, user_id, levels, "")

        def also(tx: Tx, made: Room) -> None:
            rows.move_names(tx, room.nid, room.room_id, made.nid, made.room_id)

        return self._creation.draft(user_id, version, content, fill, also, new_id)

    @staticmethod
    def _bury(old: Draft, user_id: str, replacement: str) -> str:
        content = {"body": "This room has been replaced", "replacement_room": replacement}
        return old.add(TOMBSTONE, user_id, content, "").event_id

    @staticmethod
    def _close(old: Draft, user_id: str) -> None:
        """Take the aliases off the old room and let nobody talk in it any more, as far as the asker may do that."""
        room = old.room
        power = room.power(old.snapshot)
        alias = old.state_event(ALIAS)
        if alias is not None and alias.content and power.user(user_id) >= power.event(ALIAS, True):
            old.add(ALIAS, user_id, {}, "")
        levels = old.state_event(POWER_LEVELS)
        if levels is None:
            return
        users_default = levels.content.get("users_default", 0)
        floor = max(50, users_default + 1 if isinstance(users_default, int) else 50)
        closed = {**levels.content}
        for name, present in (("events_default", 0), ("invite", power.invite)):
            value = closed.get(name, present)
            closed[name] = max(floor, value if isinstance(value, int) else 0)
        if closed != levels.content:
            try:
                old.add(POWER_LEVELS, user_id, closed, "")
            except MatrixError:
                return  # whoever may only bury the room leaves it open


class Inheritance:
    """Gives those who come into a room that replaces another what they had set for that one.

    Args:
        rooms: the rooms in memory.
        account_data: what people have set.
        push_rules: what they want to be told of.
    """

    def __init__(self, rooms: Rooms, account_data: AccountData, push_rules: PushRules) -> None:
        self._rooms = rooms
        self._account_data = account_data
        self._push_rules = push_rules

    async def joined(self, user_id: str, room: Room) -> None:
        """Carry a user's tags, direct chats and push rules over, once they have joined."""
        predecessor = room.create.content.get("predecessor")
        old_id = predecessor.get("room_id") if isinstance(predecessor, dict) else None
        if not isinstance(old_id, str):
            return
        old = await self._rooms.find(old_id)
        if old is None or user_id not in old.published.members.memberships:
            return
        tags = self._kept(user_id, "m.tag", old_id)
        if tags and not self._kept(user_id, "m.tag", room.room_id):
            await self._account_data.keep(user_id, "m.tag", tags, room.room_id)
        direct = self._kept(user_id, "m.direct")
        moved = {
            other: [*known, room.room_id]
            for other, known in direct.items()
            if isinstance(known, list) and old_id in known and room.room_id not in known
        }
        if moved:
            await self._account_data.keep(user_id, "m.direct", {**direct, **moved})
        await self._push_rules.follow(user_id, old_id, room.room_id)

    def _kept(self, user_id: str, event_type: str, room_id: str = "") -> Content:
        try:
            value = canonical.decode(self._account_data.get(user_id, event_type, room_id))
        except MatrixError:
            return {}
        return value if isinstance(value, dict) else {}


def _checked_creators(named: object) -> list[str]:
    if named is None:
        return []
    if not isinstance(named, list) or not all(isinstance(user, str) and is_user_id(user) for user in named):
        raise bad_json("additional_creators must be a list of user ids.")
    return list(dict.fromkeys(named))


def _create_content(old: Draft, version: RoomVersion, user_id: str, predecessor: Content, named: list[str]) -> Content:
    """The new create event's content: the type and the federation of the old room, and what the version asks for."""
    before = old.room.create.content
    content: Content = {"room_version": version.identifier, "predecessor": predecessor}
    content.update((key, before[key]) for key in ("type", "m.federate") if key in before)
    if version.creator_in_content:
        content["creator"] = user_id
    additional = [user for user in named if user != user_id]
    if version.creators_above_all and additional:
        content["additional_creators"] = additional
    return content


def _children(old: Draft) -> list[Event]:
    """The events by which a space holds its rooms, without those that took one out of it."""
    if old.room.create.content.get("type") != "m.space":
        return []
    keys = [key for event_type, key in old.snapshot.state if event_type == CHILD and key.startswith("!")]
    events = (old.state_event(CHILD, key) for key in keys)
    return [event for event in events if event is not None and event.content.get("via")][:MOST_CHILDREN]


def _raised(levels: Content, user_id: str) -> Content:
    """Power levels by which somebody may set all that is carried over, which whoever may upgrade need not be able to;
    the same ones where they may.
    """
    needed = max(100, *(levels[name] for name in DEFAULTS if name in levels), *levels["events"].values())
    if levels["users"].get(user_id, levels.get("users_default", 0)) >= needed:
        return levels
    return {**levels, "users": {**levels["users"], user_id: needed}}


def _levels(old: Draft, version: RoomVersion, user_id: str, create: Content) -> Content:
    """The old room's power levels as the new version allows them."""
    event = old.state_event(POWER_LEVELS)
    content = _put_right(old.room.version, {} if event is None else event.content)
    users, events = content["users"], content["events"]
    if version.creators_above_all:
        for creator in (user_id, *create.get("additional_creators", ())):
            users.pop(creator, None)
        events[TOMBSTONE] = max(150, content.get("state_default", DEFAULTS["state_default"]) + 1)
        return content
    if old.room.version.creators_above_all:
        # Whoever stood above all levels before stands at their top now, and may bury the room again.
        users.update(dict.fromkeys(creators(old.room.create), 100))
        events[TOMBSTONE] = min(100, events.get(TOMBSTONE, 100))
    if event is None:
        users.setdefault(user_id, 100)
    return content


def _put_right(version: RoomVersion, content: Content) -> Content:
    """Power levels with integers for all levels, as every version takes them, and without what is no level.

    Args:
        version: the version of the room that they are from, by which text may be a level.
        content: what they are.
    """

    def levels(group: object) -> dict[str, int]:
        found = group if isinstance(group, dict) else {}
        parsed = {name: parse_level(version, value) for name, value in found.items()}
        return {name: level for name, level in parsed.items() if level is not None}

    right: Content = {key: value for key, value in content.items() if key not in (*DEFAULTS, "notifications")}
    right |= levels({name: content[name] for name in DEFAULTS if name in content})
    if "notifications" in content:
        right["notifications"] = levels(content["notifications"])
    right["events"] = levels(content.get("events"))
    right["users"] = {name: level for name, level in levels(content.get("users")).items() if is_user_id(name)}
    return right
