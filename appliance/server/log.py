"""The log: one line for each thing that happens, for people or for programs, in UTC, on standard error."""

import functools
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

from appliance.errors import OwnerError

VARIABLE = "HEARTH_LOG"
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
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if kind == "json" else PlainFormatter())
    # What no line shows need not be found out for each of them (logging's documentation, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    vars(logging).update(_srcfile=None, logAsyncioTasks=False)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("hearth").setLevel(logging.INFO)


class PlainFormatter(logging.Formatter):
    """``time level name: message key=value …``; control characters are spelled out, so that nobody forges a line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and below it the traceback, indented, where there is one."""
        fields = "".join([f" {key}={value}" for key, value in _fields(record).items()])
        line = f"{_time(record)} {record.levelname.lower():7} {_name(record)}: {record.getMessage()}{fields}"
        if not line.isprintable():
            line = line.translate(_ESCAPES)
        if record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            line += "\n    " + trace.replace("\n", "\n    ")
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """``time``, ``level``, ``name``, ``message``, the fields, and ``traceback`` where there is one."""
        content: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "name": _name(record),
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            content["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return orjson.dumps(content, default=str).decode()


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@functools.lru_cache(4)
def _second(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _name(record: logging.LogRecord) -> str:
    return record.name.removeprefix("hearth.")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields
