"""How an event says that it belongs to another (client-server API, "Forming relationships between events")."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from appliance.protocol.identifiers import fits

ANNOTATION, REFERENCE, REPLACE, THREAD = "m.annotation", "m.reference", "m.replace", "m.thread"
LONGEST_KEY = 500
"""Characters of what an annotation says."""


class Relation(Struct, frozen=True):
    """What an event says that it is to another.

    Args:
        rel_type: the kind of relation.
        parent_id: the id of the other event.
        key: what an annotation says, such as an emoji; None for other kinds and where it is no text or too long.
    """

    rel_type: str
    parent_id: str
    key: str | None = None


def relation_of(content: Mapping[str, Any]) -> Relation | None:
    """The relation that a content speaks of; None where there is none, or none that keeps to the schema."""
    said = content.get("m.relates_to")
    if not isinstance(said, dict):
        return None
    rel_type, parent_id = said.get("rel_type"), said.get("event_id")
    if not isinstance(rel_type, str) or not isinstance(parent_id, str) or not fits(rel_type) or not fits(parent_id):
        return None
    key = said.get("key") if rel_type == ANNOTATION else None
    return Relation(rel_type, parent_id, key if isinstance(key, str) and len(key) <= LONGEST_KEY else None)


def may_replace(event_type: str, state_key: str | None, content: Mapping[str, Any]) -> bool:
    """Whether an event that says it replaces another can do so, as far as it alone shows (module "Event replacements").

    What replaces an encrypted event has its new content where the server cannot look.
    """
    return state_key is None and (event_type == "m.room.encrypted" or isinstance(content.get("m.new_content"), dict))
