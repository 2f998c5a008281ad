"""Memberships of our own users, and invitations by them, made outside a draft: by templates, for others to sign."""

from collections.abc import Callable
from typing import Any

from appliance.errors import too_large
from appliance.federation.failures import Unreachable
from appliance.protocol.auth import auth_event_slots
from appliance.protocol.event_signatures import AUTHORISER
from appliance.protocol.events import Event, EventTooLarge, InvalidEvent, build_event
from appliance.protocol.versions import RoomVersion
from appliance.rooms.graph.appending import Appender, Draft, Identity
from appliance.rooms.room import Room
from appliance.rooms.snapshot import MAX_PARENTS, MEMBER
from appliance.rooms.store import EventStore


class Making:
    """Makes them.

    Args:
        store: the events in memory.
        appender: builds events.
        identity: as whom this server signs.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, store: EventStore, appender: Appender, identity: Identity, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._appender = appender
        self._identity = identity
        self._now_ms = now_ms

    def event(self, nid: int) -> Event:
        """The stored event of that number."""
        return self._store.event(nid)

    def member(self, version: RoomVersion, template: dict[str, Any], content: dict[str, Any]) -> Event:
        """A membership out of another server's template; nothing of that is used but where the event stands.

        Args:
            version: the version of the room.
            template: what the other server answered, which is about the right user and room.
            content: what the membership says.

        Raises:
            Unreachable: for a template out of which no event can be made.
            MatrixError: ``M_TOO_LARGE``.
        """
        voucher = template["content"].get(AUTHORISER)
        if isinstance(voucher, str) and version.restricted:
            content = {**content, AUTHORISER: voucher}
        depth = template.get("depth")
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
            raise Unreachable("Its template has no depth.")
        try:
            return build_event(
                version,
                room_id=template["room_id"],
                type=MEMBER,
                sender=template["sender"],
                content=content,
                state_key=template["state_key"],
                depth=depth,
                prev_events=_ids(version, template.get("prev_events")),
                auth_events=_ids(version, template.get("auth_events")),
                origin_server_ts=self._now_ms(),
                origin=self._identity.server_name,
                server_name=self._identity.server_name,
                key=self._identity.key,
            )
        except EventTooLarge as problem:
            raise too_large(str(problem)) from problem
        except InvalidEvent as problem:
            raise Unreachable(f"No event can be made out of its template: {problem}") from problem

    def alone(self, present: Event, content: dict[str, Any]) -> Event:
        """A membership that follows another one of the user's, for no other server to see."""
        return build_event(
            present.version,
            room_id=present.room_id,
            type=MEMBER,
            sender=present.state_key or "",
            content=content,
            state_key=present.state_key,
            depth=present.depth + 1,
            prev_events=[present.event_id],
            auth_events=[present.event_id],
            origin_server_ts=self._now_ms(),
            server_name=self._identity.server_name,
            key=self._identity.key,
        )

    def on_head(self, room: Room, sender: str, content: dict[str, Any], state_key: str) -> Event:
        """A membership on the ends of a room, judged by its state; with the room's lock held.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the state does not allow it, ``M_TOO_LARGE``, ``M_BAD_JSON``.
        """
        head = room.head
        parents = head.extremities[:MAX_PARENTS]
        slots = auth_event_slots(room.version, type=MEMBER, sender=sender, state_key=state_key, content=content)
        auth = [head.state[slot] for slot in slots if slot in head.state]
        event = self._appender.builder.build(room, parents, auth, MEMBER, sender, content, state_key, names_origin=True)
        Draft(room, self._appender).judge(event)
        return event


def _ids(version: RoomVersion, references: object) -> list[str]:
    """The ids in the previous or auth events of a template."""
    listed = references if isinstance(references, list) else []
    found = (
        [one[0] if isinstance(one, list) and one else one for one in listed] if version.hashed_references else listed
    )
    if not all(isinstance(one, str) for one in found):
        raise Unreachable("Its template names events in a form that its room version has not.")
    return found
