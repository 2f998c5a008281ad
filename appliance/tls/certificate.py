"""What can be said of a certificate without opening it. Nothing here imports cryptography, which takes a while."""

import hashlib
import ipaddress
import ssl
from collections.abc import Iterable

from appliance.storage.certificates import Certificate, Source

__all__ = ["Certificate", "Source", "covers", "fingerprint", "is_address"]

_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"


def covers(certificate: Certificate, names: Iterable[str]) -> bool:
    """Whether the certificate is good for every one of these host names or addresses (RFC 6125: a wildcard stands for
    one label)."""
    held = {_normal(name) for name in certificate.names}
    return all(_normal(name) in held or f"*.{_normal(name).partition('.')[2]}" in held for name in names)


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def fingerprint(certificate: Certificate) -> str:
    """The SHA-256 of the certificate as browsers show it: pairs of capital hex digits with colons between."""
    chain = certificate.chain_pem
    first = chain[chain.index(_BEGIN) : chain.index(_END) + len(_END)]
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).digest().hex(":").upper()


def _normal(name: str) -> str:
    return str(ipaddress.ip_address(name)) if is_address(name) else name.lower().rstrip(".")
