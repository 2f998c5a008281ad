"""What a new room holds unless its creator says otherwise (client-server API, "Creation").

Pure: from the request to the contents of the first events.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from appliance.errors import bad_json, invalid_param
from appliance.protocol.identifiers import is_user_id
from appliance.protocol.versions import RoomVersion

Content = dict[str, Any]
MOST_INITIAL_STATE = 200
"""Entries of ``initial_state``: all events of a new room are made at one go, half a millisecond each."""


class InitialState(Struct):
    """One entry of ``initial_state``."""

    type: str
    content: Content
    state_key: str = ""


class CreateRoom(Struct):
    """The body of ``POST /createRoom``; names and meanings are the specification's."""

    visibility: Literal["public", "private"] = "private"
    room_alias_name: str | None = None
    name: str | None = None
    topic: str | None = None
    invite: list[str] = []
    invite_3pid: list[Content] = []
    room_version: Annotated[str, Meta(max_length=32)] | None = None
    creation_content: Content = {}
    initial_state: Annotated[list[InitialState], Meta(max_length=MOST_INITIAL_STATE)] = []
    preset: Literal["private_chat", "public_chat", "trusted_private_chat"] | None = None
    is_direct: bool = False
    power_level_content_override: Content = {}

    @property
    def chosen_preset(self) -> str:
        """The preset; the visibility decides where none is named."""
        return self.preset or ("public_chat" if self.visibility == "public" else "private_chat")


_PRESETS = {
    "private_chat": ("invite", "can_join"),
    "trusted_private_chat": ("invite", "can_join"),
    "public_chat": ("public", "forbidden"),
}
_EVENT_LEVELS = {
    "m.room.name": 50,
    "m.room.avatar": 50,
    "m.room.canonical_alias": 50,
    "m.room.power_levels": 100,
    "m.room.history_visibility": 100,
    "m.room.server_acl": 100,
    "m.room.encryption": 100,
    "m.room.tombstone": 100,
}
_FORBIDDEN_INITIAL = ("m.room.create", "m.room.member")


def create_content(request: CreateRoom, version: RoomVersion, creator: str) -> Content:
    """The content of ``m.room.create``.

    Raises:
        MatrixError: ``M_BAD_JSON`` for ``additional_creators`` that are no list of user ids.
    """
    content = {**request.creation_content, "room_version": version.identifier}
    content.pop("creator", None)
    if version.creator_in_content:
        content["creator"] = creator
    if version.creators_above_all:
        named = content.get("additional_creators", [])
        if not isinstance(named, list) or not all(isinstance(user, str) and is_user_id(user) for user in named):
            raise bad_json("additional_creators must be a list of user ids.")
        if request.chosen_preset == "trusted_private_chat":
            named = [*named, *request.invite]
        additional = [user for user in dict.fromkeys(named) if user != creator]
        content.pop("additional_creators", None)
        if additional:
            content["additional_creators"] = additional
    return content


def power_levels(request: CreateRoom, version: RoomVersion, creator: str) -> Content:
    """The content of the first ``m.room.power_levels``."""
    for entry in request.initial_state:
        if entry.type == "m.room.power_levels" and entry.state_key == "":
            return entry.content
    events = dict(_EVENT_LEVELS)
    users: dict[str, int] = {}
    if version.creators_above_all:
        events["m.room.tombstone"] = 150
    else:
        users[creator] = 100
        if request.chosen_preset == "trusted_private_chat":
            users.update(dict.fromkeys(request.invite, 100))
    content: Content = {
        "users": users,
        "users_default": 0,
        "events": events,
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": 50 if request.chosen_preset == "public_chat" else 0,
    }
    return {**content, **request.power_level_content_override}


def first_state(request: CreateRoom) -> list[InitialState]:
    """The state after the power levels, in the specification's order, each slot once.

    Raises:
        MatrixError: ``M_INVALID_PARAM`` where ``initial_state`` holds what only the server makes.
    """
    if any(entry.type in _FORBIDDEN_INITIAL for entry in request.initial_state):
        raise invalid_param("initial_state may hold neither m.room.create nor m.room.member.")
    join_rule, guest_access = _PRESETS[request.chosen_preset]
    preset = [
        InitialState("m.room.join_rules", {"join_rule": join_rule}),
        InitialState("m.room.history_visibility", {"history_visibility": "shared"}),
    ]
    if guest_access == "can_join":  # guests are forbidden anyway where nothing is said, as other servers leave it too
        preset.append(InitialState("m.room.guest_access", {"guest_access": guest_access}))
    named = []
    if request.name is not None:
        named.append(InitialState("m.room.name", {"name": request.name}))
    if request.topic is not None:
        topic = {"topic": request.topic, "m.topic": {"m.text": [{"body": request.topic}]}}
        named.append(InitialState("m.room.topic", topic))
    given = [entry for entry in request.initial_state if (entry.type, entry.state_key) != ("m.room.power_levels", "")]
    last = {(entry.type, entry.state_key): entry for entry in (*preset, *given, *named)}
    order = dict.fromkeys((entry.type, entry.state_key) for entry in (*preset, *given, *named))
    return [last[slot] for slot in order]
