"""What is kept ready of users' keys is bounded by its bytes, however many users there are and whatever they have."""

import orjson
import pytest

from appliance.encryption.queries import Queries
from appliance.storage.database import Tx
from tests.federation.house import House

pytestmark = pytest.mark.anyio


async def test_much_is_asked_for_and_little_is_kept(home: House) -> None:
    """The answer is the same, whatever is kept of it; also of somebody who alone has more than may be kept."""
    encrypting, database = home.living.encrypting, home.owning.database
    users = [f"@user{n}:here.example" for n in range(40)]

    def work(tx: Tx) -> None:
        tx.execute_many("INSERT INTO accounts (user_id, created_ts) VALUES (?, 0)", [(user,) for user in users])
        for number, user in enumerate(users):
            tx.execute("INSERT INTO devices (user_id, device_id, created_ts) VALUES (?, 'D', 0)", (user,))
            json = orjson.dumps({"keys": {"ed25519:D": "k" * (50_000 if number == 7 else 500)}}).decode()
            tx.execute("INSERT INTO keyed_devices (user_id, device_id, json) VALUES (?, 'D', ?)", (user, json))

    await database.write(work)
    ample = Queries(database, encrypting.remote.is_local, encrypting.remote_lists)
    scant = Queries(database, encrypting.remote.is_local, encrypting.remote_lists, keys_bytes=20_000)
    wanted: dict[str, list[str]] = {user: [] for user in users}
    whole = await ample.query(users[0], wanted, 1000)
    for _ in range(2):
        answer = await scant.query(users[0], wanted, 1000)
        assert orjson.loads(answer) == orjson.loads(whole)
    assert 0 < scant._known.total <= 20_000
    assert len(ample._known) == 40
    assert orjson.loads(whole)["device_keys"].keys() == wanted.keys()
