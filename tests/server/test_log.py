"""The log, for people and for programs."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from appliance.errors import OwnerError
from appliance.server.log import MOST_WAITING, LineHandler, configure_log


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """A stream for the log, whose handlers and levels are put back after the test."""
    root, ours = logging.getLogger(), logging.getLogger("hearth")
    levels = {logger: logger.level for logger in (root, ours)}
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    for name in ("logThreads", "logProcesses", "logMultiprocessing", "logAsyncioTasks", "_srcfile"):
        monkeypatch.setattr(logging, name, getattr(logging, name, True), raising=False)
    yield io.StringIO()
    for logger, level in levels.items():
        logger.setLevel(level)


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


def _path(path: str) -> dict[str, str]:
    return {"path": path}


def test_many_lines_of_requests_do_not_wait_for_their_time(logged: io.StringIO) -> None:
    """However many requests there are, what is remembered of them is little."""
    configure_log({}, logged)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, LineHandler)

    async def requests() -> None:
        for number in range(MOST_WAITING):
            assert logged.getvalue() == ""
            handler.info("request", "request", _path, f"/{number}")

    asyncio.run(requests())
    assert len(logged.getvalue().splitlines()) == MOST_WAITING


def test_lines_of_requests_come_together_and_in_order(logged: io.StringIO) -> None:
    """They wait a moment for each other; whatever is logged as usual comes behind them."""
    configure_log({}, logged)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, LineHandler)

    async def requests() -> None:
        handler.info("request", "request", _path, "/one\n")
        handler.info("request", "request", _path, "/two")
        assert logged.getvalue() == ""
        logging.getLogger("hearth.request").warning("after")
        assert len(logged.getvalue().splitlines()) == 3
        handler.info("request", "request", _path, "/three")
        while "three" not in logged.getvalue():
            await asyncio.sleep(0.01)

    asyncio.run(requests())
    lines = [line.partition("Z ")[2] for line in logged.getvalue().splitlines()]
    assert lines == [
        "info    request: request path=/one\\n",
        "info    request: request path=/two",
        "warning request: after",
        "info    request: request path=/three",
    ]


def test_lines_of_requests_for_programs(logged: io.StringIO) -> None:
    """They look as all others; what waits when the log ends is written."""
    configure_log({"HEARTH_LOG": "json"}, logged)
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, LineHandler)

    async def request() -> None:
        handler.info("request", "request", dict, (("status", 200),))

    asyncio.run(request())
    handler.close()
    found = json.loads(logged.getvalue())
    assert found.keys() == {"time", "level", "name", "message", "status"}
