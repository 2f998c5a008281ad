"""What is put behind an event that is answered: its ``unsigned``, which is made for the asker and never stored.

An event is answered in pieces: its client form up to the last brace, which everybody is given; ``opening``; its age;
and an *end*. What all askers are told alike stands in the end first said here, ``for_all``; ``serving.py`` and
``sheets.py`` add to it what depends on who asks: how they stood to the room, what their device sent, what they may not
see of the event before.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from appliance.rooms.store import ClientEvent

CLOSE = b"}}"
"""The end of ``unsigned`` and of the event."""


def opening(room_id: str | None) -> bytes:
    """What comes between an event's members and its age; with the room's id where each event shall name it."""
    room = b"" if room_id is None else b',"room_id":' + orjson.dumps(room_id)
    return room + b',"unsigned":{"age":'


def ages(events: Sequence[ClientEvent], now_ms: int) -> list[bytes]:
    """How old each of some events is."""
    return numbers([now_ms - event.timestamp for event in events])


def numbers(values: Sequence[int]) -> list[bytes]:
    """Numbers as JSON, all at once."""
    return orjson.dumps(values)[1:-1].split(b",") if values else []


@functools.lru_cache(16)
def membership_member(membership: str | None) -> bytes:
    """How the asker stood to the room at an event; nothing for an event without a place in the timeline."""
    return b"" if membership is None else b',"membership":' + orjson.dumps(membership)


def further(fields: Mapping[str, Any]) -> bytes:
    """Further members, the first behind a comma; nothing for none."""
    return b"," + orjson.dumps(fields)[1:-1] if fields else b""


def for_all(
    event: ClientEvent,
    before: Mapping[int, ClientEvent],
    reasons: Mapping[int, ClientEvent],
    room_id: str | None,
    hidden: Collection[int] = (),
) -> bytes:
    """What everybody who may see all of it is told of an event beside its age.

    Args:
        event: the event.
        before: by their numbers, the events whose place in the state others took.
        reasons: the redactions that emptied some.
        room_id: the room's id where each event shall name it.
        hidden: of the former those whose content the asker may not see.
    """
    said = b""
    previous = None if event.replaces_nid is None else before.get(event.replaces_nid)
    if previous is not None:
        if previous.nid not in hidden:
            said = b',"prev_content":' + orjson.dumps(orjson.loads(previous.body)["content"])
            # Element finds by it out who invited its user into a direct chat, once that invitation was taken.
            said += b',"prev_sender":' + orjson.dumps(previous.sender)
        said += b',"replaces_state":' + orjson.dumps(previous.event_id)
    reason = None if event.redacted_by is None else reasons.get(event.redacted_by)
    if reason is not None:
        said += b',"redacted_because":' + with_room(reason.body, room_id)
    return said


def with_room(body: bytes, room_id: str | None) -> bytes:
    """A client form that names its room."""
    return body if room_id is None else body[:-1] + b',"room_id":' + orjson.dumps(room_id) + b"}"
