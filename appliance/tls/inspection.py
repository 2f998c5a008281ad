"""Opening certificates: what they say, and whether the owner's own files can be used. Imports cryptography, as
``making`` does."""

import base64
import datetime
import itertools
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from appliance.errors import OwnerError
from appliance.tls.certificate import Certificate, Source, covers

_PEM = serialization.Encoding.PEM
_WHOLE_CHAIN = (
    "Give the file that holds the server's own certificate first and then those that lead to the root, in order; "
    "many authorities call it fullchain.pem."
)


def describe(chain_pem: str, key_pem: str, source: Source, directory: str | None = None) -> Certificate:
    """A certificate as Hearth keeps it, read from its chain.

    Raises:
        ValueError: where the chain holds no certificate, or the key is not the first one's.
    """
    leaf = x509.load_pem_x509_certificates(chain_pem.encode())[0]
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    if not _belongs(key, leaf):
        raise ValueError("The key is not that of the certificate.")
    return _described(leaf, chain_pem, key_pem, source, directory)


def renewal_identifier(chain_pem: str) -> str | None:
    """What the ACME server calls this certificate in renewal information (RFC 9773, section 4.1): key identifier of
    the issuer and serial number. None where the certificate names no issuer's key."""
    leaf = x509.load_pem_x509_certificate(chain_pem.encode())
    try:
        issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None
    if issuer is None:
        return None
    # As in DER: big endian, with room for the sign.
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (issuer, serial))


def check_files(certificate: Path, key: Path, names: Sequence[str], now_ms: int) -> Certificate:
    """Read the owner's own certificate and key and judge whether they will serve.

    Args:
        certificate: the chain, a PEM file.
        key: the private key, a PEM file without a password.
        names: what the certificate must be good for.
        now_ms: the time, ms since 1970.

    Raises:
        OwnerError: what is wrong, what it means, and what to do.
    """
    chain = _chain(certificate)
    private = _key(key)
    leaf = chain[0]
    if not _belongs(private, leaf):
        if any(_belongs(private, other) for other in chain[1:]):
            raise OwnerError(f"The certificates in {certificate} are in the wrong order. {_WHOLE_CHAIN}")
        raise OwnerError(
            f"The key in {key} does not belong to the certificate in {certificate}, so no connection could be made "
            "with them. Give the key that the certificate was ordered with."
        )
    for issued, issuer in itertools.pairwise(chain):
        if not _issued_by(issued, issuer):
            raise OwnerError(
                f"The certificates in {certificate} do not follow from each other: {_called(issued)} is not signed "
                f"by {_called(issuer)}, which comes after it, so most apps would refuse to connect. {_WHOLE_CHAIN}"
            )
    key_pem = private.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    chain_pem = "".join(part.public_bytes(_PEM).decode() for part in chain)
    described = _described(leaf, chain_pem, key_pem, "files", None)
    _check_time(certificate, described, now_ms)
    missing = [name for name in names if not covers(described, [name])]
    if missing:
        held = ", ".join(described.names) or "no name at all"
        raise OwnerError(
            f"The certificate in {certificate} is good for {held}, but not for {', '.join(missing)}, so apps would "
            "refuse to connect there. Give a certificate that holds every name of this server."
        )
    return described


def lacks_intermediate(certificate: Certificate) -> bool:
    """Whether the chain most likely leaves out what links it to a root: a lone certificate that says where its issuer's
    own certificate can be downloaded."""
    chain = x509.load_pem_x509_certificates(certificate.chain_pem.encode())
    try:
        access = chain[-1].extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    issuers = x509.oid.AuthorityInformationAccessOID.CA_ISSUERS
    return len(chain) == 1 and any(entry.access_method == issuers for entry in access)


def _chain(path: Path) -> list[x509.Certificate]:
    data = _read(path, "certificate")
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise OwnerError(
            f"There is no certificate in {path}: it should be a PEM file, text with a line "
            f'"-----BEGIN CERTIFICATE-----". {_WHOLE_CHAIN}'
        )
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise OwnerError(f"A certificate in {path} is damaged ({error}). Get a fresh copy of the file.") from error


def _key(path: Path) -> PrivateKeyTypes:
    data = _read(path, "key")
    if b"PRIVATE KEY-----" not in data:
        raise OwnerError(
            f"There is no private key in {path}: it should be a PEM file, text with a line "
            '"-----BEGIN PRIVATE KEY-----". It is made together with the order for the certificate; many programs '
            "call it privkey.pem."
        )
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError as error:
        raise OwnerError(
            f"The key in {path} is locked with a password, so Hearth could not start by itself. Take the password "
            "off, for example with `openssl pkey -in FILE -out NEWFILE`."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise OwnerError(f"The key in {path} is damaged ({error}). Get a fresh copy of the file.") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise OwnerError(
            f"The key in {path} is of a kind that apps do not take. Order a certificate with an ECDSA or RSA key."
        )
    return key


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OwnerError(
            f"Hearth cannot read the {what} file {path}: {error.strerror or error}. Check that the path is right and "
            "that the user Hearth runs as may read it."
        ) from error


def _check_time(path: Path, certificate: Certificate, now_ms: int) -> None:
    if certificate.not_after <= now_ms:
        raise OwnerError(
            f"The certificate in {path} ran out on {_day(certificate.not_after)}, so apps would refuse to connect. "
            "Renew it and give the new file."
        )
    if certificate.not_before > now_ms:
        raise OwnerError(
            f"The certificate in {path} is valid only from {_day(certificate.not_before)}, and this machine says it "
            f"is {_day(now_ms)}. Check the machine's clock, or wait until that day."
        )


def _day(ms: int) -> str:
    return datetime.datetime.fromtimestamp(ms // 1000, datetime.UTC).strftime("%-d %B %Y, %H:%M UTC")


def _belongs(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    public = certificate.public_key().public_bytes(serialization.Encoding.DER, info)
    return key.public_key().public_bytes(serialization.Encoding.DER, info) == public


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _called(certificate: x509.Certificate) -> str:
    return f'"{certificate.subject.rfc4514_string()}"' if certificate.subject else f"number {certificate.serial_number}"


def _described(
    leaf: x509.Certificate, chain_pem: str, key_pem: str, source: Source, directory: str | None
) -> Certificate:
    return Certificate(
        chain_pem=chain_pem,
        key_pem=key_pem,
        names=_names(leaf),
        not_before=int(leaf.not_valid_before_utc.timestamp() * 1000),
        not_after=int(leaf.not_valid_after_utc.timestamp() * 1000),
        source=source,
        directory=directory,
    )


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(address) for address in held.get_values_for_type(x509.IPAddress)]
    return (*held.get_values_for_type(x509.DNSName), *addresses)
