"""The opaque tokens that clients hold, made and read here alone.

Each has a letter for its kind and a digit for its version. Two are about events:

- a sync token, ``s1_<position>_<to-device>_<boot>_<serial>``: everything up to a position of the stream was told, plus
  two side cursors (to-device messages, which are delivered a hundred at a time, and the serial of what lives in memory
  alone, which counts only while the boot is the same), and where members are lazily loaded ``_<chain>``: which answers
  it follows;
- a history token, ``t1_<ordering>_<position>``: a point between two events of a room's history, just after the event
  with that ordering and position; with ``_<upto>`` of a history to which belongs only what had arrived by that position
  of the stream: what came later was told already, wherever it stands.

Every endpoint that takes a token of events takes both kinds: ``read`` says which it is.

A connection token, ``c1_<connection>_<generation>_<position>_<boot>_<serial>``, is what sliding sync gives out: as a
sync token, and what the connection had told by then. It means its position wherever a token of events is taken.

A token of notifications, ``e1_<position>``, is a place in the list of what a user was notified of.

A token of an inbox, ``d1_<position>``, is how far the messages to a dehydrated device were read.

A directory token, ``n1_<joined>_<room number>`` or ``p1_…``, is a place in the list of published rooms, ordered by how
many are in them: what comes after it (n) or before it (p). A search token, ``f1_…``, is a place in what was found.
"""

import re

from msgspec import Struct

from appliance.errors import invalid_param

_SYNC = re.compile(r"s1_(\d{1,18})_(\d{1,18})_(\d{1,18})_(\d{1,18})(?:_(\d{1,18}))?", re.ASCII)
_HISTORY = re.compile(r"t1_(\d{1,18})_(-?\d{1,18})(?:_(\d{1,18}))?", re.ASCII)
_CONNECTION = re.compile(r"c1_(\d{1,18})_(\d{1,18})_(\d{1,18})_(\d{1,18})_(\d{1,18})", re.ASCII)
_NOTIFICATIONS = re.compile(r"e1_(\d{1,18})", re.ASCII)
_INBOX = re.compile(r"d1_(\d{1,18})", re.ASCII)
_DIRECTORY = re.compile(r"([np])1_(\d{1,18})_(\d{1,18})", re.ASCII)
_SEARCH = re.compile(r"f1_(-?\d{1,18})_(\d{1,9})_(\d{1,18})_([0-9a-f]{0,510})", re.ASCII)


class SyncToken(Struct, frozen=True):
    """How far a client was told: position, to-device position, boot number, serial of what lives in memory, chain."""

    position: int
    to_device: int = 0
    boot: int = 0
    serial: int = 0
    chain: int = 0

    def __str__(self) -> str:
        """The token as sent."""
        text = f"s1_{self.position}_{self.to_device}_{self.boot}_{self.serial}"
        return f"{text}_{self.chain}" if self.chain else text


class HistoryToken(Struct, frozen=True):
    """A point in the history of a room: just after (ordering, position). Read backwards from there, the history is what
    had arrived by ``upto``, a position of the stream; without one, all that is there.
    """

    ordering: int
    position: int
    upto: int | None = None

    def __str__(self) -> str:
        """The token as sent."""
        text = f"t1_{self.ordering}_{self.position}"
        return text if self.upto is None else f"{text}_{self.upto}"


class ConnectionToken(Struct, frozen=True):
    """How far a connection of sliding sync was told: its number, the generation of its memory, and a sync token."""

    connection_nid: int
    generation: int
    position: int
    boot: int = 0
    serial: int = 0

    @property
    def sync(self) -> SyncToken:
        """The same place in the stream as a sync token."""
        return SyncToken(self.position, boot=self.boot, serial=self.serial)

    def __str__(self) -> str:
        """The token as sent."""
        return f"c1_{self.connection_nid}_{self.generation}_{self.position}_{self.boot}_{self.serial}"


class InboxToken(Struct, frozen=True):
    """How far the messages of a device were told that does not sync: a position."""

    position: int

    def __str__(self) -> str:
        """The token as sent."""
        return f"d1_{self.position}"


class DirectoryToken(Struct, frozen=True):
    """A place in the list of published rooms, that of a room with so many members, and which way to go from there."""

    joined: int
    room_nid: int
    backwards: bool = False

    def __str__(self) -> str:
        """The token as sent."""
        return f"{'p' if self.backwards else 'n'}1_{self.joined}_{self.room_nid}"


def notifications_token(position: int) -> str:
    """A place in the list of notifications: what is at or before a position."""
    return f"e1_{position}"


def read_notifications(token: str) -> int:
    """Read a token of the list of notifications; raises as ``read``."""
    match = _NOTIFICATIONS.fullmatch(token)
    if match is None:
        raise invalid_param("This token was not made by this server. Start again without it.")
    return int(match[1])


def read(token: str) -> SyncToken | HistoryToken:
    """Read a token of either kind.

    Raises:
        MatrixError: ``M_INVALID_PARAM`` for anything that this server did not make.
    """
    match = _SYNC.fullmatch(token)
    if match:
        return SyncToken(*(int(number or 0) for number in match.groups()))
    match = _HISTORY.fullmatch(token)
    if match:
        return HistoryToken(int(match[1]), int(match[2]), None if match[3] is None else int(match[3]))
    match = _CONNECTION.fullmatch(token)
    if match:
        return ConnectionToken(*map(int, match.groups())).sync
    raise invalid_param("This token was not made by this server. Start again without it.")


def read_sync(token: str) -> SyncToken:
    """Read a token where only sync's own makes sense."""
    found = read(token)
    if not isinstance(found, SyncToken):
        raise invalid_param("This token is not one of sync's. Start again without it.")
    return found


def read_connection(token: str) -> ConnectionToken | None:
    """Read a token of sliding sync; None for anything else."""
    match = _CONNECTION.fullmatch(token)
    return None if match is None else ConnectionToken(*map(int, match.groups()))


def read_directory(token: str) -> DirectoryToken:
    """Read a token of the list of published rooms; raises as ``read``."""
    match = _DIRECTORY.fullmatch(token)
    if match is None:
        raise invalid_param("This token was not made by this server. Start again without it.")
    return DirectoryToken(int(match[2]), int(match[3]), match[1] == "p")


def read_inbox(token: str) -> InboxToken:
    """Read a token of a dehydrated device's messages; raises as ``read``."""
    match = _INBOX.fullmatch(token)
    if match is None:
        raise invalid_param("This token was not made by this server. Start again without it.")
    return InboxToken(int(match[1]))


class SearchToken(Struct, frozen=True):
    """A place in the results of a search.

    Args:
        below: only what is below that position of the stream.
        offset: how many of the best were told.
        room_nid: only results of that room; 0 for all.
        sender: only results by that user; empty for all.
    """

    below: int
    offset: int = 0
    room_nid: int = 0
    sender: str = ""

    def __str__(self) -> str:
        """The token as sent."""
        return f"f1_{self.below}_{self.offset}_{self.room_nid}_{self.sender.encode().hex()}"


def read_search(token: str) -> SearchToken:
    """Read a token of the results of a search; raises as ``read``."""
    match = _SEARCH.fullmatch(token)
    if match is None:
        raise invalid_param("This token was not made by this server. Start again without it.")
    try:
        sender = bytes.fromhex(match[4]).decode()
    except ValueError as error:
        raise invalid_param("This token was not made by this server. Start again without it.") from error
    return SearchToken(int(match[1]), int(match[2]), int(match[3]), sender)
