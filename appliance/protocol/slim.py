"""Events with no more than the authorisation rules and state resolution ask for.

A large resolution looks at tens of thousands of events. Read whole, each is some twenty objects; like this it is three,
read in a third of the time, and gone in a fraction of it. Nearly all of them are memberships of which nothing counts
but a few columns: of those nothing is decoded at all.
"""

from typing import Any, ClassVar

import msgspec
from msgspec import Struct, field

from appliance.protocol.event_signatures import AUTHORISER
from appliance.protocol.events import Event, Stated
from appliance.protocol.versions import RoomVersion


class SlimEvent(Struct, Stated, gc=False):
    """An event of our own database, without depth, hashes, signatures and auth events; its parts mean what those of
    ``Event`` do.
    """

    type: str
    sender: str
    content: dict[str, Any]
    origin_server_ts: int
    prev_events: tuple[str, ...]
    room_id: str
    state_key: str | None = None
    # No event has keys of these names that count: both are filled in.
    event_id: Any = field(default="", name="(id)")
    version: Any = field(default=None, name="(version)")


class PlainMember(Struct, gc=False):
    """A membership of which nothing matters but who says what of whom, made of what the database knows without its
    JSON. Its content holds the membership alone, and it has no parents: a creator's first join, which is judged by its
    parent, must not be read like this.
    """

    type: ClassVar[str] = "m.room.member"
    is_state: ClassVar[bool] = True
    prev_events: ClassVar[tuple[str, ...]] = ()

    version: RoomVersion
    event_id: str
    room_id: str
    sender: str
    state_key: str
    membership: str
    content: dict[str, Any]
    origin_server_ts: int


AnyEvent = Event | SlimEvent | PlainMember

PLAIN_CONTENTS = {name: {"membership": name} for name in ("join", "leave", "invite", "ban", "knock")}
"""The memberships there are, and all that a plain one says; shared by all that say it."""

_decode = msgspec.json.Decoder(SlimEvent).decode
_WHOLE = frozenset(("m.room.create", "m.room.redaction"))
"""Types of which the rules ask for more."""


def plain_columns(event: Event) -> tuple[str, int] | tuple[None, None]:
    """Membership and time, where a ``PlainMember`` can stand for the event, now and after a redaction; else nothing.

    So it is in room versions with strict JSON, where numbers fit into a column, for memberships for which nobody
    vouches and which come from no third-party invite.
    """
    if event.type != "m.room.member" or event.state_key is None or not event.version.strict_json:
        return None, None
    content, membership = event.content, event.membership
    if membership not in PLAIN_CONTENTS or AUTHORISER in content or "third_party_invite" in content:
        return None, None
    return membership, event.origin_server_ts


def slim(version: RoomVersion, data: bytes, event_id: str, event_type: str) -> AnyEvent:
    """An event of our own database, as slim as may be; in old room versions, whose JSON is not strict, it is whole.

    Args:
        version: the version of the room.
        data: its federation form as it was stored.
        event_id: its id.
        event_type: its type.
    """
    if not version.strict_json or event_type in _WHOLE:
        return Event.from_json(version, data, event_id)
    event = _decode(data)
    event.version = version
    event.event_id = event_id
    return event
