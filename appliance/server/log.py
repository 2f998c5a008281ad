"""The log: one line for each thing that happens, for people or for programs, in UTC, on standard error."""

import asyncio
import contextlib
import functools
import logging
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from appliance.errors import OwnerError

VARIABLE = "HEARTH_LOG"
DELAY = 0.05
"""Seconds that a line about a request may wait for others: made together, lines cost half."""
MOST_WAITING = 500
"""Lines that wait for others at most."""
_Waiting = tuple[float, str, str, Callable[..., Mapping[str, Any]], tuple[Any, ...]]
"""When a line was said, its name and message, and what makes its fields of what."""
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(0x80, 0xA0))} | {10: "\\n", 13: "\\r", 9: "\\t"}


def configure_log(environment: Mapping[str, str], stream: TextIO | None = None) -> None:
    """Send all logging to one stream.

    Args:
        environment: ``HEARTH_LOG`` says ``plain`` (the default) or ``json``.
        stream: standard error unless given.

    Raises:
        OwnerError: for another word.
    """
    kind = environment.get(VARIABLE, "plain") or "plain"
    if kind not in {"plain", "json"}:
        raise OwnerError(f"{VARIABLE} must be plain or json, not “{kind}”.", 2)
    handler = LineHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if kind == "json" else PlainFormatter())
    # What no line shows need not be found out for each of them (logging's documentation, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    vars(logging).update(_srcfile=None, logAsyncioTasks=False)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("hearth").setLevel(logging.INFO)


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines: at once what is logged as usual, and many at a time what comes with every request.

    The latter is what ``info`` takes; it skips the records of ``logging``, which cost more than the line itself. A line
    waits no longer than ``DELAY`` seconds, or until another one of any kind that is written at once.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        # Other threads write what waits too: a deque is filled and emptied in single steps.
        self._waiting: deque[_Waiting] = deque()

    def info(self, name: str, message: str, say: Callable[..., Mapping[str, Any]], *said: Any) -> None:
        """Log something with the level ``info``, from the event loop, soon.

        Args:
            name: of what it is about.
            message: a constant.
            say: makes the fields, what else there is to say, when the line is written.
            said: of what it makes them.
        """
        waiting = self._waiting
        waiting.append((time.time(), name, message, say, said))
        if len(waiting) == 1:
            asyncio.get_running_loop().call_later(DELAY, self.write_waiting)
        elif len(waiting) >= MOST_WAITING:
            self.write_waiting()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, behind the lines that wait."""
        self.write_waiting()
        super().emit(record)

    def close(self) -> None:
        """Write what waits, and end."""
        self.write_waiting()
        super().close()

    def write_waiting(self) -> None:
        """Write the lines that wait."""
        if not self._waiting:
            return
        with self.lock or contextlib.nullcontext():
            line, lines = _LINES[type(self.formatter)], []
            for _ in range(len(self._waiting)):
                at, name, message, say, said = self._waiting.popleft()
                lines.append(line(at, "info", name, message, say(*said)))
            with contextlib.suppress(OSError, ValueError):  # nobody is there to read them
                self.stream.write("\n".join(lines) + "\n")
                self.flush()


class PlainFormatter(logging.Formatter):
    """``time level name: message key=value …``; control characters are spelled out, so that nobody forges a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and below it the traceback, indented, where there is one."""
        line = _plain(record.created, record.levelname.lower(), _name(record), record.getMessage(), _fields(record))
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            line += "\n    " + trace.replace("\n", "\n    ")
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """``time``, ``level``, ``name``, ``message``, the fields, and ``traceback`` where there is one."""
        content = _content(
            record.created, record.levelname.lower(), _name(record), record.getMessage(), _fields(record)
        )
        if record.exc_info and record.exc_info[0] is not None:
            content["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return orjson.dumps(content, default=str).decode()


def _plain(created: float, level: str, name: str, message: str, fields: Mapping[str, Any]) -> str:
    said = "".join([f" {key}={value}" for key, value in fields.items()])
    line = f"{_time(created)} {level:7} {name}: {message}{said}"
    return line if line.isprintable() else line.translate(_ESCAPES)


def _content(created: float, level: str, name: str, message: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": _time(created), "level": level, "name": name, "message": message, **fields}


def _json(created: float, level: str, name: str, message: str, fields: Mapping[str, Any]) -> str:
    return orjson.dumps(_content(created, level, name, message, fields), default=str).decode()


_LINES: Mapping[type, Callable[[float, str, str, str, Mapping[str, Any]], str]] = {
    PlainFormatter: _plain,
    JsonFormatter: _json,
}


def _time(created: float) -> str:
    return f"{_second(int(created))}.{int(created * 1000) % 1000:03d}Z"


@functools.lru_cache(4)
def _second(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _name(record: logging.LogRecord) -> str:
    return record.name.removeprefix("hearth.")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields
