"""Rejecting invitations of other servers, and taking knocks back, also while none of these servers answers.

A user is out as soon as they want to be. Where the room's servers do not take that within a moment, it is noted here
alone, and in the same unit that they are to be told: when one of them is heard of again, and ever more seldom
otherwise, for a month at most. Should the user come to stand to the room in another way meanwhile (they are invited
anew, or join), there is nothing more to be told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from appliance.errors import MatrixError
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.making import Making
from appliance.federation.remote import Remote
from appliance.federation.standing import Standing, wait_ms
from appliance.protocol.events import Event
from appliance.protocol.versions import VERSIONS
from appliance.rooms.outside import OutsideMemberships
from appliance.rooms.standings import Standings
from appliance.storage import farewells as rows
from appliance.storage.database import Database
from appliance.storage.farewells import Farewell

log = logging.getLogger("hearth.federation")

PROMPT_SECONDS = 3.0
"""For which a user waits for other servers to take a leave; after that it is told to them later."""
KEPT_MS = 30 * 24 * 3_600_000
MOST_ATTEMPTS = 80
AT_ONCE = 4
"""Servers that are told at a time."""
LOOK_SECONDS = 3600.0
"""The longest time until the next look, so that a clock that was set does no harm."""
AFTER_FAULT = 60.0
Leave = Callable[[str, str, str | None], Awaitable[None]]
Content = dict[str, Any]


class Farewells:
    """Takes leave for users, and tells it.

    Args:
        database: where is kept what is not told yet.
        standings: how users stand to rooms.
        outside: the same for rooms that nobody here is in.
        making: makes memberships.
        remote: asks other servers.
        standing: how it goes with them.
        may_ask: whether this server talks with another one.
        leave: lets a user leave a room that is followed here: who, which, and why.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(
        self,
        database: Database,
        standings: Standings,
        outside: OutsideMemberships,
        making: Making,
        remote: Remote,
        standing: Standing,
        may_ask: Callable[[str], bool],
        leave: Leave,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._standings = standings
        self._outside = outside
        self._making = making
        self._remote = remote
        self._standing = standing
        self._may_ask = may_ask
        self._leave = leave
        self._now_ms = now_ms
        self._waiting: dict[tuple[str, str], Farewell] = {}
        self._again = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        standing.recovered.append(self._heard_of)

    # The life of the whole -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Go on with what was not told before a restart; each is tried now, as far as its server is not left alone."""
        for farewell in rows.all_of(self._database):
            self._waiting[farewell.room_id, farewell.user_id] = replace(farewell, next_ts=0)
        self._task = asyncio.get_running_loop().create_task(self._work(), name="farewells")

    async def stop(self) -> None:
        """Tell no more; what is not told stays for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # Leaving -------------------------------------------------------------------------------------------------------

    async def take(self, present: Event, content: Content, servers: Sequence[str]) -> None:
        """Let a user reject an invitation, or take a knock back; durable when this returns.

        Args:
            present: the invitation or the knock.
            content: of the leave.
            servers: who may know the room.
        """
        user_id, room_id = present.state_key or "", present.room_id
        event, untold = None, bool(servers)
        if not all(self._standing.wait_ms(server) for server in servers):
            try:
                async with asyncio.timeout(PROMPT_SECONDS):
                    event = await self._tell(servers, user_id, room_id, content, urgent=True)
            except (TimeoutError, Unreachable) as problem:
                log.info("%s leaves %s, and no server of it can be told yet: %s", user_id, room_id, problem)
            except (Refused, MatrixError) as problem:
                untold = False
                log.info("%s leaves %s without any other server's agreeing: %s", user_id, room_id, problem)
        if event is not None:
            await self._outside.put(event)
            return
        alone = self._making.alone(present, content)
        if not untold:
            await self._outside.put(alone)
            return
        now, said = self._now_ms(), orjson.dumps(content).decode()
        ids = (room_id, user_id, alone.event_id, present.event_id)
        farewell = Farewell(*ids, said, " ".join(servers), now, 1, self._next(servers, 1))
        await self._outside.put(alone, also=lambda tx: rows.put(tx, farewell))
        if len(self._waiting) < rows.MOST:
            self._waiting[room_id, user_id] = farewell
        self._again.set()

    # Telling -------------------------------------------------------------------------------------------------------

    async def _tell(
        self,
        servers: Sequence[str],
        user_id: str,
        room_id: str,
        content: Content,
        *,
        urgent: bool = False,
        still: Callable[[], bool] = lambda: True,
    ) -> Event | None:
        """Tell the first server that takes it; None where it is not wanted any more.

        Raises:
            Refused: where one said no, or all that answered did not know the room.
            Unreachable: where another one may take it later.
            MatrixError: where no such event can be made.
        """
        refusal: Refused | None = None
        silence: Unreachable | None = None
        for server in servers:
            try:
                version, template = await self._remote.template(server, "leave", room_id, user_id, urgent=urgent)
                leave = self._making.member(VERSIONS[version], template, content)
                if not still():
                    return None
                await self._remote.send(server, "leave", room_id, leave.event_id, leave.pdu, urgent=urgent)
            except Unreachable as problem:
                silence = silence or problem
            except Refused as problem:
                if not problem.is_judgement:
                    silence = silence or Unreachable(f"It answered {problem.status}: {problem.error}")
                elif problem.status == 404:
                    refusal = problem
                else:
                    raise
            else:
                return leave
        raise silence or refusal or Unreachable("Nobody can be asked.", local=True)

    def _next(self, servers: Sequence[str], attempts: int) -> int:
        """When some servers are told again after so many attempts: when the first of them is not left alone any more,
        and not too often, also where one answers that does not take it.
        """
        rest = min((self._standing.wait_ms(server) for server in servers), default=0)
        return self._now_ms() + max(rest, wait_ms(attempts))

    def _heard_of(self, server: str) -> None:
        """A server is back: tell it what it lacks."""
        for key, farewell in self._waiting.items():
            if server in farewell.servers.split(" "):
                self._waiting[key] = replace(farewell, next_ts=0)
                self._again.set()

    async def _work(self) -> None:
        while True:
            self._again.clear()
            seconds = LOOK_SECONDS
            try:
                await self._tell_what_is_due()
            except Exception:
                log.exception("What users left could not all be told to other servers.")
                seconds = AFTER_FAULT
            else:
                due = min((one.next_ts for one in self._waiting.values()), default=None)
                if due is not None:
                    seconds = min(seconds, max(0.0, (due - self._now_ms()) / 1000) + 0.001)
            try:
                async with asyncio.timeout(seconds):
                    await self._again.wait()
            except TimeoutError:
                continue

    async def _tell_what_is_due(self) -> None:
        now = self._now_ms()
        by_server: dict[str, list[Farewell]] = {}
        for farewell in self._waiting.values():
            if farewell.next_ts <= now:
                by_server.setdefault(farewell.servers.partition(" ")[0], []).append(farewell)
        limit = asyncio.Semaphore(AT_ONCE)

        async def to_one(due: Sequence[Farewell]) -> None:
            async with limit:
                for farewell in due:
                    await self._settle(farewell)

        async with asyncio.TaskGroup() as group:
            for due in by_server.values():
                group.create_task(to_one(due))

    async def _settle(self, farewell: Farewell) -> None:
        """Try once."""
        servers = [server for server in farewell.servers.split(" ") if self._may_ask(server)]
        try:
            await self._tried(farewell, servers)
        except Unreachable as problem:
            attempts = farewell.attempts + (not problem.local)
            if attempts <= MOST_ATTEMPTS and self._now_ms() - farewell.since_ts < KEPT_MS:
                later = replace(farewell, attempts=attempts, next_ts=self._next(servers, attempts))
                if self._waiting.get((farewell.room_id, farewell.user_id)) is farewell:  # nothing came meanwhile
                    self._waiting[farewell.room_id, farewell.user_id] = later
                    await self._database.write(lambda tx: rows.failed(tx, later))
                return
            log.warning("Nobody will be told that %s left %s: %s", farewell.user_id, farewell.room_id, problem)
        except (Refused, MatrixError) as problem:
            log.info("That %s left %s is not taken: %s", farewell.user_id, farewell.room_id, problem)
        await self._database.write(lambda tx: rows.drop(tx, farewell))
        if self._is_kept(farewell):
            del self._waiting[farewell.room_id, farewell.user_id]

    async def _tried(self, farewell: Farewell, servers: Sequence[str]) -> None:
        user_id, room_id = farewell.user_id, farewell.room_id
        content = orjson.loads(farewell.content)
        present = self._present(farewell)
        if present == farewell.rejected_id:
            # Somebody here has come into the room, whose state still has the user in it.
            await self._leave(user_id, room_id, content.get("reason"))
        elif present in ("", farewell.event_id):
            still = lambda: self._present(farewell) in ("", farewell.event_id)  # noqa: E731
            if await self._tell(servers, user_id, room_id, content, still=still) is not None:
                log.info("That %s left %s is told now.", user_id, room_id)

    def _present(self, farewell: Farewell) -> str:
        """The id of the event by which the user stands to the room; "" where nothing is known of that any more."""
        history = self._standings.of(farewell.user_id).by_id(farewell.room_id)
        return self._making.event(history.changes[-1].event_nid).event_id if history and history.changes else ""

    def _is_kept(self, farewell: Farewell) -> bool:
        """Whether no other leave of the same user has taken its place."""
        kept = self._waiting.get((farewell.room_id, farewell.user_id))
        return kept is not None and kept.event_id == farewell.event_id
