"""The query of a request, read as forms are: what a client sends again and again, such as its filter, only once.

Litestar reads each query as a whole and remembers the last thousand of them, however long they are. But a sync's is
another one each time, by its token alone.
"""

import functools
from collections.abc import Iterable
from urllib.parse import parse_qsl

MOST = 1_000
"""Parameters that are looked at; what comes behind them is passed over."""
LONGEST_KEPT, KEPT = 1_024, 500
"""Bytes of a parameter that is remembered, and how many are: those with something percent-encoded in them."""


def read_query(query: bytes) -> list[tuple[str, str]]:
    """The parameters of a query in their order; one without a value has an empty one.

    Args:
        query: as it was sent, without the question mark.
    """
    return list(_pairs(query.split(b"&", MOST)[:MOST]))


def _pairs(pieces: Iterable[bytes]) -> Iterable[tuple[str, str]]:
    for piece in pieces:
        if b"%" in piece or b"+" in piece:
            yield _known(piece) if len(piece) <= LONGEST_KEPT else _decoded(piece)
        elif piece:
            name, _, value = piece.decode("latin-1").partition("=")
            yield name, value


def _decoded(piece: bytes) -> tuple[str, str]:
    return parse_qsl(piece.decode("latin-1"), keep_blank_values=True)[0]


_known = functools.lru_cache(KEPT)(_decoded)
