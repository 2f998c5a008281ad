"""docs/coverage.md says what is true."""

from pathlib import Path

import pytest

from tests.support import coverage, endpoints
from tests.support.endpoints import Specified

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"


def test_the_page_is_what_the_declarations_say() -> None:
    """After a change of endpoints `just coverage` has to be run."""
    if not endpoints.TABLE.exists():
        pytest.skip("the specification's table of endpoints is not here")
    assert PAGE.read_text() == coverage.page(endpoints.specified(), endpoints.declared())


def test_whatever_is_refused_is_in_the_specification() -> None:
    """A reason for something that nobody knows misleads."""
    if not endpoints.TABLE.exists():
        pytest.skip("the specification's table of endpoints is not here")
    assert set(coverage.REFUSED) <= {each.operation for each in endpoints.specified()}


def test_an_operation_is_done_refused_or_not_yet() -> None:
    """Each has one of three states, and the figures count them."""
    operations = [
        Specified("client-server", "GET", f"/{name}", name, "no", False, "Things", "file")
        for name in ("there", "initialSync", "missing")
    ]
    page = coverage.page(operations, {("GET", "/there")})
    assert "| Client-server API | 3 | 1 | 1 | 1 |" in page
    assert "| GET /there | there | done |" in page
    assert f"| GET /initialSync | initialSync | refused: {coverage.OLD_SYNC} |" in page
    assert "| GET /missing | missing | not yet |" in page
