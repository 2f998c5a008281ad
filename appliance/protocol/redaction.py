"""The redaction algorithm: what remains of an event once its content was taken away (room versions, "Redactions")."""

from typing import Any

from appliance.protocol.versions import RoomVersion


def redact(version: RoomVersion, pdu: dict[str, Any]) -> dict[str, Any]:
    """The keys of an event that servers need to go on; everything else, ``unsigned`` included, is gone.

    Args:
        version: the version of the event's room, which decides what remains.
        pdu: the event in federation form; it is not changed.

    Returns:
        A new dict; what it keeps is shared with ``pdu``. Redacting it again changes nothing.
    """
    kept = pdu.copy()
    if not version.redaction_keys >= pdu.keys():
        for key in pdu.keys() - version.redaction_keys:
            del kept[key]
    content = pdu.get("content")
    if not isinstance(content, dict):
        content = {}
    kept["content"] = _redact_content(version, pdu.get("type"), content)
    return kept


def _redact_content(version: RoomVersion, kind: Any, content: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(kind, str):
        return {}
    keys = version.redaction_content.get(kind, frozenset())
    if keys is None:
        return content
    kept = {key: content[key] for key in keys if key in content}
    if kind == "m.room.member" and version.keeps_third_party_signed:
        invite = content.get("third_party_invite")
        if isinstance(invite, dict):
            # An empty object remains of one that nobody signed: every server must arrive at the same hash.
            kept["third_party_invite"] = {"signed": invite["signed"]} if "signed" in invite else {}
    return kept
