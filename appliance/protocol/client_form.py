"""Events in the forms that clients see (client-server API, "Room event format" and "Stripped state")."""

from typing import Any

import orjson

from appliance.protocol import canonical
from appliance.protocol.events import Event


def client_bytes(event: Event) -> bytes:
    """An event as a JSON object for clients, without ``room_id`` and ``unsigned``, which depend on who asks and where.

    A redaction names its target at its top level and in its content, whatever the room version, since some clients look
    here and some there.
    """
    form: dict[str, Any] = {
        "content": event.content,
        "event_id": event.event_id,
        "origin_server_ts": event.origin_server_ts,
        "sender": event.sender,
        "type": event.type,
    }
    if event.state_key is not None:
        form["state_key"] = event.state_key
    if event.redacts is not None:
        form["redacts"] = event.redacts
        form["content"] = {**event.content, "redacts": event.redacts}
    return canonical.trimmed(orjson.dumps(form) if event.version.strict_json else canonical.encode(form))


def stripped(event: Event) -> dict[str, Any]:
    """A state event as those see it who are not in the room: type, state key, sender and content."""
    return {"type": event.type, "state_key": event.state_key, "sender": event.sender, "content": event.content}
