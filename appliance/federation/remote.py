"""What other servers are asked about rooms: one method for each question, with the shape of the answer checked.

Everything raises ``Unreachable`` where no good answer came, an answer of the wrong shape included, and ``Refused``
where it was no.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from appliance.federation.client import path_of
from appliance.federation.failures import Refused, Unreachable
from appliance.protocol.versions import VERSIONS

Json = dict[str, Any]
Query = Mapping[str, str | int | Sequence[str] | None]

SHAKE_SECONDS = 30.0
THERE_SECONDS = 10.0
JOIN_SECONDS = 120.0
MAX_JOIN_BYTES = 200 * 1024 * 1024
MAX_STATE_BYTES = 200 * 1024 * 1024
READ_SECONDS = 30.0


class Client(Protocol):
    """Asks other servers (``client.py``)."""

    async def request(
        self,
        destination: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        content: Json | bytes | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - of the whole
        max_bytes: int = 10 * 1024 * 1024,
        urgent: bool = False,
        deep: bool = False,
    ) -> Json:
        """Ask a server something and give the JSON object that it answers; ``urgent`` where somebody waits for it, so
        that it is asked although it failed before, ``deep`` where that holds events.
        """
        ...


class Remote:
    """Asks other servers about rooms.

    Args:
        client: sends the questions.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    # Memberships -------------------------------------------------------------------------------------------------

    async def template(
        self, server: str, membership: str, room_id: str, user_id: str, *, urgent: bool = True
    ) -> tuple[str, Json]:
        """A template for a membership, as ``make_join``, ``make_knock`` or ``make_leave`` answers it.

        Returns:
            the identifier of the room's version, and the event, which is about that user in that room.
        """
        query = None if membership == "leave" else {"ver": list(VERSIONS)}
        path = path_of("federation", "v1", f"make_{membership}", room_id, user_id)
        answer = await self._client.request(server, "GET", path, query=query, timeout=SHAKE_SECONDS, urgent=urgent)
        event, version = _object(answer, "event"), answer.get("room_version", "1")
        content = event.get("content")
        wanted = (room_id, "m.room.member", user_id, user_id)
        found = tuple(event.get(field) for field in ("room_id", "type", "sender", "state_key"))
        if found != wanted or not isinstance(content, dict) or content.get("membership") != membership:
            raise Unreachable("It answered with a template for something else.")
        if not isinstance(version, str) or version not in VERSIONS:
            raise Unreachable("It answered with a template of a room version that is not known here.")
        return version, event

    async def send(
        self, server: str, membership: str, room_id: str, event_id: str, pdu: Json, *, urgent: bool = True
    ) -> Json:
        """Bring a membership there: ``send_join``, ``send_knock`` or ``send_leave``."""
        versions = ("v1",) if membership == "knock" else ("v2", "v1")
        for version in versions:
            path = path_of("federation", version, f"send_{membership}", room_id, event_id)
            try:
                return await self._client.request(
                    server,
                    "PUT",
                    path,
                    content=pdu,
                    timeout=JOIN_SECONDS if membership == "join" else SHAKE_SECONDS,
                    max_bytes=MAX_JOIN_BYTES if membership == "join" else 10 * 1024 * 1024,
                    urgent=urgent,
                    deep=membership == "join",
                )
            except Refused as refusal:
                if version == versions[-1] or not _is_unknown(refusal):
                    raise
        raise AssertionError("unreachable")

    async def invite(
        self, server: str, version: str, room_id: str, event_id: str, pdu: Json, shown: list[Json]
    ) -> Json:
        """Bring an invitation there; answers it with that server's signature."""
        path = path_of("federation", "v2", "invite", room_id, event_id)
        content = {"room_version": version, "event": pdu, "invite_room_state": shown}
        try:
            return _object(await self._client.request(server, "PUT", path, content=content, urgent=True), "event")
        except Refused as refusal:
            if version not in ("1", "2") or refusal.status not in (400, 404):
                raise
        path = path_of("federation", "v1", "invite", room_id, event_id)
        content = {**pdu, "unsigned": {"invite_room_state": shown}}
        return _object(await self._client.request(server, "PUT", path, content=content, urgent=True), "event")

    async def answers(self, server: str) -> None:
        """Find out whether a server is there at all, by a question that each can answer."""
        path = path_of("federation", "v1", "version")
        await self._client.request(server, "GET", path, timeout=THERE_SECONDS, urgent=True)

    # The graph ---------------------------------------------------------------------------------------------------

    async def missing(
        self, server: str, room_id: str, latest: Sequence[str], earliest: Sequence[str], limit: int
    ) -> list[Any]:
        """What lies between events: ``get_missing_events``."""
        path = path_of("federation", "v1", "get_missing_events", room_id)
        content = {
            "latest_events": list(latest),
            "earliest_events": list(earliest),
            "limit": limit,
            "min_depth": 0,
        }
        answer = await self._client.request(server, "POST", path, content=content, timeout=READ_SECONDS, deep=True)
        return _list(answer, "events")[:limit]

    async def state_ids(self, server: str, room_id: str, event_id: str) -> tuple[list[str], list[str]]:
        """The ids of the state before an event, and of what allows it."""
        path = path_of("federation", "v1", "state_ids", room_id)
        answer = await self._client.request(
            server, "GET", path, query={"event_id": event_id}, timeout=READ_SECONDS, max_bytes=MAX_STATE_BYTES
        )
        return _texts(answer, "pdu_ids"), _texts(answer, "auth_chain_ids")

    async def state(self, server: str, room_id: str, event_id: str) -> tuple[list[Any], list[Any]]:
        """The state before an event, and what allows it."""
        path = path_of("federation", "v1", "state", room_id)
        answer = await self._client.request(
            server,
            "GET",
            path,
            query={"event_id": event_id},
            timeout=JOIN_SECONDS,
            max_bytes=MAX_STATE_BYTES,
            deep=True,
        )
        return _list(answer, "pdus"), _list(answer, "auth_chain")

    async def event(self, server: str, event_id: str) -> Json:
        """One event."""
        answer = await self._client.request(server, "GET", path_of("federation", "v1", "event", event_id), deep=True)
        pdus = _list(answer, "pdus")
        if len(pdus) != 1 or not isinstance(pdus[0], dict):
            raise Unreachable("It did not answer with the one event that it was asked for.")
        return pdus[0]

    async def event_auth(self, server: str, room_id: str, event_id: str) -> list[Any]:
        """What allows an event."""
        path = path_of("federation", "v1", "event_auth", room_id, event_id)
        return _list(
            await self._client.request(server, "GET", path, max_bytes=MAX_STATE_BYTES, deep=True), "auth_chain"
        )

    async def backfill(self, server: str, room_id: str, event_ids: Sequence[str], limit: int) -> list[Any]:
        """Events and those before them."""
        path = path_of("federation", "v1", "backfill", room_id)
        query: Query = {"v": list(event_ids), "limit": limit}
        answer = await self._client.request(server, "GET", path, query=query, timeout=READ_SECONDS, deep=True)
        return _list(answer, "pdus")[:limit]

    async def at_time(self, server: str, room_id: str, ts: int, direction: str) -> tuple[str, int]:
        """The id and the time of the event that is nearest to a time, ``f`` forwards or ``b`` backwards from it."""
        path = path_of("federation", "v1", "timestamp_to_event", room_id)
        answer = await self._client.request(server, "GET", path, query={"ts": ts, "dir": direction})
        event_id, time = answer.get("event_id"), answer.get("origin_server_ts")
        if not isinstance(event_id, str) or not isinstance(time, int):
            raise Unreachable("It did not answer with an event and its time.")
        return event_id, time

    # Whatever else -----------------------------------------------------------------------------------------------

    async def alias(self, server: str, alias: str) -> tuple[str, list[str]]:
        """The id of the room behind an alias, and servers that know it."""
        path = path_of("federation", "v1", "query", "directory")
        answer = await self._client.request(server, "GET", path, query={"room_alias": alias})
        room_id = answer.get("room_id")
        if not isinstance(room_id, str):
            raise Unreachable("It did not answer with a room.")
        return room_id, _texts(answer, "servers")

    async def profile(self, server: str, user_id: str, field: str | None) -> Json:
        """A user's profile, or one field of it."""
        path = path_of("federation", "v1", "query", "profile")
        return await self._client.request(server, "GET", path, query={"user_id": user_id, "field": field})

    async def public_rooms(self, server: str, wanted: Json) -> Json:
        """The published rooms of a server."""
        path = path_of("federation", "v1", "publicRooms")
        if wanted.get("filter"):
            return await self._client.request(server, "POST", path, content=wanted)
        query: Query = {field: wanted[field] for field in ("limit", "since") if field in wanted}
        return await self._client.request(server, "GET", path, query=query)

    async def space(self, server: str, room_id: str, *, suggested_only: bool) -> Json:
        """A room and the rooms in it."""
        path = path_of("federation", "v1", "hierarchy", room_id)
        query = {"suggested_only": "true" if suggested_only else "false"}
        return await self._client.request(server, "GET", path, query=query)

    async def policy_signature(self, server: str, pdu: Json) -> Json:
        """The signature of a policy server, at the path of its proposal where it knows no other."""
        path, old = path_of("policy", "v1", "sign"), path_of("policy", "unstable", "org.matrix.msc4284", "sign")
        try:
            return await self._client.request(server, "POST", path, content=pdu, timeout=10.0)
        except Refused as refusal:
            if not _is_unknown(refusal):
                raise
        return await self._client.request(server, "POST", old, content=pdu, timeout=10.0)


def _is_unknown(refusal: Refused) -> bool:
    """Whether a server does not know the endpoint, rather than what was asked for."""
    return refusal.status in (404, 405) and refusal.errcode in ("M_UNRECOGNIZED", "M_UNKNOWN")


def _object(answer: Json, field: str) -> Json:
    found = answer.get(field)
    if not isinstance(found, dict):
        raise Unreachable(f"Its answer lacks {field}.")
    return found


def _list(answer: Json, field: str) -> list[Any]:
    found = answer.get(field)
    if not isinstance(found, list):
        raise Unreachable(f"Its answer lacks {field}.")
    return found


def _texts(answer: Json, field: str) -> list[str]:
    return [one for one in _list(answer, field) if isinstance(one, str)]
