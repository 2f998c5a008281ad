"""What rooms of other servers show of themselves, asked of those that may know them and kept for a while."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.federation.failures import Refused, Unreachable
from appliance.federation.remote import Remote
from appliance.protocol.identifiers import is_server_name
from appliance.rooms.shown.outlying import Neighbour
from appliance.storage.lru import Lru

log = logging.getLogger("hearth.federation")

KEPT = 2_000
KEPT_SECONDS = 300.0
NOT_FOUND_SECONDS = 60.0
MOST_SERVERS = 3
MOST_CHILDREN = 500
SECONDS = 10.0
TEXTS = ("room_id", "name", "topic", "canonical_alias", "avatar_url", "room_type", "room_version", "encryption")


class OutlyingRooms:
    """Asks.

    Args:
        remote: asks other servers.
        may_ask: whether this server talks with another one.
        clock: seconds that only grow.
    """

    def __init__(
        self, remote: Remote, may_ask: Callable[[str], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._remote = remote
        self._may_ask = may_ask
        self._clock = clock
        self._kept: Lru[str, tuple[float, Neighbour | None]] = Lru(KEPT)

    async def look(self, room_id: str, servers: Sequence[str]) -> Neighbour | None:
        """What other servers show of a room, None where none of them shows anything; within some seconds."""
        kept = self._kept.get(room_id)
        if kept is not None and kept[0] > self._clock():
            found = kept[1]
            if found is None or found.children_state is not None or found.summary.get("room_type") != "m.space":
                return found
        asked = [one for one in dict.fromkeys(servers) if is_server_name(one) and self._may_ask(one)][:MOST_SERVERS]
        answered = False
        try:
            async with asyncio.timeout(SECONDS):
                for server in asked:
                    try:
                        if await self._ask(server, room_id):
                            return self._known(room_id)
                        answered = True
                    except Unreachable as problem:
                        log.info("%s does not tell of %s: %s", server, room_id, problem)
        except TimeoutError:
            log.info("Nobody told of %s in time.", room_id)
        # Who said no may say otherwise as soon as somebody has joined another room.
        if asked and not answered:
            self._kept.put(room_id, (self._clock() + NOT_FOUND_SECONDS, None))
        return None

    async def _ask(self, server: str, room_id: str) -> bool:
        try:
            told = await self._remote.space(server, room_id, suggested_only=False)
        except Refused as problem:
            log.info("%s does not tell of %s: %s", server, room_id, problem)
            return False
        room = told.get("room")
        summary = _summary(room)
        if summary is None or summary["room_id"] != room_id or not isinstance(room, dict):
            return False
        children = room.get("children_state")
        listed = [one for one in (children if isinstance(children, list) else ()) if isinstance(one, dict)]
        until = self._clock() + KEPT_SECONDS
        self._kept.put(room_id, (until, Neighbour(summary, listed[:MOST_CHILDREN])))
        inner = told.get("children")
        for child in (inner if isinstance(inner, list) else [])[:MOST_CHILDREN]:
            known = _summary(child)
            if known is not None and self._known(known["room_id"]) is None:
                self._kept.put(known["room_id"], (until, Neighbour(known, None)))
        return True

    def _known(self, room_id: str) -> Neighbour | None:
        kept = self._kept.get(room_id)
        return None if kept is None or kept[0] <= self._clock() else kept[1]


def _summary(told: object) -> dict[str, Any] | None:
    """What a room shows of itself as another server tells it, without what is malformed; None for what is no room."""
    if not isinstance(told, Mapping) or not isinstance(told.get("room_id"), str):
        return None
    members = told.get("num_joined_members")
    rule = told.get("join_rule")
    found: dict[str, Any] = {
        "num_joined_members": members if isinstance(members, int) and not isinstance(members, bool) else 0,
        "world_readable": told.get("world_readable") is True,
        "guest_can_join": told.get("guest_can_join") is True,
        "join_rule": rule if isinstance(rule, str) else "public",
    }
    found.update((name, told[name]) for name in TEXTS if isinstance(told.get(name), str))
    allowed = told.get("allowed_room_ids")
    if isinstance(allowed, list):
        found["allowed_room_ids"] = [one for one in allowed if isinstance(one, str)]
    return found
