"""The keys of other servers: what they sign with, and what they last said of it."""

from collections.abc import Collection

from msgspec import Struct

from appliance.storage.database import Reads, Tx

KEYS_KEPT = 200
"""Keys of one server: those that were good last. A list names fifty at most, and most servers have two in ten years;
who has more new ones every hour makes their own old events impossible to check, and nobody else's.
"""


class ServerKey(Struct, frozen=True):
    """A key of another server.

    Args:
        key_id: its id, ``ed25519:…``.
        public_key: base64.
        valid_until_ts: up to when what it signs is good, milliseconds since 1970; the same as its end where it has one.
        expired_ts: its end; None for a key that its server still signs with.
    """

    key_id: str
    public_key: str
    valid_until_ts: int
    expired_ts: int | None


class KeyDocument(Struct, frozen=True):
    """What a server said of its keys.

    Args:
        server_name: the server.
        fetched_ts: when, milliseconds since 1970.
        valid_until_ts: up to when it said that this is so.
        json: what it said, with its signatures and nobody else's.
    """

    server_name: str
    fetched_ts: int
    valid_until_ts: int
    json: bytes


def keys_of(reads: Reads, server_name: str) -> list[ServerKey]:
    """All keys of a server that are known."""
    rows = reads.read(
        "SELECT key_id, public_key, valid_until_ts, expired_ts FROM server_keys WHERE server_name = ?", (server_name,)
    )
    return [ServerKey(*row) for row in rows]


def document_of(reads: Reads, server_name: str) -> KeyDocument | None:
    """What a server last said of its keys."""
    rows = reads.read(
        "SELECT server_name, fetched_ts, valid_until_ts, json FROM server_key_documents WHERE server_name = ?",
        (server_name,),
    )
    return KeyDocument(*rows[0]) if rows else None


def keep_keys(tx: Tx, server_name: str, keys: Collection[ServerKey], document: KeyDocument | None) -> None:
    """Keep what was learnt of a server's keys; keys that are named no more stay, as they signed old events, unless they
    become too many.
    """
    for key in keys:
        tx.execute(
            "INSERT INTO server_keys VALUES (?, ?, ?, ?, ?) ON CONFLICT (server_name, key_id) DO UPDATE SET"
            " public_key = excluded.public_key, valid_until_ts = excluded.valid_until_ts,"
            " expired_ts = excluded.expired_ts",
            (server_name, key.key_id, key.public_key, key.valid_until_ts, key.expired_ts),
        )
    tx.execute(
        "DELETE FROM server_keys WHERE server_name = ?1 AND key_id IN (SELECT key_id FROM server_keys"
        " WHERE server_name = ?1 ORDER BY valid_until_ts DESC, key_id LIMIT -1 OFFSET ?2)",
        (server_name, KEYS_KEPT),
    )
    if document is not None:
        tx.execute(
            "INSERT INTO server_key_documents VALUES (?, ?, ?, ?) ON CONFLICT (server_name) DO UPDATE SET"
            " fetched_ts = excluded.fetched_ts, valid_until_ts = excluded.valid_until_ts, json = excluded.json",
            (server_name, document.fetched_ts, document.valid_until_ts, document.json),
        )
