"""Lines of the table: what was measured, beside its goal."""

from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table.

    Args:
        name: what was measured.
        value: the figure.
        unit: its unit.
        goal: the most, or for rates the least, that it should be; None where there is no goal.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def is_rate(self) -> bool:
        """Whether more is better."""
        return self.unit.endswith("/s")

    @property
    def verdict(self) -> str:
        """Whether the goal was reached."""
        if self.goal is None:
            return ""
        return "reached" if (self.value >= self.goal if self.is_rate else self.value <= self.goal) else "MISSED"
