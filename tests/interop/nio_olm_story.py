"""Two people with two devices each and matrix-nio's encryption (libolm), run by ``test_nio_encryption.py`` in an
environment that has it: they talk, verify each other by emojis, remove a device, and go on after a kill of the server.

    python nio_olm_story.py URL FOLDER

Says ``step: …`` for each step, and waits for a line on its standard input where the server is to be killed.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from nio import (
    AsyncClient,
    AsyncClientConfig,
    KeyVerificationEvent,
    KeyVerificationKey,
    KeyVerificationMac,
    KeyVerificationStart,
    LocalProtocolError,
    MegolmEvent,
    RoomMessageText,
)

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
PASSWORD, PATIENCE = "a long password", 90.0


class Device:
    """One device: a client with a store of its own, and what it read."""

    def __init__(self, name: str, number: int) -> None:
        store = FOLDER / f"{name}{number}"
        store.mkdir(parents=True)
        config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True, request_timeout=20, max_timeouts=3)
        self.client = AsyncClient(URL, f"@{name}:hearth.example", store_path=str(store), config=config)
        self.read: list[str] = []
        self.sealed: list[str] = []
        self.client.add_event_callback(self._note, (RoomMessageText, MegolmEvent))

    async def _note(self, _: Any, event: Any) -> None:
        if isinstance(event, MegolmEvent):
            self.sealed.append(event.event_id)
        else:
            self.read.append(event.body)

    async def log_in(self) -> "Device":
        """Log in and upload keys."""
        await self.client.login(PASSWORD, device_name="nio")
        assert self.client.access_token
        await self.sync()
        return self

    async def sync(self) -> None:
        """One turn of what a client does all the time."""
        client = self.client
        try:
            await client.sync(timeout=300, full_state=not client.next_batch)
            if client.should_upload_keys:
                await client.keys_upload()
            if client.should_query_keys:
                await client.keys_query()
            if client.should_claim_keys:
                await client.keys_claim(client.get_users_for_key_claiming())
            await client.send_to_device_messages()
        except (TimeoutError, LocalProtocolError, OSError):
            await asyncio.sleep(0.2)

    async def say(self, room: str, text: str) -> None:
        """Say something."""
        content = {"msgtype": "m.text", "body": text}
        await self.client.room_send(room, "m.room.message", content, ignore_unverified_devices=True)


async def until(what: str, holds: Any, *devices: Device) -> None:
    """Let devices live until something holds."""

    async def live() -> None:
        while not holds():
            await asyncio.gather(*(device.sync() for device in devices))

    try:
        await asyncio.wait_for(live(), PATIENCE)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {what}") from None


def step(name: str) -> None:
    """Tell of a step that is done."""
    print(f"step: {name}", flush=True)


async def everybody_reads(text: str, *devices: Device) -> None:
    """Every device reads it, once, and nothing stays sealed."""
    await until(f"everybody reads {text!r}", lambda: all(text in device.read for device in devices), *devices)
    assert all(device.read.count(text) == 1 and not device.sealed for device in devices)


async def verify(asking: Device, other: Device) -> None:
    """Two devices compare emojis."""
    done: set[str] = set()
    shown: dict[str, Any] = {}

    def on(device: Device) -> Any:
        async def callback(event: Any) -> None:
            client = device.client
            if isinstance(event, KeyVerificationStart):
                await client.accept_key_verification(event.transaction_id)
                # The library sends it once more by itself, but only after what is sent here next.
                await client.to_device(client.key_verifications[event.transaction_id].share_key())
            elif isinstance(event, KeyVerificationKey):
                if client.user_id in shown:
                    return
                shown[client.user_id] = client.key_verifications[event.transaction_id].get_emoji()
                if client.key_verifications[event.transaction_id].we_started_it:
                    # The library's answer to the acceptance, its key, must go out before the confirmation does.
                    await client.send_to_device_messages()
                await client.confirm_short_auth_string(event.transaction_id)
            elif isinstance(event, KeyVerificationMac):
                sas = client.key_verifications[event.transaction_id]
                if sas.verified:
                    done.add(client.user_id)

        return callback

    for device in (asking, other):
        device.client.add_to_device_callback(on(device), (KeyVerificationEvent,))
    target = asking.client.device_store[other.client.user_id][other.client.device_id]
    await asking.client.start_key_verification(target)
    await until("both are verified", lambda: len(done) == 2, asking, other)
    assert shown[asking.client.user_id] == shown[other.client.user_id]
    assert asking.client.olm.is_device_verified(target)


async def main() -> None:
    """The story."""
    anna, ben = await Device("anna", 1).log_in(), await Device("ben", 1).log_in()
    phone, tablet = await Device("anna", 2).log_in(), await Device("ben", 2).log_in()
    all_four = (anna, ben, phone, tablet)
    made = await anna.client.room_create(
        invite=[ben.client.user_id],
        initial_state=[
            {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        ],
    )
    room = made.room_id
    await ben.client.join(room)
    for device in all_four:
        await until(
            "the room is whole",
            lambda d=device: room in d.client.rooms
            and len(d.client.rooms[room].users) == 2
            and d.client.rooms[room].encrypted
            and all(len(list(d.client.device_store.active_user_devices(u))) == 2 - (u == d.client.user_id)
                    for u in d.client.rooms[room].users),
            *all_four,
        )  # fmt: skip
    for number, device in enumerate(all_four):
        await device.say(room, f"hello {number}")
        await everybody_reads(f"hello {number}", *all_four)
    step("talking both ways, readable on every device")
    await verify(anna, ben)
    step("a device of the other is verified")
    gone = phone.client.device_id
    await phone.client.logout()
    await phone.client.close()
    left = (anna, ben, tablet)

    def is_gone() -> bool:
        return gone not in {d.id for d in ben.client.device_store.active_user_devices(anna.client.user_id)}

    await until("it is seen to be gone", is_gone, *left)
    ben.client.invalidate_outbound_session(room)
    await ben.say(room, "without the phone")
    await everybody_reads("without the phone", *left)
    step("a device that was removed is left out")
    await anna.say(room, "before the kill")
    print("kill", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await tablet.say(room, "after the kill")
    await everybody_reads("before the kill", *left)
    await everybody_reads("after the kill", *left)
    step("nothing is lost over a kill")
    for device in left:
        await device.client.close()


asyncio.run(main())
