"""The benchmark works: with small sizes every line of its table comes out. How fast is never asserted."""

import pytest

from tests.bench.__main__ import QUICK, measure, table
from tests.bench.figures import Figure


@pytest.mark.slow
def test_every_line_comes_out() -> None:
    figures = measure(QUICK)
    assert len({figure.name for figure in figures}) == len(figures) > 15
    assert all(figure.value >= 0 for figure in figures)


def test_verdicts() -> None:
    figures = [
        Figure("rate", 1200, "sends/s", 1000),
        Figure("slow rate", 900, "sends/s", 1000),
        Figure("time", 3, "ms", 4),
        Figure("long time", 5, "ms", 4),
        Figure("just so", 5, "ms"),
    ]
    assert [figure.verdict for figure in figures] == ["reached", "MISSED", "reached", "MISSED", ""]
    lines = table(figures).splitlines()
    assert lines[1].split() == ["rate", "1200", "sends/s", "≥", "1000", "sends/s", "reached"]
    assert lines[5].split() == ["just", "so", "5.00", "ms"]
