"""What an answer tells of one room (MSC4186, "Room results"), before a codec gives it its form."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from msgspec import Struct

from appliance.protocol.filters import RoomEventRule
from appliance.push.counts import Counts
from appliance.rooms.reading.ends import Ends
from appliance.rooms.reading.serving import Asker, Serving
from appliance.rooms.reading.timeline import Timeline
from appliance.rooms.snapshot import MEMBER, Snapshot
from appliance.rooms.standings import History
from appliance.rooms.store import ClientEvent, EventStore
from appliance.storage.state import Slot, StateMap
from appliance.storage.tokens import HistoryToken
from appliance.sync.sections import Sections, Window
from appliance.sync.sliding.bumps import Bumps
from appliance.sync.sliding.order import STAYING
from appliance.sync.sliding.wishes import ANY, RequiredState, RoomConfig
from appliance.sync.summary import heroes

ALL = RoomEventRule()
NAME, AVATAR = ("m.room.name", ""), ("m.room.avatar", "")


class Task(Struct, frozen=True):
    """A room of which something is to be told.

    Args:
        history: the asker's memberships.
        membership: the one that counts.
        snapshot: the room at one moment.
        position: the last position of the snapshot.
        since: up to where the client knows the room; None where it knows nothing of it.
        upto: the last position that counts.
        live_from: the position of the client's token, None without one: what came later is live.
        config: how the room is wanted.
        before: how it was told until now; None where it never was.
        lists: in which lists' windows it is.
        is_direct: whether it is a direct chat; None where that need not be told.
    """

    history: History
    membership: str
    snapshot: Snapshot
    position: int
    since: int | None
    upto: int
    live_from: int | None
    config: RoomConfig
    before: RoomConfig | None
    lists: tuple[str, ...]
    is_direct: bool | None

    @property
    def expanded(self) -> bool:
        """Whether more of the timeline is wanted than was told until now."""
        return self.since is not None and self.before is not None and self.before.timeline_limit < self.limit

    @property
    def limit(self) -> int:
        """How many events of the timeline are wanted."""
        return self.config.timeline_limit


class RoomResult(Struct, kw_only=True):
    """What is told of a room; None where nothing changed or nothing is known.

    Args:
        membership: how the asker stands to it.
        lists: in which lists' windows it is.
        initial: whether it is told as if the client knew nothing of it.
        name, avatar: as the state says; empty where it says nothing any more.
        heroes: by whom a room without a name may be called.
        required_state: the state that is wanted.
        gone: slots of that which are empty by now.
        timeline: the latest events, the earliest first.
        prev_batch, limited, num_live: about the timeline.
        expanded: whether the timeline reaches further back than what was told before.
        notifications, highlights: what is unread of a room that the asker is in.
        stripped_state: what somebody who is invited or knocks may know.
        unsent: whether a change of the state was left out that was wanted before.
    """

    membership: str
    lists: tuple[str, ...] = ()
    initial: bool = False
    name: str | None = None
    avatar: str | None = None
    heroes: list[dict[str, Any]] | None = None
    is_direct: bool | None = None
    required_state: orjson.Fragment | None = None
    gone: list[Slot] = []
    timeline: orjson.Fragment | None = None
    timeline_ids: list[str] = []
    prev_batch: str | None = None
    limited: bool | None = None
    num_live: int | None = None
    expanded: bool = False
    joined_count: int | None = None
    invited_count: int | None = None
    bump_stamp: int | None = None
    notifications: int | None = None
    highlights: int | None = None
    stripped_state: list[dict[str, Any]] | None = None
    unsent: bool = False


class RoomResults:
    """Makes what is told of rooms.

    Args:
        store: the events in memory.
        ends: the ends of rooms.
        timeline: reads histories.
        serving: makes events ready for the asker.
        sections: makes stripped states.
        bumps: when rooms came to the top.
        counts: says what is unread.
    """

    def __init__(
        self,
        store: EventStore,
        ends: Ends,
        timeline: Timeline,
        serving: Serving,
        sections: Sections,
        bumps: Bumps,
        counts: Counts,
    ) -> None:
        self._store = store
        self._ends = ends
        self._timeline = timeline
        self._serving = serving
        self._sections = sections
        self._bumps = bumps
        self._counts = counts

    async def of(self, task: Task, asker: Asker) -> RoomResult:
        """What is to be told of a room."""
        result = RoomResult(membership=task.membership, lists=task.lists, is_direct=task.is_direct)
        result.initial = task.since is None
        if task.membership in STAYING and task.membership != "join":
            window = Window(task.history, task.snapshot, None, task.upto, task.position)
            result.stripped_state = self._sections.offered(window, asker.user_id)["events"]
            result.bump_stamp = self._own_position(task)
            return result
        if task.membership == "join":
            unread = self._counts.of(asker.user_id, task.history.room_nid, task.history.room_id, task.upto).all()
            result.notifications, result.highlights = unread.notifications, unread.highlights
        events = self._add_timeline(result, task, asker)
        state = self._state(task)
        changed = self._changed(task)
        await self._add_state(result, task, asker, state, changed, events)
        self._add_names(result, task, asker, state, changed)
        if events or result.initial or result.limited:
            bump = self._bumps.of(task.history.room_nid) if task.membership == "join" else None
            result.bump_stamp = min(bump, task.upto) if bump is not None else self._own_position(task)
        return result

    # The timeline ------------------------------------------------------------------------------------------------

    def _add_timeline(self, result: RoomResult, task: Task, asker: Asker) -> list[ClientEvent]:
        nid, limit = task.history.room_nid, task.limit
        if limit == 0:
            return []
        if task.since is None or task.expanded:
            end = self._timeline.point_at(nid, task.upto)
            page = self._timeline.page(nid, asker.user_id, end, limit, backwards=True, upto=task.upto)
            events, limited = page.events[::-1], page.end is not None
            result.expanded = task.expanded
        else:
            events, limited = self._timeline.arrived(nid, asker.user_id, task.since, task.upto, limit, ALL)
        result.timeline = self._serving.array(events, asker, bundled=limited or result.initial or result.expanded)
        result.timeline_ids = [event.event_id for event in events]
        result.limited = limited
        result.num_live = 0
        if task.live_from is not None:
            for event in reversed(events):
                if (event.position or 0) <= task.live_from:
                    break
                result.num_live += 1
        if events and limited and task.since is not None and not task.expanded:
            before = self._timeline.before_arrival(nid, events[0].position or 0)
        elif events:
            before = HistoryToken(events[0].ordering, (events[0].position or 0) - 1)
        else:
            before = self._timeline.point_at(nid, task.upto)
        result.prev_batch = str(before)
        return events

    # The state ---------------------------------------------------------------------------------------------------

    def _state(self, task: Task) -> StateMap:
        """The state that the asker may know: the present one, or that when they left."""
        if task.upto >= task.position or task.membership == "join":
            return task.snapshot.state
        undone = self._ends.undone(task.history.room_nid, task.upto, task.position)
        state: dict[Slot, int | None] = {**task.snapshot.state, **undone}
        return {slot: nid for slot, nid in state.items() if nid is not None}

    def _changed(self, task: Task) -> Mapping[Slot, int | None]:
        """What changed of the state since the client knew it."""
        if task.since is None or task.since >= task.upto:
            return {}
        return self._ends.changes(task.history.room_nid, task.since, task.upto, task.upto)[0]

    async def _add_state(
        self,
        result: RoomResult,
        task: Task,
        asker: Asker,
        state: StateMap,
        changed: Mapping[Slot, int | None],
        events: list[ClientEvent],
    ) -> None:
        required = task.config.required
        wanted: dict[Slot, int] = {}
        if task.since is None:
            wanted.update(_matching(state, required))
        else:
            for slot, nid in changed.items():
                if required.wants(*slot):
                    if nid is None:
                        result.gone.append(slot)
                    else:
                        wanted[slot] = nid
            if task.before is not None:
                known = task.before.required
                if known.union(required) != known:
                    for slot, nid in _matching(state, required).items():
                        if not known.wants(*slot):
                            wanted[slot] = nid
                result.unsent = any(known.wants(*slot) and not required.wants(*slot) for slot in changed)
        if required.lazy:
            wanted.update(self._lazy(task, state, changed, events, limited=bool(result.limited)))
        if wanted:
            clients = await self._store.many_clients(wanted.values())
            result.required_state = self._serving.array(list(clients.values()), asker)

    @staticmethod
    def _lazy(
        task: Task, state: StateMap, changed: Mapping[Slot, int | None], events: list[ClientEvent], *, limited: bool
    ) -> dict[Slot, int]:
        """The members who have to do with the timeline: senders, and whose membership it tells of; and where it has no
        gap, everybody whose membership changed.
        """
        users = {event.sender for event in events}
        users.update(event.state_key for event in events if event.type == MEMBER and event.state_key is not None)
        found = {(MEMBER, user): state[MEMBER, user] for user in users if (MEMBER, user) in state}
        if not limited and task.since is not None:
            found.update((slot, nid) for slot, nid in changed.items() if slot[0] == MEMBER and nid is not None)
        return found

    # Names and numbers -------------------------------------------------------------------------------------------

    def _add_names(
        self, result: RoomResult, task: Task, asker: Asker, state: StateMap, changed: Mapping[Slot, int | None]
    ) -> None:
        name = self._said(state, NAME, "name")
        if name or NAME in changed:
            result.name = name if result.initial or NAME in changed else None
        avatar = self._said(state, AVATAR, "url")
        if (result.initial and avatar) or AVATAR in changed:
            result.avatar = avatar
        members_changed = any(slot[0] == MEMBER for slot in changed)
        if task.membership != "join" or not (result.initial or members_changed or NAME in changed):
            return
        if not name:
            result.heroes = [self._hero(state, user) for user in heroes(task.snapshot, asker.user_id)]
        if result.initial or members_changed:
            result.joined_count = task.snapshot.members.joined
            result.invited_count = task.snapshot.members.invited

    def _said(self, state: StateMap, slot: Slot, field: str) -> str:
        nid = state.get(slot)
        value = None if nid is None else self._store.event(nid).content.get(field)
        return value if isinstance(value, str) else ""

    def _hero(self, state: StateMap, user_id: str) -> dict[str, Any]:
        hero: dict[str, Any] = {"user_id": user_id}
        nid = state.get((MEMBER, user_id))
        content = {} if nid is None else self._store.event(nid).content
        for field in ("displayname", "avatar_url"):
            if isinstance(content.get(field), str):
                hero[field] = content[field]
        return hero

    @staticmethod
    def _own_position(task: Task) -> int:
        change = task.history.at(task.upto)
        return max(0, change.position) if change is not None else 0


def _matching(state: StateMap, required: RequiredState) -> dict[Slot, int]:
    """The state that is wanted, without going through all of it where that can be helped."""
    if not required.any_type and all(ANY not in keys for keys in required.types.values()):
        named = [(event_type, key) for event_type, keys in required.types.items() for key in keys]
        if required.exclude:
            named = [slot for slot in named if required.wants(*slot)]
        return {slot: state[slot] for slot in named if slot in state}
    return {slot: nid for slot, nid in state.items() if required.wants(*slot)}


def told_ids(results: Iterable[RoomResult]) -> set[str]:
    """The ids of the events in the timelines of some results."""
    return {event_id for result in results for event_id in result.timeline_ids}
