"""The address of who asks, believing a proxy only where the owner said that there is one."""

import ipaddress
from collections.abc import Iterable

from appliance.settings import Settings

_MAPPED = "::ffff:"
_MOST_JUDGED = 1_000
"""Addresses of which it is remembered whether they are a proxy's."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientAddresses:
    """Finds client addresses.

    Args:
        settings: ``X-Forwarded-*`` is believed in the mode ``proxy`` alone, from ``tls_trusted_proxies`` alone.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._parsed_from: list[str] = []
        self._trusted: tuple[Network, ...] = ()
        self._judged: dict[str, bool] = {}

    def find(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str | None]:
        """Who asks, and how.

        Args:
            peer: the address at the other end of the connection.
            headers: of the request, names in lower case.

        Returns:
            The client's IP address: behind proxies the last one in ``X-Forwarded-For`` that is no trusted proxy, since
            what stands before it may be invented. And the scheme that the proxy says the client used, or None.
        """
        peer = plain_address(peer)
        if self._settings.tls_mode != "proxy" or not self._is_trusted(peer):
            return peer, None
        forwarded: list[bytes] = []
        scheme = None
        for name, value in headers:
            if name == b"x-forwarded-for":
                forwarded.extend(value.split(b","))
            elif name == b"x-forwarded-proto":
                scheme = "https" if value.strip().lower() == b"https" else "http"
        client = peer
        for hop in reversed(forwarded):
            address = plain_address(hop.decode("latin-1").strip())
            if not _is_address(address):
                break
            client = address
            if not self._is_trusted(address):
                break
        return client, scheme

    def _is_trusted(self, address: str) -> bool:
        if self._parsed_from != self._settings.tls_trusted_proxies:
            self._parsed_from = list(self._settings.tls_trusted_proxies)
            self._trusted = tuple(ipaddress.ip_network(text, strict=False) for text in self._parsed_from)
            self._judged.clear()
        known = self._judged.get(address)
        if known is not None:
            return known
        if len(self._judged) >= _MOST_JUDGED:
            self._judged.clear()
        judged = self._judged[address] = self._judge(address)
        return judged

    def _judge(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)


def plain_address(address: str) -> str:
    """An IPv4 address without the IPv6 clothes in which a dual-stack socket shows it."""
    return address[len(_MAPPED) :] if address.startswith(_MAPPED) and "." in address else address


def address_block(address: str) -> str:
    """What one subscriber can be taken to have: an IPv4 address, or the /64 of an IPv6 address."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    except ValueError:
        return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
