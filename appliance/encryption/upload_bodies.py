"""The body of ``POST /keys/upload``: read in one compiled pass where it is as clients make it, else with care.

Fifty one-time keys are some hundred small objects. As clients write them there is nothing in them but texts of known
names, so msgspec can read and check them at once, and write them as they are kept: at a third of what it costs to make
dicts and look at each.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from appliance.encryption.key_objects import MOST_ALGORITHMS, MOST_ONE_TIME_KEYS, Prekeys, named_prekeys, read_prekeys
from appliance.errors import too_large
from appliance.protocol import canonical

UNSTABLE_FALLBACK = "org.matrix.msc2732.fallback_keys"


class Given(Struct, frozen=True):
    """What a device uploads: its identity keys as they were sent, or None; one-time keys; fallback keys."""

    device_keys: Any
    one_time: Prekeys
    fallback: Prekeys


class _Key(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A signed key; its fields stand in the order in which they are written."""

    fallback: bool | UnsetType = UNSET
    key: str
    signatures: dict[str, dict[str, str]] | UnsetType = UNSET


_Keys = dict[str, _Key | str]


class _Body(Struct, forbid_unknown_fields=True, kw_only=True):
    device_keys: msgspec.Raw | UnsetType = UNSET
    one_time_keys: _Keys | None = None
    fallback_keys: _Keys | UnsetType | None = UNSET
    unstable_fallback_keys: _Keys | None = msgspec.field(default=None, name=UNSTABLE_FALLBACK)


_decode = msgspec.json.Decoder(_Body).decode
_encode_lines = msgspec.json.Encoder(order="sorted").encode_lines


def read_plain(body: bytes) -> Given | None:
    """What is uploaded, where every key is of the plain form; None where somebody must look closer.

    Raises:
        MatrixError: as ``read``.
    """
    try:
        read = _decode(body)
        given = read.device_keys
        identity = None if isinstance(given, UnsetType) else canonical.decode(bytes(given))
    except (ValueError, RecursionError):
        return None
    fallback = read.unstable_fallback_keys if isinstance(read.fallback_keys, UnsetType) else read.fallback_keys
    return Given(
        identity,
        _prekeys(read.one_time_keys, "one_time_keys", MOST_ONE_TIME_KEYS),
        _prekeys(fallback, "fallback_keys", MOST_ALGORITHMS),
    )


def read(body: Mapping[str, Any]) -> Given:
    """What is uploaded.

    Raises:
        MatrixError: ``M_BAD_JSON`` for keys of another shape, ``M_TOO_LARGE``.
    """
    fallback = body.get("fallback_keys", body.get(UNSTABLE_FALLBACK))
    return Given(
        body.get("device_keys"),
        read_prekeys(body.get("one_time_keys"), "one_time_keys", MOST_ONE_TIME_KEYS),
        read_prekeys(fallback, "fallback_keys", MOST_ALGORITHMS),
    )


def _prekeys(keys: _Keys | None, name: str, most: int) -> Prekeys:
    if not keys:
        return {}
    if len(keys) > most:
        raise too_large(f"{name} may hold at most {most} keys.")
    # All are written in one go; JSON has no line breaks of its own.
    return named_prekeys(keys, _encode_lines(keys.values()).split(b"\n")[:-1], name)
