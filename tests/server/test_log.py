"""The log, for people and for programs."""

import io
import json
import logging

import pytest

from appliance.errors import OwnerError
from appliance.server.log import configure_log


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A stream for the log, whose handlers are put back after the test."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "_srcfile"):
        monkeypatch.setattr(logging, name, getattr(logging, name))
    return io.StringIO()


def _log_something() -> None:
    log = logging.getLogger("hearth.request")
    log.info("request", extra={"fields": {"path": "/a\nb", "status": 200}})
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("failed")
    log.debug("not shown")


def test_the_log_for_people(logged: io.StringIO) -> None:
    configure_log({}, logged)
    _log_something()
    lines = logged.getvalue().splitlines()
    assert lines[0].endswith("Z info    request: request path=/a\\nb status=200")
    assert lines[1].endswith("Z error   request: failed")
    assert lines[-1] == "    ValueError: bad"


def test_the_log_for_programs(logged: io.StringIO) -> None:
    configure_log({"HEARTH_LOG": "json"}, logged)
    _log_something()
    first, second = (json.loads(line) for line in logged.getvalue().splitlines())
    assert first | {"time": ""} == {
        "time": "",
        "level": "info",
        "name": "request",
        "message": "request",
        "path": "/a\nb",
        "status": 200,
    }
    assert first["time"].endswith("Z")
    assert "ValueError: bad" in second["traceback"]


def test_a_log_of_another_kind(logged: io.StringIO) -> None:
    with pytest.raises(OwnerError, match="HEARTH_LOG must be plain or json"):
        configure_log({"HEARTH_LOG": "xml"}, logged)
