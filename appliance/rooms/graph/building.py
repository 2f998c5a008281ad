"""Events of our own: built on what they stand on, hashed and signed."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from appliance.errors import bad_json, too_large
from appliance.protocol.events import Event, EventTooLarge, InvalidEvent, build_event
from appliance.protocol.signing import SigningKey
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Extremity
from appliance.rooms.store import EventStore

MAX_DEPTH = 2**53 - 1


class Identity(Protocol):
    """As whom this server speaks."""

    @property
    def server_name(self) -> str:
        """The server's name."""
        ...

    @property
    def key(self) -> SigningKey:
        """The key that signs at present."""
        ...


class Builder:
    """Builds events.

    Args:
        store: the events in memory.
        identity: as whom this server signs.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, store: EventStore, identity: Identity, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._identity = identity
        self._now_ms = now_ms

    def build(
        self,
        room: Room,
        parents: Sequence[Extremity],
        auth: Sequence[int],
        event_type: str,
        sender: str,
        content: dict[str, Any],
        state_key: str | None,
        redacts: str | None = None,
        *,
        names_origin: bool = False,
    ) -> Event:
        """Build and sign an event, which may name this server as its origin; raises ``M_TOO_LARGE`` or ``M_BAD_JSON``
        for what cannot be one.
        """
        try:
            return build_event(
                room.version,
                room_id=room.room_id,
                type=event_type,
                sender=sender,
                content=content,
                state_key=state_key,
                depth=min(MAX_DEPTH, 1 + max((parent.ordering for parent in parents), default=0)),
                prev_events=[parent.event_id for parent in parents],
                auth_events=[self._store.event(nid).event_id for nid in auth],
                origin_server_ts=self._now_ms(),
                redacts=redacts,
                origin=self._identity.server_name if names_origin else None,
                server_name=self._identity.server_name,
                key=self._identity.key,
            )
        except EventTooLarge as error:
            raise too_large(str(error)) from error
        except InvalidEvent as error:
            raise bad_json(str(error)) from error
