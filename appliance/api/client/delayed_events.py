"""Events that are sent later (MSC4140), in the form that clients use today and in that of the proposal's present text.

Scheduling in today's form is a parameter of sending (``sending.py``, ``state.py``).
"""

from typing import Any

import orjson
from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.errors import MatrixError, bad_json, invalid_param, missing_param, unrecognized
from appliance.rooms.acts.delayed import Delayed, Wish
from appliance.rooms.snapshot import Transaction
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.server.requester import Access, Limit
from appliance.storage.delayed_events import DelayedEvent

_BASE = "/_matrix/client/unstable/org.matrix.msc4140"
_ALL = f"{_BASE}/delayed_events"
_ONE = f"{_ALL}/{{delay_id:str}}"
DELAY = "org.matrix.msc4140.delay"
ACTIONS = ("cancel", "restart", "send")


class Scheduling(Struct):
    """The body of PUT …/delayed_event/{type}/{txnId}."""

    delay_ms: int
    content: dict[str, Any]
    state_key: str | None = None


async def scheduled(
    request: Asked, delayed: Delayed, room_id: str, event_type: str, state_key: str | None, txn_id: str | None
) -> ASGIApp | None:
    """The answer to a request to send that asks for a delay; None for one that does not.

    Args:
        request: the request.
        delayed: keeps the event.
        room_id: the room.
        event_type: the event's type.
        state_key: its state key, None for no state.
        txn_id: the client's id of the request, where the endpoint has one.
    """
    text = request.query_text(DELAY)
    if text is None:
        return None
    asker = request.requester
    transaction = None
    if txn_id is not None:
        transaction = Transaction(asker.user_id, asker.device_id, f"delayed/{room_id}/{event_type}", txn_id)
        before = delayed.of_transaction(transaction)
        if before is not None:
            return answer({"delay_id": before})
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise invalid_param("The delay must be a number of milliseconds above 0.")
    wish = Wish(room_id, event_type, state_key, await request.object(), int(text))
    return answer({"delay_id": await delayed.schedule(wish, transaction, (asker.user_id, asker.device_id))})


class DelayedEventsApi(Controller):
    """What is to be sent later."""

    delayed: Delayed

    @endpoint(
        "PUT",
        f"{_BASE}/rooms/{{room_id:str}}/delayed_event/{{event_type:str}}/{{txn_id:str}}",
        guests=True,
        limit=Limit.SEND,
    )
    async def schedule(self, request: Asked, room_id: str, event_type: str, txn_id: str) -> ASGIApp:
        """PUT /_matrix/client/unstable/org.matrix.msc4140/rooms/{roomId}/delayed_event/{eventType}/{txnId}

        Schedules an event, once for each transaction id.
        """
        asker = request.requester
        transaction = Transaction(asker.user_id, asker.device_id, f"delayed/{room_id}/{event_type}", txn_id)
        asked = await request.struct(Scheduling)
        wish = Wish(room_id, event_type, asked.state_key, asked.content, asked.delay_ms)
        delay_id = await self.delayed.schedule(wish, transaction, (asker.user_id, asker.device_id))
        return answer({"delay_id": delay_id})

    @endpoint("GET", _ALL, guests=True)
    async def all(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/unstable/org.matrix.msc4140/delayed_events

        The user's events that are still to be sent.
        """
        own = self.delayed.of_user(request.requester.user_id)
        return answer(orjson.dumps({"delayed_events": [_told(event) for event in own]}))

    @endpoint("GET", _ONE, guests=True)
    async def one(self, request: Asked, delay_id: str) -> ASGIApp:
        """GET /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}

        One of them, or what became of it.
        """
        event = self.delayed.get(request.requester.user_id, delay_id)
        told = _told(event)
        settled = {"finalised_ts": event.finalised_ts, "event_id": event.event_id, "error": event.error}
        told.update({name: value for name, value in settled.items() if value is not None})
        return answer(orjson.dumps(told))

    @endpoint("POST", _ONE, access=Access.NOBODY, limit=Limit.SEND)
    async def act_by_body(self, request: Asked, delay_id: str) -> ASGIApp:
        """POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}

        Cancels an event, starts its time anew or sends it now, as ``action`` in the body says. Whoever knows its name
        may: a service of the call does it for the user.
        """
        action = (await request.object()).get("action")
        if action is None:
            raise missing_param("action is missing: cancel, restart or send.")
        if not isinstance(action, str):
            raise bad_json("action must be a string.")
        return await self._act(delay_id, action, invalid_param("action must be cancel, restart or send."))

    @endpoint("POST", f"{_ONE}/{{action:str}}", access=Access.NOBODY, limit=Limit.SEND)
    async def act(self, request: Asked, delay_id: str, action: str) -> ASGIApp:
        """POST /_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delayId}/{action}

        The same, with the action in the path.
        """
        await request.object(empty=True)
        return await self._act(delay_id, action, unrecognized())

    async def _act(self, delay_id: str, action: str, otherwise: MatrixError) -> ASGIApp:
        if action not in ACTIONS:
            raise otherwise
        if action == "cancel":
            await self.delayed.cancel(delay_id)
        elif action == "restart":
            await self.delayed.restart(delay_id)
        else:
            await self.delayed.send(delay_id)
        return answer()


def _told(event: DelayedEvent) -> dict[str, Any]:
    """A delayed event with the fields of both forms."""
    told: dict[str, Any] = {
        "delay_id": event.delay_id,
        "room_id": event.room_id,
        "type": event.type,
        "delay": event.delay_ms,
        "delay_ms": event.delay_ms,
        "running_since": event.since_ts,
        "scheduled_at": event.since_ts,
        "content": orjson.Fragment(event.content),
    }
    if event.state_key is not None:
        told["state_key"] = event.state_key
    return told
