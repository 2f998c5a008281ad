"""Events as they are answered: the ready-made client form, with an ``unsigned`` made for the asker.

``unsigned`` is never stored and never another server's: ``age``, ``membership`` (the asker's, at the event),
``transaction_id`` (to the sending device alone), ``prev_content`` and ``replaces_state``, ``redacted_because``, and,
where the endpoint is one that tells it, ``m.relations``: what the event's children come to. ``unsigned.py`` has its
form.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import msgspec
import orjson
from msgspec import Struct

from appliance.protocol.redaction import redact
from appliance.rooms.graph.transactions import Transactions
from appliance.rooms.reading import unsigned
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


class _Found(Struct, frozen=True):
    """What events name that must be looked up.

    Args:
        sent: of which transactions of the asking device they are.
        before: the events whose place in the state they took, by number.
        hidden: those of them that the asker may not see.
        reasons: the redactions that emptied them, by number.
    """

    sent: Mapping[int, dict[str, str]]
    before: Mapping[int, ClientEvent]
    hidden: AbstractSet[int]
    reasons: Mapping[int, ClientEvent]


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
        """Events of one room, each ready to stand in an answer.

        Args:
            events: the events.
            asker: for whom.
            room_id: the room's id where each event shall name it; None where the answer says it elsewhere.
            bundled: whether to tell of the events' children.
        """
        if not events:
            return []
        bodies, ages, ends = self._pieces(events, asker, room_id, bundled)
        opening = unsigned.opening(room_id)
        return [orjson.Fragment(body + opening + age + end) for body, age, end in zip(bodies, ages, ends, strict=True)]

    def array(
        self, events: Sequence[ClientEvent], asker: Asker, room_id: str | None = None, *, bundled: bool = False
    ) -> orjson.Fragment:
        """As ``serve``, all events as one JSON array."""
        if not events:
            return orjson.Fragment(b"[]")
        bodies, ages, ends = self._pieces(events, asker, room_id, bundled)
        pieces = [unsigned.opening(room_id)] * (4 * len(events))
        pieces[::4], pieces[2::4] = bodies, ages
        pieces[3::4] = [end + b"," for end in ends]
        pieces[0], pieces[-1] = b"[" + pieces[0], ends[-1] + b"]"
        return orjson.Fragment(b"".join(pieces))

    def _pieces(
        self, events: Sequence[ClientEvent], asker: Asker, room_id: str | None, bundled: bool
    ) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """What differs from event to event: client forms without their last brace, ages, and ends."""
        user_id, room_nid = asker.user_id, events[0].room_nid
        history = self._standings.of(user_id).of(room_nid)
        relations = self._relations(events, asker, room_id) if bundled else {}
        last = history.changes[-1] if history is not None and history.changes else None
        since = sys.maxsize if last is None else last.position
        bodies = [event.body[:-1] for event in events]
        plain = b"" if last is None else unsigned.membership_member(last.membership) + unsigned.CLOSE
        ends, erased = [plain] * len(events), self._erased
        # Most answers tell of nothing but messages of others: then there is nothing to look for.
        special = [
            (place, event)
            for place, event in enumerate(events)
            if not event.usual or (event.position or 0) < since or event.sender == user_id
        ]
        if relations or erased:
            places = {place for place, _ in special}
            special = [
                (place, event)
                for place, event in enumerate(events)
                if place in places or event.sender in erased or event.nid in relations
            ]
        if special:
            found = self._found([event for _, event in special], asker, history)
            for place, event in special:
                if event.position is not None and event.position >= since and not event.apart and last is not None:
                    membership: str | None = last.membership
                else:
                    membership = self._membership(event, asker, history)
                if event.sender in erased and membership != "join":
                    bodies[place] = self._emptied(event).body[:-1]
                end = unsigned.membership_member(membership)
                end += unsigned.for_all(event, found.before, found.reasons, room_id, found.hidden)
                if event.nid in found.sent:
                    end += unsigned.further(found.sent[event.nid])
                if event.nid in relations:
                    end += unsigned.further({"m.relations": relations[event.nid]})
                ends[place] = end + unsigned.CLOSE
        return bodies, unsigned.ages(events, self._now_ms()), ends

    def _found(self, events: Sequence[ClientEvent], asker: Asker, history: History | None) -> _Found:
        """What some events of one room name, and what of that the asker may not see."""
        own = [event.nid for event in events if event.sender == asker.user_id]
        sent = self._transactions.of_events(asker.user_id, asker.device_id, own) if own and asker.device_id else {}
        replaced = [event.replaces_nid for event in events if event.replaces_nid is not None]
        before = self._store.clients(replaced) if replaced else {}
        sees = self._visibility.sees
        hidden = {
            nid
            for nid, previous in before.items()
            if not sees(previous, asker.user_id, history)
            or (previous.sender in self._erased and self._membership(previous, asker, history) != "join")
        }
        redactions = [event.redacted_by for event in events if event.redacted_by is not None]
        return _Found(sent, before, hidden, self._store.clients(redactions) if redactions else {})

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
