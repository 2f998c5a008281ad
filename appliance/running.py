"""A Hearth that runs: listeners that follow the set-up and the certificate, the owner's socket, start and stop."""

import asyncio
import gc
import logging
import os
from pathlib import Path

from appliance.app import Hearth
from appliance.errors import OwnerError
from appliance.owner.claim import claim_lines
from appliance.server.addresses import Addresses, parse_address
from appliance.server.folder import DataFolder
from appliance.server.granian_server import Certificate as ShownCertificate
from appliance.server.lifecycle import Stopping, run, shut_down
from appliance.server.listeners import Listeners, raise_file_limit
from appliance.server.log import configure_log
from appliance.server.plan import plan
from appliance.server.socket import OwnerSocket
from appliance.storage.database import Database
from appliance.tls.certificate import Certificate, fingerprint

log = logging.getLogger("hearth")


class Running:
    """A Hearth with its listeners: follows the set-up and the certificate.

    Args:
        hearth: what is served.
        folder: the data folder.
        addresses: where to listen.
    """

    def __init__(self, hearth: Hearth, folder: DataFolder, addresses: Addresses) -> None:
        self.hearth = hearth
        self.listeners = Listeners(hearth.application, folder.path)
        self.socket = OwnerSocket(folder, hearth.commands)
        self._addresses = addresses
        self._changes: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._shown: Certificate | None = None

    async def start(self) -> None:
        """Bind, begin to look after the certificate, and take the owner's commands."""
        hearth, setup = self.hearth, self.hearth.owning.setup
        if not setup.is_finished:
            hearth.owning.claim.renew()
        # Whatever is kept in memory is there before anybody can ask.
        await hearth.living.syncing.lineage.begin()
        await hearth.living.reaching.start()
        hearth.living.acts.delayed.take_up()
        setup.on_reach.append(self._changed.set)
        setup.on_finished.append(self._changed.set)
        await self._agree()
        hearth.living.reaching.release()
        hearth.certificates.on_change.append(lambda _: self._changed.set())
        self._changes = asyncio.create_task(self._follow(), name="listeners")
        if setup.draft.reached or setup.is_finished:
            hearth.issuance.start()
        hearth.living.acts.departures.look()
        hearth.living.upkeep.housekeeping.start()
        hearth.between.start()
        hearth.living.acts.delayed.start()
        hearth.living.people.profiles.start()
        await self.socket.start()
        self._greet()

    async def stop(self) -> None:
        """Stop in order: the listeners, the requests, then whatever has something to put away."""
        hearth = self.hearth
        if self._changes is not None:
            self._changes.cancel()
        await shut_down(
            self.listeners,
            hearth.waiting,
            [
                self.socket.close,
                hearth.living.upkeep.housekeeping.stop,
                hearth.living.acts.delayed.stop,
                hearth.issuance.stop,
                hearth.living.people.profiles.settled,
                hearth.living.acts.departures.settled,
                hearth.between.stop,
                hearth.living.reaching.stop,
                hearth.living.encrypting.inbox.close,
                hearth.owning.close,
            ],
        )

    async def _follow(self) -> None:
        """Make the listeners agree with what the owner chose and with the certificate, whenever either changes."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._agree()
                self.hearth.issuance.start()
                self.hearth.issuance.look()
            except OwnerError as error:
                log.error(error.message)
            except Exception:
                log.exception("The listeners could not follow a change.")

    async def _agree(self) -> None:
        """Choose the certificate and make the listeners agree with it and with the settings."""
        hearth, setup = self.hearth, self.hearth.owning.setup
        try:
            await hearth.certificates.load()
        except OwnerError as error:  # one of the owner's that cannot be used; what was shown stays
            log.error(error.message)
        certificate = hearth.certificates.current()
        if certificate is None and not setup.is_finished:
            # Until then the wizard is at every door, whatever way the owner is about to choose.
            certificate = await hearth.certificates.self_signed(())
        self._shown = certificate
        wanted = plan(
            hearth.owning.settings,
            setup_finished=setup.is_finished,
            have_certificate=certificate is not None,
            addresses=self._addresses,
        )
        await self.listeners.apply(wanted, None if certificate is None else _pem(certificate))

    def _greet(self) -> None:
        """Say where this Hearth is; to somebody who must claim it, how. The claim code is the last line."""
        owning = self.hearth.owning
        if owning.setup.is_finished:
            log.info("Hearth serves %s.", owning.settings.server_name)
            return
        doors = [
            f"{'https' if listener.tls else 'http'}://{_host(listener.bind.host)}:{listener.bind.port}/setup"
            for listener in self.listeners.running
            if listener.role != "federation"
        ]
        shown = "" if self._shown is None else fingerprint(self._shown)
        for line in claim_lines(owning.claim.code, doors, shown):
            log.info(line)


def serve(data: Path, http: str, https: str, federation: str) -> None:
    """Run the server until SIGTERM or SIGINT.

    Args:
        data: the data folder, made if need be.
        http: where to listen in plain (``addresses.py``).
        https: where to listen with TLS.
        federation: where to listen for other servers.

    Raises:
        OwnerError: for what the owner can mend: an address in use, a damaged file, a second instance.
    """
    configure_log(os.environ)
    addresses = Addresses(
        parse_address(http, "--http"), parse_address(https, "--https"), parse_address(federation, "--federation")
    )
    with DataFolder(data) as folder:
        raise_file_limit()
        run(lambda stopping: _serve(folder, addresses, stopping))


async def _serve(folder: DataFolder, addresses: Addresses, stopping: Stopping) -> None:
    database = await Database.open(folder.database)
    try:
        running = Running(Hearth(database, folder.path, addresses), folder, addresses)
    except BaseException:
        await database.close()
        raise
    try:
        await running.start()
        gc.freeze()  # what is there now stays: no use in looking through it for garbage again and again
        await stopping.wait()
    finally:
        await running.stop()


def _pem(certificate: Certificate) -> ShownCertificate:
    return ShownCertificate(certificate.chain_pem.encode(), certificate.key_pem.encode())


def _host(host: str) -> str:
    """A host as it stands in an address that a person types."""
    if host in ("::", "0.0.0.0"):  # noqa: S104 - compared, not bound
        return "localhost"
    return f"[{host}]" if ":" in host else host
