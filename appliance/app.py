"""The composition root: the one file that knows every service and hands each its needs.

``Hearth`` is everything below the listeners, made once out of an open database; ``running.py`` puts listeners in front
of it; ``offline`` lets the command line use what it needs of it while nothing runs.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from litestar import Controller

from appliance.accounts.account_data import AccountData
from appliance.accounts.accounts import Accounts
from appliance.accounts.devices import Devices
from appliance.accounts.filters import Filters
from appliance.accounts.interactive import Interactive
from appliance.accounts.passwords import Passwords
from appliance.accounts.profiles import Profiles
from appliance.accounts.registration import Registration
from appliance.accounts.registration_tokens import RegistrationTokens
from appliance.accounts.sessions import Sessions
from appliance.api.client.account import Account
from appliance.api.client.account_data import AccountDataApi
from appliance.api.client.capabilities import Capabilities
from appliance.api.client.devices import DevicesApi
from appliance.api.client.directory import DirectoryApi
from appliance.api.client.filters import FiltersApi
from appliance.api.client.knocking import KnockingApi
from appliance.api.client.login import LogIn
from appliance.api.client.membership import MembershipApi
from appliance.api.client.messages import MessagesApi
from appliance.api.client.profile import Profile
from appliance.api.client.public_rooms import PublicRoomsApi
from appliance.api.client.push_rules import PushRules
from appliance.api.client.receipts import ReceiptsApi
from appliance.api.client.register import Register
from appliance.api.client.rooms import RoomsApi
from appliance.api.client.sending import SendingApi
from appliance.api.client.sessions import SessionsApi
from appliance.api.client.spaces import SpacesApi
from appliance.api.client.state import StateApi
from appliance.api.client.sync import SyncApi
from appliance.api.client.tags import TagsApi
from appliance.api.client.typing import TypingApi
from appliance.api.client.versions import Versions
from appliance.api.client.well_known import WellKnown
from appliance.api.federation.keys import KeysApi
from appliance.api.federation.version import VersionApi
from appliance.federation.keys import PublishedKeys, ServerIdentity
from appliance.owner.claim import Claim
from appliance.owner.commands import OwnerCommands
from appliance.owner.setup import Setup
from appliance.rooms.acts.aliases import Aliases
from appliance.rooms.acts.creation import Creation
from appliance.rooms.acts.departures import Departures
from appliance.rooms.acts.knocking import Knocking
from appliance.rooms.acts.membership import Membership
from appliance.rooms.acts.sending import Sending
from appliance.rooms.acts.upgrading import Inheritance, Upgrading
from appliance.rooms.graph.appending import Appender
from appliance.rooms.graph.redactions import Redactions
from appliance.rooms.graph.transactions import Transactions
from appliance.rooms.incoming.holding import Holding
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.serving import Serving
from appliance.rooms.reading.timeline import Timeline
from appliance.rooms.reading.visibility import Visibility
from appliance.rooms.room import Rooms
from appliance.rooms.shown.directory import Directory
from appliance.rooms.shown.facts import Outlook, RoomFacts
from appliance.rooms.shown.spaces import Children, Spaces
from appliance.rooms.signs.receipts import Receipts
from appliance.rooms.signs.typing import Typing
from appliance.rooms.standings import Standings
from appliance.rooms.store import EventStore
from appliance.rooms.upkeep.housekeeping import Housekeeping
from appliance.rooms.upkeep.purging import Purging
from appliance.server.addresses import Addresses
from appliance.server.application import build_application
from appliance.server.endpoints import bind
from appliance.server.folder import DataFolder
from appliance.server.gate import Gate
from appliance.server.limits import Limits
from appliance.server.outer import Outer
from appliance.server.waiting import Waiting
from appliance.storage.database import Database
from appliance.storage.keys import SigningKeys
from appliance.storage.numbers import Numbers
from appliance.storage.settings import load_settings
from appliance.sync.account_data import AccountDataStream
from appliance.sync.activity import Activity
from appliance.sync.ephemeral import Ephemeral
from appliance.sync.notifier import Notifier
from appliance.sync.sections import Sections
from appliance.sync.service import Sync
from appliance.tls.challenges import Challenges
from appliance.tls.issuance import Issuance
from appliance.tls.store import Certificates
from web.pages import controllers as pages
from web.wizard.wizard import Ports, Wizard


def now_ms() -> int:
    """The time, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


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
        self.commands = OwnerCommands(self.setup, self.accounts, self.claim, self.settings)

    async def close(self) -> None:
        """Put away what is only in memory, and close the database."""
        await self.sessions.close()
        await asyncio.to_thread(self.passwords.close)
        await self.database.close()


class Living:
    """Rooms and sync: what people talk in.

    Args:
        owning: settings, keys and accounts.
    """

    def __init__(self, owning: Owning) -> None:
        database = owning.database
        self.identity = ServerIdentity(owning.settings, owning.keys)
        self.profiles = Profiles(database, owning.accounts)
        self.numbers = Numbers(database)
        self.store = EventStore(database)
        self.rooms = Rooms(database, self.store)
        self.standings = Standings(database, self.store)
        self.transactions = Transactions(database, now_ms)
        self.visibility = Visibility(database, self.store)
        self.notifier = Notifier()
        self.activity = Activity(database)
        self.typing = Typing(self.rooms)
        self.typing.changed.append(self.notifier.typing)
        self.facts = RoomFacts(database, self.rooms, self.store)
        self.directory = Directory(database, self.rooms, self.facts)
        children = Children(database, self.store)
        self.outlook = Outlook(database, self.standings)
        self.spaces = Spaces(self.facts, children, self.outlook)
        contributors = (
            self.standings,
            self.transactions,
            Redactions(database, self.rooms, self.store, self.identity, now_ms),
            self.visibility,
            self.activity,
            self.typing,
            self.facts,
            self.directory,
            children,
            self.notifier,
        )
        self.appender = Appender(self.numbers, self.rooms, self.store, self.identity, now_ms, contributors)
        self.aliases = Aliases(database, self.rooms, self.appender, self.identity)
        self.knocking = Knocking(self.rooms, self.appender, self.profiles)
        self.creation = Creation(
            database, self.numbers, self.rooms, self.store, self.appender, self.identity, self.profiles, now_ms
        )
        self.membership = Membership(self.rooms, self.appender, self.standings, self.identity, self.profiles)
        self.sending = Sending(
            database, self.rooms, self.store, self.appender, self.transactions, self.identity, self.profiles
        )
        self.timeline = Timeline(database, self.store, self.standings, self.visibility)
        self.serving = Serving(self.store, self.standings, self.transactions, self.visibility, now_ms)
        self.reading = Reading(database, self.rooms, self.store, self.standings, self.timeline)
        sections = Sections(database, self.store, self.timeline, self.serving)
        stream = AccountDataStream(database)
        ephemeral = Ephemeral(database, self.typing)
        self.sync = Sync(database, self.rooms, self.standings, self.activity, sections, stream, ephemeral)
        self.account_data = AccountData(database)
        self.receipts = Receipts(database, self.rooms, self.store, self.account_data, now_ms)
        self.receipts.changed.append(ephemeral.note)
        self.receipts.changed.append(self.notifier.receipt)
        self.account_data.changed.append(stream.note)
        self.account_data.changed.append(lambda user_id, position: self.notifier.concern(user_id))
        self.upgrading = Upgrading(database, self.rooms, self.appender, self.creation)
        self.membership.joined_listeners.append(Inheritance(self.rooms, self.account_data).joined)
        self.profiles.listeners.append(self.membership)
        self.departures = Departures(database, self.membership)
        self.holding = Holding(database, now_ms)
        self.purging = Purging(database, self.rooms, self.standings, now_ms)
        self.purging.gone.extend((self.facts.forget, children.forget, self.directory.forget))
        self.housekeeping = Housekeeping(database, self.purging, now_ms, others=(self.holding.prune,))
        self.membership.forgotten.append(self.housekeeping.look)
        owning.accounts.deactivated.append(lambda user_id: self.departures.look())
        database.on_published.append(self.notifier.wake)


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
        self.waiting = Waiting()
        settings = self.owning.settings
        self.challenges = Challenges()
        self.certificates = Certificates(database, settings)
        self.issuance = Issuance(database, settings, self.certificates, self.challenges)
        self.wizard = Wizard(self.owning.setup, settings, self.issuance, self.certificates, _ports(addresses))
        self.application = self._application()

    def controllers(self) -> list[type[Controller]]:
        """Every controller, bound to what it needs."""
        owning, living = self.owning, self.living
        accounts, sessions, settings = owning.accounts, owning.sessions, owning.settings
        database = owning.database
        tokens = RegistrationTokens(database)
        interactive = Interactive(accounts, tokens, settings)
        registration = Registration(accounts, sessions, interactive, tokens, settings)
        filters = Filters(database)
        return [
            bind(Account, accounts=accounts, interactive=interactive),
            bind(AccountDataApi, account_data=living.account_data),
            bind(Capabilities),
            bind(DevicesApi, devices=Devices(database, sessions), sessions=sessions, interactive=interactive),
            bind(DirectoryApi, aliases=living.aliases),
            bind(FiltersApi, filters=filters),
            bind(KeysApi, published=PublishedKeys(living.identity, owning.keys, now_ms)),
            bind(KnockingApi, aliases=living.aliases, knocking=living.knocking),
            bind(LogIn, accounts=accounts, sessions=sessions, settings=settings),
            bind(MembershipApi, membership=living.membership, aliases=living.aliases),
            bind(
                MessagesApi,
                reading=living.reading,
                rooms=living.rooms,
                serving=living.serving,
                store=living.store,
                timeline=living.timeline,
            ),
            bind(Profile, profiles=living.profiles),
            bind(PublicRoomsApi, directory=living.directory, settings=settings),
            bind(PushRules),
            bind(ReceiptsApi, receipts=living.receipts),
            bind(Register, accounts=accounts, registration=registration),
            bind(RoomsApi, creation=living.creation, membership=living.membership, upgrading=living.upgrading),
            bind(SendingApi, sending=living.sending),
            bind(SessionsApi, sessions=sessions),
            bind(SpacesApi, aliases=living.aliases, facts=living.facts, outlook=living.outlook, spaces=living.spaces),
            bind(StateApi, reading=living.reading, sending=living.sending, serving=living.serving, store=living.store),
            bind(
                SyncApi,
                filters=filters,
                notifier=living.notifier,
                sync_service=living.sync,
                waiting=self.waiting,
            ),
            bind(TagsApi, account_data=living.account_data),
            bind(TypingApi, typing=living.typing),
            bind(VersionApi),
            bind(Versions),
            bind(WellKnown, settings=settings, accounts=accounts),
            *pages(self.wizard),
        ]

    def _application(self) -> Outer:
        owning = self.owning
        return build_application(
            self.controllers(),
            settings=owning.settings,
            sessions=owning.sessions,
            gate=Gate(owning.settings, owning.setup, self.challenges),
            limits=Limits(owning.settings),
        )


@contextlib.asynccontextmanager
async def offline(data: Path) -> AsyncIterator[OwnerCommands]:
    """The owner's commands while no server runs, under the data folder's lock.

    Args:
        data: the data folder.

    Raises:
        OwnerError: where a server runs, or the data cannot be opened.
    """
    with DataFolder(data) as folder:
        database = await Database.open(folder.database)
        try:
            owning = Owning(database, folder.path)
            yield owning.commands
            await owning.sessions.close()
        finally:
            await database.close()


def _ports(addresses: Addresses) -> Ports:
    first = [binds[0].port if binds else 0 for binds in (addresses.http, addresses.https, addresses.federation)]
    return Ports(*first)
