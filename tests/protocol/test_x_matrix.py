"""The header that signs a request, in all its spellings."""

import time

import pytest

from appliance.protocol import canonical, signing
from appliance.protocol.signing import SigningKey
from appliance.protocol.x_matrix import LONGEST, XMatrix, authorization, parse, signed_bytes

PLAIN = XMatrix("one.test", "two.test", "ed25519:a_1", "AbC+/0")


@pytest.mark.parametrize(
    "header",
    [
        'X-Matrix origin="one.test",destination="two.test",key="ed25519:a_1",sig="AbC+/0"',
        'x-matrix   origin="one.test",destination="two.test",key="ed25519:a_1",sig="AbC+/0"',
        'X-MATRIX sig="AbC+/0",key="ed25519:a_1",destination="two.test",origin="one.test"',
        'X-Matrix Origin=one.test,DESTINATION=two.test,Key="ed25519:a_1",SIG="AbC+/0"',
        "X-Matrix origin=one.test,destination=two.test,key=ed25519:a_1,sig=AbC+/0",
        'X-Matrix origin="one.test" ,\t destination="two.test",  key="ed25519:a_1"\t,sig="AbC+/0" ',
        'X-Matrix origin = "one.test", destination = "two.test", key = "ed25519:a_1", sig = "AbC+/0"',
        r'X-Matrix origin="one\.test",destination="t\wo.test",key="ed25519:a_1",sig="Ab\C+/0"',
        'X-Matrix origin="one.test",destination="two.test",key="ed25519:a_1",signature="AbC+/0"',
        'X-Matrix origin="one.test",destination="two.test",key="ed25519:a_1",sig="AbC+/0",later="x, y=\\"z\\""',
        'X-Matrix later=1,origin="one.test",destination="two.test",key="ed25519:a_1",sig="AbC+/0",',
        'X-Matrix origin="one.test",,destination="two.test", ,key="ed25519:a_1",sig="AbC+/0"',
        'X-Matrix origin="one.test",origin="three.test",destination="two.test",key="ed25519:a_1",sig="AbC+/0"',
    ],
)
def test_spellings(header: str) -> None:
    assert parse(header) == PLAIN


def test_a_destination_may_be_missing_and_names_may_have_ports_and_brackets() -> None:
    assert parse("X-Matrix origin=[::1]:80,key=ed25519:1,sig=a=") == XMatrix("[::1]:80", None, "ed25519:1", "a=")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "X-Matrix",
        "X-Matrix ",
        "Bearer abc",
        'X-MatrixOrigin origin="one.test",key="ed25519:a",sig="b"',
        'X-Matrix origin="one.test",key="ed25519:a"',
        'X-Matrix origin="",key="ed25519:a",sig="b"',
        'X-Matrix origin="one.test,key="ed25519:a",sig="b"',
        'X-Matrix origin="one.test" key="ed25519:a" sig="b"',
        'X-Matrix origin="one.test",key="ed25519:a",sig="b" c',
        'X-Matrix origin="one.test",key="ed25519:a",sig="b\\"',
        'X-Matrix origin="one.test",key="ed25519:a",sig="b",x="' + "y" * LONGEST + '"',
    ],
)
def test_what_is_no_such_header(header: str) -> None:
    assert parse(header) is None


@pytest.mark.parametrize("piece", ['a="\\', "a=b,", "a= ,", 'a="', "\\\\", "a=\t,", ",,,, "])
def test_no_header_takes_long_to_read(piece: str) -> None:
    begin = time.perf_counter()
    for size in range(1, LONGEST // len(piece), 50):
        parse("X-Matrix " + piece * size)
    assert time.perf_counter() - begin < 60


def test_what_is_signed_is_canonical_and_what_we_send_can_be_read() -> None:
    key = SigningKey.generate()
    content = {"b": [1, "ü"], "a": None}
    body = canonical.encode(content)
    whole = {"content": content, "destination": "two.test", "method": "PUT", "origin": "one.test", "uri": "/x?y=%2F"}
    data = signed_bytes("PUT", "/x?y=%2F", "one.test", "two.test", body)
    assert data == canonical.encode(whole)
    found = parse(authorization("PUT", "/x?y=%2F", "one.test", "two.test", body, key))
    assert found is not None
    assert (found.origin, found.destination, found.key) == ("one.test", "two.test", key.key_id)
    assert signing.verify(data, found.signature, key.public_key)
    assert signed_bytes("GET", "/", "a", None, None) == b'{"method":"GET","origin":"a","uri":"/"}'
