"""What a start does before the first connection is taken."""

from pathlib import Path

import pytest

from appliance.app import Hearth
from appliance.running import Running
from appliance.server.addresses import Addresses
from appliance.server.folder import DataFolder
from appliance.server.granian_server import Certificate
from appliance.server.lifecycle import Stopping, run
from appliance.server.listeners import Listener, Listeners
from appliance.storage import delayed_events
from appliance.storage.database import Database

ALICE = "@alice:hearth.example"
LATER = delayed_events.DelayedEvent(
    delay_id="delay_1",
    user_id=ALICE,
    device_id="D",
    room_id="!room",
    type="m.room.message",
    state_key=None,
    content="{}",
    delay_ms=600_000,
    since_ts=0,
    send_ts=2**42,
)


def test_what_is_pending_is_known_before_anybody_can_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that comes back in the first moments after a start is told of its delayed events."""
    told: list[list[str]] = []

    async def story(_: Stopping) -> None:
        with DataFolder(tmp_path / "data") as folder:
            database = await Database.open(folder.database)
            await database.write(lambda tx: delayed_events.insert(tx, LATER))
            running = Running(Hearth(database, folder.path, Addresses()), folder, Addresses())

            async def apply(self: Listeners, wanted: tuple[Listener, ...], certificate: Certificate | None) -> None:
                told.append([event.delay_id for event in running.hearth.living.acts.delayed.of_user(ALICE)])

            monkeypatch.setattr(Listeners, "apply", apply)
            await running.start()
            await running.stop()

    run(story)
    assert told[0] == ["delay_1"]
