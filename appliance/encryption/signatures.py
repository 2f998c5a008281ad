"""Signatures that users make of their own and others' keys (client-server API, "POST /keys/signatures/upload")."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from appliance.encryption.cross_signing import ED25519
from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.key_objects import bare, encoded, with_signatures
from appliance.errors import MatrixError, bad_json, invalid_param, not_found, too_large
from appliance.protocol.signing import signatures_of, verify_json
from appliance.storage import cross_signing as rows
from appliance.storage import device_keys as device_rows
from appliance.storage.database import Database, Tx
from appliance.storage.device_lists import note_update

MOST = 1_000
"""Keys in one request."""

Failures = dict[str, dict[str, dict[str, Any]]]


class _Signed(Struct, frozen=True):
    """A signature that was found good.

    Args:
        target: whose key is signed.
        name: the key's name in the request: a device id, or the public key of a master key.
        is_device: whether it is a device's.
        json: the key as it was when the signature was judged.
        signatures: key id to signature.
    """

    target: str
    name: str
    is_device: bool
    json: str
    signatures: dict[str, str]


class _Stored(Struct, frozen=True):
    own: int | None
    others: int | None


class Signatures:
    """Takes signatures.

    Args:
        database: where keys and signatures are.
        lists: told of what changed.
    """

    def __init__(self, database: Database, lists: DeviceLists) -> None:
        self._database = database
        self._lists = lists

    async def upload(self, user_id: str, body: Mapping[str, Any]) -> Failures:
        """Keep the good ones of some signatures.

        A user signs their own devices (by the self-signing key), their own master key (by a device's key) and the
        master keys of others (by the user-signing key).

        Args:
            user_id: who signs.
            body: user to name of a key to the signed key.

        Returns:
            the others, with what is wrong with each.

        Raises:
            MatrixError: ``M_BAD_JSON`` for another shape, ``M_TOO_LARGE``.
        """
        if not all(isinstance(own, dict) for own in body.values()):
            raise bad_json("The body must be an object of user ids to an object of key ids to signed keys.")
        if sum(map(len, body.values())) > MOST:
            raise too_large(f"At most {MOST} keys can be signed at once.")
        failures: Failures = {}
        good: list[_Signed] = []
        own = rows.keys_of(self._database, user_id)
        asked = [(target, name, value) for target, each in body.items() for name, value in each.items()]
        questions = [self._question(user_id, own, *one) for one in asked]
        # Judging takes a tenth of a millisecond each, so it is done off the loop.
        outcomes = await asyncio.to_thread(lambda: [_judge(user_id, one) for one in questions])
        for (target, name, _), outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, MatrixError):
                failures.setdefault(target, {})[name] = outcome.body()
            elif outcome.signatures:
                good.append(outcome)
        if good:
            await self._database.write(
                lambda tx: _store(tx, user_id, good), published=lambda stored: self._published(user_id, stored)
            )
        return failures

    def _question(
        self, user_id: str, own: Mapping[str, rows.CrossSigningKey], target: str, name: str, value: Any
    ) -> "_Question | MatrixError":
        """What is needed to judge a signed key: the key that is here, and the keys that may sign it."""
        if not isinstance(value, dict):
            return bad_json("A signed key must be an object.")
        device = device_rows.find_keys(self._database, target, name) if target == user_id else None
        if device is not None:
            signers = [own["self_signing"].key_id] if "self_signing" in own else []
            by = {key_id: key_id.removeprefix(ED25519) for key_id in signers}
            return _Question(target, name, True, device, value, by)
        master = own.get("master") if target == user_id else rows.keys_of(self._database, target).get("master")
        if master is None or master.key_id != ED25519 + name.removeprefix(ED25519):
            return not_found("There is no such device or master key.")
        if target == user_id:
            by = {}
            for key_id in signatures_of(value, user_id):
                json = device_rows.find_keys(self._database, user_id, key_id.removeprefix(ED25519))
                public_key = None if json is None else orjson.loads(json)["keys"].get(key_id)
                if public_key is not None:
                    by[key_id] = public_key
        else:
            signers = [own["user_signing"].key_id] if "user_signing" in own else []
            by = {key_id: key_id.removeprefix(ED25519) for key_id in signers}
        return _Question(target, master.key_id, False, master.json, value, by)

    def _published(self, user_id: str, stored: _Stored) -> None:
        if stored.own is not None:
            self._lists.changed(user_id, stored.own)
        if stored.others is not None:
            self._lists.signed(user_id, stored.others)


class _Question(Struct, frozen=True):
    """A signed key to be judged.

    Args:
        target: whose key it is.
        name: the device, or the id of the master key.
        is_device: which of the two.
        json: the key that is here.
        value: the key as it was sent, with new signatures.
        by: the keys that may sign it: id to public key.
    """

    target: str
    name: str
    is_device: bool
    json: str
    value: dict[str, Any]
    by: dict[str, str]


def _judge(user_id: str, question: "_Question | MatrixError") -> "_Signed | MatrixError":
    """The signatures that are new and good, or what is wrong."""
    if isinstance(question, MatrixError):
        return question
    there = orjson.loads(question.json)
    if bare(there) != bare(question.value):
        return invalid_param("The signed key is not the one that is here.")
    known = signatures_of(there, user_id)
    sent = signatures_of(question.value, user_id)
    new = {key_id: signature for key_id, signature in sent.items() if known.get(key_id) != signature}
    if not sent:
        return MatrixError("M_INVALID_SIGNATURE", "There is no signature of the user's on this key.", 400)
    for key_id in new:
        public_key = question.by.get(key_id)
        if public_key is None or not verify_json(question.value, user_id, key_id, public_key):
            return MatrixError("M_INVALID_SIGNATURE", f"The signature by {key_id} is not good.", 400)
    return _Signed(question.target, question.name, question.is_device, question.json, new)


def _store(tx: Tx, user_id: str, good: Sequence[_Signed]) -> _Stored:
    """Add signatures to what is still as it was when they were judged."""
    own: int | None = None
    others: int | None = None
    for signed in good:
        if signed.is_device:
            json = device_rows.find_keys(tx, user_id, signed.name)
        else:
            master = rows.keys_of(tx, signed.target).get("master")
            json = None if master is None or master.key_id != signed.name else master.json
        if json is None or bare(orjson.loads(json)) != bare(orjson.loads(signed.json)):
            continue
        if signed.target != user_id:
            others = others or tx.position()
            for key_id, signature in signed.signatures.items():
                rows.put_signature(tx, user_id, signed.target, signed.name, key_id, signature, others)
            continue
        merged = encoded(with_signatures(orjson.loads(json), {user_id: signed.signatures}))
        if signed.is_device:
            device_rows.put_keys(tx, user_id, signed.name, merged)
        else:
            rows.put_key(tx, user_id, "master", signed.name, merged)
        own = note_update(tx, user_id, signed.name if signed.is_device else "")
    return _Stored(own, others)
