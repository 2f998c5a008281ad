"""Server access control lists: which servers a room keeps out (client-server API, "Server Access Control Lists")."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from appliance.protocol.globs import Fits, Patience, matches_whole


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
        name, patience = host.lower(), Patience()
        if any(fits(name, patience) for fits in self._deny) or not patience.left:
            return False
        return any(fits(name, patience) for fits in self._allow)


def _globs(listed: object) -> Sequence[Fits]:
    return [matches_whole(one) for one in listed if isinstance(one, str)] if isinstance(listed, list) else []


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
