"""Paths to what is inside of events (appendices, "Dot-separated property paths")."""

import re
from collections.abc import Iterable
from typing import Any

Path = tuple[str, ...]
_ESCAPE = re.compile(r"\\([\\.])|\.")


def read_path(text: str) -> Path:
    """The names of a path; a dot or a backslash in a name has a backslash before it."""
    parts, here = [""], 0
    for found in _ESCAPE.finditer(text):
        parts[-1] += text[here : found.start()] + (found[1] or "")
        if found[1] is None:
            parts.append("")
        here = found.end()
    parts[-1] += text[here:]
    return tuple(parts)


def only(value: dict[str, Any], paths: Iterable[Path]) -> dict[str, Any]:
    """What an object has under some paths, and nothing else."""
    found: dict[str, Any] = {}
    for path in paths:
        source: Any = value
        target = found
        *above, last = path
        for name in above:
            source = source.get(name) if isinstance(source, dict) else None
            if not isinstance(source, dict):
                break
        else:
            if last in source:
                for name in above:
                    target = target.setdefault(name, {})
                # Another path may have brought all of this, or a part of it.
                target[last] = source[last]
    return found
