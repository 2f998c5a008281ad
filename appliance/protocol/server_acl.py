"""Server access control lists: which servers a room keeps out (client-server API, "Server Access Control Lists")."""

import ipaddress
from collections.abc import Sequence
from typing import Any


class ServerAcl:
    """One ``m.room.server_acl``.

    Args:
        content: the event's content, whatever is in it.
    """

    __slots__ = ("_allow", "_allow_ip_literals", "_deny")

    def __init__(self, content: dict[str, Any]) -> None:
        self._allow = _globs(content.get("allow"))
        self._deny = _globs(content.get("deny"))
        self._allow_ip_literals = content.get("allow_ip_literals") is not False

    def allows(self, server_name: str) -> bool:
        """Whether a server may take part; its port does not matter, nor does upper or lower case."""
        host = _host(server_name)
        if not self._allow_ip_literals and _is_ip_literal(host):
            return False
        name = host.lower()
        if any(matches(glob, name) for glob in self._deny):
            return False
        return any(matches(glob, name) for glob in self._allow)


def matches(glob: str, name: str) -> bool:
    """Whether a name is that of a glob, in which ``*`` is any text and ``?`` any one character.

    Takes time by the product of both lengths at the most, as others write the globs.
    """
    at, place, star, mark = 0, 0, -1, 0
    while place < len(name):
        if at < len(glob) and glob[at] == "*":
            star, mark = at, place
            at += 1
        elif at < len(glob) and glob[at] in ("?", name[place]):
            at += 1
            place += 1
        elif star >= 0:
            at = star + 1
            mark += 1
            place = mark
        else:
            return False
    return not glob[at:].strip("*")


def _globs(listed: object) -> Sequence[str]:
    return [one.lower() for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


def _host(server_name: str) -> str:
    if server_name.startswith("["):
        return server_name.partition("]")[0] + "]"
    return server_name.partition(":")[0]


def _is_ip_literal(host: str) -> bool:
    if host.startswith("["):
        return True
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
