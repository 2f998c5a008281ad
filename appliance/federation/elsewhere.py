"""What people here do in rooms through other servers: coming in, knocking, leaving, inviting.

This is what ``rooms/acts/elsewhere.py`` declares.

Several servers are tried in turn where several may know a room. Nothing is kept until another server has agreed, and
then all of it is one unit: a kill in between leaves nothing half, and the whole can be done again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from appliance.errors import MatrixError, forbidden, not_found
from appliance.federation.access import RoomAccess
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.farewells import Farewells
from appliance.federation.invitations import loosely_stripped, room_events
from appliance.federation.making import Making
from appliance.federation.remote import Remote
from appliance.protocol import signing
from appliance.protocol.client_form import stripped
from appliance.protocol.events import Event, InvalidEvent
from appliance.protocol.identifiers import is_server_name, server_of
from appliance.protocol.versions import VERSIONS
from appliance.rooms.graph.appending import Identity
from appliance.rooms.graph.endorsing import Endorsing
from appliance.rooms.incoming.accepting import Accepting, Signatures, Unacceptable, Verdict
from appliance.rooms.incoming.arriving import Arriving
from appliance.rooms.incoming.vetting import Told
from appliance.rooms.outside import OutsideMemberships
from appliance.rooms.room import Rooms
from appliance.rooms.shown.outlined import outline
from appliance.rooms.snapshot import MEMBER
from appliance.rooms.standings import Standings
from appliance.storage import events as event_rows
from appliance.storage.database import Database

log = logging.getLogger("hearth.federation")

MOST_SERVERS = 10
TELL_SECONDS = 5.0
"""For which somebody who comes back to a room waits until the other server knows that they, or others of us, left."""
UNABLE = ("M_UNABLE_TO_AUTHORISE_JOIN", "M_UNABLE_TO_GRANT_JOIN")
"""What a server answers that cannot tell whether somebody may join, where another one perhaps can."""
T = TypeVar("T")
Content = dict[str, Any]


class ThroughOthers:
    """Does it.

    Args:
        database: where events are looked up.
        rooms: the rooms in memory.
        access: which servers are in a room.
        standings: how users stand to rooms.
        outside: the same for rooms that nobody here is in.
        accepting: judges events in rooms that are here.
        arriving: takes rooms in.
        making: makes memberships.
        remote: asks other servers.
        signatures: checks who signed.
        identity: which server this is.
        may_ask: whether this server talks with another one.
        endorsing: asks the policy servers of rooms.
        farewells: takes leave of rooms that nobody here is in.
        tell: tells a server what waits for it, in so many seconds at most.
    """

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        access: RoomAccess,
        standings: Standings,
        outside: OutsideMemberships,
        accepting: Accepting,
        arriving: Arriving,
        making: Making,
        remote: Remote,
        signatures: Signatures,
        identity: Identity,
        may_ask: Callable[[str], bool],
        endorsing: Endorsing,
        farewells: Farewells,
        tell: Callable[[str, float], Awaitable[None]],
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._access = access
        self._standings = standings
        self._outside = outside
        self._accepting = accepting
        self._arriving = arriving
        self._making = making
        self._remote = remote
        self._signatures = signatures
        self._identity = identity
        self._may_ask = may_ask
        self._endorsing = endorsing
        self._farewells = farewells
        self._tell = tell
        self._joining: dict[str, asyncio.Lock] = {}

    def can_reach(self, server: str) -> bool:
        """Whether this server talks with another one at all."""
        return self._may_ask(server)

    # Coming in ---------------------------------------------------------------------------------------------------

    async def join(self, user_id: str, room_id: str, content: Content, servers: Sequence[str]) -> None:
        """Let a local user into a room through another server; durable when this returns.

        Raises:
            MatrixError: ``M_NOT_FOUND`` where nobody is known who could be asked; what the other servers answered; 502
                ``M_UNKNOWN`` where none of them gave an answer that can be used.
        """
        lock = self._joining.setdefault(room_id, asyncio.Lock())
        try:
            async with lock:
                candidates = await self._candidates(user_id, room_id, servers)
                await self._in_turn(candidates, lambda server: self._join_by(server, user_id, room_id, content))
        finally:
            if not lock.locked():
                self._joining.pop(room_id, None)

    async def _join_by(self, server: str, user_id: str, room_id: str, content: Content) -> None:
        if await self._rooms.find(room_id) is not None:
            # Who is thought to be in the room still needs nobody to vouch for them, and that join counts nowhere else.
            await self._tell(server, TELL_SECONDS)
        version, template = await self._remote.template(server, "join", room_id, user_id)
        join = self._making.member(VERSIONS[version], template, content)
        answer = await self._remote.send(server, "join", room_id, join.event_id, join.pdu)
        state, chain = answer.get("state"), answer.get("auth_chain")
        if not isinstance(state, list) or not isinstance(chain, list) or answer.get("members_omitted") is True:
            raise Unreachable("Its answer to the join lacks the state of the room.")
        pdu = _signed_by_others(join, answer.get("event"))
        try:
            await self._arriving.arrive(Told(join.version, room_id, state, chain), pdu)
        except (Unacceptable, InvalidEvent) as problem:
            raise Unreachable(f"What it says of the room cannot be believed: {problem}") from problem

    # Knocking ----------------------------------------------------------------------------------------------------

    async def knock(self, user_id: str, room_id: str, content: Content, servers: Sequence[str]) -> None:
        """Let a local user knock at a room; raises as ``join``."""
        candidates = await self._candidates(user_id, room_id, servers)
        await self._in_turn(candidates, lambda server: self._knock_by(server, user_id, room_id, content))

    async def _knock_by(self, server: str, user_id: str, room_id: str, content: Content) -> None:
        version, template = await self._remote.template(server, "knock", room_id, user_id)
        knock = self._making.member(VERSIONS[version], template, content)
        answer = await self._remote.send(server, "knock", room_id, knock.event_id, knock.pdu)
        listed = answer.get("knock_room_state")
        listed = listed if isinstance(listed, list) else []
        whole, _ = await room_events(self._signatures, knock, listed)
        # Older servers send stripped events; what is malformed is left out by both.
        await self._outside.put(knock, [stripped(one) for one in whole] or loosely_stripped(listed), server)

    # Leaving -----------------------------------------------------------------------------------------------------

    async def leave(self, user_id: str, room_id: str, content: Content) -> None:
        """Let a local user reject an invitation, or take a knock back.

        Where no server takes it within a moment, it is told to them later (``farewells.py``).

        Raises:
            MatrixError: ``M_FORBIDDEN`` for somebody who has nothing to leave.
        """
        membership, present = self._standing(user_id, room_id)
        if present is None:
            raise forbidden("You are not in this room.")
        if membership not in ("invite", "knock"):
            return
        try:
            candidates = await self._candidates(user_id, room_id, ())
        except MatrixError:
            candidates = []  # nobody whom this server may ask
        await self._farewells.take(present, content, candidates)

    # Inviting ----------------------------------------------------------------------------------------------------

    async def invite(self, sender: str, room_id: str, user_id: str, content: Content) -> str:
        """Invite a user of another server into a room; that server signs before the room learns of it.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the sender may not; what the other server answered; 502 ``M_UNKNOWN``
                where it gave no good answer.
        """
        room = await self._rooms.joined(room_id, sender)
        server = server_of(user_id)
        if room.create.content.get("m.federate") is False:
            raise forbidden("This room is for people of this server only.")
        async with room.lock:
            event = self._making.on_head(room, sender, content, user_id)
        if self._endorsing.wants(room, room.published, event):
            event = await self._endorsing.endorse(room, event)
        shown = [one.pdu for one in outline(room, room.published, sender)]
        version = room.version.identifier
        try:
            answer = await self._remote.invite(server, version, room_id, event.event_id, event.pdu, shown)
        except (Refused, Unreachable) as problem:
            raise explained(problem, server) from problem
        pdu = _signed_by_others(event, answer, server)
        verdict = await self._accepting.accept(room_id, pdu, self._identity.server_name)
        row = event_rows.by_id(self._database, event.event_id)
        if verdict is Verdict.WAITING or row is None or row.rejected or row.soft_failed:
            raise forbidden("The room does not allow this any more.")
        return event.event_id

    async def silent(self, servers: Collection[str]) -> dict[str, MatrixError]:
        """Those of some servers that do not answer now, each with a 502 ``M_UNKNOWN`` that says so; all are asked at
        once.
        """

        async def ask(server: str) -> MatrixError | None:
            try:
                await self._remote.answers(server)
            except Unreachable as problem:
                return explained(problem, server)
            except Refused:
                pass  # whatever it says, it is there
            return None

        problems = await asyncio.gather(*map(ask, servers))
        return {server: one for server, one in zip(servers, problems, strict=True) if one is not None}

    # Whom to ask -------------------------------------------------------------------------------------------------

    async def room_of(self, alias: str) -> tuple[str, Sequence[str]]:
        """The id of the room behind another server's alias, and servers that know it.

        Raises:
            MatrixError: ``M_NOT_FOUND``; 502 ``M_UNKNOWN`` where that server gave no good answer.
        """
        server = server_of(alias)
        if not self._may_ask(server):
            raise not_found(f"No room is known by the alias {alias}, and this server cannot ask {server}.")
        try:
            room_id, servers = await self._remote.alias(server, alias)
        except (Refused, Unreachable) as problem:
            raise explained(problem, server) from problem
        return room_id, list(dict.fromkeys((*servers, server)))

    def _standing(self, user_id: str, room_id: str) -> tuple[str, Event | None]:
        """How a user stands to a room, and the event that says so."""
        history = self._standings.of(user_id).by_id(room_id)
        if history is None or not history.changes:
            return "leave", None
        change = history.changes[-1]
        return change.membership, self._making.event(change.event_nid)

    async def _candidates(self, user_id: str, room_id: str, servers: Sequence[str]) -> list[str]:
        """The servers that may know a room: those named, whoever invited, and those in it. Where none is named, those
        that were in it when we last knew, and as the last resort its maker's: ids say nothing reliable of where rooms
        are (appendices, "Routing").
        """
        found = list(servers)
        membership, event = self._standing(user_id, room_id)
        if event is not None and membership == "invite":
            found.append(server_of(event.sender))
        outside = self._outside.find(room_id, user_id)
        if outside is not None and outside.via:
            found.append(outside.via)
        here = self._identity.server_name
        room = await self._rooms.find(room_id)
        if room is not None and (not servers or self._access.is_in(room, here)):
            found.extend(self._access.servers(room))
        if ":" in room_id and not servers:
            found.append(server_of(room_id))
        candidates = [one for one in dict.fromkeys(found) if one != here and is_server_name(one) and self._may_ask(one)]
        if not candidates:
            raise not_found("This server does not know that room, and has nobody to ask for it.")
        return candidates[:MOST_SERVERS]

    async def _in_turn(self, servers: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> T:
        """Ask servers one after the other until one has an answer that is final."""
        failure: MatrixError | None = None
        for server in servers:
            try:
                return await ask(server)
            except Refused as refusal:
                failure = explained(refusal, server)
                if not _may_others_know(refusal):
                    raise failure from refusal
            except Unreachable as problem:
                log.info("%s could not be asked: %s", server, problem)
                failure = failure or explained(problem, server)
        raise failure or not_found("This server has nobody to ask for that room.")


def explained(problem: Refused | Unreachable, server: str) -> MatrixError:
    """What another server did, as a client is told it."""
    if isinstance(problem, Unreachable):
        return MatrixError("M_UNKNOWN", f"{server} could not be reached: {problem}", 502)
    if problem.errcode in ("M_MISSING_PARAM", "M_INVALID_PARAM") or problem.status >= 500 or problem.status == 401:
        return MatrixError("M_UNKNOWN", f"{server} did not take this: {problem.error}", 502)
    if problem.errcode in UNABLE:  # servers say that to each other only
        return forbidden(f"{server} cannot let you in: {problem.error}")
    return MatrixError(problem.errcode, problem.error, problem.status)


def _may_others_know(refusal: Refused) -> bool:
    """Whether another server may have another answer."""
    return refusal.is_fault or refusal.status in (401, 404, 405) or refusal.errcode in (*UNABLE, "M_UNRECOGNIZED")


def _signed_by_others(event: Event, answered: object, server: str | None = None) -> Content:
    """An event of ours with the signatures that another server added.

    Args:
        event: the event as it was sent there.
        answered: what came back, if anything did; only its signatures are looked at.
        server: who must have signed; anybody where none is named.

    Raises:
        MatrixError: 502 where that server did not sign.
    """
    signatures = dict(event.pdu["signatures"])
    found = answered.get("signatures") if isinstance(answered, dict) else None
    for name in found if isinstance(found, dict) else ():
        if name not in signatures and isinstance(name, str) and isinstance(answered, dict):
            signatures[name] = signing.signatures_of(answered, name)
    if server is not None and not signatures.get(server):
        raise MatrixError("M_UNKNOWN", f"{server} did not sign the invitation.", 502)
    return {**event.pdu, "signatures": signatures}


__all__ = ["MEMBER", "ThroughOthers", "explained"]
