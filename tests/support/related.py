"""What stories about events that relate to others have in common."""

from typing import Any

from tests.support.client import Client, Json, seg, unique

V1 = "/_matrix/client/v1"


def relate(
    client: Client, room: str, parent: str, rel_type: str, *, event_type: str = "m.room.message", **content: Any
) -> str:
    """Send an event that relates to another."""
    path = f"/rooms/{seg(room)}/send/{seg(event_type)}/{unique('t')}"
    relates = {"rel_type": rel_type, "event_id": parent}
    if "key" in content:
        relates["key"] = content.pop("key")
    whole = {"msgtype": "m.text", "body": "related", **content, "m.relates_to": relates}
    return str(client.must("PUT", path, whole)["event_id"])


def edit(client: Client, room: str, parent: str, text: str) -> str:
    """Replace what somebody said."""
    new = {"msgtype": "m.text", "body": text}
    return relate(client, room, parent, "m.replace", body=f"* {text}", **{"m.new_content": new})


def react(client: Client, room: str, parent: str, key: str) -> str:
    """React to an event."""
    return relate(client, room, parent, "m.annotation", event_type="m.reaction", key=key)


def children(client: Client, room: str, parent: str, *kind: str, **query: Any) -> Json:
    """A page of an event's children."""
    path = "/".join(["", "rooms", seg(room), "relations", seg(parent), *map(seg, kind)])
    return client.must("GET", V1 + path, **query)


def ids(page: Json) -> list[str]:
    """The ids of a page's events."""
    return [event["event_id"] for event in page["chunk"]]


def bundle(event: Json) -> Json:
    """What is told of an event's children."""
    found: Json = event["unsigned"].get("m.relations", {})
    return found
