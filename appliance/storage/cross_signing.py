"""Cross-signing keys of users, and the signatures that local users made on the keys of others."""

from collections.abc import Sequence

from msgspec import Struct

from appliance.storage.database import Reads, Tx

USAGES = ("master", "self_signing", "user_signing")
_CHUNK = 100
"""Users that one statement asks for."""


class CrossSigningKey(Struct, frozen=True):
    """A cross-signing key: its id (``ed25519:…``) and itself as JSON, as it is served."""

    key_id: str
    json: str


def keys_of(reads: Reads, user_id: str) -> dict[str, CrossSigningKey]:
    """A user's cross-signing keys, by usage."""
    return keys_of_many(reads, (user_id,)).get(user_id, {})


def keys_of_many(reads: Reads, user_ids: Sequence[str]) -> dict[str, dict[str, CrossSigningKey]]:
    """The cross-signing keys of some users that have any, by user and usage."""
    found: dict[str, dict[str, CrossSigningKey]] = {}
    for start in range(0, len(user_ids), _CHUNK):
        chunk = user_ids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        rows = reads.read(
            f"SELECT user_id, usage, key_id, json FROM cross_signing_keys WHERE user_id IN ({marks})", chunk
        )
        for user_id, usage, key_id, json in rows:
            found.setdefault(user_id, {})[usage] = CrossSigningKey(key_id, json)
    return found


def put_key(tx: Tx, user_id: str, usage: str, key_id: str, json: str) -> None:
    """Write a cross-signing key of a user in place of the one before."""
    tx.execute(
        "INSERT OR REPLACE INTO cross_signing_keys (user_id, usage, key_id, json) VALUES (?,?,?,?)",
        (user_id, usage, key_id, json),
    )


def delete_key(tx: Tx, user_id: str, usage: str) -> None:
    """Delete a cross-signing key of a user."""
    tx.execute("DELETE FROM cross_signing_keys WHERE user_id = ? AND usage = ?", (user_id, usage))


def is_key_of(reads: Reads, user_id: str, key_id: str) -> bool:
    """Whether a user has a cross-signing key of that id."""
    return bool(
        reads.read("SELECT 1 FROM cross_signing_keys WHERE user_id = ? AND key_id = ? LIMIT 1", (user_id, key_id))
    )


def signatures_by(reads: Reads, signer: str) -> list[tuple[str, str, str, str]]:
    """(target, target's key, key id, signature) of what a local user signed of others."""
    return [
        (row[0], row[1], row[2], row[3])
        for row in reads.read(
            "SELECT target, target_key, key_id, signature FROM user_signatures WHERE signer = ?", (signer,)
        )
    ]


def put_signature(
    tx: Tx, signer: str, target: str, target_key: str, key_id: str, signature: str, position: int
) -> None:
    """Write what a local user signed of another."""
    tx.execute(
        "INSERT OR REPLACE INTO user_signatures (signer, target, target_key, key_id, signature, position)"
        " VALUES (?,?,?,?,?,?)",
        (signer, target, target_key, key_id, signature, position),
    )


def allow_reset(tx: Tx, user_id: str, until_ts: int | None) -> None:
    """Let a user replace their keys without a proof, once, until a time; None takes that back."""
    if until_ts is None:
        tx.execute("DELETE FROM key_reset_allowances WHERE user_id = ?", (user_id,))
    else:
        tx.execute("INSERT OR REPLACE INTO key_reset_allowances (user_id, until_ts) VALUES (?, ?)", (user_id, until_ts))


def may_reset(reads: Reads, user_id: str, now_ms: int) -> bool:
    """Whether a user may replace their keys without a proof."""
    return bool(reads.read("SELECT 1 FROM key_reset_allowances WHERE user_id = ? AND until_ts > ?", (user_id, now_ms)))


def delete_of_user(tx: Tx, user_id: str) -> None:
    """Delete a user's keys, and what they signed of others."""
    allow_reset(tx, user_id, None)
    tx.execute("DELETE FROM cross_signing_keys WHERE user_id = ?", (user_id,))
    tx.execute("DELETE FROM user_signatures WHERE signer = ?", (user_id,))


def delete_signatures_by(tx: Tx, signer: str, key_id: str) -> None:
    """Delete what was signed with a user-signing key that is no more."""
    tx.execute("DELETE FROM user_signatures WHERE signer = ? AND key_id = ?", (signer, key_id))
