"""Certificates and ACME accounts as rows, and the mark that a failed order leaves."""

import json
from typing import Literal

import msgspec
from msgspec import Struct

from appliance.storage.database import Reads, Tx

Source = Literal["acme", "files", "self-signed"]

_ATTEMPTS = "tls.attempts"
"""The key in the table ``setup`` under which failed orders are counted."""


class Certificate(Struct, frozen=True, kw_only=True):
    """A certificate with its key, and when to look after it. Times are milliseconds since 1970.

    Args:
        chain_pem: the certificate and what leads to a root, in order.
        key_pem: the private key, PKCS#8.
        names: the host names and addresses that it is good for.
        not_before: from when on it is valid.
        not_after: until when it is valid.
        source: where it comes from: an ACME order, the owner's files, or Hearth itself.
        directory: the ACME directory that it was ordered from.
        renew_at: when to order its successor, as the authority suggested; None where it suggested nothing.
        check_at: when to ask the authority for that suggestion again.
        certificate_id: its row, or 0 while it has none.
    """

    chain_pem: str
    key_pem: str
    names: tuple[str, ...]
    not_before: int
    not_after: int
    source: Source
    directory: str | None = None
    renew_at: int | None = None
    check_at: int | None = None
    certificate_id: int = 0


class AcmeAccount(Struct, frozen=True):
    """An account at a certificate authority: its directory, its private key (PEM), its address once it has one."""

    directory: str
    key_pem: str
    uri: str = ""


class Attempts(Struct, frozen=True, kw_only=True):
    """Orders that failed one after the other.

    Args:
        directory: the ACME directory that they went to.
        names: the names that were asked for.
        failures: how many failed.
        first: when the first one failed (ms).
        next_attempt: when the next one is due (ms).
        not_before: when the authority will take the next one (ms), whatever we wish.
        failure: what the owner was told about the last one.
        detail: the authority's own words on that.
        lasting: whether someone has to change something first.
    """

    directory: str
    names: tuple[str, ...]
    failures: int
    first: int
    next_attempt: int
    not_before: int
    failure: str = ""
    detail: str = ""
    lasting: bool = False


def latest(database: Reads, source: Source) -> Certificate | None:
    """The newest stored certificate of that source."""
    rows = database.read(
        """SELECT certificate_id, source, names, chain_pem, key_pem, not_before, not_after, directory,
                  renew_at, check_at
           FROM certificates WHERE source = ? ORDER BY certificate_id DESC LIMIT 1""",
        (source,),
    )
    if not rows:
        return None
    number, kind, names, chain, key, not_before, not_after, directory, renew_at, check_at = rows[0]
    return Certificate(
        chain_pem=chain,
        key_pem=key,
        names=tuple(json.loads(names)),
        not_before=not_before,
        not_after=not_after,
        source=kind,
        directory=directory,
        renew_at=renew_at,
        check_at=check_at,
        certificate_id=number,
    )


def replace(tx: Tx, certificate: Certificate) -> int:
    """Store a certificate in the place of all earlier ones of its source. Gives its row."""
    tx.execute("DELETE FROM certificates WHERE source = ?", (certificate.source,))
    tx.execute(
        """INSERT INTO certificates
           (source, names, chain_pem, key_pem, not_before, not_after, directory, renew_at, check_at)
           VALUES (?,?,?,?,?,?,?,?,?)""",
        (
            certificate.source,
            json.dumps(certificate.names),
            certificate.chain_pem,
            certificate.key_pem,
            certificate.not_before,
            certificate.not_after,
            certificate.directory,
            certificate.renew_at,
            certificate.check_at,
        ),
    )
    number: int = tx.execute("SELECT last_insert_rowid()")[0][0]
    return number


def schedule(tx: Tx, certificate_id: int, renew_at: int | None, check_at: int) -> None:
    """Keep what the authority suggested for the renewal of a certificate."""
    tx.execute(
        "UPDATE certificates SET renew_at = ?, check_at = ? WHERE certificate_id = ?",
        (renew_at, check_at, certificate_id),
    )


def account(database: Reads, directory: str) -> AcmeAccount | None:
    """Our account at an ACME directory."""
    rows = database.read("SELECT directory, key_pem, uri FROM acme_accounts WHERE directory = ?", (directory,))
    return AcmeAccount(*rows[0]) if rows else None


def save_account(tx: Tx, account: AcmeAccount) -> None:
    """Keep an account, in the place of an earlier one at that directory."""
    tx.execute(
        "INSERT OR REPLACE INTO acme_accounts (directory, key_pem, uri) VALUES (?,?,?)",
        (account.directory, account.key_pem, account.uri),
    )


def attempts(database: Reads) -> Attempts | None:
    """The orders that failed since the last one that succeeded."""
    rows = database.read("SELECT value FROM setup WHERE name = ?", (_ATTEMPTS,))
    return msgspec.json.decode(rows[0][0], type=Attempts) if rows else None


def save_attempts(tx: Tx, failed: Attempts | None) -> None:
    """Keep how many orders failed; None after a success."""
    if failed is None:
        tx.execute("DELETE FROM setup WHERE name = ?", (_ATTEMPTS,))
        return
    value = msgspec.json.encode(failed).decode()
    tx.execute("INSERT OR REPLACE INTO setup (name, value) VALUES (?,?)", (_ATTEMPTS, value))
