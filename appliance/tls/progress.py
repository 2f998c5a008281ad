"""How the certificate is coming along, as the wizard shows it."""

import asyncio
from typing import Any, Literal

import msgspec
from msgspec import Struct

State = Literal["idle", "ordering", "waiting", "failed", "done"]


class Progress(Struct, frozen=True, kw_only=True):
    """One moment of the certificate's life. A new object for every change.

    Args:
        state: ``idle``: none is to be ordered, or nothing was looked at yet. ``ordering``: an order is on its way.
            ``waiting``: the last one failed and another will follow by itself. ``failed``: the last one failed, and
            most likely the owner has to change something first. ``done``: a good certificate is in use.
        names: what the certificate is for.
        authority: what people call the authority, such as "Let's Encrypt".
        rehearsal: whether the order goes to the authority's test system, as every order after a failed one does first.
        steps: what was done in this order, a sentence each.
        current: what is being done now, a sentence; "" between orders.
        failure: what went wrong, what it means and what to do; kept while the next order is on its way.
        detail: the authority's own words on that, for those who can use them.
        next_attempt: when the next order follows (ms since 1970).
        not_after: until when the ordered certificate in use is valid (ms since 1970); None if there is none.
    """

    state: State
    names: tuple[str, ...] = ()
    authority: str = ""
    rehearsal: bool = False
    steps: tuple[str, ...] = ()
    current: str = ""
    failure: str = ""
    detail: str = ""
    next_attempt: int | None = None
    not_after: int | None = None


class Board:
    """Where the progress is written and read. Used on the loop only."""

    def __init__(self) -> None:
        self.progress = Progress(state="idle")
        """How it stands now; written by ``show`` and ``change``."""
        self._changed = asyncio.Event()

    def show(self, progress: Progress) -> None:
        """This is how it stands from now on."""
        if progress == self.progress:
            return
        self.progress = progress
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def change(self, **changes: Any) -> None:
        """Only these fields are different from now on."""
        self.show(msgspec.structs.replace(self.progress, **changes))

    async def changed(self, seen: Progress) -> Progress:
        """Wait until the progress is another than the one that was seen."""
        while self.progress == seen:
            await self._changed.wait()
        return self.progress
