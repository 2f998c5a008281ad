"""Which certificate the listeners show: stored, made or read, and told to whoever has to swap it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from appliance.accounts.clock import Clock, wall_clock
from appliance.errors import OwnerError
from appliance.settings import Settings
from appliance.storage import certificates as rows
from appliance.storage.database import Database
from appliance.tls import ladder
from appliance.tls.certificate import Certificate, covers

log = logging.getLogger("hearth.tls")

_NO_NAME = ("localhost",)
"""What a self-signed certificate is for while the server has no name."""
_REMAKE_BEFORE = 30 * ladder.DAY
"""A self-signed certificate is made anew this long before its end."""

_Signature = tuple[tuple[int, int, int], ...]


class Certificates:
    """The server's certificate.

    Args:
        database: where certificates are kept, the owner's files excepted.
        settings: read at use.
        clock: the time.

    Attributes:
        on_change: called on the loop with the new certificate whenever another one is to be shown. It is stored by
            then.
    """

    def __init__(self, database: Database, settings: Settings, *, clock: Clock = wall_clock) -> None:
        self.on_change: list[Callable[[Certificate], None]] = []
        self._database = database
        self._settings = settings
        self._clock = clock
        self._current: Certificate | None = None
        self._seen: _Signature = ()
        self._change = asyncio.Lock()

    def current(self) -> Certificate | None:
        """The certificate to show now; None where there is none (mode proxy without files, or before ``load``)."""
        return self._current

    def ordered(self) -> Certificate | None:
        """The stored certificate of an authority, whether or not it is still good."""
        return rows.latest(self._database, "acme")

    async def load(self) -> Certificate | None:
        """Choose the certificate that the settings ask for: at start, and after they changed how the server is
        reached. Orders nothing.

        Raises:
            OwnerError: where the owner's files cannot be used. What was shown stays.
        """
        async with self._change:
            await self._load()
        return self._current

    async def put(self, certificate: Certificate) -> Certificate:
        """Store an ordered certificate, then show it, unless the owner has meanwhile chosen another way to be reached.
        Gives it back with the number of its row.

        Raises:
            StorageError: where it cannot be stored; what was shown stays.
        """
        async with self._change:
            number = await self._database.write(lambda tx: rows.replace(tx, certificate))
            stored = msgspec.structs.replace(certificate, certificate_id=number)
            if self._settings.tls_mode == "acme":
                self._show(stored)
        return stored

    async def schedule(self, certificate: Certificate, renew_at: int | None, check_at: int) -> Certificate:
        """Keep when a stored certificate is to be renewed, and when to ask again (ms). Gives it back with both."""
        await self._database.write(lambda tx: rows.schedule(tx, certificate.certificate_id, renew_at, check_at))
        planned = msgspec.structs.replace(certificate, renew_at=renew_at, check_at=check_at)
        if self._current == certificate:
            self._current = planned
        return planned

    async def self_signed(self, names: Sequence[str]) -> Certificate:
        """The certificate that Hearth signed itself: the stored one while it is good for these names, so that who
        trusts it need not do so again; else a new one, stored.

        Args:
            names: what it must be good for; with none of them, any that is stored will do.
        """
        kept = rows.latest(self._database, "self-signed")
        now = self._clock()
        if kept is not None and covers(kept, names) and now < kept.not_after - _REMAKE_BEFORE:
            return kept
        made = await asyncio.to_thread(_make, tuple(names) or self._names() or _NO_NAME, now)
        number = await self._database.write(lambda tx: rows.replace(tx, made))
        return msgspec.structs.replace(made, certificate_id=number)

    async def refresh(self) -> None:
        """Look after certificates that are not ordered: take up files that were changed (and can be used; else the old
        ones serve on), make a self-signed one anew before it ends."""
        async with self._change:
            if self._settings.tls_mode == "lan":
                await self._load()
            elif self._settings.tls_mode != "acme" and self._settings.tls_certificate:
                await self._follow_files()

    async def _load(self) -> None:
        settings = self._settings
        if settings.tls_mode == "files" or (settings.tls_mode == "proxy" and settings.tls_certificate):
            await self._load_files()
        elif settings.tls_mode == "proxy":
            self._show(None)
        elif settings.tls_mode == "lan":
            self._show(await self.self_signed(self._names()))
        else:
            # Also when it ran out: a browser says clearly what is wrong then, and apps that are connected go on.
            chosen = self.ordered()
            if chosen is None or not any(covers(chosen, [name]) for name in self._names()):
                chosen = await self.self_signed(())
            self._show(chosen)

    async def _load_files(self) -> None:
        paths = self._paths()
        self._seen = await asyncio.to_thread(_signature, paths)
        self._show(await asyncio.to_thread(_read, *paths, self._names(), self._clock()))

    async def _follow_files(self) -> None:
        if not self._seen or await asyncio.to_thread(_signature, self._paths()) == self._seen:
            return
        try:
            await self._load_files()
            log.info("The certificate files were changed; the new certificate is in use.")
        except OwnerError as error:
            log.warning("The certificate files were changed, but the old ones stay in use. %s", error.message)

    def _paths(self) -> tuple[Path, Path]:
        return Path(self._settings.tls_certificate), Path(self._settings.tls_key)

    def _names(self) -> tuple[str, ...]:
        return tuple(name for name in self._settings.certificate_names if name)

    def _show(self, certificate: Certificate | None) -> None:
        before, self._current = self._current, certificate
        if certificate is not None and (before is None or before.chain_pem != certificate.chain_pem):
            for callback in self.on_change:
                callback(certificate)


def _make(names: Sequence[str], now: int) -> Certificate:
    from appliance.tls import making

    return making.self_signed(names, now)


def _read(certificate: Path, key: Path, names: Sequence[str], now: int) -> Certificate:
    from appliance.tls import inspection

    read = inspection.check_files(certificate, key, names, now)
    if inspection.lacks_intermediate(read):
        log.warning(
            "%s holds a single certificate; apps will probably refuse it, since what leads from it to a root is "
            "missing. Many authorities give the whole chain in a file called fullchain.pem.",
            certificate,
        )
    return read


def _signature(paths: Sequence[Path]) -> _Signature:
    """What changes when a file is written or replaced; zeros for one that cannot be seen."""
    found = []
    for path in paths:
        try:
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            found.append((0, 0, 0))
    return tuple(found)
