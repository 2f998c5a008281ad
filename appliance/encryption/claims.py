"""Claiming one-time keys (client-server API, "Claiming one-time keys"): each is given out once."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from appliance.encryption.counts import Counts
from appliance.encryption.key_objects import are_objects_of
from appliance.encryption.remote import Failures, RemoteWay, by_server, each_server
from appliance.errors import bad_json, too_large
from appliance.storage import device_keys as rows
from appliance.storage.database import Database, Tx

AT_ONCE = 500
"""Keys that one unit takes, so that the writer's other work goes on in between."""
MOST_CLAIMS = 10_000
"""Keys that one request may ask for."""

Wanted = Mapping[str, Mapping[str, str]]
"""User to device to algorithm."""
Given = dict[str, dict[str, dict[str, Any]]]
"""User to device to ``<algorithm>:<key id>`` to the key."""


class _One(Struct, frozen=True):
    user_id: str
    device_id: str
    algorithm: str


class Claims:
    """Gives out the keys of local devices, and asks other servers for those of theirs.

    Args:
        database: where the keys are.
        counts: told of devices that have fewer now.
        remote: asks other servers.
    """

    def __init__(self, database: Database, counts: Counts, remote: RemoteWay) -> None:
        self._database = database
        self._counts = counts
        self._remote = remote

    async def claim(self, wanted: Wanted, timeout_ms: int) -> tuple[Given, Failures]:
        """Claim a key of each device.

        Args:
            wanted: which; see ``read_wanted``.
            timeout_ms: how long other servers may take.

        Returns:
            the keys of those that had any, and the servers that could not be asked.
        """
        local, others = by_server(wanted, self._remote.is_local)
        given = await self.claim_local(local)
        answers, failures = await each_server(
            others, lambda server, ask: self._remote.claim(server, ask, timeout_ms), timeout_ms
        )
        for server, found in answers.items():
            given.update(_asked_for(others[server], found))
        return given, failures

    async def claim_local(self, wanted: Wanted) -> Given:
        """The same for local users alone: what other servers may ask for, too."""
        each = [_One(user, device, algorithm) for user, own in wanted.items() for device, algorithm in own.items()]
        given: Given = {}
        for start in range(0, len(each), AT_ONCE):
            part = each[start : start + AT_ONCE]
            for one, claimed in await self._unit(part):
                key = orjson.Fragment(claimed.json)
                given.setdefault(one.user_id, {})[one.device_id] = {f"{one.algorithm}:{claimed.key_id}": key}
        return given

    async def _unit(self, part: Sequence[_One]) -> list[tuple[_One, rows.Claimed]]:
        def work(tx: Tx) -> list[tuple[_One, rows.Claimed]]:
            found = rows.claim(tx, [(one.user_id, one.device_id, one.algorithm) for one in part])
            return [(one, claimed) for one, claimed in zip(part, found, strict=True) if claimed is not None]

        def published(found: list[tuple[_One, rows.Claimed]]) -> None:
            for one, _ in found:
                self._counts.changed(one.user_id, one.device_id)

        return await self._database.write(work, published=published)


def read_wanted(value: Any) -> dict[str, dict[str, str]]:
    """What a request claims.

    Raises:
        MatrixError: ``M_BAD_JSON`` for what is not users to devices to algorithms, ``M_TOO_LARGE`` for too many.
    """
    if not are_objects_of(str, value):
        raise bad_json("one_time_keys must be an object of user ids to an object of device ids to algorithms.")
    if sum(map(len, value.values())) > MOST_CLAIMS:
        raise too_large(f"At most {MOST_CLAIMS} keys can be claimed at once.")
    found: dict[str, dict[str, str]] = value
    return found


def _asked_for(asked: Wanted, found: Any) -> Given:
    """Of another server's answer what was asked for, and of the shape that it should have."""
    given: Given = {}
    for user_id, own in asked.items():
        devices = found.get(user_id) if isinstance(found, dict) else None
        for device_id, algorithm in own.items():
            keys = devices.get(device_id) if isinstance(devices, dict) else None
            if not isinstance(keys, dict):
                continue
            for full_id, key in keys.items():
                if full_id.startswith(f"{algorithm}:") and isinstance(key, str | dict):
                    given.setdefault(user_id, {})[device_id] = {full_id: key}
                    break
    return given
