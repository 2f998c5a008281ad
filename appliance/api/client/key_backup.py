"""Backups of room keys (module "End-to-end encryption", "Server-side key backups")."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from litestar import Controller
from litestar.types import ASGIApp

from appliance.encryption.backups import Backups, read_key, read_room, read_rooms
from appliance.errors import missing_param
from appliance.server.answers import answer
from appliance.server.endpoints import endpoint
from appliance.server.request import Asked
from appliance.storage.key_backups import BackedUpKey, Backup

VERSIONS = "/_matrix/client/v3/room_keys/version"
KEYS = "/_matrix/client/v3/room_keys/keys"
MAX_BODY = 16 * 1024 * 1024
FEW = 200
"""Keys of which an answer is made at once, in about a millisecond; a backup may have a hundred thousand."""


class KeyBackupApi(Controller):
    """The backups of a user."""

    backups: Backups

    @endpoint("POST", VERSIONS, suspended=True)
    async def create(self, request: Asked) -> ASGIApp:
        """POST /_matrix/client/v3/room_keys/version

        Begins a new backup.
        """
        version = await self.backups.create(request.requester.user_id, await request.object())
        return answer({"version": version})

    @endpoint("GET", VERSIONS)
    async def newest(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/room_keys/version

        The newest backup.
        """
        return answer(_described(self.backups.find(request.requester.user_id, None)))

    @endpoint("GET", VERSIONS + "/{version:str}")
    async def one(self, request: Asked, version: str) -> ASGIApp:
        """GET /_matrix/client/v3/room_keys/version/{version}

        One backup.
        """
        return answer(_described(self.backups.find(request.requester.user_id, version)))

    @endpoint("PUT", VERSIONS + "/{version:str}", suspended=True)
    async def change(self, request: Asked, version: str) -> ASGIApp:
        """PUT /_matrix/client/v3/room_keys/version/{version}

        Replaces the data of a backup that is not its keys.
        """
        await self.backups.change(request.requester.user_id, version, await request.object())
        return answer()

    @endpoint("DELETE", VERSIONS + "/{version:str}", suspended=True)
    async def delete(self, request: Asked, version: str) -> ASGIApp:
        """DELETE /_matrix/client/v3/room_keys/version/{version}

        Deletes a backup with its keys.
        """
        await self.backups.delete(request.requester.user_id, version)
        return answer()

    @endpoint("PUT", KEYS, suspended=True, max_body=MAX_BODY)
    async def put_all(self, request: Asked) -> ASGIApp:
        """PUT /_matrix/client/v3/room_keys/keys

        Adds keys of several rooms.
        """
        return await self._put(request, read_rooms(await request.object()))

    @endpoint("PUT", KEYS + "/{room_id:str}", suspended=True, max_body=MAX_BODY)
    async def put_room(self, request: Asked, room_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/room_keys/keys/{roomId}

        Adds keys of one room.
        """
        return await self._put(request, read_room(room_id, await request.object()))

    @endpoint("PUT", KEYS + "/{room_id:str}/{session_id:str}", suspended=True)
    async def put_session(self, request: Asked, room_id: str, session_id: str) -> ASGIApp:
        """PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}

        Adds the key of one session.
        """
        return await self._put(request, [read_key(room_id, session_id, await request.object())])

    @endpoint("GET", KEYS)
    async def get_all(self, request: Asked) -> ASGIApp:
        """GET /_matrix/client/v3/room_keys/keys

        All keys of a backup.
        """
        found = await self.backups.get(request.requester.user_id, _version(request))
        return answer(await _off_the_loop(_rooms, found))

    @endpoint("GET", KEYS + "/{room_id:str}")
    async def get_room(self, request: Asked, room_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/room_keys/keys/{roomId}

        The keys of one room in a backup.
        """
        found = await self.backups.get(request.requester.user_id, _version(request), room_id)
        return answer(await _off_the_loop(_sessions, found))

    @endpoint("GET", KEYS + "/{room_id:str}/{session_id:str}")
    async def get_session(self, request: Asked, room_id: str, session_id: str) -> ASGIApp:
        """GET /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}

        The key of one session in a backup.
        """
        (key,) = await self.backups.get(request.requester.user_id, _version(request), room_id, session_id)
        return answer(orjson.dumps(_told(key)))

    @endpoint("DELETE", KEYS, suspended=True)
    async def delete_all(self, request: Asked) -> ASGIApp:
        """DELETE /_matrix/client/v3/room_keys/keys

        Deletes all keys of a backup.
        """
        return _updated(await self.backups.delete_keys(request.requester.user_id, _version(request)))

    @endpoint("DELETE", KEYS + "/{room_id:str}", suspended=True)
    async def delete_room(self, request: Asked, room_id: str) -> ASGIApp:
        """DELETE /_matrix/client/v3/room_keys/keys/{roomId}

        Deletes the keys of one room in a backup.
        """
        return _updated(await self.backups.delete_keys(request.requester.user_id, _version(request), room_id))

    @endpoint("DELETE", KEYS + "/{room_id:str}/{session_id:str}", suspended=True)
    async def delete_session(self, request: Asked, room_id: str, session_id: str) -> ASGIApp:
        """DELETE /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}

        Deletes the key of one session in a backup.
        """
        user_id = request.requester.user_id
        return _updated(await self.backups.delete_keys(user_id, _version(request), room_id, session_id))

    async def _put(self, request: Asked, keys: list[BackedUpKey]) -> ASGIApp:
        return _updated(await self.backups.put(request.requester.user_id, _version(request), keys))


async def _off_the_loop(make: Callable[[list[BackedUpKey]], bytes], found: list[BackedUpKey]) -> bytes:
    """Make an answer of keys, in a thread where there are many: others are not to wait for that."""
    return make(found) if len(found) <= FEW else await asyncio.to_thread(make, found)


def _rooms(found: list[BackedUpKey]) -> bytes:
    rooms: dict[str, list[BackedUpKey]] = {}
    for key in found:
        rooms.setdefault(key.room_id, []).append(key)
    each = [orjson.dumps(room_id) + b":" + _sessions(keys) for room_id, keys in rooms.items()]
    return b'{"rooms":{' + b",".join(each) + b"}}"


def _sessions(found: list[BackedUpKey]) -> bytes:
    # Each by itself: one large step would not let the loop come in between.
    each = [orjson.dumps(key.session_id) + b":" + orjson.dumps(_told(key)) for key in found]
    return b'{"sessions":{' + b",".join(each) + b"}}"


def _version(request: Asked) -> str:
    version = request.query_text("version")
    if not version:
        raise missing_param("version is missing: which backup is meant?")
    return version


def _described(backup: Backup) -> bytes:
    return orjson.dumps(
        {
            "algorithm": backup.algorithm,
            "auth_data": orjson.Fragment(backup.auth_data),
            "count": backup.count,
            "etag": str(backup.etag),
            "version": str(backup.version),
        }
    )


def _updated(backup: Backup) -> ASGIApp:
    return answer({"count": backup.count, "etag": str(backup.etag)})


def _told(key: BackedUpKey) -> dict[str, Any]:
    return {
        "first_message_index": key.first_message_index,
        "forwarded_count": key.forwarded_count,
        "is_verified": key.is_verified,
        "session_data": orjson.Fragment(key.session_data),
    }
