"""The body of an upload of keys: what is read in one pass is what is read with care, to the byte."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from appliance.encryption import upload_bodies
from appliance.errors import MatrixError

TEXT = some.text(max_size=20)
SIGNATURES = some.dictionaries(TEXT, some.dictionaries(TEXT, TEXT, max_size=3), max_size=3)
KEY = TEXT | some.fixed_dictionaries({"key": TEXT}, optional={"signatures": SIGNATURES, "fallback": some.booleans()})
NAME = some.builds("{}:{}".format, some.text(min_size=1, max_size=9).filter(lambda text: ":" not in text), TEXT)
KEYS = some.dictionaries(NAME.filter(lambda name: not name.endswith(":")), KEY, max_size=5)
BODY = some.fixed_dictionaries(
    {},
    optional={
        "one_time_keys": KEYS | some.none(),
        "fallback_keys": KEYS | some.none(),
        "org.matrix.msc2732.fallback_keys": KEYS | some.none(),
        "device_keys": some.none() | some.dictionaries(TEXT, TEXT | some.integers() | SIGNATURES, max_size=3),
    },
)


@given(BODY)
def test_both_ways_read_the_same(body: dict[str, Any]) -> None:
    try:
        text = orjson.dumps(body)
    except TypeError:  # a whole number beyond 64 bits
        return
    plain = upload_bodies.read_plain(text)
    assert plain is not None
    assert plain == upload_bodies.read(orjson.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"one_time_keys":{"a:b":{"key":"k","more":1}}}',
        b'{"one_time_keys":{"a:b":{"key":1}}}',
        b'{"one_time_keys":{"a:b":{"key":"k","signatures":null}}}',
        b'{"one_time_keys":{"a:b":"\\ud800"}}',
        b'{"one_time_keys":{"a:b":"\xff"}}',
        b'{"one_time_keys":{},"other":1e999}',
        b'{"device_keys":1e999}',
        b'{"device_keys":' + b"[" * 150 + b"]" * 150 + b"}",
        b'{"device_keys":' + b"[" * 90_000 + b"]" * 90_000 + b"}",
        b'{"one_time_keys":{}} {}',
    ],
)
def test_whatever_is_not_plain_is_read_with_care(text: bytes) -> None:
    assert upload_bodies.read_plain(text) is None


def test_of_doubles_the_last_counts() -> None:
    text = b'{"one_time_keys":{"a:b":"1","a:b":{"key":"2","key":"3"}},"one_time_keys":{"a:b":"4","a:c":"5"}}'
    assert upload_bodies.read_plain(text) == upload_bodies.read(orjson.loads(text))


@pytest.mark.parametrize(
    ("keys", "errcode"),
    [
        ({"nameless": "k"}, "M_BAD_JSON"),
        ({":b": "k"}, "M_BAD_JSON"),
        ({"a:b": "k", "a:": "k"}, "M_BAD_JSON"),
        ({"a:" + "b" * 254: "k"}, "M_BAD_JSON"),
        ({"a:b": "k" * 4_096}, "M_TOO_LARGE"),
        ({f"a:{number}": "k" for number in range(1_001)}, "M_TOO_LARGE"),
    ],
)
def test_both_ways_refuse_the_same(keys: dict[str, str], errcode: str) -> None:
    body = {"one_time_keys": keys}
    for read, what in ((upload_bodies.read_plain, orjson.dumps(body)), (upload_bodies.read, body)):
        with pytest.raises(MatrixError) as refused:
            read(what)  # type: ignore[operator]
        assert refused.value.errcode == errcode
