"""The authorisation rules of all room versions: which events a room's state allows (room versions, "Authorisation
rules"), and which events an event must name as those that allow it (server-server API, "Auth events selection").
"""

from collections.abc import Callable, Sequence
from typing import Any

from appliance.protocol.auth_members import check_member, is_closed
from appliance.protocol.auth_power import check_power_levels
from appliance.protocol.auth_state import Judged, NotAllowed, StateLookup, require
from appliance.protocol.event_signatures import AUTHORISER
from appliance.protocol.events import Event
from appliance.protocol.identifiers import is_user_id, server_of
from appliance.protocol.power import PowerLevels
from appliance.protocol.slim import AnyEvent
from appliance.protocol.versions import VERSIONS, RoomVersion

__all__ = [
    "NotAllowed",
    "StateLookup",
    "auth_event_slots",
    "check_auth_events",
    "check_event",
    "redaction_applies",
]

Slot = tuple[str, str]
"""The type and the state key of a state event."""

CREATE: Slot = ("m.room.create", "")


def auth_event_slots(
    version: RoomVersion,
    *,
    type: str,  # noqa: A002 - the specification's own word
    sender: str,
    state_key: str | None,
    content: dict[str, Any],
) -> list[Slot]:
    """The places in a room's state whose events, where there are any, an event must name in ``auth_events``.

    Args:
        version: the version of the room; up to 11 the create event is among them.
        type: the type of the event that is made or judged.
        sender: its sender.
        state_key: its state key, for a state event.
        content: its content.
    """
    if type == "m.room.create":
        return []
    slots = [] if version.hash_room_ids else [CREATE]
    slots += [("m.room.power_levels", ""), ("m.room.member", sender)]
    if type == "m.room.member" and state_key is not None:
        slots += _member_slots(version, state_key, content)
    return list(dict.fromkeys(slots))


def _member_slots(version: RoomVersion, target: str, content: dict[str, Any]) -> list[Slot]:
    membership = content.get("membership")
    slots = [("m.room.member", target)]
    if membership in ("join", "invite", "knock"):
        slots.append(("m.room.join_rules", ""))
    invite = content.get("third_party_invite")
    if membership == "invite" and isinstance(invite, dict) and isinstance(invite.get("signed"), dict):
        token = invite["signed"].get("token")
        if isinstance(token, str):
            slots.append(("m.room.third_party_invite", token))
    authoriser = content.get(AUTHORISER)
    if version.restricted and membership == "join" and isinstance(authoriser, str):
        slots.append(("m.room.member", authoriser))
    return slots


def check_auth_events(
    event: Event,
    auth_events: Sequence[Event],
    create: Event,
    is_rejected: Callable[[str], bool],
) -> None:
    """Judge the events that an event names as those that allow it, not yet whether they do.

    Args:
        event: the event.
        auth_events: all that its ``auth_events`` names.
        create: the room's create event.
        is_rejected: whether the event of an id was rejected; one that was soft-failed is fine.

    Raises:
        NotAllowed: for doubled or unexpected ones, rejected ones, ones of another room, and a missing create event.
    """
    if event.type == "m.room.create":
        return
    version = event.version
    require(event.room_id == create.room_id, "The event belongs to another room than its create event.")
    require(not is_rejected(create.event_id), "The room's create event was rejected.")
    expected = set(
        auth_event_slots(
            version, type=event.type, sender=event.sender, state_key=event.state_key, content=event.content
        )
    )
    seen: set[Slot] = set()
    for auth_event in auth_events:
        slot = (auth_event.type, auth_event.state_key or "")
        if slot in seen:
            raise NotAllowed(f"Two of the event's auth events are {slot[0]} of the same state key.")
        seen.add(slot)
        if auth_event.state_key is None or slot not in expected:
            raise NotAllowed(f"One of the event's auth events, a {auth_event.type}, has no business there.")
        if is_rejected(auth_event.event_id):
            raise NotAllowed("One of the event's auth events was rejected.")
        if auth_event.room_id != event.room_id:
            raise NotAllowed("One of the event's auth events belongs to another room.")
        if slot == CREATE and auth_event.event_id != create.event_id:
            raise NotAllowed("The event names another create event than its room's.")
    require(len(set(event.auth_events)) == len(event.auth_events), "The event names an auth event twice.")
    require(version.hash_room_ids or CREATE in seen, "The event's auth events lack the create event.")


def check_event(event: AnyEvent, state: StateLookup, create: AnyEvent) -> None:
    """Judge an event by a state of its room: that of its auth events, that before it, or the current one.

    Args:
        event: the event.
        state: finds the state event of a type and state key.
        create: the room's create event; for a create event itself, that same event.

    Raises:
        NotAllowed: with the reason.
    """
    if event.type == "m.room.create":
        _check_create(event)
        return
    version = event.version
    if event.room_id != create.room_id:
        raise NotAllowed("The event belongs to another room than its create event.")
    if is_closed(create):
        require(
            server_of(event.sender) == server_of(create.sender),
            "This room is closed to users of other servers.",
        )
    if version.aliases_by_server and event.type == "m.room.aliases":
        _check_aliases(event)
        return
    judged = Judged(event, state, create)
    if event.type == "m.room.member":
        check_member(judged)
        return
    require(judged.membership(event.sender) == "join", f"{event.sender} is not in the room.")
    if event.type == "m.room.third_party_invite":
        require(judged.sender_power >= judged.levels.invite, f"{event.sender} may not invite to this room.")
        return
    _check_may_send(judged)
    if event.type == "m.room.power_levels":
        check_power_levels(judged)
    elif version.redaction_rule and event.type == "m.room.redaction":
        _check_redaction(judged)


def redaction_applies(redaction: Event, target: Event, levels: PowerLevels) -> bool:
    """Whether an allowed redaction is carried out on its target (room version 3, "Handling redactions").

    Args:
        redaction: the redaction.
        target: the event that it names.
        levels: the power levels in the state before the redaction.
    """
    if redaction.version.redaction_rule:
        return True  # the authorisation rules have judged it already
    return levels.user(redaction.sender) >= levels.redact or server_of(redaction.sender) == server_of(target.sender)


def _check_create(event: AnyEvent) -> None:
    version, content = event.version, event.content
    require(not event.prev_events, "A create event must be the first of its room.")
    if version.hash_room_ids:
        require(
            isinstance(event, Event) and "room_id" not in event.pdu,
            "A create event of this room version must have no room_id.",
        )
    else:
        require(
            server_of(event.room_id) == server_of(event.sender),
            "A room's id must be of the server of the user who creates it.",
        )
    named = content.get("room_version", "1")
    require(isinstance(named, str) and named in VERSIONS, "The create event names an unknown room version.")
    if version.creator_in_content:
        require("creator" in content, "The create event names no creator.")
    if version.creators_above_all and "additional_creators" in content:
        added = content["additional_creators"]
        require(
            isinstance(added, list) and all(isinstance(name, str) and is_user_id(name) for name in added),
            "The additional creators are not a list of user ids.",
        )


def _check_aliases(event: AnyEvent) -> None:
    require(
        event.state_key is not None and event.state_key == server_of(event.sender),
        "The aliases of a server may only be set by its own users.",
    )


def _check_may_send(judged: Judged) -> None:
    """The power that an event's type needs, and state keys that belong to one user."""
    event = judged.event
    require(
        judged.levels.event(event.type, event.is_state) <= judged.sender_power,
        f"{event.sender} has too little power in this room to send {event.type}.",
    )
    require(
        event.state_key is None or not event.state_key.startswith("@") or event.state_key == event.sender,
        "State that is kept under a user's id may only be set by that user.",
    )


def _check_redaction(judged: Judged) -> None:
    """Versions 1 and 2: by power, or of an event whose id comes from the same server."""
    event = judged.event
    if judged.sender_power >= judged.levels.redact:
        return
    _, _, target_server = (event.redacts if isinstance(event, Event) and event.redacts else "").partition(":")
    require(
        target_server == server_of(event.event_id),
        f"{event.sender} has too little power in this room to redact what others sent.",
    )
