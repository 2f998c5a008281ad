"""Devices of users of other servers: asked for once, then followed by what their servers tell of changes.

Server-server API, "Device Management". A list is followed while its user shares a room with somebody of this server,
since only so long does their server tell of changes. Where one was missed the list is *stale*, which is durable: it is
asked for before it is used again, and now and then until the other server answers.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

import orjson
from msgspec import Struct

from appliance.encryption.cross_signing import read_key
from appliance.encryption.device_lists import DeviceLists
from appliance.encryption.key_objects import encoded, read_device_keys
from appliance.encryption.remote import Declined, Failures, RemoteWay, Unreachable, each_server, failure
from appliance.errors import MatrixError, bad_json, forbidden
from appliance.protocol.identifiers import fits, server_of
from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step
from appliance.storage import cross_signing as cross_rows
from appliance.storage import remote_devices as rows
from appliance.storage.database import Database, Tx
from appliance.storage.device_lists import note_change
from appliance.storage.lru import Lru
from appliance.storage.remote_devices import RemoteDevice

log = logging.getLogger(__name__)

MAX_NUMBER = 2**53 - 1
MOST_DEVICES = 1_000
"""Devices of one user that are kept."""
FEW = 20
"""Users of one server whose lists are asked for one by one, which follows them from then on; more are asked for all at
once, and followed when there is time."""
CHASED, CHASE_MS = 50, 30_000
"""Stale lists that are asked for in one round, and how long that may take."""

TRIES = 3
"""How often a list is asked for in a row while its server tells of changes of it."""

JUST_MS = 5_000
"""For how long somebody has just come into a room: that they did is told to clients as a change of their list, and the
first that their server then says of their devices is no further one, as long as nobody here asked for them."""
COMING_KEPT = 1_000

Users = Mapping[str, list[str]]
PARTS = ("device_keys", "master_keys", "self_signing_keys")


class RemoteList(Struct, frozen=True):
    """A user's list of devices as their server tells it: where it stands, the devices, the keys that all may see."""

    stream_id: int
    devices: list[RemoteDevice]
    keys: dict[str, cross_rows.CrossSigningKey]


class RemoteLists:
    """Follows the devices of users of other servers; told of events as a contributor.

    Args:
        database: where they are kept.
        lists: tells local users of changes.
        remote: asks other servers.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, database: Database, lists: DeviceLists, remote: RemoteWay, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._lists = lists
        self._remote = remote
        self._now_ms = now_ms
        self._asking: dict[str, asyncio.Task[Unreachable | None]] = {}
        self._heard: dict[str, int] = {}
        self._came: Lru[str, int] = Lru(COMING_KEPT)

    # Asking --------------------------------------------------------------------------------------------------------

    async def query(
        self, asks: Mapping[str, Users], timeout_ms: int
    ) -> tuple[dict[str, dict[str, dict[str, Any]]], Failures]:
        """What there is to know of users of other servers.

        Args:
            asks: server to user to the devices that are asked for; none for all.
            timeout_ms: how long other servers may take.

        Returns:
            server to ``device_keys``, ``master_keys`` and ``self_signing_keys``, each by user; and the servers that
            could not be asked.
        """
        partly: Failures = {}
        answers, failures = await each_server(
            asks, lambda server, users: self._of_server(server, users, timeout_ms, partly), timeout_ms
        )
        return answers, failures | partly

    async def _of_server(
        self, server: str, users: Users, timeout_ms: int, failures: Failures
    ) -> dict[str, dict[str, Any]]:
        """What there is to know of some users of a server; where that is not all, the server is among the failures:
        a client must not take a user of whom nothing could be learnt for one without devices.
        """
        answer: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
        unknown = [user for user in users if not self._is_known(user)]
        needed = [user for user in unknown if rows.is_needed(self._database, user)]
        if len(needed) <= FEW:
            outcomes = await asyncio.gather(*(self._fetch(user, timeout_ms) for user in needed))
            problems = dict(zip(needed, outcomes, strict=True))
            # A server that has no list to give may still say whose keys it knows.
            unknown = [user for user in unknown if user not in needed or isinstance(problems[user], Declined)]
            for problem in outcomes:
                if problem is not None and not isinstance(problem, Declined):
                    failures[server] = failure(problem)
        else:
            await self._database.write(lambda tx: rows.mark_stale(tx, needed))
        if unknown:
            try:
                told = await self._remote.query(server, {user: list(users[user]) for user in unknown}, timeout_ms)
            except Unreachable as error:
                failures[server] = failure(error)
                told, unknown = {}, []
            for part in PARTS:
                found = told.get(part)
                for user in unknown:
                    value = found.get(user) if isinstance(found, Mapping) else None
                    if isinstance(value, dict):
                        answer[part][user] = value
        for user, device_ids in users.items():
            if user not in unknown:
                self._add_known(answer, user, device_ids)
        return answer

    def _is_known(self, user_id: str) -> bool:
        found = rows.find(self._database, user_id)
        return found is not None and not found.stale

    def _add_known(self, answer: dict[str, dict[str, Any]], user_id: str, device_ids: Sequence[str]) -> None:
        if rows.find(self._database, user_id) is None:
            return
        # A stale list whose server does not answer is still the best that there is.
        devices: dict[str, Any] = {}
        for device in rows.devices_of(self._database, user_id):
            if device.json is not None and (not device_ids or device.device_id in device_ids):
                devices[device.device_id] = keys = orjson.loads(device.json)
                if device.display_name is not None:
                    keys["unsigned"] = {"device_display_name": device.display_name}
        answer["device_keys"][user_id] = devices
        for usage, key in cross_rows.keys_of(self._database, user_id).items():
            if usage != "user_signing":
                answer[f"{usage}_keys"][user_id] = orjson.loads(key.json)

    async def _fetch(self, user_id: str, timeout_ms: int) -> Unreachable | None:
        """Ask for a list and follow it; why that did not succeed. Those who want the same at once ask once."""
        task = self._asking.get(user_id)
        if task is None:
            task = asyncio.ensure_future(self._take(user_id))
            self._asking[user_id] = task
            task.add_done_callback(lambda _: self._over(user_id))
        done, _ = await asyncio.wait((task,), timeout=timeout_ms / 1000)
        return task.result() if done else Unreachable("The other server did not answer in time.")

    async def _take(self, user_id: str) -> Unreachable | None:
        try:
            told, right = await self._told(user_id)
        except Unreachable as error:
            log.info("The devices of %s cannot be asked for: %s", user_id, error)
            return error
        except MatrixError as error:
            log.info("What another server says of the devices of %s cannot be used: %s", user_id, error)
            return Declined(str(error))

        def work(tx: Tx) -> Unreachable | None:
            if not rows.is_needed(tx, user_id):
                rows.forget(tx, [user_id])
                return Declined("Nobody here shares a room with this user.")
            rows.replace(tx, user_id, told.stream_id, told.devices, self._now_ms())
            _replace_keys(tx, user_id, told.keys)
            if not right:
                rows.mark_stale(tx, [user_id])
            return None

        return await self._database.write(work)

    async def _told(self, user_id: str) -> "tuple[RemoteList, bool]":
        """A list as its server tells it, and whether it is right: what the server told of changes while it was asked
        may be missing in it. Then it is asked again, a few times.
        """
        for _ in range(TRIES):
            self._heard.pop(user_id, None)
            told = read_list(user_id, await self._remote.devices(user_id))
            if self._heard.get(user_id, 0) <= told.stream_id:
                return told, True
        return told, False

    def _hear(self, user_id: str, stream_id: int) -> None:
        """Take note that a server tells of a change while it is being asked."""
        if user_id in self._asking:
            self._heard[user_id] = max(stream_id, self._heard.get(user_id, 0))

    async def chase(self) -> int:
        """Ask for lists that are stale, as many as one round takes; how many are right now."""
        users = rows.stale(self._database, CHASED)
        outcomes = await asyncio.gather(*(self._fetch(user_id, CHASE_MS) for user_id in users))
        return sum(outcome is None for outcome in outcomes)

    # Being told ----------------------------------------------------------------------------------------------------

    async def receive_update(self, origin: str, content: Mapping[str, Any]) -> None:
        """Take in an ``m.device_list_update``; what was missed before it makes the list stale.

        So does one that follows none, is not newer than the list and tells something else: servers of Conduit's family
        number all their updates alike and make up a device, so that they say no more than that there was a change.

        Args:
            origin: the server that sent it, authenticated.
            content: the content of the EDU.

        Raises:
            MatrixError: for what is no such update, or about another server's user.
        """
        user_id, stream_id = _about(origin, content), content.get("stream_id")
        previous, device_id = content.get("prev_id") or [], content.get("device_id")
        if not _is_number(stream_id) or not isinstance(previous, list) or not isinstance(device_id, str):
            raise bad_json("An update must have a stream_id, a device_id and a list of prev_id.")
        device = None if content.get("deleted") is True else _read_device(user_id, device_id, content)
        just_came = self._just_came(user_id)

        old = rows.find(self._database, user_id)
        is_unnumbered = not previous and old is not None and stream_id <= old.stream_id
        self._hear(user_id, sys.maxsize if is_unnumbered else stream_id)

        def work(tx: Tx) -> tuple[int | None, bool]:
            if not rows.is_needed(tx, user_id):
                return None, False
            there = rows.find(tx, user_id)
            if there is None and just_came and not previous:
                return None, False
            if there is not None and not there.stale and stream_id <= there.stream_id:
                known_devices = {one.device_id: one for one in rows.devices_of(tx, user_id)}
                if previous or known_devices.get(device_id) == device:
                    return None, False
            known = there is not None and not there.stale
            if there is not None and known and there.stream_id in previous:
                rows.change(tx, user_id, stream_id, device, device_id, MOST_DEVICES)
            elif there is not None:
                rows.mark_stale(tx, [user_id])
                known = False
            return note_change(tx, user_id), there is not None and not known

        await self._take_note(user_id, work)

    async def receive_keys(self, origin: str, content: Mapping[str, Any]) -> None:
        """Take in an ``m.signing_key_update``; raises as ``receive_update``.

        One that tells nothing new of the keys is about what they have signed: so Dendrite tells that a device was
        verified by its owner. The list is asked for then.
        """
        user_id = _about(origin, content)
        keys = _read_keys(user_id, content)
        self._hear(user_id, sys.maxsize)

        def work(tx: Tx) -> tuple[int | None, bool]:
            if not rows.is_needed(tx, user_id):
                return None, False
            stale = False
            if rows.find(tx, user_id) is not None:
                known = cross_rows.keys_of(tx, user_id)
                stale = all(usage in known and known[usage].json == key.json for usage, key in keys.items())
                for usage, key in keys.items():
                    cross_rows.put_key(tx, user_id, usage, key.key_id, key.json)
                if stale:
                    rows.mark_stale(tx, [user_id])
            return note_change(tx, user_id), stale

        await self._take_note(user_id, work)

    async def _take_note(self, user_id: str, work: Callable[[Tx], tuple[int | None, bool]]) -> None:
        """Write what was told of a user: the position of the change, if it is one, and whether to ask for the list."""

        def published(outcome: tuple[int | None, bool]) -> None:
            if outcome[0] is not None:
                self._lists.changed(user_id, outcome[0])

        _, stale = await self._database.write(work, published=published)
        if stale:
            self._begin(user_id)

    def _just_came(self, user_id: str) -> bool:
        return self._now_ms() - (self._came.get(user_id) or 0) < JUST_MS and user_id not in self._asking

    def _over(self, user_id: str) -> None:
        del self._asking[user_id]
        self._heard.pop(user_id, None)

    def _begin(self, user_id: str) -> None:
        """Ask for a list, with nobody waiting for it."""
        if user_id not in self._asking and len(self._asking) < CHASED:
            task = asyncio.ensure_future(self._take(user_id))
            self._asking[user_id] = task
            task.add_done_callback(lambda _: self._over(user_id))

    # Contributor ---------------------------------------------------------------------------------------------------

    def prepare(self, step: Step) -> Statement | None:
        """Follow no more whoever shares a room with nobody here now."""
        before, after = step.before.members.memberships, step.after.members.memberships
        went = [user for user in step.members_changed if before.get(user) == "join" and after.get(user) != "join"]
        concerned = [user for user in went if not self._remote.is_local(user)]
        if len(concerned) < len(went) and not any(
            membership == "join" and self._remote.is_local(user) for user, membership in after.items()
        ):
            # The last one here went: of those who stay nothing is told to this server any more.
            concerned += [
                user for user, membership in after.items() if membership == "join" and not self._remote.is_local(user)
            ]
        if not concerned:
            return None
        return lambda tx, position: rows.forget(tx, concerned)

    def published(self, step: Step, position: int) -> None:
        """Note that somebody has just come."""
        user_id = step.event.state_key or ""
        came = step.event.membership == "join" and step.before.members.of(user_id) != "join"
        if came and not self._remote.is_local(user_id):
            self._came.put(user_id, self._now_ms())


# What other servers say -------------------------------------------------------------------------------------------


def read_list(user_id: str, value: Mapping[str, Any]) -> RemoteList:
    """A list of devices as ``GET /user/devices`` answers it; devices that are malformed are left out.

    Raises:
        MatrixError: for what is no such answer.
    """
    devices, stream_id = value.get("devices"), value.get("stream_id")
    if value.get("user_id") != user_id or not isinstance(devices, list) or not _is_number(stream_id):
        raise bad_json("This is no list of the user's devices.")
    found: list[RemoteDevice] = []
    for device in devices[:MOST_DEVICES]:
        device_id = device.get("device_id") if isinstance(device, Mapping) else None
        if isinstance(device_id, str):
            try:
                found.append(_read_device(user_id, device_id, device))
            except MatrixError:
                continue
    return RemoteList(stream_id, found, _read_keys(user_id, value))


def _read_device(user_id: str, device_id: str, value: Mapping[str, Any]) -> RemoteDevice:
    keys, name = value.get("keys"), value.get("device_display_name")
    if not fits(device_id):
        raise bad_json("The id of a device may have at most 255 bytes.")
    json = None
    if isinstance(keys, Mapping) and keys:
        json = encoded(read_device_keys(dict(keys), user_id, device_id))
    return RemoteDevice(device_id, json, name[:255] if isinstance(name, str) else None)


def _read_keys(user_id: str, value: Mapping[str, Any]) -> dict[str, cross_rows.CrossSigningKey]:
    """The master and self-signing keys that another server tells; malformed ones are left out."""
    found = {}
    for usage in ("master", "self_signing"):
        given = value.get(f"{usage}_key")
        if given is not None:
            try:
                key = read_key(given, user_id, usage, f"{usage}_key")
            except MatrixError:
                continue
            found[usage] = cross_rows.CrossSigningKey(key.key_id, encoded(key.key))
    return found


def _replace_keys(tx: Tx, user_id: str, keys: Mapping[str, cross_rows.CrossSigningKey]) -> None:
    for usage in ("master", "self_signing"):
        if usage in keys:
            cross_rows.put_key(tx, user_id, usage, keys[usage].key_id, keys[usage].json)
        else:
            cross_rows.delete_key(tx, user_id, usage)


def _is_number(value: object) -> TypeGuard[int]:
    """Whether a value can be where a list stands."""
    return isinstance(value, int) and -MAX_NUMBER <= value <= MAX_NUMBER


def _about(origin: str, content: Mapping[str, Any]) -> str:
    user_id = content.get("user_id")
    if not isinstance(user_id, str) or not user_id.startswith("@") or ":" not in user_id:
        raise bad_json("user_id must be the id of a user.")
    if server_of(user_id) != origin:
        raise forbidden("A server tells of its own users alone.")
    return user_id
