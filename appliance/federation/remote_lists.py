"""The keys of other servers' users: asked for, and kept for those who share a room with somebody here (server-server
API, "Device Management", "End-to-End Encryption").

Their servers tell of changes, each of which names the one before it. Where one is missed the list is stale: it is
fetched again, and asked for directly until it has been. Whatever changes, clients here are told to ask anew.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.remote import Unreachable as NotAsked
from appliance.errors import bad_json, forbidden
from appliance.federation.client import FederationClient, path_of
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.key_lists import KeyList, is_device
from appliance.protocol.identifiers import server_of
from appliance.rooms.graph.appending import Identity, Statement
from appliance.rooms.snapshot import Step
from appliance.storage import device_lists
from appliance.storage import remote_lists as rows
from appliance.storage.database import Database, Tx
from appliance.storage.remote_lists import RemoteList

log = logging.getLogger("hearth.federation.devices")

AT_ONCE = 4
"""Lists that are fetched at the same time."""
MOST_WAITING = 2000
"""Lists that wait to be fetched; further ones are asked for directly until there is room."""
MAX_LIST_BYTES = 4 * 1024 * 1024
AGAIN_SECONDS = 600.0
"""How often those are tried again that could not be fetched."""

Content = Mapping[str, Any]


class RemoteLists:
    """Asks for keys and keeps lists; a contributor, since whoever shares no room any more is followed no more.

    Args:
        database: where lists are kept.
        client: asks.
        identity: whose users are local.
        rooms_of: the numbers of the rooms that a user is in, as far as somebody here is in them.
    """

    def __init__(
        self,
        database: Database,
        client: FederationClient,
        identity: Identity,
        rooms_of: Callable[[str], "set[int]"],
    ) -> None:
        self._database = database
        self._client = client
        self._identity = identity
        self._rooms_of = rooms_of
        self.lists: DeviceLists | None = None
        """Told of changes; handed in later, since it is made of what asks here."""
        self._waiting: dict[str, None] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    # What local users ask ------------------------------------------------------------------------------------------

    def is_local(self, user_id: str) -> bool:
        """Whether a user belongs to this server."""
        return user_id.partition(":")[2] == self._identity.server_name

    async def query(self, server: str, users: Mapping[str, list[str]], timeout_ms: int) -> dict[str, Any]:
        """The keys of users of a server and some of their devices (none: all), as ``/user/keys/query`` answers.

        Lists that are followed are answered from here; of those the server is not asked.

        Raises:
            NotAsked: where there is no good answer in time.
        """
        found: dict[str, dict[str, Any]] = {"device_keys": {}, "master_keys": {}, "self_signing_keys": {}}
        unknown: dict[str, list[str]] = {}
        for user_id, device_ids in users.items():
            kept = rows.find(self._database, user_id)
            if kept is None or kept.stale:
                unknown[user_id] = device_ids
            else:
                KeyList.read(kept.json).add_to(found, user_id, device_ids)
        if not unknown:
            return found
        path = path_of("federation", "v1", "user", "keys", "query")
        answer = await self._ask(server, "POST", path, {"device_keys": unknown}, timeout_ms / 1000)
        for name, entries in found.items():
            told = answer.get(name)
            entries.update({user: told[user] for user in unknown if user in told} if isinstance(told, dict) else {})
        for user_id in unknown:
            if self._rooms_of(user_id):
                self._follow(user_id)
        return found

    async def claim(self, server: str, users: Mapping[str, Mapping[str, str]], timeout_ms: int) -> dict[str, Any]:
        """One-time keys of devices, as ``/user/keys/claim`` answers; raises ``NotAsked``."""
        path = path_of("federation", "v1", "user", "keys", "claim")
        answer = await self._ask(server, "POST", path, {"one_time_keys": users}, timeout_ms / 1000)
        keys = answer.get("one_time_keys")
        return keys if isinstance(keys, dict) else {}

    async def devices(self, user_id: str) -> dict[str, Any]:
        """What ``/user/devices`` answers; raises ``NotAsked``."""
        path = path_of("federation", "v1", "user", "devices", user_id)
        return await self._ask(server_of(user_id), "GET", path, None, 30.0)

    async def _ask(self, server: str, method: str, path: str, content: Any, seconds: float) -> dict[str, Any]:
        try:
            return await self._client.request(
                server, method, path, content=content, timeout=max(0.1, seconds), max_bytes=MAX_LIST_BYTES
            )
        except Unreachable as error:
            raise NotAsked(error.sentence) from error
        except Refused as error:
            raise NotAsked(f"It answered {error.status}: {error.error}") from error

    # What other servers tell ---------------------------------------------------------------------------------------

    async def take_update(self, origin: str, content: Content) -> None:
        """Take in an ``m.device_list_update``; raises ``MatrixError`` for one that is not good."""
        user_id = self._theirs(origin, content)
        device_id, stream_id, before = (content.get(name) for name in ("device_id", "stream_id", "prev_id"))
        if not is_device(device_id) or not isinstance(stream_id, int) or isinstance(stream_id, bool):
            raise bad_json("device_id must be text, and stream_id a number.")
        if not self._rooms_of(user_id):
            return
        kept = rows.find(self._database, user_id)
        if kept is None:
            await self._changed(user_id, lambda tx: None)
        elif stream_id <= kept.stream_id and not kept.stale:
            return  # it was here already
        elif kept.stale or not isinstance(before, list) or not before or any(one != kept.stream_id for one in before):
            await self._changed(user_id, lambda tx: rows.mark_stale(tx, user_id))
            self._follow(user_id)
        else:
            keys = KeyList.read(kept.json)
            gone = content.get("deleted") is True or not isinstance(content.get("keys"), dict)
            keys.put(user_id, str(device_id), None if gone else content.get("keys"))
            now = RemoteList(user_id, stream_id, False, keys.json())
            await self._changed(user_id, lambda tx: rows.keep(tx, now))

    async def take_signing_keys(self, origin: str, content: Content) -> None:
        """Take in an ``m.signing_key_update``; raises ``MatrixError`` for one that is not good."""
        user_id = self._theirs(origin, content)
        if not self._rooms_of(user_id):
            return
        kept = rows.find(self._database, user_id)
        if kept is None:
            await self._changed(user_id, lambda tx: None)
            return
        keys = KeyList.read(kept.json)
        keys.put_signing(user_id, content.get("master_key"), content.get("self_signing_key"))
        now = RemoteList(user_id, kept.stream_id, kept.stale, keys.json())
        await self._changed(user_id, lambda tx: rows.keep(tx, now))

    @staticmethod
    def _theirs(origin: str, content: Content) -> str:
        user_id = content.get("user_id")
        if not isinstance(user_id, str) or user_id.partition(":")[2] != origin:
            raise forbidden("A server may tell of its own users only.")
        return user_id

    async def _changed(self, user_id: str, also: Callable[[Tx], None]) -> None:
        """Tell clients that a list changed, in one unit with the change."""

        def unit(tx: Tx) -> int:
            also(tx)
            return device_lists.note_change(tx, user_id)

        def published(position: int) -> None:
            if self.lists is not None:
                self.lists.changed(user_id, position)

        await self._database.write(unit, published=published)

    # Following -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Fetch what was stale when the server stopped."""
        for user_id in rows.stale(self._database, MOST_WAITING):
            self._follow(user_id)

    async def stop(self) -> None:
        """Fetch no more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _follow(self, user_id: str) -> None:
        """Fetch a list when its turn comes."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting[user_id] = None
        self._work()

    def _work(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE and not self._stopped:
            user_id = next(iter(self._waiting))
            del self._waiting[user_id]
            task = asyncio.get_running_loop().create_task(self._fetch(user_id), name=f"devices of {user_id}")
            self._running.add(task)
            task.add_done_callback(self._fetched)

    def _fetched(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A list of devices could not be fetched.", exc_info=error)
        self._work()

    async def _fetch(self, user_id: str) -> None:
        before = rows.find(self._database, user_id)
        try:
            found = KeyList.of_answer(user_id, await self.devices(user_id))
        except (NotAsked, ValueError) as error:
            log.info("The devices of %s cannot be had: %s", user_id, error)
            if before is not None and self._timer is None and not self._stopped:
                self._timer = asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._again)
            return
        if not self._rooms_of(user_id):
            return
        now = RemoteList(user_id, found.stream_id, False, found.json())
        if before is None or not before.stale or before.json == now.json:
            await self._database.write(lambda tx: rows.keep(tx, now))
        else:
            await self._changed(user_id, lambda tx: rows.keep(tx, now))

    def _again(self) -> None:
        self._timer = None
        self.start()

    # Contributor ---------------------------------------------------------------------------------------------------

    def prepare(self, step: Step) -> Statement | None:
        """Follow no more whoever goes out of the last room that somebody here is in with them."""
        gone = [
            user_id
            for user_id in step.members_changed
            if step.before.members.of(user_id) == "join"
            and step.after.members.of(user_id) != "join"
            and not self.is_local(user_id)
            and self._rooms_of(user_id) <= {step.room_nid}
        ]
        if not gone:
            return None

        def statement(tx: Tx, position: int) -> None:
            for user_id in gone:
                rows.drop(tx, user_id)

        return statement

    def published(self, step: Step, position: int) -> None:
        """Nothing to do."""
