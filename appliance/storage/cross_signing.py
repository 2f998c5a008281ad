"""Cross-signing keys of users, and the signatures that local users made on the keys of others."""

from msgspec import Struct

from appliance.storage.database import Reads, Tx

USAGES = ("master", "self_signing", "user_signing")


class CrossSigningKey(Struct, frozen=True):
    """A cross-signing key: its id (``ed25519:…``) and itself as JSON, as it is served."""

    key_id: str
    json: str


def keys_of(reads: Reads, user_id: str) -> dict[str, CrossSigningKey]:
    """A user's cross-signing keys, by usage."""
    rows = reads.read("SELECT usage, key_id, json FROM cross_signing_keys WHERE user_id = ?", (user_id,))
    return {usage: CrossSigningKey(key_id, json) for usage, key_id, json in rows}


def put_key(tx: Tx, user_id: str, usage: str, key_id: str, json: str) -> None:
    """Write a cross-signing key of a user in place of the one before."""
    tx.execute(
        "INSERT OR REPLACE INTO cross_signing_keys (user_id, usage, key_id, json) VALUES (?,?,?,?)",
        (user_id, usage, key_id, json),
    )


def delete_key(tx: Tx, user_id: str, usage: str) -> None:
    """Delete a cross-signing key of a user."""
    tx.execute("DELETE FROM cross_signing_keys WHERE user_id = ? AND usage = ?", (user_id, usage))


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


def delete_of_user(tx: Tx, user_id: str) -> None:
    """Delete a user's keys, and what they signed of others."""
    tx.execute("DELETE FROM cross_signing_keys WHERE user_id = ?", (user_id,))
    tx.execute("DELETE FROM user_signatures WHERE signer = ?", (user_id,))


def delete_signatures_by(tx: Tx, signer: str, key_id: str) -> None:
    """Delete what was signed with a user-signing key that is no more."""
    tx.execute("DELETE FROM user_signatures WHERE signer = ? AND key_id = ?", (signer, key_id))
