"""How many notifications of a room a user has not read, by thread (module "Push notifications", "Receiving
notifications").

What was counted once is kept in memory and goes on with each event, so that a sync of a known room costs a look. Else
it is counted from the rows: those after the user's receipts, their own messages and their coming into the room.
"""

from collections import deque
from collections.abc import Collection, Mapping

from msgspec import Struct

from appliance.accounts.ignored import Ignored
from appliance.accounts.push_rules import PushRules
from appliance.protocol import canonical
from appliance.protocol.push_ruleset import Changes, in_room
from appliance.rooms.standings import History, Standings
from appliance.storage import notifications as rows
from appliance.storage.database import Database, Reads
from appliance.storage.lru import Lru
from appliance.storage.notifications import PersonalRow, Shared
from appliance.storage.push_rules import former_push_rules

TALLIES_KEPT = 20_000
ROOMS_KEPT = 500
RECENT = 64
"""Events of a room that are remembered so that counts go on without reading."""


class Notice(Struct, frozen=True):
    """An event that notifies somebody.

    Args:
        thread: the root of its thread, empty for the main timeline.
        sender: who sent it.
        shared: by the number of rules whether it stands out for all who have them.
        personal: by user the notifications and highlights to add to that.
    """

    thread: str
    sender: str
    shared: Mapping[int, bool]
    personal: Mapping[str, tuple[int, int]]


def notice(thread: str, sender: str, shared: Collection[Shared], personal: Collection[PersonalRow]) -> Notice:
    """The notice of what is stored."""
    return Notice(
        thread,
        sender,
        {one.rules: one.highlight for one in shared},
        {one.user_id: (one.notify - one.rest_notify, one.highlight - one.rest_highlight) for one in personal},
    )


class Unread(Struct, frozen=True):
    """How much is unread: notifications, and those of them that stand out."""

    notifications: int = 0
    highlights: int = 0

    def told(self) -> dict[str, int]:
        """As a sync tells it."""
        return {"highlight_count": self.highlights, "notification_count": self.notifications}


class Tally(Struct, frozen=True):
    """What a user has not read of a room: the main timeline, and by root each thread in which there is something."""

    main: Unread = Unread()
    threads: Mapping[str, Unread] = {}

    def all(self) -> Unread:
        """Of the room as a whole."""
        parts = (self.main, *self.threads.values())
        return Unread(sum(one.notifications for one in parts), sum(one.highlights for one in parts))


class ReadPoints(Struct, frozen=True):
    """Up to which positions a user has read a room.

    Args:
        whole: everything in it.
        parts: by thread, empty for the main timeline, where that is further.
    """

    whole: int
    parts: Mapping[str, int]

    def of(self, thread: str) -> int:
        """Up to where one thread is read."""
        return max(self.whole, self.parts.get(thread, 0))


class _Kept:
    """A count in memory: by thread, up to a position, for certain rules and with certain users ignored."""

    __slots__ = ("counts", "epoch", "ignored", "rules", "tally", "upto")

    def __init__(self, upto: int, rules: int, ignored: frozenset[str], epoch: int) -> None:
        self.epoch = epoch
        self.upto = upto
        self.rules = rules
        self.ignored = ignored
        self.counts: dict[str, list[int]] = {}
        self.tally: Tally | None = None

    def add(self, thread: str, notifications: int, highlights: int) -> None:
        """Count more, or less."""
        counted = self.counts.setdefault(thread, [0, 0])
        counted[0] += notifications
        counted[1] += highlights
        self.tally = None

    def empty(self, thread: str) -> None:
        """Count nothing of a thread any more."""
        self.counts.pop(thread, None)
        self.tally = None

    def result(self) -> Tally:
        """What it comes to."""
        if self.tally is None:
            parts = {thread: Unread(max(0, one), max(0, other)) for thread, (one, other) in self.counts.items()}
            main = parts.pop("", Unread())
            self.tally = Tally(main, {thread: part for thread, part in parts.items() if part.notifications})
        return self.tally


class _Recent:
    """The latest notices of a room: all after a position."""

    __slots__ = ("after", "notices")

    def __init__(self, after: int) -> None:
        self.after = after
        self.notices: deque[tuple[int, Notice]] = deque()

    def add(self, position: int, one: Notice) -> None:
        """Take in another."""
        self.notices.append((position, one))
        if len(self.notices) > RECENT:
            self.after = self.notices.popleft()[0]


class Counts:
    """Counts what is unread.

    Args:
        database: where the rows are.
        push_rules: everybody's rules.
        ignored: whom they ignore: what those say is not counted.
        standings: since when they are in their rooms.
    """

    def __init__(self, database: Database, push_rules: PushRules, ignored: Ignored, standings: Standings) -> None:
        self._database = database
        self._push_rules = push_rules
        self._ignored = ignored
        self._standings = standings
        self._kept: Lru[tuple[str, int], _Kept] = Lru(TALLIES_KEPT)
        self._recent: Lru[int, _Recent] = Lru(ROOMS_KEPT)
        self._last: dict[int, int] = {}
        """The position of each room's last notice, of those since the start."""
        self._epochs: dict[int, int] = {}
        """How often each room was to be counted anew."""

    def of(self, user_id: str, room_nid: int, room_id: str, upto: int) -> Tally:
        """What a user has not read of a room.

        Args:
            user_id: the user.
            room_nid: the room.
            room_id: its id.
            upto: the published position.
        """
        rules = in_room(self._push_rules.of(user_id), room_id).key if self._push_rules.changed_by(user_id) else 0
        ignored = self._ignored.of(user_id)
        kept = self._kept.get((user_id, room_nid))
        if (
            kept is None
            or kept.rules != rules
            or kept.ignored != ignored
            or kept.epoch != self._epochs.get(room_nid, 0)
            or not self._go_on(kept, user_id, room_nid)
        ):
            kept = _Kept(upto, rules, ignored, self._epochs.get(room_nid, 0))
            self._count(kept, user_id, room_nid, room_id)
            self._kept.put((user_id, room_nid), kept)
        kept.upto = max(kept.upto, upto)
        return kept.result()

    def read_up_to(self, user_id: str, room_nid: int, room_id: str) -> ReadPoints:
        """Up to where a user has read a room."""
        whole, parts = rows.read_points(self._database, user_id, room_nid, room_id)
        return ReadPoints(max(whole, self._came_in(user_id, room_nid)), parts)

    def note(self, room_nid: int, position: int, one: Notice) -> None:
        """Take in a notice that was just published."""
        recent = self._recent.get(room_nid)
        if recent is None:
            recent = _Recent(position - 1)
            self._recent.put(room_nid, recent)
        recent.add(position, one)
        self._last[room_nid] = position

    def said(self, user_id: str, room_nid: int, thread: str) -> None:
        """Take in that a user said something, which was just published: they have read that thread up to there."""
        kept = self._kept.get((user_id, room_nid))
        if kept is None:
            return
        if self._go_on(kept, user_id, room_nid):
            kept.empty(thread)
        else:
            self.forget(user_id, room_nid)

    def forget(self, user_id: str, room_nid: int) -> None:
        """Count anew what a user has not read of a room: they read, came or went."""
        self._kept.drop((user_id, room_nid))

    def forget_room(self, room_nid: int) -> None:
        """Count a room anew for everybody: something in it was redacted."""
        self._epochs[room_nid] = self._epochs.get(room_nid, 0) + 1

    def _go_on(self, kept: _Kept, user_id: str, room_nid: int) -> bool:
        """Bring a count up to date with what came since; False where that is not known any more."""
        last = self._last.get(room_nid, 0)
        if last <= kept.upto:
            return True
        recent = self._recent.get(room_nid)
        if recent is None or recent.after > kept.upto:
            return False
        for position, one in reversed(recent.notices):
            if position <= kept.upto:
                break
            if one.sender == user_id or one.sender in kept.ignored:
                continue
            notifications, highlights = one.personal.get(user_id, (0, 0))
            highlight = one.shared.get(kept.rules)
            if highlight is not None:
                notifications, highlights = notifications + 1, highlights + highlight
            if notifications or highlights:
                kept.add(one.thread, notifications, highlights)
        kept.upto = last
        return True

    def _count(self, kept: _Kept, user_id: str, room_nid: int, room_id: str) -> None:
        """Count from the rows."""
        points = self.read_up_to(user_id, room_nid, room_id)
        if points.whole >= kept.upto:
            return
        database, without = self._database, {user_id, *kept.ignored}
        for rules, after, upto in spans(database, self._push_rules, user_id, room_id, points.whole, kept.upto):
            kept.add("", *rows.count_main(database, room_nid, rules, max(after, points.of("")), upto, without))
            for thread, last in rows.thread_ends(database, room_nid, rules):
                start = max(after, points.of(thread))
                if last > start:
                    kept.add(thread, *rows.count_thread(database, room_nid, rules, thread, start, upto, without))
        for thread, position, sender, notifications, highlights in rows.personal_between(
            database, user_id, room_nid, points.whole, kept.upto
        ):
            if position > points.of(thread) and sender not in without:
                kept.add(thread, notifications, highlights)

    def _came_in(self, user_id: str, room_nid: int) -> int:
        """The position at which a user came into a room that they are in now."""
        history = self._standings.of(user_id).of(room_nid)
        return 0 if history is None else came_in(history)


def came_in(history: History) -> int:
    """The position at which a user came into a room that they are in now; 0 where they are not."""
    came = 0
    for change in reversed(history.changes):
        if change.membership != "join":
            break
        came = change.position
    return came


def spans(
    reads: Reads, push_rules: PushRules, user_id: str, room_id: str, after: int, upto: int
) -> list[tuple[int, int, int]]:
    """(number of the rules, after, up to) for each time in which a user had the same rules in a room, the latest first.

    Args:
        reads: where their former rules are.
        push_rules: their present ones.
        user_id: the user.
        room_id: the room.
        after: the position at which to begin.
        upto: the position at which to end.
    """
    rules = in_room(push_rules.of(user_id), room_id).key
    if not push_rules.changed_by(user_id):
        return [(rules, after, upto)]
    found: list[tuple[int, int, int]] = []
    for changed, text in former_push_rules(reads, user_id):
        if changed <= after:
            break
        if changed < upto:
            found.append((rules, changed, upto))
            upto = changed
        rules = in_room(Changes.read(canonical.decode(text)), room_id).key
    return [*found, (rules, after, upto)]
