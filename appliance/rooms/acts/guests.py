"""Guests in rooms: only where a room lets them in, and out again where it does so no longer (client-server API, module
"Guest access").
"""

from appliance.errors import MatrixError
from appliance.protocol.identifiers import server_of
from appliance.rooms.acts.creation import People
from appliance.rooms.graph.appending import Draft
from appliance.rooms.snapshot import MEMBER

GUEST_ACCESS = "m.room.guest_access"


def admit(draft: Draft, user_id: str, people: People) -> None:
    """Refuse a guest whom a room does not let in.

    Raises:
        MatrixError: ``M_GUEST_ACCESS_FORBIDDEN``.
    """
    if people.is_guest(user_id) and not _lets_guests_in(draft):
        raise guests_forbidden()


def evict(draft: Draft, server_name: str, people: People) -> None:
    """Let this server's guests leave a room that lets guests in no longer."""
    if _lets_guests_in(draft):
        return
    for user_id in draft.snapshot.members.having("join"):
        if server_of(user_id) == server_name and people.is_guest(user_id):
            draft.add(MEMBER, user_id, {"membership": "leave"}, user_id)


def guests_forbidden() -> MatrixError:
    """403 ``M_GUEST_ACCESS_FORBIDDEN``."""
    return MatrixError("M_GUEST_ACCESS_FORBIDDEN", "This room does not let guests in.", 403)


def _lets_guests_in(draft: Draft) -> bool:
    event = draft.state_event(GUEST_ACCESS)
    return event is not None and event.content.get("guest_access") == "can_join"
