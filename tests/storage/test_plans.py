"""How SQLite finds what is asked for again and again: by an index, however much there is."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from appliance.storage import events, notifications, receipts, rooms
from appliance.storage.database import Database, Reads, Row

pytestmark = pytest.mark.anyio


class Explained:
    """Reads that are explained rather than done.

    Args:
        database: whose schema it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.plans: list[str] = []

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """No rows; how they would be found is noted."""
        self.plans += [str(row[3]) for row in self._database.read(f"EXPLAIN QUERY PLAN {sql}", parameters)]
        return []


@pytest.mark.parametrize(
    "ask",
    [
        rooms.last_positions,
        lambda reads: events.latest_point(reads, 1, 9),
        lambda reads: events.page_arrived(reads, 1, 0, 9, 10),
        lambda reads: receipts.last_receipts(reads),
        lambda reads: receipts.receipts_between(reads, "!r", "@u", 0, 9),
        lambda reads: receipts.has_read_since(reads, "!r", "@u", 0),
        lambda reads: notifications.read_points(reads, "@u", 1, "!r"),
        lambda reads: notifications.thread_ends(reads, 1, 0),
        lambda reads: notifications.personal_between(reads, "@u", 1, 0, 9),
        lambda reads: notifications.personal_page(reads, "@u", 0, 9, 10, ()),
        lambda reads: notifications.shared_page(reads, 1, 0, 0, 9, 10, without=(), highlight=True),
        lambda reads: notifications.shared_page(reads, 1, 0, 0, 9, 10, without=(), highlight=False),
    ],
)
async def test_nothing_is_looked_for_row_by_row(database: Database, ask: Callable[[Reads], Any]) -> None:
    """Every table but that of rooms is searched by an index or a key, not gone through."""
    explained = Explained(database)
    ask(explained)
    assert explained.plans
    for plan in explained.plans:
        if plan.startswith(("SCAN", "SEARCH")) and plan.split()[1] not in ("r", "known", "json_each"):
            assert "USING" in plan, plan
            assert not plan.startswith("SCAN"), plan


async def test_the_last_position_of_a_room(database: Database) -> None:
    """It is found at the end of an index."""
    explained = Explained(database)
    with pytest.raises(IndexError):  # there is always a row
        rooms.last_position(explained, 1)
    assert all("USING COVERING INDEX events_by_arrival" in plan for plan in explained.plans)
