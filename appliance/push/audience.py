"""For whom an event of a room is judged: its local members, together where their rules are the same there."""

from collections.abc import Callable

from appliance.accounts.push_rules import PushRules
from appliance.protocol.push_judging import Program
from appliance.protocol.push_ruleset import UNCHANGED, RoomRules, in_room
from appliance.rooms.snapshot import Members, Step
from appliance.storage.lru import Lru

ROOMS_KEPT = 500
PROGRAMS_KEPT = 2_000


class Audience:
    """The local members of one room, as of its head.

    Attributes:
        members: of whom this was made.
        groups: by the number of their rules, who has them; never empty.
    """

    __slots__ = ("_keys", "groups", "members")

    def __init__(self, members: Members) -> None:
        self.members = members
        self.groups: dict[int, set[str]] = {}
        self._keys: dict[str, int] = {}

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._keys

    def put(self, user_id: str, key: int) -> None:
        """A user is in it, with certain rules."""
        self.take(user_id)
        self._keys[user_id] = key
        self.groups.setdefault(key, set()).add(user_id)

    def take(self, user_id: str) -> None:
        """A user is in it no more."""
        key = self._keys.pop(user_id, None)
        if key is not None:
            self.groups[key].discard(user_id)
            if not self.groups[key]:
                del self.groups[key]


class Audiences:
    """The audiences of the rooms in use, and their rules made ready.

    Args:
        push_rules: everybody's rules.
        server_name: says whose users are local ones.
    """

    def __init__(self, push_rules: PushRules, server_name: Callable[[], str]) -> None:
        self._push_rules = push_rules
        self._server_name = server_name
        self._rooms: Lru[int, tuple[str, Audience]] = Lru(ROOMS_KEPT)
        self._programs: Lru[int, Program] = Lru(PROGRAMS_KEPT)
        push_rules.changed.append(self._changed)

    def is_local(self, user_id: str) -> bool:
        """Whether somebody is a user of this server."""
        return user_id.endswith(f":{self._server_name()}") and user_id[1:].partition(":")[2] == self._server_name()

    def after(self, step: Step) -> Audience:
        """The audience of a room after a step; called for each step of a room, in their order."""
        kept = self._rooms.get(step.room_nid)
        members = step.after.members
        if kept is None or kept[1].members is not step.before.members:
            audience = self._made(step.room_id, members)
            self._rooms.put(step.room_nid, (step.room_id, audience))
            return audience
        audience = kept[1]
        for user_id in step.members_changed:
            if members.of(user_id) != "join":
                audience.take(user_id)
            elif user_id not in audience and self.is_local(user_id):
                audience.put(user_id, self.rules(user_id, step.room_id).key)
        audience.members = members
        return audience

    def rules(self, user_id: str, room_id: str) -> RoomRules:
        """A user's rules as far as they matter in a room."""
        changes = self._push_rules.of(user_id)
        if not changes.rules and not changes.defaults:
            return UNCHANGED
        return in_room(changes, room_id)

    def program(self, key: int, user_id: str, room_id: str) -> Program:
        """Rules made ready.

        Args:
            key: their number.
            user_id: somebody who has them.
            room_id: the room.
        """
        program = self._programs.get(key)
        if program is None:
            program = Program(self.rules(user_id, room_id).changes)
            self._programs.put(key, program)
        return program

    def _made(self, room_id: str, members: Members) -> Audience:
        audience = Audience(members)
        ending = f":{self._server_name()}"
        for user_id, membership in members.memberships.items():
            if membership == "join" and user_id.endswith(ending) and self.is_local(user_id):
                audience.put(user_id, self.rules(user_id, room_id).key)
        return audience

    def _changed(self, user_id: str) -> None:
        """Group a user anew wherever they are, since their rules are others."""
        for room_id, audience in self._rooms.values():
            if user_id in audience:
                audience.put(user_id, self.rules(user_id, room_id).key)
