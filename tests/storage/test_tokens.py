"""Tokens: what is made is read again, and nothing else is."""

import pytest

from appliance.errors import MatrixError
from appliance.storage.tokens import HistoryToken, SyncToken, read, read_sync


@pytest.mark.parametrize(
    "token",
    [SyncToken(0), SyncToken(17, 3, 2**40, 9), HistoryToken(0, -5), HistoryToken(1, 3, 5), HistoryToken(0, -(10**17))],
)
def test_round_trip(token: SyncToken | HistoryToken) -> None:
    """Either kind comes back as it was."""
    assert read(str(token)) == token


@pytest.mark.parametrize(
    "text",
    ["", "s", "s1_1", "s1_1_0_0", "s2_1_0_0_0", "s1_-1_0_0_0", "t1_1_", "t1_a_1", "t1_1_1 ", "s1_٣_0_0_0",
     "s1_9999999999999999999_0_0_0", "t1_9999999999999999999_1", "t1_1_-9999999999999999999", "s1_1_0_0_0\n"],
)  # fmt: skip
def test_what_others_made(text: str) -> None:
    """Anything else is refused with a sentence, numbers beyond the database's included."""
    with pytest.raises(MatrixError) as refusal:
        read(text)
    assert (refusal.value.errcode, refusal.value.status) == ("M_INVALID_PARAM", 400)


def test_sync_takes_its_own_kind() -> None:
    """A point of a history is no place to sync from."""
    with pytest.raises(MatrixError):
        read_sync(str(HistoryToken(1, 1)))
