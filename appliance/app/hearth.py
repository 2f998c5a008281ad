"""Everything below the listeners, made once out of an open database, and the owner's commands without a server."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from litestar import Controller

from appliance.app.between import Between
from appliance.app.clock import now_ms
from appliance.app.controllers import api_controllers
from appliance.app.federating import Federating
from appliance.app.living import Living
from appliance.app.owning import Owning
from appliance.federation.overview import Overview
from appliance.federation.policy import Policy
from appliance.federation.standing import Standing
from appliance.owner.commands import Command
from appliance.owner.servers import ServerCommands
from appliance.server.addresses import Addresses
from appliance.server.application import build_application
from appliance.server.folder import DataFolder
from appliance.server.gate import Gate
from appliance.server.limits import Limits
from appliance.server.outer import Outer
from appliance.server.waiting import EndedLogins, Waiting
from appliance.storage.database import Database
from appliance.storage.destinations import count_lacking
from appliance.tls.challenges import Challenges
from appliance.tls.issuance import Issuance
from appliance.tls.store import Certificates
from web.pages import controllers as pages
from web.wizard.wizard import Ports, Wizard


class Hearth:
    """Everything below the listeners.

    Args:
        database: hearth.db, open.
        folder: the data folder.
        addresses: where the listeners will be, for the wizard to tell.
    """

    def __init__(self, database: Database, folder: Path, addresses: Addresses) -> None:
        self.owning = Owning(database, folder)
        self.living = Living(self.owning)
        self.federating = Federating(self.owning, self.living)
        self.between = Between(self.owning, self.living, self.federating)
        self.waiting = Waiting()
        ended = EndedLogins(self.waiting)
        self.owning.sessions.listeners.append(ended)
        self.owning.sessions.replaced.append(ended.deleted)
        self.owning.accounts.locked.append(ended.locked)
        settings = self.owning.settings
        self.limits = Limits(settings)
        self.challenges = Challenges()
        self.certificates = Certificates(database, settings)
        self.issuance = Issuance(database, settings, self.certificates, self.challenges)
        self.wizard = Wizard(self.owning.setup, settings, self.issuance, self.certificates, _ports(addresses))
        self.commands: Mapping[str, Command] = {
            **self.owning.commands.as_mapping(),
            **self.owning.account_commands(running=True).as_mapping(),
            **ServerCommands(self.federating.overview, self.owning.keys, running=True).as_mapping(),
        }
        self.application = self._application()

    def controllers(self) -> list[type[Controller]]:
        """Every controller, bound to what it needs."""
        return [
            *api_controllers(self.owning, self.living, self.federating, self.between, self.waiting, self.limits),
            *pages(self.wizard),
        ]

    def _application(self) -> Outer:
        owning = self.owning
        return build_application(
            self.controllers(),
            settings=owning.settings,
            sessions=owning.sessions,
            gate=Gate(owning.settings, owning.setup, self.challenges),
            limits=self.limits,
            signed=self.federating.signed,
        )


@contextlib.asynccontextmanager
async def offline(data: Path) -> AsyncIterator[Mapping[str, Command]]:
    """The owner's commands by their names while no server runs, under the data folder's lock.

    Args:
        data: the data folder.

    Raises:
        OwnerError: where a server runs, or the data cannot be opened.
    """
    with DataFolder(data) as folder:
        database = await Database.open(folder.database)
        try:
            owning = Owning(database, folder.path)
            standing = Standing(database, now_ms)
            overview = Overview(
                *(database, owning.settings, Policy(owning.settings), standing),
                lambda server: count_lacking(database, server),
                now_ms,
            )
            yield {
                **owning.commands.as_mapping(),
                **owning.account_commands(running=False).as_mapping(),
                **ServerCommands(overview, owning.keys, running=False).as_mapping(),
            }
            await owning.sessions.close()
        finally:
            await database.close()


def _ports(addresses: Addresses) -> Ports:
    first = [binds[0].port if binds else 0 for binds in (addresses.http, addresses.https, addresses.federation)]
    return Ports(*first)
