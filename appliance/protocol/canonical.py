"""Canonical JSON (appendices, "Canonical JSON") and a strict decoder.

orjson and msgspec do the common work, at a tenth of the cost; canonicaljson and the standard library do what they do
differently: floats and integers beyond 53 bits, which only rooms of the versions 1 to 5 may hold. There the form of a
float is Python's own, since the servers that wrote those rooms hashed it so.
"""

import json
from typing import Any, NoReturn

import canonicaljson
import msgspec
import orjson

MAX_INT = 2**53 - 1
"""The largest integer that canonical JSON allows; the smallest is its negative."""
DEEPEST = 1000
"""Levels of nesting in what servers send each other: as many as can be read and written at all. Of what comes together,
as in a transaction or the answer to a join, one piece that is nested deep must not keep the others from coming in.
"""

_SCALARS = frozenset({str, bool, type(None)})
_NESTED = frozenset({dict, list})
_DUMP = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789" else ord(" ") for byte in range(256))
_BRACES = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(byte for byte in range(256) if chr(byte) not in '[]{}"')
_decode = msgspec.json.Decoder().decode
_LONG_NUMBER = b"0" * 19
"""A run of digits that may be an integer of more than 64 bits, which orjson would turn into a float."""


def encode(value: Any) -> bytes:
    """The canonical JSON of a value made of dicts with text keys, lists, text, integers, booleans, null and floats.

    Raises:
        ValueError: for any other type, NaN, infinity, lone surrogates, keys that are not text, or bottomless nesting.
    """
    if is_strict(value):
        try:
            return encode_strict(value)
        except ValueError:
            # A lone surrogate, which fails below too, or more levels than orjson writes (254), which does not.
            pass
    if not _has_text_keys(value):
        raise ValueError("a key of a JSON object is not text")
    try:
        return canonicaljson.encode_canonical_json(value)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"this has no canonical JSON: {error}") from error


def encode_strict(value: Any) -> bytes:
    """As ``encode``, for a value that ``is_strict`` has passed: saves looking at it again.

    Raises:
        ValueError: for lone surrogates and more than 254 levels of nesting.
    """
    try:
        return orjson.dumps(value, option=_DUMP)
    except TypeError as error:
        raise ValueError(f"this has no canonical JSON: {error}") from error


def trimmed(data: bytes) -> bytes:
    """The same bytes in no more memory than they need, to keep them: orjson hands out whole kilobytes."""
    return memoryview(data).tobytes()


def decode(data: bytes | str, *, max_depth: int = 100) -> Any:
    """The value that JSON text stands for.

    Integers keep their value whatever their size; of doubled keys the last one counts.

    Args:
        data: the text, as UTF-8 where it is bytes.
        max_depth: how many levels of objects and arrays are allowed; ``{}`` is one level.

    Raises:
        ValueError: for what is not JSON, is followed by something else, is nested too deep, or holds NaN, infinity,
            numbers beyond a double, lone surrogates or bytes that are not UTF-8.
    """
    if isinstance(data, str):
        data = data.encode()
    try:
        # Reads the same as orjson, and keeps long integers without anybody looking for them first.
        value = _decode(data)
    except (ValueError, RecursionError):
        # It reads fewer levels, and what it does not say so clearly.
        value = _decode_exactly(data) if _LONG_NUMBER in data.translate(_DIGITS) else orjson.loads(data)
    if is_deeper(value, data, max_depth):
        raise ValueError(f"the JSON is nested more than {max_depth} levels deep")
    return value


def is_deeper(value: Any, data: bytes, max_depth: int) -> bool:
    """Whether a value is nested more than so many levels deep.

    Args:
        value: the value.
        data: its JSON, which mostly shows at a glance that it is not.
        max_depth: the levels.
    """
    openings = data.count(b"{")
    if b"[" in data:
        openings += data.count(b"[")
    return openings > max_depth and _is_deeper(data, value, max_depth, openings)


def is_strict(value: Any) -> bool:
    """Whether a value holds only what room versions 6 and later allow in an event: no floats, integers of 53 bits.

    Also false for types and keys that are not JSON's. Lone surrogates are not looked for: encoding finds them.
    """
    pending = [value]
    for item in pending:  # grows while it is walked: no recursion, whatever the depth
        kind = type(item)
        if kind in _SCALARS:
            continue
        if kind is dict:
            for key, inner in item.items():
                if type(key) is not str:
                    return False
                if type(inner) not in _SCALARS:
                    pending.append(inner)
        elif kind is int:
            if not -MAX_INT <= item <= MAX_INT:
                return False
        elif kind is list:
            pending.extend(item)
        else:
            return False
    return True


def _decode_exactly(data: bytes) -> Any:
    """Decode by the standard library, which keeps long integers, as strictly as orjson does."""
    text = data.decode()
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deep") from error
    if "\\u" in text:
        # An escape may have made a lone surrogate: no bytes can stand for it, and it would fail much later.
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number is beyond the range of a double")
    return number


def _is_deeper(data: bytes, value: Any, max_depth: int, most: int) -> bool:
    """Whether some good JSON, or the value that it stands for, has more than so many levels of objects and arrays.

    Of the bytes only brackets and quotes are kept. Where no text holds a bracket, the quotes between two brackets are
    an even number and can go; then each pass takes the innermost level away. That is a fifth of the work of going
    through the value, which is done where a text does hold one.
    """
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = data.translate(_BRACES, _NO_BRACKETS).replace(b'""', b"")
    if b'"' in brackets:
        return _is_value_deeper(value, max_depth, most)
    for _ in range(max_depth):
        brackets = brackets.replace(b"{}", b"")
        if not brackets:
            return False
    return True


def _is_value_deeper(value: Any, max_depth: int, most: int) -> bool:
    """Whether a value has more than so many levels of dicts and lists, of which it has no more than ``most``; found
    level by level, and only as long as there may be enough of them further down.
    """
    level = [value] if type(value) in _NESTED else []
    for depth in range(1, max_depth + 1):
        most -= len(level)
        if not level or depth + most <= max_depth:
            return False
        below: list[Any] = []
        for item in level:
            for inner in item.values() if type(item) is dict else item:
                if type(inner) in _NESTED:
                    below.append(inner)
        level = below
    return bool(level)


def _has_text_keys(value: Any) -> bool:
    """Whether every key of every dict is text; the standard library would quietly turn others into text."""
    pending = [value]
    for item in pending:
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                return False
            pending.extend(inner for inner in item.values() if isinstance(inner, dict | list | tuple))
        elif isinstance(item, list | tuple):
            pending.extend(inner for inner in item if isinstance(inner, dict | list | tuple))
    return True
