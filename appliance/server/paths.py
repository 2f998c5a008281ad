"""Paths in which a percent-encoded slash is data, although Granian decodes it and Litestar splits there.

The outer wrapper puts a stand-in where a slash belongs to a segment, Litestar routes, and the authentication puts the
slash back into the parameters.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

SLASH = "\U0010fffe"
"""Stands for a slash inside a segment: a noncharacter, which no Matrix identifier holds; refused in a request."""


_ONCE, _NOW = "/_matrix/client/r0/", "/_matrix/client/v3/"


class BadPathError(ValueError):
    """A path that nobody sends for a good reason."""


def route_path(path: str, raw_path: bytes) -> str:
    """The path to route by.

    Leading slashes are one, since some clients join an address that ends in a slash with a path. Anywhere else an
    empty segment stays what it is, so that a missing parameter is not taken for a shorter path.

    Args:
        path: the decoded path.
        raw_path: the path as sent, without the query.

    Raises:
        BadPathError: for a path that does not begin with a slash or holds the stand-in.
    """
    if not path.startswith("/") or SLASH in path:
        raise BadPathError(path)
    if b"%2f" in raw_path or b"%2F" in raw_path:
        path = "/".join(
            unquote_to_bytes(segment).decode("utf-8", "replace").replace("/", SLASH) for segment in raw_path.split(b"/")
        )
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    return path


def present(path: str) -> str:
    """A path of the client-server API before its version 1.1, as it is called now: ``r0`` became ``v3``.

    Old bots still ask so; wherever both existed, nothing but the name was changed.
    """
    return f"{_NOW}{path[len(_ONCE) :]}" if path.startswith(_ONCE) else path


class SlashedPaths:
    """Which paths may end with a slash: those that are declared so. Litestar itself would pass over it.

    Args:
        declared: every declared path, with Litestar's typed parameters.
    """

    def __init__(self, declared: Iterable[str]) -> None:
        slashed = {re.sub(r"\\\{[^}]*\}", "[^/]+", re.escape(path)) for path in declared if path.endswith("/")}
        self._pattern = re.compile("|".join(sorted(slashed)) or "(?!)")

    def is_misspelt(self, path: str) -> bool:
        """Whether a path has an empty segment, or a slash at its end that nobody declared."""
        return "//" in path or (path.endswith("/") and self._pattern.fullmatch(path) is None)


def restore_slashes(parameters: dict[str, Any]) -> dict[str, Any]:
    """The path parameters with slashes in the place of their stand-in; a copy, since Litestar keeps the dict."""
    return {name: value.replace(SLASH, "/") if isinstance(value, str) else value for name, value in parameters.items()}
