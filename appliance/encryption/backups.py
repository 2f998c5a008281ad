"""Backups of room keys on the server (client-server API, "Server-side key backups")."""

from collections.abc import Mapping
from typing import Any

from appliance.encryption.key_objects import encoded
from appliance.errors import MatrixError, bad_json, invalid_param, missing_param, not_found, too_large
from appliance.protocol.identifiers import fits
from appliance.storage import key_backups as rows
from appliance.storage.database import Database, Tx
from appliance.storage.key_backups import BackedUpKey, Backup

MAX_BYTES = 65_536
"""The data of a version, or one key."""
MOST_VERSIONS = 100
"""Versions of a user that were not deleted; only the newest is of any use to clients."""
MOST_KEYS = 1_000_000
"""Keys in one version."""


class Backups:
    """The backups of local users.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # Versions ------------------------------------------------------------------------------------------------------

    async def create(self, user_id: str, body: Mapping[str, Any]) -> str:
        """Begin a new version, which is from then on the only one that keys can be added to.

        Raises:
            MatrixError: ``M_BAD_JSON``, ``M_TOO_LARGE``.
        """
        algorithm, auth_data = _described(body)
        if rows.number(self._database, user_id) >= MOST_VERSIONS:
            raise too_large(f"A user may have at most {MOST_VERSIONS} backups: delete one.")
        return str(await self._database.write(lambda tx: rows.create(tx, user_id, algorithm, auth_data)))

    def find(self, user_id: str, version: str | None) -> Backup:
        """One version, or the newest.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND``.
        """
        if version is None:
            backup = rows.latest(self._database, user_id)
        else:
            backup = rows.find(self._database, user_id, _number(version))
        if backup is None or backup.deleted:
            raise _unknown()
        return backup

    async def change(self, user_id: str, version: str, body: Mapping[str, Any]) -> None:
        """Replace the data of a version; its algorithm stays.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND``; ``M_INVALID_PARAM`` for another algorithm, or another version in the body
                than in the path; ``M_BAD_JSON``, ``M_TOO_LARGE``.
        """
        algorithm, auth_data = _described(body)
        number = self.find(user_id, version).version
        if body.get("version") not in (None, version):
            raise invalid_param("The version in the body is not that in the path.")

        def work(tx: Tx) -> MatrixError | None:
            there = rows.find(tx, user_id, number)
            if there is None or there.deleted:
                return _unknown()
            if there.algorithm != algorithm:
                return invalid_param("The algorithm of a backup cannot be changed: make a new version.")
            rows.put_auth_data(tx, user_id, number, auth_data)
            return None

        refusal = await self._database.write(work)
        if refusal is not None:
            raise refusal

    async def delete(self, user_id: str, version: str) -> None:
        """Delete a version with its keys; one that was deleted before is deleted.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND`` for one that never was.
        """
        number = _number(version)
        if rows.find(self._database, user_id, number) is None:
            raise _unknown()
        await self._database.write(lambda tx: rows.delete(tx, user_id, number))

    # Keys ----------------------------------------------------------------------------------------------------------

    async def put(self, user_id: str, version: str, keys: list[BackedUpKey]) -> Backup:
        """Add keys to the newest version; where there is a key already, the better one stays.

        Raises:
            MatrixError: 403 ``M_WRONG_ROOM_KEYS_VERSION`` with the ``current_version`` for another version; 404
                ``M_NOT_FOUND`` where there is none at all; ``M_TOO_LARGE``.
        """

        def work(tx: Tx) -> Backup | MatrixError:
            newest = rows.latest(tx, user_id)
            if newest is None:
                return _unknown()
            if str(newest.version) != version:
                return MatrixError(
                    "M_WRONG_ROOM_KEYS_VERSION",
                    "There is a newer backup: keys go there.",
                    403,
                    current_version=str(newest.version),
                )
            if newest.count + len(keys) > MOST_KEYS:
                return too_large(f"A backup may hold at most {MOST_KEYS} keys.")
            return rows.put_keys(tx, user_id, newest.version, keys)

        return _or_raise(await self._database.write(work))

    async def get(
        self, user_id: str, version: str, room_id: str | None = None, session_id: str | None = None
    ) -> list[BackedUpKey]:
        """The keys of a version: all of them, those of a room, or that of a session.

        Raises:
            MatrixError: 404 ``M_NOT_FOUND`` for a version that is not there, or a session that has no key in it.
        """
        number = self.find(user_id, version).version
        found = await self._database.reading(lambda reader: rows.keys(reader, user_id, number, room_id, session_id))
        if session_id is not None and not found:
            raise not_found("There is no such key in this backup.")
        return found

    async def delete_keys(
        self, user_id: str, version: str, room_id: str | None = None, session_id: str | None = None
    ) -> Backup:
        """Delete keys as ``get`` chooses them; raises as that for a version that is not there."""
        number = _number(version)

        def work(tx: Tx) -> Backup | MatrixError:
            there = rows.find(tx, user_id, number)
            if there is None or there.deleted:
                return _unknown()
            return rows.delete_keys(tx, user_id, number, room_id, session_id)

        return _or_raise(await self._database.write(work))


def read_key(room_id: str, session_id: str, value: Any) -> BackedUpKey:
    """One key as it was uploaded.

    Raises:
        MatrixError: ``M_BAD_JSON`` for another shape, ``M_INVALID_PARAM``, ``M_TOO_LARGE``.
    """
    if not isinstance(value, dict):
        raise bad_json("A key must be an object.")
    first: Any = value.get("first_message_index")
    forwarded: Any = value.get("forwarded_count")
    verified, data = value.get("is_verified"), value.get("session_data")
    if not (_is_count(first) and _is_count(forwarded) and isinstance(verified, bool) and isinstance(data, dict)):
        raise bad_json("A key must have first_message_index, forwarded_count, is_verified and session_data.")
    if not (fits(room_id) and fits(session_id)):
        raise invalid_param("The ids of a room and of a session may have at most 255 bytes each.")
    return BackedUpKey(room_id, session_id, first, forwarded, verified, _limited(data))


def read_room(room_id: str, value: Any) -> list[BackedUpKey]:
    """The keys of one room as they were uploaded; raises as ``read_key``."""
    sessions = value.get("sessions") if isinstance(value, dict) else None
    if not isinstance(sessions, dict):
        raise bad_json("sessions must be an object of session ids to keys.")
    return [read_key(room_id, session_id, key) for session_id, key in sessions.items()]


def read_rooms(value: Any) -> list[BackedUpKey]:
    """The keys of several rooms as they were uploaded; raises as ``read_key``."""
    rooms = value.get("rooms") if isinstance(value, dict) else None
    if not isinstance(rooms, dict):
        raise bad_json("rooms must be an object of room ids to their keys.")
    return [key for room_id, room in rooms.items() for key in read_room(room_id, room)]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _described(body: Mapping[str, Any]) -> tuple[str, str]:
    """The algorithm of a version and its data as JSON."""
    for name in ("algorithm", "auth_data"):
        if name not in body:
            raise missing_param(f"{name} is missing.")
    algorithm, auth_data = body["algorithm"], body["auth_data"]
    if not isinstance(algorithm, str) or not isinstance(auth_data, dict):
        raise bad_json("algorithm must be a string, auth_data an object.")
    if not fits(algorithm):
        raise invalid_param("The name of an algorithm may have at most 255 bytes.")
    return algorithm, _limited(auth_data)


def _limited(value: dict[str, Any]) -> str:
    json = encoded(value)
    if len(json) > MAX_BYTES:
        raise too_large(f"A key and the data of a backup may have at most {MAX_BYTES} bytes each.")
    return json


def _number(version: str) -> int:
    """The number of a version; 0, which none has, for what this server did not make."""
    return int(version) if version.isascii() and version.isdigit() and len(version) < 16 else 0


def _unknown() -> MatrixError:
    return not_found("There is no such backup.")


def _or_raise(outcome: Backup | MatrixError) -> Backup:
    if isinstance(outcome, MatrixError):
        raise outcome
    return outcome
