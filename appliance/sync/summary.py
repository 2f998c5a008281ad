"""The summary of a room: by whom it may be called, and how many are in it (client-server API, "Syncing")."""

import heapq
from typing import Any

from appliance.rooms.snapshot import MEMBER, Snapshot
from appliance.rooms.store import EventStore

HEROES = 5
SUMMED_UP = frozenset((MEMBER, "m.room.name", "m.room.canonical_alias"))
"""The types of state that a summary is made of."""


def heroes(snapshot: Snapshot, user_id: str) -> list[str]:
    """The five members, not the asker, who came first; former members where nobody else is left."""
    memberships = snapshot.members.memberships
    for wanted in (("join", "invite"), ("leave", "ban")):
        found = heapq.nsmallest(
            HEROES,
            (
                (snapshot.state.get((MEMBER, user), 0), user)
                for user, membership in memberships.items()
                if membership in wanted and user != user_id
            ),
        )
        if found:
            return [user for _, user in found]
    return []


def is_named(snapshot: Snapshot, store: EventStore) -> bool:
    """Whether a room has a name of its own; what is set and empty is none."""
    for event_type, field in (("m.room.name", "name"), ("m.room.canonical_alias", "alias")):
        nid = snapshot.state.get((event_type, ""))
        if nid is not None and store.event(nid).content.get(field):
            return True
    return False


def summary(snapshot: Snapshot, user_id: str, store: EventStore) -> dict[str, Any]:
    """The summary; heroes only where the room has no name of its own."""
    found: dict[str, Any] = {
        "m.joined_member_count": snapshot.members.joined,
        "m.invited_member_count": snapshot.members.invited,
    }
    if not is_named(snapshot, store):
        found["m.heroes"] = heroes(snapshot, user_id)
    return found
