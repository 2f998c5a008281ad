"""What the owner's commands need: settings, keys, accounts and the set-up."""

import asyncio
from pathlib import Path

from appliance.accounts.accounts import Accounts
from appliance.accounts.passwords import Passwords
from appliance.accounts.reports import Reports
from appliance.accounts.sessions import Sessions
from appliance.app.clock import now_ms
from appliance.owner.accounts import AccountCommands
from appliance.owner.claim import Claim
from appliance.owner.commands import OwnerCommands
from appliance.owner.setup import Setup
from appliance.storage.database import Database
from appliance.storage.keys import SigningKeys
from appliance.storage.settings import load_settings


class Owning:
    """Settings, keys, accounts and the set-up: what the owner's commands need, and no room.

    Args:
        database: hearth.db, open.
        folder: the data folder.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.settings = load_settings(database)
        self.keys = SigningKeys(database)
        self.passwords = Passwords(self.settings)
        self.sessions = Sessions(database)
        self.accounts = Accounts(database, self.settings, self.passwords, self.sessions)
        self.claim = Claim(folder)
        self.setup = Setup(database, self.settings, self.accounts, self.keys, self.claim)
        self.reports = Reports(database, now_ms)
        self.commands = OwnerCommands(self.setup, self.claim, self.settings, self.reports)

    def account_commands(self, *, running: bool) -> AccountCommands:
        """The owner's commands about accounts, where a server runs and where none does."""
        return AccountCommands(self.setup, self.accounts, self.settings, running=running)

    async def close(self) -> None:
        """Put away what is only in memory, and close the database."""
        await self.sessions.close()
        await asyncio.to_thread(self.passwords.close)
        await self.database.close()
