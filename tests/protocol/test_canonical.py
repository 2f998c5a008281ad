"""Canonical JSON: the examples of the appendices, the strict decoders, and orjson against canonicaljson."""

from collections.abc import Callable
from typing import Any

import canonicaljson
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol import canonical

LIMIT = 2**53 - 1

EXAMPLES = [
    ("{}", "{}"),
    ('{"one": 1, "two": "Two"}', '{"one":1,"two":"Two"}'),
    ('{"b": "2", "a": "1"}', '{"a":"1","b":"2"}'),
    (
        (
            '{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe",'
            ' "three_pids": [{"medium": "email", "address": "john.doe@example.org"},'
            ' {"medium": "msisdn", "address": "123456789"}]}}}'
        ),
        (
            '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":'
            '[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},'
            '"success":true}}'
        ),
    ),
    ('{"a": "日本語"}', '{"a":"日本語"}'),
    ('{"本": 2, "日": 1}', '{"日":1,"本":2}'),
    ('{"a": "\\u65E5"}', '{"a":"日"}'),
    ('{"a": null}', '{"a":null}'),
    ('{"a": -0}', '{"a":0}'),
    # Code points, not UTF-16 units, set the order.
    ('{"\\ud83d\\ude00": 1, "\\uffee": 2}', '{"\uffee":2,"\U0001f600":1}'),
    ('"\\u0000\\u001f\\u007f\\u2028\\/\\b\\f\\n\\r\\t\\"\\\\"', '"\\u0000\\u001f\x7f\u2028/\\b\\f\\n\\r\\t\\"\\\\"'),
]


@pytest.mark.parametrize(("text", "expected"), EXAMPLES)
def test_examples(text: str, expected: str) -> None:
    assert canonical.encode(canonical.decode(text)) == expected.encode()
    assert canonical.encode(canonical.decode(text.encode())) == expected.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{}x",
        b"{} {}",
        b"NaN",
        b'{"a": Infinity}',
        b"-Infinity",
        b"1e400",
        b"[12345678901234567890, 1e400]",
        b"[12345678901234567890, NaN]",
        b'[12345678901234567890, "\\ud800"]',
        b'[12345678901234567890, "\\udc00\\ud800"]',
        b"[12345678901234567890",
        b"[12345678901234567890]x",
        b'[12345678901234567890, "\xff"]',
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'"\x01"',
        b"01",
        b"[1,]",
        b"{'a': 1}",
        b"\xef\xbb\xbf{}",
        b"{}".decode().encode("utf-16"),
        b"9" * 5000,
        '"\ud800"',
    ],
)
def test_refuses(data: bytes | str) -> None:
    with pytest.raises(ValueError):
        canonical.decode(data)


@pytest.mark.parametrize("number", [2**53, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**19, 10**400, -(10**30), 0])
def test_integers_keep_their_value(number: int) -> None:
    decoded = canonical.decode(f'{{"n": [{number}]}}')
    assert decoded == {"n": [number]}
    assert type(decoded["n"][0]) is int
    assert canonical.encode(decoded) == f'{{"n":[{number}]}}'.encode()


def test_floats_stay_floats_in_the_form_of_old_servers() -> None:
    assert canonical.encode(canonical.decode('{"a": 1e10, "b": 1.0, "c": -0.5, "d": 1e-7}')) == (
        b'{"a":10000000000.0,"b":1.0,"c":-0.5,"d":1e-07}'
    )


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")])
def test_depth(brackets: tuple[str, str]) -> None:
    def nested(depth: int) -> str:
        return brackets[0] * depth + "1" + brackets[1] * depth

    assert canonical.decode(nested(100)) is not None
    assert canonical.decode(nested(3), max_depth=3) is not None
    for depth, limit in [(101, 100), (4, 3), (2000, 100), (200_000, 100), (200_000, 10_000)]:
        with pytest.raises(ValueError):
            canonical.decode(nested(depth), max_depth=limit)
    with pytest.raises(ValueError):
        canonical.decode(nested(200_000).replace("1", "1" * 20))
    # Many brackets side by side are not deep.
    assert len(canonical.decode("[" + ",".join(["[]"] * 500) + "]")) == 500


TRICKY = st.one_of(st.text('[]{}"\\\\a\n', max_size=6), st.none(), st.integers(0, 9))
KEYS = st.text('[{"\\\\', max_size=3)
NESTED = st.recursive(TRICKY, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=3))


def levels(value: Any) -> int:
    """How deep a value is, by definition."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(levels, inner), default=0)


@given(NESTED, st.integers(1, 5))
def test_depth_is_not_mistaken_for_brackets_in_texts(value: Any, limit: int) -> None:
    data = canonical.encode(value)
    if levels(value) <= limit:
        assert canonical.decode(data, max_depth=limit) == value
    else:
        with pytest.raises(ValueError, match="nested"):
            canonical.decode(data, max_depth=limit)


def test_doubled_keys_the_last_wins() -> None:
    assert canonical.decode('{"a": 1, "a": 2}') == {"a": 2}
    assert canonical.decode('{"a": 1, "a": 12345678901234567890}') == {"a": 12345678901234567890}


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        {"a": float("nan")},
        [float("inf")],
        "\ud800",
        {"\udc00": 1},
        {1: "a"},
        {"a": {None: 1.5}},
        {"a": b"bytes"},
        {"a": {1, 2}},
        object(),
        deep(100_000),
    ],
)
def test_encode_refuses(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical.encode(value)


def test_encode_what_orjson_cannot() -> None:
    assert canonical.encode(deep(400)) == b"[" * 401 + b"]" * 401
    assert canonical.encode({"b": 2**53, "a": 0.1}) == b'{"a":0.1,"b":9007199254740992}'
    assert canonical.encode([(1, 2)]) == b"[[1,2]]"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, "x", None, True, {"b": -LIMIT}]}, True),
        (LIMIT, True),
        (LIMIT + 1, False),
        ([[-LIMIT - 1]], False),
        ({"a": {"b": 1.0}}, False),
        ({1: 2}, False),
        ((1,), False),
        (deep(5000), True),
    ],
)
def test_is_strict(value: Any, expected: bool) -> None:
    assert canonical.is_strict(value) is expected


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
STRICT = st.recursive(
    st.none() | st.booleans() | st.integers(-LIMIT, LIMIT) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
LOOSE = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(STRICT)
def test_orjson_agrees_with_canonicaljson(value: Any) -> None:
    encoded = canonical.encode(value)
    assert canonical.is_strict(value)
    assert encoded == canonical.encode_strict(value) == canonicaljson.encode_canonical_json(value)


@given(STRICT | LOOSE)
def test_round_trip(value: Any) -> None:
    encoded = canonical.encode(value)
    again = canonical.decode(encoded)
    assert again == value
    assert canonical.encode(again) == encoded == canonicaljson.encode_canonical_json(value)


DECODERS = (canonical._decode, canonical._decode_exactly, orjson.loads)
"""What one of them refuses the next may be asked for: the value must be the same."""


@given(STRICT | LOOSE)
def test_all_decoders_agree(value: Any) -> None:
    encoded = canonical.encode(value)
    assert canonical._decode(encoded) == canonical._decode_exactly(encoded) == value
    body = b'{"long":12345678901234567890,"value":' + encoded + b"}"
    assert canonical.decode(body) == {"long": 12345678901234567890, "value": value}


@given(st.text('{}[]",:\\u0dDeE+-1 tfn', max_size=18))
def test_all_decoders_refuse_the_same(text: str) -> None:
    """Whatever broken text comes, all take it or refuse it alike; too short for numbers that orjson reads otherwise."""

    def outcome(decode: Callable[[bytes], Any]) -> str:
        try:
            return repr(decode(f"[{text}]".encode()))
        except ValueError:
            return "refused"

    one, *others = map(outcome, DECODERS)
    assert others == [one, one]


@given(st.binary(max_size=40))
def test_any_bytes_end_in_a_value_or_a_value_error(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except ValueError:
        return
    canonical.encode(value)
