"""Key objects as clients upload them: their shape, their limits, their signatures.

A server checks the shape of keys and who uploads them. Whether the signatures of a device's own keys hold is for those
to judge who use them; only those of cross-signing are checked here, as the specification asks.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from appliance.errors import bad_json, invalid_param, too_large
from appliance.protocol import canonical
from appliance.protocol.identifiers import fits

MAX_KEYS_BYTES = 65_536
"""The identity keys of a device with their signatures."""
MAX_PREKEY_BYTES = 4_096
"""One one-time or fallback key."""
MOST_ONE_TIME_KEYS = 1_000
"""One-time keys of a device: clients keep fifty to a hundred."""
SHORT = 63
"""Characters that are surely no more bytes than an identifier may have."""
MOST_ALGORITHMS = 20
"""Fallback keys of a device: one for each algorithm."""
SIGNED_CURVE25519 = "signed_curve25519"
_SHAPE = (("user_id", str), ("device_id", str), ("algorithms", list), ("keys", dict), ("signatures", dict))


Prekeys = dict[str, dict[str, bytes]]
"""One-time or fallback keys: algorithm to key id to the key as JSON."""


def read_device_keys(value: Any, user_id: str, device_id: str) -> dict[str, Any]:
    """The identity keys of a device, without ``unsigned``.

    Raises:
        MatrixError: ``M_BAD_JSON`` for another shape, ``M_INVALID_PARAM`` for another user's or device's keys,
            ``M_TOO_LARGE``.
    """
    if not isinstance(value, dict):
        raise bad_json("device_keys must be an object.")
    for name, kind in _SHAPE:
        if not isinstance(value.get(name), kind):
            raise bad_json(f"device_keys.{name} is missing, or not what it should be.")
    if not all(isinstance(one, str) for one in value["algorithms"]):
        raise bad_json("device_keys.algorithms must be a list of strings.")
    if not all(isinstance(key, str) for key in value["keys"].values()):
        raise bad_json("device_keys.keys must be an object of strings.")
    check_signatures_shape(value["signatures"])
    if (value["user_id"], value["device_id"]) != (user_id, device_id):
        raise invalid_param("These keys are for another user or device than the one that uploads them.")
    keys = {name: inner for name, inner in value.items() if name != "unsigned"}
    if len(encoded(keys)) > MAX_KEYS_BYTES:
        raise too_large(f"The keys of a device may have at most {MAX_KEYS_BYTES} bytes.")
    return keys


def read_prekeys(value: Any, name: str, most: int) -> Prekeys:
    """One-time or fallback keys: an object of ``<algorithm>:<key id>`` to a key.

    Args:
        value: the object; None counts as empty.
        name: what it is called in the request.
        most: how many there may be.

    Raises:
        MatrixError: ``M_BAD_JSON`` for another shape, ``M_TOO_LARGE``.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_json(f"{name} must be an object.")
    if len(value) > most:
        raise too_large(f"{name} may hold at most {most} keys.")
    for key in value.values():
        if not isinstance(key.get("key") if isinstance(key, dict) else key, str):
            raise bad_json(f"{name} must hold keys: strings, or objects with a string named key.")
    return named_prekeys(value, [encoded_bytes(key) for key in value.values()], name)


def named_prekeys(names: Collection[str], keys: Sequence[bytes], name: str) -> Prekeys:
    """Keys and their names (``<algorithm>:<key id>``), in the same order, by algorithm.

    Args:
        names: the names, each once.
        keys: the keys as JSON, as ``encoded_bytes`` writes it.
        name: what all of them are called in the request.

    Raises:
        MatrixError: ``M_BAD_JSON`` for other names, ``M_TOO_LARGE``.
    """
    if not keys:
        return {}
    if max(map(len, keys)) > MAX_PREKEY_BYTES:
        raise too_large(f"A key in {name} may have at most {MAX_PREKEY_BYTES} bytes.")
    # Nearly always they are all of one algorithm.
    algorithm, colon, _ = next(iter(names)).partition(":")
    start = len(algorithm) + 1
    prefix = algorithm + colon
    ids = [full_id[start:] for full_id in names if full_id.startswith(prefix)]
    if algorithm and colon and len(ids) == len(keys) and all(ids) and max(map(len, names)) <= SHORT:
        return {algorithm: dict(zip(ids, keys, strict=True))}
    found: Prekeys = {}
    for full_id, key in zip(names, keys, strict=True):
        algorithm, _, key_id = full_id.partition(":")
        if not (algorithm and key_id and fits(full_id)):
            raise bad_json(f"{name} must have names of the form <algorithm>:<key id>, of at most 255 bytes.")
        found.setdefault(algorithm, {})[key_id] = key
    return found


def check_signatures_shape(value: Any) -> None:
    """Refuse what is not a map of user id to key id to signature with ``M_BAD_JSON``."""
    if not isinstance(value, dict) or not all(
        isinstance(each, dict) and all(isinstance(one, str) for one in each.values()) for each in value.values()
    ):
        raise bad_json("signatures must be an object of users to an object of key ids to strings.")


def are_objects_of(kind: type, value: Any) -> bool:
    """Whether a value is an object of objects of things of one kind: what requests say of devices, by user."""
    if not isinstance(value, dict):
        return False
    for own in value.values():  # plain loops, since they may be long
        if not isinstance(own, dict):
            return False
        for one in own.values():
            if not isinstance(one, kind):
                return False
    return True


def encoded(value: Any) -> str:
    """A key as it is kept: JSON in which the same is always written the same way.

    Raises:
        MatrixError: ``M_BAD_JSON`` for what has none.
    """
    return encoded_bytes(value).decode()


def encoded_bytes(value: Any) -> bytes:
    """The same as bytes."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Whole numbers beyond 64 bits, or too many levels.
        pass
    try:
        return canonical.encode(value)
    except ValueError as error:
        raise bad_json(f"A key cannot be kept: {error}.") from error


def bare(keys: Mapping[str, Any]) -> dict[str, Any]:
    """A key object without what may be added to it: what its signatures are for."""
    return {name: value for name, value in keys.items() if name not in ("signatures", "unsigned")}


def with_signatures(keys: Mapping[str, Any], signatures: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """A copy of a key object with further signatures."""
    merged = {signer: dict(each) for signer, each in keys.get("signatures", {}).items()}
    for signer, each in signatures.items():
        merged.setdefault(signer, {}).update(each)
    return {**keys, "signatures": merged}
