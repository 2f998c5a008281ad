"""Which addresses of the internet other servers may be at.

Whoever sends us an event names servers, and those names lead wherever their owners like: into our own network too. So
the very address that is about to be connected to is judged, whatever led there.
"""

import ipaddress

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; also judged by an IPv4 address that lies inside.

    Args:
        address: v4, or v6 with or without a zone. False for what is no address.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.teredo is not None or found.is_site_local:
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def is_address(host: str) -> bool:
    """Whether a host is an IP address, v6 without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
