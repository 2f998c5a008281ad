"""A client of sliding sync that keeps what it was told, as Element X does."""

import time
from typing import Any

from tests.support.client import PATIENCE, Client, Json, Refused

DEPLOYED = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
ROOM_LIST: Json = {
    "timeline_limit": 1,
    "required_state": [
        ["m.room.name", ""],
        ["m.room.encryption", ""],
        ["m.room.member", "$LAZY"],
        ["m.room.member", "$ME"],
        ["m.room.topic", ""],
        ["m.room.canonical_alias", ""],
        ["m.room.power_levels", ""],
        ["org.matrix.msc3401.call.member", "*"],
        ["m.room.join_rules", ""],
        ["m.room.tombstone", ""],
        ["m.room.create", ""],
        ["m.room.history_visibility", ""],
        ["m.space.parent", "*"],
        ["m.space.child", "*"],
    ],
}
"""How Element X's list of rooms asks for rooms."""


class Sliding:
    """One connection.

    Args:
        client: whose.
        name: the connection's name.
        lists: the lists of each request; may be changed between two.
    """

    def __init__(self, client: Client, name: str = "room-list", **lists: Json) -> None:
        self.client = client
        self.name = name
        self.lists = lists
        self.subscriptions: dict[str, Json] = {}
        self.extensions: dict[str, Json] = {}
        self.pos: str | None = None
        self.rooms: dict[str, Json] = {}
        """What is known of each room: its fields, ``state`` by slot, and ``events`` in their order."""

    def body(self) -> Json:
        """The body of the next request."""
        return {
            "conn_id": self.name,
            "lists": self.lists,
            "room_subscriptions": self.subscriptions,
            "extensions": self.extensions,
        }

    def ask(self, *, timeout: int = 0, pos: str | None = None, **more: Any) -> Json:
        """One request, which changes nothing that is kept."""
        query: dict[str, Any] = {"timeout": timeout}
        if pos or self.pos:
            query["pos"] = pos or self.pos
        return self.client.must("POST", DEPLOYED, {**self.body(), **more}, **query)

    def sync(self, *, timeout: int = 0, **more: Any) -> Json:
        """One request, whose answer is kept."""
        answer = self.ask(timeout=timeout, **more)
        self.pos = answer["pos"]
        for room_id, told in answer["rooms"].items():
            self._keep(room_id, told)
        return answer

    def until_told(self, room_id: str) -> Json:
        """Sync until something is told of a room; what that is."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            told: Json | None = self.sync(timeout=1000)["rooms"].get(room_id)
            if told is not None:
                return told
        raise Refused(f"{self.client.user_id} waited in vain for {room_id}")

    def _keep(self, room_id: str, told: Json) -> None:
        room = self.rooms.setdefault(room_id, {"state": {}, "events": []})
        if told.get("initial"):
            room = self.rooms[room_id] = {"state": {}, "events": []}
        else:
            assert room["state"] or room["events"], f"{room_id} was never told as a new room"
        room.update({name: value for name, value in told.items() if name not in ("required_state", "timeline")})
        for event in told.get("required_state", ()):
            room["state"][event["type"], event["state_key"]] = event
        known = {event["event_id"] for event in room["events"]}
        fresh = [event for event in told.get("timeline", ()) if event["event_id"] not in known]
        if told.get("limited") and len(fresh) == len(told["timeline"]):
            room["events"] = []
        if told.get("unstable_expanded_timeline"):
            room["events"] = told["timeline"]
        else:
            room["events"] += fresh


def window(first: int, last: int, **more: Any) -> Json:
    """A list as Element X's list of rooms, of a part of the rooms."""
    return {**ROOM_LIST, "ranges": [[first, last]], **more}


def texts(told: Json) -> list[str]:
    """What the messages of a timeline say."""
    return [event["content"]["body"] for event in told.get("timeline", ()) if event["type"] == "m.room.message"]


def slots(told: Json) -> set[tuple[str, str]]:
    """The slots of the state that is told."""
    return {(event["type"], event["state_key"]) for event in told.get("required_state", ())}
