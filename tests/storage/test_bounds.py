"""No table grows for ever: each is named here with what keeps it small, and a new one has to be."""

import pytest

from appliance.storage import pruning, purge
from appliance.storage.database import Database

pytestmark = pytest.mark.anyio

PRUNED = {kind.name for kind in pruning.KINDS}
OF_ACCOUNTS = {
    # They go with the account or the device, or there is one of each, or so many at most.
    *("accounts", "profiles", "account_data", "filters", "devices", "sessions", "device_updates", "keyed_devices"),
    *("one_time_batches", "one_time_packs", "fallback_keys", "cross_signing_keys", "user_signatures"),
    *("dehydrated_devices", "key_reset_allowances"),
    *("key_backups", "former_push_rules", "untold_profiles", "sliding_connections", "sliding_configs", "sliding_rooms"),
}
SETTLED = {
    # They go when what they stand for is done or over.
    *("delayed_events", "login_tokens", "openid_tokens", "purges", "unused_slots", "outbox_lists", "outbox_relays"),
    *("outgoing_to_device", "received_transactions", "waiting_events", "waiting_for", "unread_events"),
    *("to_device_sends", "to_device_marks", "farewells"),
}
OF_THE_SERVER = {
    # A row or a few, as the owner has it; reports are so many at most.
    *("settings", "setup", "signing_keys", "certificates", "acme_accounts", "registration_tokens", "reports", "stream"),
    *("number_floors", "outbox_mark", "search_marks", "runs"),
}
OF_OTHER_SERVERS = {
    # One for each server, or for each user of theirs with whom somebody here shares a room; so many keys of a server.
    *("server_keys", "destinations", "remote_devices", "remote_device_lists"),
}
OF_ROOMS = purge.TABLES | {"slots", "room_bumps"}


async def test_every_table_is_kept_small(database: Database) -> None:
    """Where a table is listed twice, both take rows from it."""
    rows = database.read(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE '%VIRTUAL%'"
    )
    # What a full-text index keeps for itself goes with the events that are in it.
    tables = {name for (name,) in rows if not name.startswith("search_") or name == "search_marks"}
    assert tables == PRUNED | OF_ACCOUNTS | SETTLED | OF_THE_SERVER | OF_OTHER_SERVERS | OF_ROOMS
