"""Rooms and sync, put together."""

from appliance.accounts.account_data import AccountData
from appliance.accounts.ignored import Ignored
from appliance.accounts.invite_rules import InviteRules
from appliance.accounts.profiles import Profiles
from appliance.accounts.push_rules import PushRules
from appliance.app.clock import now_ms
from appliance.app.encrypting import Encrypting
from appliance.app.owning import Owning
from appliance.app.reaching import Reaching
from appliance.app.sliding import Sliding
from appliance.federation.keys import ServerIdentity
from appliance.federation.neighbours import Neighbours
from appliance.push.audience import Audiences
from appliance.push.counts import Counts
from appliance.push.judge import Judge
from appliance.push.notifications import Notifications
from appliance.rooms.acts.admitting import Admitting
from appliance.rooms.acts.aliases import Aliases
from appliance.rooms.acts.creation import Creation
from appliance.rooms.acts.delayed import Delayed
from appliance.rooms.acts.departures import Departures
from appliance.rooms.acts.knocking import Knocking
from appliance.rooms.acts.membership import Membership
from appliance.rooms.acts.relating import Relating
from appliance.rooms.acts.sending import Sending
from appliance.rooms.acts.upgrading import Inheritance, Upgrading
from appliance.rooms.graph.appending import Appender
from appliance.rooms.graph.indexing import Index
from appliance.rooms.graph.redactions import Redactions
from appliance.rooms.graph.relations import Relations
from appliance.rooms.graph.times import Times
from appliance.rooms.graph.transactions import Transactions
from appliance.rooms.incoming.holding import Holding
from appliance.rooms.reading.aggregations import Aggregations
from appliance.rooms.reading.context import Context
from appliance.rooms.reading.lookup import Reading
from appliance.rooms.reading.related import Related
from appliance.rooms.reading.searching import Searching
from appliance.rooms.reading.serving import Serving
from appliance.rooms.reading.timeline import Timeline
from appliance.rooms.reading.visibility import Visibility
from appliance.rooms.room import Rooms
from appliance.rooms.shown.directory import Directory
from appliance.rooms.shown.facts import Outlook, RoomFacts
from appliance.rooms.shown.outlying import OutlookElsewhere
from appliance.rooms.shown.people import PeopleDirectory
from appliance.rooms.shown.spaces import Children, Spaces
from appliance.rooms.signs.company import Company
from appliance.rooms.signs.following import Following
from appliance.rooms.signs.presence import Presence
from appliance.rooms.signs.receipts import Receipts
from appliance.rooms.signs.serial import Serial
from appliance.rooms.signs.typing import Typing
from appliance.rooms.standings import Standings
from appliance.rooms.store import EventStore
from appliance.rooms.upkeep.housekeeping import Housekeeping
from appliance.rooms.upkeep.purging import Purging
from appliance.storage.numbers import Numbers
from appliance.storage.pruning import DAY_MS
from appliance.sync.account_data import AccountDataStream
from appliance.sync.activity import Activity
from appliance.sync.ephemeral import Ephemeral
from appliance.sync.notifier import Notifier
from appliance.sync.presence import PresenceStream
from appliance.sync.sections import Sections
from appliance.sync.service import Sync
from appliance.sync.sliding.bumps import Bumps


class Living:
    """Rooms and sync: what people talk in.

    Args:
        owning: settings, keys and accounts.
    """

    def __init__(self, owning: Owning) -> None:
        database = owning.database
        self.identity = ServerIdentity(owning.settings, owning.keys)
        self.ignored = Ignored(database)
        self.invite_rules = InviteRules(database, self.ignored)
        self.profiles = Profiles(database, owning.accounts, self.invite_rules, owning.settings)
        self.numbers = Numbers(database)
        self.store = EventStore(database)
        self.rooms = Rooms(database, self.store)
        self.reaching = Reaching(owning, self.identity, self.store)
        self.standings = Standings(database, self.store)
        self.transactions = Transactions(database, now_ms)
        self.visibility = Visibility(database, self.store)
        self.notifier = Notifier()
        self.activity = Activity(database)
        serial = Serial()
        self.typing = Typing(self.rooms, serial)
        self.typing.changed.append(self.notifier.typing)
        self.company = Company(database)
        self.encrypting = Encrypting(owning, self.standings, self.company, self.notifier)
        self.neighbours = Neighbours(database, self.identity, self.company.rooms_of)
        self.presence = Presence(self.company, serial, owning.settings, now_ms)
        self.presence.changed.append(
            lambda users: self.notifier.presence(users, self.company.rooms_of_all(users), self.company)
        )
        owning.sessions.listeners.append(self.presence)
        self.facts = RoomFacts(database, self.rooms, self.store)
        self.directory = Directory(database, self.rooms, self.facts)
        self.children = Children(database, self.store)
        self.outlook = Outlook(database, self.standings)
        self.outlook_elsewhere = OutlookElsewhere(database, self.standings)
        self.spaces = Spaces(self.facts, self.children, self.outlook, self.outlook_elsewhere)
        redactions = Redactions(database, self.rooms, self.store, self.identity, now_ms)
        relations = Relations(self.store)
        aggregations = Aggregations(database, self.store)
        relations.changed.append(aggregations.forget)
        index = Index(database)
        redactions.emptied.extend((relations.emptied, index.emptied))
        self.bumps = Bumps(database)
        self.account_data = AccountData(database)
        self.push_rules = PushRules(database, self.account_data)
        self.counts = Counts(database, self.push_rules, self.ignored, self.standings)
        judge = Judge(self.store, Audiences(self.push_rules, lambda: self.identity.server_name), self.counts)
        redactions.emptied.append(judge.emptied)
        self.delayed = Delayed(database, self.rooms, now_ms, owning.accounts.may_write)
        self.people = PeopleDirectory(database, self.store, self.identity, self.profiles, owning.settings)
        contributors = (
            self.standings,
            self.transactions,
            judge,
            relations,
            Times(),
            redactions,
            index,
            self.visibility,
            self.activity,
            self.bumps,
            self.typing,
            self.company,
            self.presence,
            self.delayed,
            self.facts,
            self.directory,
            self.people,
            self.children,
            self.encrypting.lists,
            self.encrypting.remote_lists,
            self.notifier,
            self.neighbours,
            self.reaching.outbox,
        )
        self.appender = Appender(self.numbers, self.rooms, self.store, self.identity, now_ms, contributors)
        self.aliases = Aliases(database, self.rooms, self.appender, self.identity)
        self.knocking = Knocking(self.rooms, self.appender, self.profiles)
        self.creation = Creation(
            *(database, self.numbers, self.rooms, self.store, self.appender, self.identity, self.profiles),
            *(owning.settings, now_ms),
        )
        self.admitting = Admitting(self.rooms, self.standings, self.identity, self.profiles)
        self.membership = Membership(
            self.rooms, self.appender, self.standings, self.identity, self.profiles, self.admitting
        )
        self.sending = Sending(
            database,
            self.rooms,
            self.store,
            self.appender,
            self.transactions,
            Relating(database, self.store),
            self.identity,
            self.profiles,
        )
        self.delayed.sending = self.sending
        self.timeline = Timeline(database, self.store, self.standings, self.visibility, self.ignored)
        self.serving = Serving(
            self.store,
            self.standings,
            self.transactions,
            self.visibility,
            aggregations,
            self.ignored,
            owning.accounts.erased,
            now_ms,
        )
        self.reading = Reading(database, self.rooms, self.store, self.standings, self.timeline)
        self.context = Context(database, self.store, self.reading, self.timeline)
        self.following = Following(database, self.reading)
        self.following.changed.append(lambda user_id, position: self.notifier.concern(user_id))
        self.searching = Searching(
            database,
            self.store,
            self.rooms,
            self.standings,
            self.timeline,
            aggregations,
            self.ignored,
            index,
        )
        self.related = Related(database, self.store, self.reading, self.timeline, self.ignored)
        self.notifications = Notifications(
            *(database, self.push_rules, self.ignored, self.standings, self.counts, self.store, self.serving)
        )
        self.sections = Sections(database, self.store, self.timeline, self.serving, self.counts)
        self.stream = AccountDataStream(database)
        self.ephemeral = Ephemeral(database, self.typing, serial)
        self.sync = Sync(
            database,
            self.rooms,
            self.standings,
            self.activity,
            self.sections,
            self.stream,
            self.ephemeral,
            PresenceStream(self.presence),
            self.encrypting.parts,
            self.invite_rules,
        )
        owning.sessions.listeners.append(self.account_data)
        self.receipts = Receipts(database, self.rooms, self.store, self.account_data, now_ms)
        self.receipts.changed.append(self.ephemeral.note)
        self.receipts.changed.append(lambda receipt, room, position: self.counts.forget(receipt.user_id, room.nid))
        self.receipts.changed.append(self.notifier.receipt)
        self.receipts.changed.append(lambda receipt, room, position: self.presence.acted(receipt.user_id))
        self.account_data.changed.append(self.stream.note)
        self.account_data.changed.append(self.ignored.changed)
        self.sliding = Sliding(owning, self)
        self.account_data.changed.append(self.invite_rules.changed)
        self.account_data.changed.append(lambda user_id, position: self.notifier.concern(user_id))
        self.upgrading = Upgrading(database, self.rooms, self.appender, self.creation)
        inheritance = Inheritance(self.rooms, self.account_data, self.push_rules)
        self.membership.joined_listeners.append(inheritance.joined)
        self.creation.made.append(inheritance.joined)
        self.profiles.listeners.append(self.membership)
        self.departures = Departures(database, self.membership)
        self.holding = Holding(database, now_ms)
        self.purging = Purging(database, self.rooms, self.standings, now_ms)
        self.purging.gone.extend(
            (self.facts.forget, self.children.forget, self.directory.forget, aggregations.forget_room)
        )
        chores = (self.holding.prune, self.sliding.connections.prune, self.encrypting.remote_lists.chase)
        self.housekeeping = Housekeeping(
            *(database, self.purging, now_ms),
            others=chores,
            originals_ms=lambda: owning.settings.rooms_redacted_days * DAY_MS,
        )
        self.membership.forgotten.append(self.housekeeping.look)
        owning.accounts.deactivated.append(lambda user_id: self.departures.look())
        database.on_published.append(self.notifier.wake_soon)
