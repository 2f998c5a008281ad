"""A server that has its certificate loads neither the ACME library nor cryptography."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from appliance.settings import LETS_ENCRYPT, Settings
from appliance.storage.database import Database
from appliance.tls.ladder import DAY
from appliance.tls.store import Certificates
from tests.tls.parts import certificate

START = """
import asyncio, sys
from pathlib import Path
from appliance.settings import Settings
from appliance.storage.database import Database
from appliance.tls.challenges import Challenges
from appliance.tls.issuance import Issuance
from appliance.tls.store import Certificates

async def main():
    database = await Database.open(Path(sys.argv[1]))
    settings = Settings(server_name="example.org")
    certificates = Certificates(database, settings)
    assert (await certificates.load()).source == "acme"
    issuance = Issuance(database, settings, certificates, Challenges())
    seen = issuance.progress
    issuance.start()
    assert (await asyncio.wait_for(issuance.changed(seen), 30)).state == "done"
    await issuance.stop()
    await database.close()
    print(*sorted({"acme", "josepy", "requests", "OpenSSL", "cryptography"} & set(sys.modules)))

asyncio.run(main())
"""


async def store(path: Path) -> None:
    """A data folder with a good certificate that was ordered."""
    database = await Database.open(path)
    now = time.time_ns() // 1_000_000
    certificates = Certificates(database, Settings(server_name="example.org"))
    put = await certificates.put(certificate(("example.org",), now, 90 * DAY, LETS_ENCRYPT))
    await certificates.schedule(put, now + 50 * DAY, now + DAY)
    await database.close()


def test_nothing_heavy_is_loaded_when_no_order_is_due(tmp_path: Path) -> None:
    path = tmp_path / "hearth.db"
    asyncio.run(store(path))
    command = [sys.executable, "-c", START, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
