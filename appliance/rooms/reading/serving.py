"""Events as they are answered: the ready-made client form, with an ``unsigned`` made for the asker.

``unsigned`` is never stored and never another server's: ``age``, ``membership`` (the asker's, at the event),
``transaction_id`` (to the sending device alone), ``prev_content`` and ``replaces_state``, ``redacted_because``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from msgspec import Struct

from appliance.rooms.graph.transactions import Transactions
from appliance.rooms.reading.visibility import Visibility, may_see
from appliance.rooms.standings import History, Standings
from appliance.rooms.store import ClientEvent, EventStore


class Asker(Struct, frozen=True):
    """For whom an answer is made: a user, and the device that asks."""

    user_id: str
    device_id: str = ""


class Serving:
    """Makes answers out of events.

    Args:
        store: the events.
        standings: the asker's memberships.
        transactions: the asker's transactions.
        visibility: the rooms' settings.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(
        self,
        store: EventStore,
        standings: Standings,
        transactions: Transactions,
        visibility: Visibility,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._standings = standings
        self._transactions = transactions
        self._visibility = visibility
        self._now_ms = now_ms

    def serve(self, events: Sequence[ClientEvent], asker: Asker, room_id: str | None = None) -> list[orjson.Fragment]:
        """Events of one room, ready to stand in an answer.

        Args:
            events: the events.
            asker: for whom.
            room_id: the room's id where each event shall name it; None where the answer says it elsewhere.
        """
        if not events:
            return []
        room_nid = events[0].room_nid
        history = self._standings.of(asker.user_id).of(room_nid)
        now_ms = self._now_ms()
        own = [event.nid for event in events if event.sender == asker.user_id]
        sent = self._transactions.of_events(asker.user_id, asker.device_id, own) if own and asker.device_id else {}
        before = self._store.clients(event.replaces_nid for event in events if event.replaces_nid is not None)
        settings = self._visibility.of(room_nid) if before else None
        hidden = {
            nid
            for nid, previous in before.items()
            if settings is not None and not may_see(previous, asker.user_id, history, settings)
        }
        reasons = self._store.clients(event.redacted_by for event in events if event.redacted_by is not None)
        return [
            self._one(event, now_ms, history, sent.get(event.nid), before, hidden, reasons, room_id) for event in events
        ]

    @staticmethod
    def _one(
        event: ClientEvent,
        now_ms: int,
        history: History | None,
        transaction_id: str | None,
        before: dict[int, ClientEvent],
        hidden: set[int],
        reasons: dict[int, ClientEvent],
        room_id: str | None,
    ) -> orjson.Fragment:
        unsigned: dict[str, Any] = {"age": now_ms - event.timestamp}
        if event.position is not None:
            unsigned["membership"] = history.membership_at(event.position) if history is not None else "leave"
        if transaction_id is not None:
            unsigned["transaction_id"] = transaction_id
        if event.replaces_nid in before:
            previous = before[event.replaces_nid]
            if previous.nid not in hidden:
                unsigned["prev_content"] = orjson.loads(previous.body)["content"]
            unsigned["replaces_state"] = previous.event_id
        if event.redacted_by in reasons:
            unsigned["redacted_because"] = orjson.Fragment(with_room(reasons[event.redacted_by].body, room_id))
        return orjson.Fragment(with_room(event.body, room_id)[:-1] + b',"unsigned":' + orjson.dumps(unsigned) + b"}")


def with_room(body: bytes, room_id: str | None) -> bytes:
    """A client form that names its room."""
    return body if room_id is None else body[:-1] + b',"room_id":' + orjson.dumps(room_id) + b"}"
