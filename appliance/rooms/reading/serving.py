"""Events as they are answered: the ready-made client form, with an ``unsigned`` made for the asker.

``unsigned`` is never stored and never another server's: ``age``, ``membership`` (the asker's, at the event),
``transaction_id`` (to the sending device alone), ``prev_content`` and ``replaces_state``, ``redacted_because``, and,
where the endpoint is one that tells it, ``m.relations``: what the event's children come to.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import msgspec
import orjson
from msgspec import Struct

from appliance.protocol.redaction import redact
from appliance.rooms.graph.transactions import Transactions
from appliance.rooms.reading.aggregations import Aggregations, Bundle
from appliance.rooms.reading.visibility import Visibility
from appliance.rooms.standings import History, Standings
from appliance.rooms.store import ClientEvent, EventStore


class Asker(Struct, frozen=True):
    """For whom an answer is made: a user, and the device that asks."""

    user_id: str
    device_id: str = ""


class Ignores(Protocol):
    """Knows whom users ignore."""

    def of(self, user_id: str) -> frozenset[str]:
        """The ids of those whom a user ignores."""
        ...


class Serving:
    """Makes answers out of events.

    Args:
        store: the events.
        standings: the asker's memberships.
        transactions: the asker's transactions.
        visibility: the rooms' settings.
        aggregations: what events' children come to.
        ignored: whom users ignore.
        erased: those whose messages are hidden from whoever was not in the room then.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(
        self,
        store: EventStore,
        standings: Standings,
        transactions: Transactions,
        visibility: Visibility,
        aggregations: Aggregations,
        ignored: Ignores,
        erased: AbstractSet[str],
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._aggregations = aggregations
        self._ignored = ignored
        self._erased = erased
        self._standings = standings
        self._transactions = transactions
        self._visibility = visibility
        self._now_ms = now_ms

    def serve(
        self, events: Sequence[ClientEvent], asker: Asker, room_id: str | None = None, *, bundled: bool = False
    ) -> list[orjson.Fragment]:
        """Events of one room, ready to stand in an answer.

        Args:
            events: the events.
            asker: for whom.
            room_id: the room's id where each event shall name it; None where the answer says it elsewhere.
            bundled: whether to tell of the events' children.
        """
        if not events:
            return []
        room_nid = events[0].room_nid
        history = self._standings.of(asker.user_id).of(room_nid)
        now_ms = self._now_ms()
        own = [event.nid for event in events if event.sender == asker.user_id]
        sent = self._transactions.of_events(asker.user_id, asker.device_id, own) if own and asker.device_id else {}
        before = self._store.clients(event.replaces_nid for event in events if event.replaces_nid is not None)
        sees = self._visibility.sees
        hidden = {
            nid
            for nid, previous in before.items()
            if not sees(previous, asker.user_id, history)
            or (previous.sender in self._erased and self._membership(previous, asker, history) != "join")
        }
        reasons = self._store.clients(event.redacted_by for event in events if event.redacted_by is not None)
        relations = self._relations(events, asker, room_id) if bundled else {}
        plain = _Plain(room_id)
        last = history.changes[-1] if history is not None and history.changes else None
        # Most answers tell of nothing but messages: then there is nothing to look for.
        erased, special = self._erased, bool(sent or before or reasons or relations)
        served = []
        for event in events:
            nid, position = event.nid, event.position
            if last is not None and position is not None and position >= last.position and not event.apart:
                membership: str | None = last.membership
            else:
                membership = self._membership(event, asker, history)
            if erased and event.sender in erased and membership != "join":
                event = self._emptied(event)
            age = now_ms - event.timestamp
            if special and (
                nid in sent or event.replaces_nid in before or event.redacted_by in reasons or nid in relations
            ):
                unsigned = self._unsigned(event, age, membership, before, hidden)
                if nid in sent:
                    unsigned.update(sent[nid])
                if event.redacted_by in reasons:
                    unsigned["redacted_because"] = orjson.Fragment(with_room(reasons[event.redacted_by].body, room_id))
                if nid in relations:
                    unsigned["m.relations"] = relations[nid]
                rest = b',"unsigned":' + orjson.dumps(unsigned) + b"}"
                served.append(orjson.Fragment(with_room(event.body, room_id)[:-1] + rest))
            else:
                served.append(orjson.Fragment(event.body[:-1] + plain.end(membership) % age))
        return served

    def visible(self, event: ClientEvent, user_id: str) -> bool:
        """Whether a user may see an event."""
        history = self._standings.of(user_id).remembered(event.room_nid)
        return self._visibility.sees(event, user_id, history)

    def _emptied(self, client: ClientEvent) -> ClientEvent:
        """An event as if it had been redacted: its sender asked to be forgotten."""
        event = self._store.event(client.nid)
        form = {**orjson.loads(client.body), "content": redact(event.version, event.pdu)["content"]}
        return msgspec.structs.replace(client, body=orjson.dumps(form))

    def bundles(self, events: Sequence[ClientEvent], asker: Asker) -> dict[int, Bundle]:
        """What an asker is told of the children of events of one room, by the events' numbers."""
        return self._aggregations.of(
            events, asker.user_id, self._ignored.of(asker.user_id), lambda event: self.visible(event, asker.user_id)
        )

    def _relations(self, events: Sequence[ClientEvent], asker: Asker, room_id: str | None) -> dict[int, dict[str, Any]]:
        """``m.relations`` by the numbers of the events that have any. The last event of a thread has its own again,
        but no thread.
        """
        bundles = self.bundles(events, asker)
        if not bundles:
            return {}
        edits = [bundle.edit for bundle in bundles.values() if bundle.edit is not None]
        lasts = [bundle.thread.latest for bundle in bundles.values() if bundle.thread is not None]
        served = {
            event.nid: form
            for these, bundled in ((edits, False), (lasts, True))
            for event, form in zip(these, self.serve(these, asker, room_id, bundled=bundled), strict=True)
        }
        return {nid: _told(bundle, served) for nid, bundle in bundles.items()}

    def _membership(self, event: ClientEvent, asker: Asker, history: History | None) -> str | None:
        """How the asker stood to the room at an event; None for one without a place in the timeline."""
        return None if event.position is None else self._visibility.membership_at(event, asker.user_id, history)

    @staticmethod
    def _unsigned(
        event: ClientEvent, age: int, membership: str | None, before: dict[int, ClientEvent], hidden: set[int]
    ) -> dict[str, Any]:
        unsigned: dict[str, Any] = {"age": age}
        if membership is not None:
            unsigned["membership"] = membership
        if event.replaces_nid in before:
            previous = before[event.replaces_nid]
            if previous.nid not in hidden:
                unsigned["prev_content"] = orjson.loads(previous.body)["content"]
            unsigned["replaces_state"] = previous.event_id
        return unsigned


class _Plain:
    """The ends of events of which nothing but their age and the asker's membership is told: most of them.

    Args:
        room_id: the room's id where each event shall name it.
    """

    __slots__ = ("_before", "_ends")

    def __init__(self, room_id: str | None) -> None:
        self._before = b"" if room_id is None else b',"room_id":' + _escaped(room_id)
        self._ends: dict[str | None, bytes] = {}

    def end(self, membership: str | None) -> bytes:
        """What comes after the members of an event, with a place for the age."""
        end = self._ends.get(membership)
        if end is None:
            said = b"" if membership is None else b',"membership":' + _escaped(membership)
            end = self._ends[membership] = self._before + b',"unsigned":{"age":%d' + said + b"}}"
        return end


def _escaped(text: str) -> bytes:
    """Text as JSON, to stand in a pattern for ``%``."""
    return orjson.dumps(text).replace(b"%", b"%%")


def _told(bundle: Bundle, served: dict[int, orjson.Fragment]) -> dict[str, Any]:
    """The children of one event in the specification's form."""
    told: dict[str, Any] = {}
    if bundle.edit is not None:
        told["m.replace"] = served[bundle.edit.nid]
    if bundle.references:
        told["m.reference"] = {"chunk": [{"event_id": event_id} for event_id in bundle.references]}
    if bundle.thread is not None:
        told["m.thread"] = {
            "latest_event": served[bundle.thread.latest.nid],
            "count": bundle.thread.count,
            "current_user_participated": bundle.thread.participated,
        }
    return told


def with_room(body: bytes, room_id: str | None) -> bytes:
    """A client form that names its room."""
    return body if room_id is None else body[:-1] + b',"room_id":' + orjson.dumps(room_id) + b"}"
