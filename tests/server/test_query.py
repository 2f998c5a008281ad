"""Queries are read as forms are, whatever is in them."""

from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from appliance.server.query import LONGEST_KEPT, MOST, read_query

PIECES = st.lists(
    st.sampled_from([b"a", b"b=", b"=", b"&", b"+", b"%20", b"%", b"%zz", b"%C3%A4", b"\xe4", b"1", b";"])
)


@given(PIECES)
def test_queries_are_read_as_forms_are(pieces: list[bytes]) -> None:
    query = b"".join(pieces)
    assert read_query(query) == parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def test_what_is_long_or_much_is_bounded() -> None:
    long = b"a=%20" + b"b" * LONGEST_KEPT
    assert read_query(long) == [("a", " " + "b" * LONGEST_KEPT)]
    assert len(read_query(b"&".join([b"a=1"] * (MOST + 5)))) == MOST
