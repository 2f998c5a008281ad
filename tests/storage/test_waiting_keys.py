"""What waited in a file of an earlier version, messages and one-time keys, is there after the step that moved it."""

from pathlib import Path

import pytest

from appliance.encryption.inbox import Inbox
from appliance.storage import device_keys as rows
from appliance.storage.database import Database
from appliance.storage.migrate import STEPS

pytestmark = pytest.mark.anyio

ALICE = "@alice:example.org"
KEYS = [
    # device, algorithm, batch, key id, key
    *((1, "signed_curve25519", 2, f"B{n}", f'{{"key":"b{n}","ü":"\\n{n}"}}') for n in range(3)),
    (1, "signed_curve25519", 7, "A", '"a"'),
    (1, "curve25519", 2, 'Z"\\ü', '{"key":"ü"}'),
    (2, "signed_curve25519", 1, "A", '{"key":"other"}'),
]


async def test_no_waiting_message_or_key_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "hearth.db"
    before = STEPS[: STEPS.index("m0012_queues")]
    old = await Database.open(path, steps=before)
    for sql, values in (
        ("INSERT INTO accounts (user_id, created_ts) VALUES (?, 0)", [(ALICE,)]),
        ("INSERT INTO devices (user_id, device_id, created_ts) VALUES (?, ?, 0)", [(ALICE, "D"), (ALICE, "E")]),
        ("INSERT INTO keyed_devices VALUES (?, ?, ?, NULL)", [(1, ALICE, "D"), (2, ALICE, "E")]),
        ("INSERT INTO one_time_keys VALUES (?, ?, ?, ?, ?)", KEYS),
        ("INSERT INTO to_device_messages VALUES (?, ?, ?, ?)", [(n, ALICE, "D", b"%d" % n) for n in (1, 2)]),
    ):
        await old.write(lambda tx, sql=sql, values=values: tx.execute_many(sql, values))  # type: ignore[misc]
    await old.write(lambda tx: [tx.position() for _ in range(2)])
    await old.close()
    database = await Database.open(path)
    assert rows.counts(database, ALICE, "D") == ({"curve25519": 1, "signed_curve25519": 4}, [])
    signed, plain = (ALICE, "D", "signed_curve25519"), (ALICE, "D", "curve25519")
    given = []
    for one in (signed, plain, (ALICE, "E", "signed_curve25519"), *[signed] * 4):
        given += await database.write(lambda tx, one=one: rows.claim(tx, [one]))  # type: ignore[misc]
    told = [(key.key_id, bytes(key.json).decode()) if key else None for key in given]  # type: ignore[arg-type]
    expected = [KEYS[0], KEYS[4], KEYS[5], KEYS[1], KEYS[2], KEYS[3]]
    assert told == [*((key_id, json) for *_, key_id, json in expected), None]
    assert Inbox(database).messages(ALICE, "D", 0, database.position) == ([b"1", b"2"], 2)
    await database.write(lambda tx: tx.execute("DELETE FROM devices"))
    for table in ("one_time_batches", "one_time_packs", "to_device_messages"):
        assert database.read(f"SELECT count(*) FROM {table}") == [(0,)]
    await database.close()
