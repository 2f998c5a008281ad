"""Row numbers, settings, the set-up's rows, signing keys."""

import asyncio

import msgspec
import pytest

from appliance.settings import Settings
from appliance.storage import setup
from appliance.storage.database import Database
from appliance.storage.errors import StorageError
from appliance.storage.keys import SigningKeys
from appliance.storage.numbers import Numbers
from appliance.storage.settings import load_settings, save_settings, write_settings
from tests.storage.conftest import Gate

pytestmark = pytest.mark.anyio


async def test_numbers_start_after_the_highest_in_use(database: Database) -> None:
    fresh = Numbers(database)
    assert [fresh.event(), fresh.event(), fresh.room(), fresh.group()] == [1, 2, 1, 1]
    for sql in (
        "INSERT INTO events (event_nid, event_id, room_nid, type, sender, ordering, json) VALUES (41,1,2,3,4,5,6)",
        "INSERT INTO rooms (room_nid, room_id, version, creator, created_ts) VALUES (7, '!r', '12', '@a:x', 0)",
        "INSERT INTO state_groups (group_nid, room_nid, chain) VALUES (99, 7, 0)",
    ):
        await database.write(lambda tx, sql=sql: tx.execute(sql))  # type: ignore[misc]
    numbers = Numbers(database)
    assert [numbers.event(), numbers.room(), numbers.group()] == [42, 8, 100]


async def test_settings_are_the_defaults_at_first(database: Database) -> None:
    assert load_settings(database) == Settings()


async def test_settings_come_back_as_they_were_saved(database: Database) -> None:
    settings = Settings(server_name="example.org", tls_names=["a.example.org"], limits_enabled=False)
    settings.passwords_rounds = 3
    await save_settings(database, settings)
    assert load_settings(database) == settings
    # Only what differs from the default is kept.
    assert database.read("SELECT name, value FROM settings ORDER BY name") == [
        ("limits_enabled", "false"),
        ("passwords_rounds", "3"),
        ("server_name", '"example.org"'),
        ("tls_names", '["a.example.org"]'),
    ]
    await save_settings(database, msgspec.structs.replace(settings, limits_enabled=True, passwords_rounds=4))
    assert load_settings(database) == msgspec.structs.replace(settings, limits_enabled=True, passwords_rounds=4)
    assert database.read("SELECT count(*) FROM settings WHERE name = 'limits_enabled'") == [(0,)]


async def test_settings_are_saved_as_they_were_when_asked(database: Database) -> None:
    settings = Settings(server_name="one.example", tls_names=["one.example"])
    gate = Gate(database)
    task = asyncio.create_task(save_settings(database, settings))
    await asyncio.sleep(0)
    settings.server_name = "two.example"
    settings.tls_names.append("two.example")
    gate.open()
    await task
    assert load_settings(database) == Settings(server_name="one.example", tls_names=["one.example"])


async def test_settings_of_another_version_are_kept_and_passed_over(database: Database) -> None:
    await database.write(lambda tx: tx.execute("INSERT INTO settings VALUES ('of_the_future', '{}')"))
    assert load_settings(database) == Settings()
    await database.write(lambda tx: write_settings(tx, Settings(server_name="example.org")))
    assert database.read("SELECT count(*) FROM settings") == [(2,)]


@pytest.mark.parametrize("value", ['"three"', "0", "{", ""])
async def test_a_setting_that_cannot_be_is_named(database: Database, value: str) -> None:
    await database.write(lambda tx: tx.execute("INSERT INTO settings VALUES ('passwords_rounds', ?)", (value,)))
    with pytest.raises(StorageError, match="passwords_rounds"):
        load_settings(database)


async def test_the_set_ups_rows(database: Database) -> None:
    assert setup.load(database) == {}
    await database.write(lambda tx: setup.save(tx, "draft", "1"))
    await database.write(lambda tx: setup.save(tx, "draft", "2"))
    await database.write(lambda tx: setup.save(tx, "mark", "x"))
    assert setup.load(database) == {"draft": "2", "mark": "x"}


async def test_the_signing_key_is_made_once(database: Database) -> None:
    keys = SigningKeys(database, now=lambda: 5)
    assert keys.current is None
    # Two services, each asking twice at once.
    other = SigningKeys(database)
    made = await asyncio.gather(keys.ensure(), keys.ensure(), other.ensure(), other.ensure())
    assert len({(key.key_id, key.seed) for key in made}) == 1
    assert database.read("SELECT key_id, seed, created_ts, ended_ts FROM signing_keys") == [
        (made[0].key_id, made[0].seed, 5, None)
    ]
    again = SigningKeys(database).current
    assert again is not None
    assert again.public_key == made[0].public_key


async def test_ended_keys_are_still_known(database: Database) -> None:
    keys = SigningKeys(database)
    first = await keys.ensure()
    await database.write(lambda tx: tx.execute("UPDATE signing_keys SET ended_ts = 9"))
    keys = SigningKeys(database)
    second = await keys.ensure()
    assert second.key_id != first.key_id
    assert [(key.key_id, key.public_key, key.ended_ts) for key in keys.ended()] == [(first.key_id, first.public_key, 9)]
