"""Which requests sent messages to devices lately, so that the same one again does nothing.

The row of a request's messages names it, and is kept until the messages are fetched or put away: as long as that, the
request is known here. From then on it is in a table of its own, for a week.
"""

from collections.abc import Iterable

Request = tuple[str, str, str, str]
"""User, device, type, and the client's id of the request."""


class SentRequests:
    """The requests that the rows of lately sent messages name, and those on their way.

    Args:
        found: (position, request) of the rows.
    """

    def __init__(self, found: Iterable[tuple[int, Request]]) -> None:
        self._positions = {request: position for position, request in found}
        self._underway: set[Request] = set()

    def is_known(self, request: Request) -> bool:
        """Whether it was served."""
        return request in self._positions

    def is_underway(self, request: Request) -> bool:
        """Whether it is in a unit of which nobody knows yet what comes of it."""
        return request in self._underway

    def begin(self, request: Request) -> None:
        """It goes into a unit."""
        self._underway.add(request)

    def end(self, request: Request) -> None:
        """Its unit is over, well or not."""
        self._underway.discard(request)

    def served(self, request: Request, position: int) -> None:
        """The row that names it is being published."""
        self._positions[request] = position

    def drop(self, before: int) -> None:
        """The rows before a position are gone, which is being published."""
        gone = []
        for request, position in self._positions.items():  # in the order of their positions
            if position >= before:
                break
            gone.append(request)
        for request in gone:
            del self._positions[request]

    def forget(self, user_id: str, device_id: str) -> None:
        """A device is gone: what a new one of its name sends is another request."""
        for request in [one for one in self._positions if one[0] == user_id and one[1] == device_id]:
            del self._positions[request]
