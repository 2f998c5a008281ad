"""Old rows: what goes, what stays; and the file becomes smaller."""

import pytest

from appliance.storage import memberships, pruning, server_keys, transaction_ids
from appliance.storage.database import Database, Tx
from appliance.storage.pruning import DAY_MS, Kind
from appliance.storage.server_keys import ServerKey
from tests.storage.furnished import ALICE, BOB, accounts

pytestmark = pytest.mark.anyio

NOW = 100 * DAY_MS
OLD, RECENT = NOW - 7 * DAY_MS - 1, NOW - 7 * DAY_MS


async def prune(database: Database, kind: Kind, keep_ms: int | None = None) -> int:
    """Prune one kind; how many rows went."""
    gone = 0
    while keys := await pruning.find(database, kind, NOW, keep_ms):
        await database.write(lambda tx, keys=keys: pruning.drop(tx, kind, keys))  # type: ignore[misc]
        gone += len(keys)
    return gone


async def test_transaction_ids_go_after_a_week(database: Database) -> None:
    def fill(tx: Tx) -> None:
        for nid in range(1, 501):
            made = OLD if nid <= 450 else RECENT
            transaction_ids.put(tx, ALICE, "D", f"send {nid % 7}", f"{nid}", nid, made)

    await database.write(fill)
    assert await prune(database, pruning.TRANSACTION_IDS) == 450
    assert database.read("SELECT MIN(event_nid), COUNT(*) FROM transaction_ids") == [(451, 50)]
    assert await prune(database, pruning.TRANSACTION_IDS) == 0


async def test_redacted_originals_go_when_their_time_is_over(database: Database) -> None:
    await database.write(
        lambda tx: tx.execute_many(
            "INSERT INTO redacted_originals VALUES (?, ?, x'00')", [(1, OLD), (2, RECENT), (3, OLD), (4, NOW)]
        )
    )
    assert await prune(database, pruning.REDACTED_ORIGINALS) == 2
    assert database.read("SELECT event_nid FROM redacted_originals ORDER BY 1") == [(2,), (4,)]
    assert await prune(database, pruning.REDACTED_ORIGINALS, keep_ms=DAY_MS) == 1
    assert database.read("SELECT event_nid FROM redacted_originals") == [(4,)]


async def test_only_the_last_change_of_a_users_devices_is_kept(database: Database) -> None:
    changes = [(1, ALICE), (2, BOB), (3, ALICE), (5, ALICE), (6, "@c:x")]
    await database.write(lambda tx: tx.execute_many("INSERT INTO device_list_changes VALUES (?, ?)", changes))
    assert await prune(database, pruning.DEVICE_LIST_CHANGES) == 2
    assert database.read("SELECT * FROM device_list_changes ORDER BY position") == [(2, BOB), (5, ALICE), (6, "@c:x")]


async def test_messages_to_devices_that_are_gone_go(database: Database) -> None:
    await database.write(accounts)
    messages = [(1, ALICE, "D"), (2, ALICE, "GONE"), (3, BOB, "D"), (4, BOB, "E"), (5, "@nobody:x", "D")]
    await database.write(lambda tx: tx.execute_many("INSERT INTO to_device_messages VALUES (?, ?, ?, x'00')", messages))
    assert await prune(database, pruning.TO_DEVICE_MESSAGES) == 3
    assert database.read("SELECT position FROM to_device_messages ORDER BY 1") == [(1,), (3,)]


async def test_what_was_sent_to_devices_and_deleted_from_backups_is_forgotten_in_time(database: Database) -> None:
    async def put(sql: str, rows: list[tuple[object, ...]]) -> None:
        await database.write(lambda tx: tx.execute_many(sql, rows))

    await put("INSERT INTO sent_to_device VALUES (?, 'D', 't', ?, ?)", [(ALICE, "1", OLD), (ALICE, "2", RECENT)])
    assert await prune(database, pruning.SENT_TO_DEVICE) == 1
    assert database.read("SELECT transaction_id FROM sent_to_device") == [("2",)]
    received = [("x", "1", NOW - 31 * DAY_MS), ("x", "2", RECENT)]
    await put("INSERT INTO received_to_device VALUES (?, ?, ?)", received)
    assert await prune(database, pruning.RECEIVED_TO_DEVICE) == 1
    assert database.read("SELECT message_id FROM received_to_device") == [("2",)]
    await put("INSERT INTO key_backups VALUES (?, ?, 'a', '{}', 0, 0, ?)", [(ALICE, 1, 1), (ALICE, 2, 0), (BOB, 1, 0)])
    keys = [(ALICE, 1), (ALICE, 2), (BOB, 1)]
    await put("INSERT INTO backed_up_keys VALUES (?, ?, '!r', 's', 0, 0, 0, '{}')", list(keys))
    assert await prune(database, pruning.BACKED_UP_KEYS) == 1
    assert database.read("SELECT user_id, version FROM backed_up_keys ORDER BY 1, 2") == sorted(keys[1:])


# Tokens -----------------------------------------------------------------------------------------------------------


class Wallet:
    """The tokens of one session."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        accounts(tx)
        tx.execute("INSERT INTO sessions VALUES (1, ?, 'D', 0)", (ALICE,))

    def put(self, table: str, created_ts: int, expires_ts: int | None) -> None:
        """A token."""
        self._tx.execute(
            f"INSERT INTO {table}_tokens (hash, session_id, created_ts, expires_ts) VALUES (?, 1, ?, ?)",
            (f"{table} {created_ts}".encode(), created_ts, expires_ts),
        )


async def tokens_left(database: Database) -> tuple[list[int], list[int]]:
    """Prune; the pairs of which there still are access tokens, and refresh tokens."""
    await prune(database, pruning.REFRESH_TOKENS)
    await prune(database, pruning.ACCESS_TOKENS)
    access, refresh = (
        database.read(f"SELECT created_ts FROM {table}_tokens ORDER BY 1") for table in ("access", "refresh")
    )
    return [row[0] for row in access], [row[0] for row in refresh]


async def test_tokens_that_were_replaced_go_a_week_after_their_end(database: Database) -> None:
    def fill(tx: Tx) -> None:
        wallet = Wallet(tx)
        for created_ts, ended_ts in ((1, OLD), (2, OLD), (3, RECENT), (4, None)):
            wallet.put("access", created_ts, ended_ts or NOW)
            wallet.put("refresh", created_ts, ended_ts)

    await database.write(fill)
    assert await tokens_left(database) == ([3, 4], [3, 4])


async def test_the_last_tokens_of_a_session_stay_however_old(database: Database) -> None:
    """Whoever comes with them is told to refresh or to log in again, and keeps their keys."""

    def fill(tx: Tx) -> None:
        wallet = Wallet(tx)
        wallet.put("access", 1, OLD)
        wallet.put("refresh", 1, OLD)

    await database.write(fill)
    assert await tokens_left(database) == ([1], [1])


async def test_an_access_token_stays_while_its_refresh_token_is_good(database: Database) -> None:
    """A client that never saw the answer to its refreshing holds the older pair, whose refresh token still counts."""

    def fill(tx: Tx) -> None:
        wallet = Wallet(tx)
        wallet.put("access", 1, OLD)
        wallet.put("refresh", 1, None)
        wallet.put("access", 2, OLD)
        wallet.put("refresh", 2, None)

    await database.write(fill)
    assert await tokens_left(database) == ([1, 2], [1, 2])


async def test_tokens_that_do_not_expire_stay(database: Database) -> None:
    await database.write(lambda tx: Wallet(tx).put("access", 1, None))
    assert await tokens_left(database) == ([1], [])


# Space ------------------------------------------------------------------------------------------------------------


async def test_empty_pages_are_given_back_a_few_at_a_time(database: Database) -> None:
    await database.write(
        lambda tx: tx.execute_many(
            "INSERT INTO redacted_originals VALUES (?, 0, zeroblob(3000))", [(nid,) for nid in range(600)]
        )
    )
    await database.write(lambda tx: tx.execute("DELETE FROM redacted_originals WHERE event_nid % 10 <> 0"))
    free, total = pruning.free_pages(database)
    assert free > 500
    await database.write(lambda tx: pruning.give_back(tx, 64))
    assert pruning.free_pages(database) == (free - 64, total - 64)
    await database.write(lambda tx: pruning.give_back(tx, free))
    assert pruning.free_pages(database) == (0, total - free)
    assert database.read("SELECT COUNT(*) FROM redacted_originals") == [(60,)]
    size = database.path.stat().st_size
    await database.close()
    assert database.path.stat().st_size < size


async def test_keys_of_servers_that_were_never_in_a_room_go_a_year_after_their_end(database: Database) -> None:
    now, year = 1000 * DAY_MS, 365 * DAY_MS
    keys = [
        ("gone.example", "ed25519:a", now - year - 1), ("gone.example", "ed25519:b", now - 2 * year),
        ("late.example", "ed25519:a", now - year), ("here.example", "ed25519:a", now - 2 * year),
        ("new.example", "ed25519:old", now - 2 * year), ("new.example", "ed25519:new", now),
    ]  # fmt: skip

    def fill(tx: Tx) -> None:
        tx.execute_many("INSERT INTO server_keys VALUES (?, ?, 'AAAA', ?, NULL)", keys)
        memberships.put(tx, 1, "@ann:with:colons", "leave", None, 1, "@ann:with:colons", 1)
        memberships.put(tx, 1, "@ann:here.example", "leave", None, 1, "@ann:here.example", 2)

    await database.write(fill)
    gone = await pruning.find(database, pruning.SERVER_KEYS, now)
    assert sorted(gone) == [("gone.example", "ed25519:a"), ("gone.example", "ed25519:b")]
    await database.write(lambda tx: pruning.drop(tx, pruning.SERVER_KEYS, gone))
    assert database.read("SELECT COUNT(*) FROM server_keys") == [(4,)]
    assert await pruning.find(database, pruning.SERVER_KEYS, now) == []


async def test_so_many_keys_of_a_server_are_kept(database: Database) -> None:
    for start in range(0, server_keys.KEYS_KEPT + 50, 50):
        keys = [ServerKey(f"ed25519:{number}", "AAAA", number, None) for number in range(start, start + 50)]
        await database.write(lambda tx, keys=keys: server_keys.keep_keys(tx, "many.example", keys, None))  # type: ignore[misc]
        await database.write(lambda tx, keys=keys: server_keys.keep_keys(tx, "few.example", keys[:1], None))  # type: ignore[misc]
    found = server_keys.keys_of(database, "many.example")
    assert sorted(key.valid_until_ts for key in found) == [*range(50, server_keys.KEYS_KEPT + 50)]
    assert len(server_keys.keys_of(database, "few.example")) == 5


async def test_of_what_notifies_the_latest_and_what_stands_out_stay(database: Database) -> None:
    most = pruning.NOTIFICATIONS_KEPT
    rows = [(1, 0, place, "", place, ALICE, place == 3, "[]") for place in range(1, most + 11)]
    rows += [(1, 7, place, "", place, ALICE, 0, "[]") for place in range(1, 20)]
    await database.write(lambda tx: tx.execute_many("INSERT INTO notifications VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows))
    assert await prune(database, pruning.NOTIFICATIONS) == 9
    kept = database.read("SELECT position FROM notifications WHERE rules = 0 ORDER BY 1")
    assert kept == [(3,), *((place,) for place in range(11, most + 11))]
    assert database.read("SELECT COUNT(*) FROM notifications WHERE rules = 7") == [(19,)]


async def test_what_servers_said_of_their_keys_goes_a_month_after_its_end(database: Database) -> None:
    old = NOW - 30 * DAY_MS
    rows = [("old.example", old - 9, old - 1, b"{}"), ("due.example", 1, old, b"{}"), ("new.example", NOW, NOW, b"{}")]
    await database.write(lambda tx: tx.execute_many("INSERT INTO server_key_documents VALUES (?,?,?,?)", rows))
    await database.write(
        lambda tx: tx.execute("INSERT INTO server_keys VALUES ('old.example', 'ed25519:a', 'AAAA', ?, NULL)", (old,))
    )
    assert await prune(database, pruning.SERVER_KEY_DOCUMENTS) == 1
    assert database.read("SELECT server_name FROM server_key_documents ORDER BY 1") == [
        ("due.example",),
        ("new.example",),
    ]
    assert database.read("SELECT COUNT(*) FROM server_keys") == [(1,)]
