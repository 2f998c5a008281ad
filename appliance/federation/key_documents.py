"""What servers say of their keys, checked: one document (server-server API, "Publishing Keys")."""

from typing import Any

from appliance.protocol import signing
from appliance.storage.server_keys import ServerKey

WEEK_MS = 7 * 24 * 3600 * 1000
"""The longest that a server's word is taken for, whatever it says (room version 5, "Signing key validity period")."""
MOST_KEYS = 50
"""Keys of one server; real ones have one or two."""


class BadDocument(ValueError):  # noqa: N818
    """It is malformed, of another server, or not signed as it must be."""


def read(document: Any, server_name: str, now_ms: int) -> tuple[list[ServerKey], int]:
    """The keys in a document, and up to when it is valid.

    Every key that the server signs with must have signed the document.

    Args:
        document: the document.
        server_name: whose it must be.
        now_ms: the time, milliseconds since 1970.

    Raises:
        BadDocument: for what is not good.
    """
    if not isinstance(document, dict) or document.get("server_name") != server_name:
        raise BadDocument("it is no list of that server's keys")
    until = document.get("valid_until_ts")
    if not isinstance(until, int) or isinstance(until, bool) or until < 0:
        raise BadDocument("it does not say until when it is valid")
    current, old = document.get("verify_keys"), document.get("old_verify_keys", {})
    if not isinstance(current, dict) or not isinstance(old, dict) or not current or len(current) + len(old) > MOST_KEYS:
        raise BadDocument("it has no keys, or too many")
    until = min(until, now_ms + WEEK_MS)
    found = {}
    for key_id, entry in old.items():
        ended = entry.get("expired_ts") if isinstance(entry, dict) else None
        public = entry.get("key") if isinstance(entry, dict) else None
        if _is_key(key_id, public) and isinstance(ended, int) and 0 <= ended < 2**53:
            found[key_id] = ServerKey(key_id, str(public), ended, ended)
    for key_id, entry in current.items():
        public = entry.get("key") if isinstance(entry, dict) else None
        if not key_id.startswith("ed25519:"):
            continue  # a kind of key that is not known yet
        if not _is_key(key_id, public) or not signing.verify_json(document, server_name, key_id, str(public)):
            raise BadDocument(f"it is not signed by its key {key_id[:60]!r}")
        found[key_id] = ServerKey(key_id, str(public), until, None)
    if not any(key.expired_ts is None for key in found.values()):
        raise BadDocument("it has no key that is in use")
    return list(found.values()), until


def without_others(document: dict[str, Any], server_name: str) -> dict[str, Any]:
    """A document with its own server's signatures and nobody else's."""
    return {**document, "signatures": {server_name: signing.signatures_of(document, server_name)}}


def _is_key(key_id: Any, public: Any) -> bool:
    return (
        isinstance(key_id, str)
        and key_id.startswith("ed25519:")
        and len(key_id) <= 255
        and isinstance(public, str)
        and len(public) <= 64
    )
