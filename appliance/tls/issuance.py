"""Obtaining a certificate and renewing it: when to order, what to do after a failure, what the owner sees of it.

One task does it all, so that no two orders are ever on their way: it looks whether a certificate is needed (again, each
time: the one that was stored meanwhile may do), orders if one is due, and sleeps until something is.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from appliance.accounts.clock import Clock, wall_clock
from appliance.errors import OwnerError
from appliance.settings import LETS_ENCRYPT, Settings
from appliance.storage import certificates as rows
from appliance.storage.certificates import Attempts
from appliance.storage.database import Database
from appliance.tls import ladder, problems
from appliance.tls.certificate import Certificate, covers
from appliance.tls.challenges import Challenges
from appliance.tls.ordering import Ordering
from appliance.tls.orders import Authority, OrderError
from appliance.tls.progress import Board, Progress, State
from appliance.tls.store import Certificates

log = logging.getLogger("hearth.tls")

REHEARSALS = {LETS_ENCRYPT: "https://acme-staging-v02.api.letsencrypt.org/directory"}
"""ACME directory → that of its test system, whose limits are generous: an order that follows a failed one goes there
first, and to the real one only if that succeeds."""

LOOK_EVERY = 10 * ladder.MINUTE
"""The loop looks at least this often: clocks jump, machines sleep, the owner's files change."""
AFTER_RESTART = ladder.MINUTE
"""The longest wait after a start: a restart is often what the owner did to mend things."""
AFTER_BUTTON = 10 * ladder.SECOND
"""How soon after a failed order the owner may have another one placed."""
ASK_AGAIN_AFTER_FAILURE = ladder.HOUR
"""When to ask for renewal information again that could not be had."""


class _Wanted(NamedTuple):
    """What is to be ordered, and where."""

    directory: str
    names: tuple[str, ...]


class Issuance:
    """Orders certificates, in mode acme, and looks after the others.

    Args:
        database: where accounts and failed attempts are kept.
        settings: read at use.
        certificates: gets what was issued.
        challenges: gets the answers that the http listener gives.
        authority: carries out orders; by default by ACME, loaded in the thread of the first order.
        rehearsals: see ``REHEARSALS``.
        clock: the time.
        chance: a number from 0 to 1, drawn by lot.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        certificates: Certificates,
        challenges: Challenges,
        *,
        authority: Authority | None = None,
        rehearsals: Mapping[str, str] = REHEARSALS,
        clock: Clock = wall_clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._settings = settings
        self._certificates = certificates
        self._ordering = Ordering(database, settings, challenges, authority)
        self._rehearsals = rehearsals
        self._clock = clock
        self._chance = chance
        self._board = Board()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._attempts: Attempts | None = None
        self._last_failure = 0
        self._rest_until = 0

    # What others see and do ------------------------------------------------------------------------------------------

    @property
    def progress(self) -> Progress:
        """How it stands now."""
        return self._board.progress

    async def changed(self, seen: Progress) -> Progress:
        """Wait until the progress is another than the one that was seen."""
        return await self._board.changed(seen)

    async def settled(self) -> Progress:
        """Wait until no order is on its way."""
        while self.progress.state == "ordering":
            await self._board.changed(self.progress)
        return self.progress

    def start(self) -> None:
        """Begin to look after the certificate: once the set-up is finished, or its answers ask for one. Idempotent.

        A good certificate that is stored is used, and nothing is ordered.
        """
        if self._task is not None:
            return
        self._attempts = rows.attempts(self._database)
        if self._attempts is not None:
            soon = max(self._attempts.not_before, self._clock() + AFTER_RESTART)
            self._attempts = msgspec.structs.replace(
                self._attempts, next_attempt=min(self._attempts.next_attempt, soon)
            )
        self._task = asyncio.get_running_loop().create_task(self._run(), name="certificates")

    async def stop(self) -> None:
        """Stop looking after it. An order that is on its way ends before its next request to the authority."""
        self._ordering.stop()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def order_now(self) -> None:
        """Order a certificate now if one is needed, instead of waiting for the next attempt. Returns at once; the
        course is told by ``progress``.

        Shortly after a failed order it waits a few seconds, and where the authority said when to come back it waits
        until then: ``progress.next_attempt`` says so.
        """
        self.start()
        wanted = self._wanted()
        if wanted is None or self.progress.state == "ordering":
            return
        now = due = self._clock()
        failed = self._failed(wanted)
        if failed is not None:
            due = max(now, failed.not_before, self._last_failure + AFTER_BUTTON)
            self._attempts = msgspec.structs.replace(failed, next_attempt=due)
            self._board.change(next_attempt=due)
        if due <= now and not self._is_good(wanted):
            self._begin(wanted, rehearsal=False)
        self.look()

    def look(self) -> None:
        """Look now whether there is something to do: after a change of settings."""
        self._wake.set()

    # The loop --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                due = await self._turn()
            except Exception as error:
                log.exception("Looking after the certificate failed; the next look is in ten minutes.")
                due = self._clock() + LOOK_EVERY
                if self.progress.state == "ordering":
                    failure = problems.explain(OrderError("crashed", detail=repr(error)), self._settings.tls_directory)
                    self._board.change(state="waiting", current="", failure=failure, next_attempt=due)
            wait = min(max(due - self._clock(), 0), LOOK_EVERY) / 1000
            # Not wait_for: before Python 3.12 that loses a cancellation that comes together with the wake.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _turn(self) -> int:
        """Do what is due. Gives the time at which something else will be."""
        wanted = self._wanted()
        if wanted is None:
            self._board.show(Progress(state="idle"))
            await self._certificates.refresh()
            return self._clock() + LOOK_EVERY
        if not self._is_good(wanted):
            await self._certificates.load()
        current = self._certificates.current()
        if current is not None and self._is_good(wanted):
            if (current.check_at or 0) <= self._clock() < current.not_after:
                current = await self._ask_renewal_time(current)
            due = ladder.renewal_time(current)
            if self._clock() < due:
                if self.progress.state != "done" or self.progress.names != wanted.names:
                    self._board.show(self._plain(wanted, "done"))
                return min(due, current.check_at or due)
            if self._clock() < self._rest_until:
                return self._rest_until
        failed = self._failed(wanted)
        if failed is None or self._clock() >= failed.next_attempt:
            await self._attempt(wanted, failed)
            return self._clock()
        if self.progress.state == "idle":  # the failure was before the last start
            state: State = "failed" if failed.lasting else "waiting"
            self._board.show(self._plain(wanted, state))
            self._board.change(failure=failed.failure, detail=failed.detail, next_attempt=failed.next_attempt)
        return failed.next_attempt

    def _wanted(self) -> _Wanted | None:
        names = tuple(name for name in self._settings.certificate_names if name)
        if self._settings.tls_mode != "acme" or not names:
            return None
        return _Wanted(self._settings.tls_directory, names)

    def _is_good(self, wanted: _Wanted) -> bool:
        """Whether the certificate in use is the right one, be it due for renewal or not."""
        current = self._certificates.current()
        return (
            current is not None
            and current.source == "acme"
            and current.directory == wanted.directory
            and covers(current, wanted.names)
        )

    def _failed(self, wanted: _Wanted) -> Attempts | None:
        """The attempts that failed at just this."""
        failed = self._attempts
        return failed if failed and (failed.directory, failed.names) == tuple(wanted) else None

    async def _ask_renewal_time(self, current: Certificate) -> Certificate:
        """Ask when to renew, and keep the answer."""
        renew_at = current.renew_at
        try:
            window = await self._ordering.renewal_window(current)
        except OrderError as problem:
            log.info("Renewal information could not be had: %s", problem)
            check_at = self._clock() + ASK_AGAIN_AFTER_FAILURE
        else:
            check_at = ladder.next_check(self._clock(), window.retry_after if window else None)
            renew_at = ladder.within_window(window.start, window.end, renew_at, self._chance()) if window else None
        return await self._certificates.schedule(current, renew_at, check_at)

    # One attempt -----------------------------------------------------------------------------------------------------

    async def _attempt(self, wanted: _Wanted, failed: Attempts | None) -> None:
        """Place one order and put what comes of it into use."""
        directory = wanted.directory
        rehearsal = self._rehearsals.get(directory) if failed else None
        try:
            if rehearsal:
                directory = rehearsal
                self._begin(wanted, rehearsal=True)
                await self._ordering.obtain(rehearsal, wanted.names, None, self._told)
                directory = wanted.directory
            self._begin(wanted, rehearsal=False)
            current = self._certificates.current()
            replaces = current.chain_pem if current and self._is_good(wanted) else None
            issued = await self._ordering.obtain(directory, wanted.names, replaces, self._told)
            await self._certificates.put(issued)
            if self._clock() >= ladder.renewal_time(issued):
                raise OrderError("clock")  # else one order would follow the other, and soon use up what we may order
            await self._remember(None)
        except OrderError as problem:
            await self._note_failure(wanted, problem, problems.explain(problem, directory))
            return
        except OwnerError as error:
            await self._note_failure(wanted, OrderError("storage", detail=error.message), error.message)
            return
        log.info("A certificate for %s was issued.", ", ".join(wanted.names))
        # Should the authority want the new one replaced as well (renewal information), then not without a pause.
        self._rest_until = self._clock() + min((issued.not_after - issued.not_before) // 4, ladder.HOUR)
        steps = (*self.progress.steps, "The certificate is in use.")
        self._board.show(msgspec.structs.replace(self._plain(wanted, "done"), steps=steps))

    async def _note_failure(self, wanted: _Wanted, problem: OrderError, sentence: str) -> None:
        """Climb the ladder, and say what happened."""
        now = self._last_failure = self._clock()
        earlier = self._failed(wanted)
        failures = earlier.failures + 1 if earlier else 1
        first = earlier.first if earlier else now
        lasting = problem.kind in problems.LASTING
        wait = ladder.DAY if lasting else ladder.wait_after(failures, now - first)
        not_before = now + round((problem.retry_after or 0) * ladder.SECOND)
        attempts = Attempts(
            directory=wanted.directory,
            names=wanted.names,
            failures=failures,
            first=first,
            next_attempt=max(now + wait, not_before),
            not_before=not_before,
            failure=sentence,
            detail=problem.detail,
            lasting=lasting,
        )
        await self._remember(attempts)
        log.warning("No certificate for %s. %s (%s)", ", ".join(wanted.names), sentence, problem)
        self._board.change(
            state="failed" if lasting else "waiting",
            current="",
            failure=sentence,
            detail=problem.detail,
            next_attempt=attempts.next_attempt,
        )

    async def _remember(self, attempts: Attempts | None) -> None:
        """Keep how many orders failed, over a restart too if the disk allows."""
        before, self._attempts = self._attempts, attempts
        if attempts or before:
            try:
                await self._database.write(lambda tx: rows.save_attempts(tx, attempts))
            except OwnerError as error:
                log.warning("The failed order could not be noted: %s", error.message)

    # Progress --------------------------------------------------------------------------------------------------------

    def _plain(self, wanted: _Wanted, state: State, *, rehearsal: bool = False) -> Progress:
        current = self._certificates.current()
        return Progress(
            state=state,
            names=wanted.names,
            authority=problems.authority_name(self._rehearsals[wanted.directory] if rehearsal else wanted.directory),
            rehearsal=rehearsal,
            not_after=current.not_after if current and self._is_good(wanted) else None,
        )

    def _begin(self, wanted: _Wanted, *, rehearsal: bool) -> None:
        """An order begins. What went wrong last stays to be seen until this one is decided."""
        before = self.progress
        self._board.show(
            msgspec.structs.replace(
                self._plain(wanted, "ordering", rehearsal=rehearsal),
                steps=("The rehearsal succeeded.",) if before.rehearsal and before.state == "ordering" else (),
                current="Starting.",
                failure=before.failure,
                detail=before.detail,
            )
        )

    def _told(self, done: str, now: str) -> None:
        steps = (*self.progress.steps, done) if done else self.progress.steps
        self._board.change(steps=steps, current=now or self.progress.current)
