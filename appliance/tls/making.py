"""Keys, signing requests and self-signed certificates. Imports cryptography: import this where it is needed, not at
the start of a module that a starting server loads."""

import datetime
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.tls.certificate import Certificate, is_address

SELF_SIGNED_DAYS = 820
"""How long a self-signed certificate lives: the longest that Apple's systems take (825 days), with a margin."""

_PEM = serialization.Encoding.PEM


def new_key() -> str:
    """A fresh ECDSA P-256 key, PEM in PKCS#8."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def signing_request(key_pem: str, names: Sequence[str]) -> bytes:
    """A certificate signing request (PEM) for these names and addresses, without a common name."""
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("A signing request is made with a key of new_key().")
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(_alternative_names(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(_PEM)


def self_signed(names: Sequence[str], now_ms: int) -> Certificate:
    """A certificate that Hearth signs itself.

    It is no authority for others (basic constraint), so that a device which trusts it trusts this server and nothing
    else.

    Args:
        names: the host names and addresses to put into it.
        now_ms: the time (ms since 1970). It is valid from a day before, since clocks at home are often wrong.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.fromtimestamp(now_ms // 1000, datetime.UTC)
    begin, end = now - datetime.timedelta(days=1), now + datetime.timedelta(days=SELF_SIGNED_DAYS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Hearth at {names[0]}"[:64])])
    public = key.public_key()
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(_alternative_names(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        chain_pem=certificate.public_bytes(_PEM).decode(),
        key_pem=_key_pem(key),
        names=tuple(names),
        not_before=int(begin.timestamp()) * 1000,
        not_after=int(end.timestamp()) * 1000,
        source="self-signed",
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name) for name in names]
    )
