"""Sliding sync, put together."""

from typing import TYPE_CHECKING

from appliance.app.clock import now_ms
from appliance.app.owning import Owning
from appliance.sync.sliding.connections import Connections
from appliance.sync.sliding.encryption import EncryptionExtension, ToDeviceExtension
from appliance.sync.sliding.extensions import AccountDataExtension, Extension, ReceiptsExtension, TypingExtension
from appliance.sync.sliding.lists import Lists
from appliance.sync.sliding.own import OwnData
from appliance.sync.sliding.rooms import RoomResults
from appliance.sync.sliding.service import SlidingSync
from appliance.sync.sliding.subscriptions import NAME as SUBSCRIPTIONS
from appliance.sync.sliding.subscriptions import ThreadSubscriptionsExtension

if TYPE_CHECKING:
    from appliance.app.living import Living


class Sliding:
    """What is needed for sliding sync, and for nothing else.

    Args:
        owning: settings, keys and accounts.
        living: rooms and sync, as far as they are put together.
    """

    def __init__(self, owning: Owning, living: "Living") -> None:
        database = owning.database
        own = OwnData(database)
        living.account_data.changed.append(own.note)
        lists = Lists(
            database,
            living.standings,
            living.activity,
            living.facts,
            living.children,
            own,
            living.store,
            living.invite_rules,
        )
        results = RoomResults(
            database, living.store, living.timeline, living.serving, living.sections, living.bumps, living.counts
        )
        self.connections = Connections(database, now_ms)
        owning.sessions.listeners.append(self.connections)
        extensions: dict[str, Extension] = {
            "account_data": AccountDataExtension(database, living.stream),
            "receipts": ReceiptsExtension(database),
            "typing": TypingExtension(),
            "to_device": ToDeviceExtension(living.encrypting.parts),
            "e2ee": EncryptionExtension(living.encrypting.parts),
            SUBSCRIPTIONS: ThreadSubscriptionsExtension(living.following),
        }
        self.sync = SlidingSync(
            database,
            living.rooms,
            living.activity,
            lists,
            results,
            self.connections,
            living.stream,
            living.ephemeral,
            extensions,
        )
