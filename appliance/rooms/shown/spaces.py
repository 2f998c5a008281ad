"""Walking through spaces, rooms that name other rooms (client-server API, module "Spaces").

A walk goes depth first, every room once however it is reached. What is left of it after a page is kept in memory under
the token that the client gets, for a while.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from appliance.errors import forbidden, invalid_param
from appliance.protocol.client_form import stripped
from appliance.protocol.events import Event
from appliance.protocol.identifiers import is_room_id
from appliance.rooms.graph.appending import Statement
from appliance.rooms.shown.facts import Facts, Outlook, RoomFacts
from appliance.rooms.shown.outlying import Neighbour, Neighbours, NoNeighbours, OutlookElsewhere
from appliance.rooms.snapshot import Step
from appliance.rooms.store import EventStore
from appliance.storage import directory as rows
from appliance.storage.database import Database
from appliance.storage.lru import Lru, SizedLru

CHILD, SPACE = "m.space.child", "m.space"
MOST_ROOMS = 50
"""Rooms on one page."""
DEEPEST = 50
MOST_SEEN = 2_000
"""Rooms that one walk looks at, those that the asker may not see included."""
SLICE = 20
"""Rooms to look at before others get their turn: a few milliseconds."""
WALKS_KEPT = 100
WALK_SECONDS = 600.0
MOST_CHILDREN = 2_000
"""Rooms of one space that are looked at, the earliest, and rooms of spaces that one page names."""
CHILDREN_KEPT = 100_000
"""Rooms of spaces that are kept in memory, a kilobyte each."""
MOST_VIA = 5
"""Servers through which one room is looked for."""
MOST_ORDER = 50
"""Characters of an ``order``; a longer one counts as none."""


class Child(Struct, frozen=True):
    """A room of a space.

    Args:
        room_id: its id.
        suggested: whether the space recommends it.
        via: servers through which it is found.
        told: the event as ``children_state`` shows it.
    """

    room_id: str
    suggested: bool
    via: tuple[str, ...]
    told: dict[str, Any]


class Walk(Struct, frozen=True):
    """A walk, as far as it has come.

    Args:
        user_id: for whom.
        room_id: where it began.
        suggested_only: whether only recommended rooms are followed.
        max_depth: how far down it goes; 0 is the first room alone.
        waiting: ids of the rooms to look at, with their depths, the next one last.
        seen: ids of the rooms that were looked at.
        via: for rooms that are not known here, servers through which they are found.
        until: when it is forgotten, in seconds of the monotonic clock.
    """

    user_id: str
    room_id: str
    suggested_only: bool
    max_depth: int
    waiting: tuple[tuple[str, int], ...]
    seen: frozenset[str]
    until: float
    via: Mapping[str, tuple[str, ...]] = {}


class Children:
    """Keeps the rooms of spaces; a contributor, since events change them.

    Args:
        database: where they are.
        store: where events are read.
    """

    def __init__(self, database: Database, store: EventStore) -> None:
        self._database = database
        self._store = store
        self._spaces: SizedLru[str, tuple[Child, ...]] = SizedLru(CHILDREN_KEPT)

    def of(self, facts: Facts) -> tuple[Child, ...]:
        """The rooms of a space in their order; none for a room that is no space."""
        if facts.room_type != SPACE:
            return ()
        children = self._spaces.get(facts.room_id)
        if children is None:
            nids = sorted(rows.state_of_type(self._database, facts.room_nid, CHILD))[:MOST_CHILDREN]
            events = self._store.events(nids).values()
            children = tuple(map(_child, sorted(filter(_is_valid, events), key=_rank)))
            self._spaces.put(facts.room_id, children, 1 + len(children))
        return children

    def forget(self, room_nid: int, room_id: str) -> None:
        """Drop what is kept of a room that is gone."""
        self._spaces.drop(room_id)

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store: the state's own rows say it."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Forget the rooms of a space when one of them changed, or a redaction may have emptied one."""
        if step.event.type == "m.room.redaction" or any(slot[0] == CHILD for slot in step.changes):
            self._spaces.drop(step.room_id)


class Spaces:
    """Walks.

    Args:
        facts: what rooms show of themselves.
        children: which rooms belong to a space.
        outlook: who may be told of which room.
        elsewhere: the same for rooms of other servers.
        clock: seconds that only grow.

    Attributes:
        neighbours: knows rooms of other servers.
    """

    def __init__(
        self,
        facts: RoomFacts,
        children: Children,
        outlook: Outlook,
        elsewhere: OutlookElsewhere,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._facts = facts
        self._children = children
        self._outlook = outlook
        self._elsewhere = elsewhere
        self._clock = clock
        self.neighbours: Neighbours = NoNeighbours()
        self._walks: Lru[str, Walk] = Lru(WALKS_KEPT)

    def begin(self, user_id: str, room_id: str, *, suggested_only: bool, max_depth: int) -> Walk:
        """A new walk.

        Raises:
            MatrixError: ``M_FORBIDDEN`` where the user may not be told of the room, or it is not known.
        """
        facts = self._facts.of(room_id)
        if facts is None or not self._outlook.allows(user_id, facts):
            raise forbidden("You may not look into this room.")
        return Walk(user_id, room_id, suggested_only, max_depth, ((room_id, 0),), frozenset(), 0)

    def resume(
        self, token: str, user_id: str, room_id: str, *, suggested_only: bool | None, max_depth: int | None
    ) -> Walk:
        """A walk to go on with; what the client does not say again stays as it was.

        Raises:
            MatrixError: ``M_INVALID_PARAM`` for a token that is not known (any more), is somebody else's, or is about
                another walk than the rest of the request.
        """
        walk = self._walks.get(token)
        if walk is None or walk.until < self._clock() or (walk.user_id, walk.room_id) != (user_id, room_id):
            raise invalid_param("This token is not known (any more). Start again without it.")
        if suggested_only not in (None, walk.suggested_only) or max_depth not in (None, walk.max_depth):
            raise invalid_param("suggested_only and max_depth must stay as they were on the first page.")
        return walk

    async def go(self, walk: Walk, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Go on with a walk.

        Args:
            walk: where it stands.
            limit: how many rooms at most.

        Returns:
            the rooms, and a token to go on with; None at the end.
        """
        waiting, seen, found = list(walk.waiting), set(walk.seen), list[dict[str, Any]]()
        via = dict(walk.via)
        told = 0
        while waiting and len(found) < limit and len(seen) < MOST_SEEN and told < MOST_CHILDREN:
            room_id, depth = waiting.pop()
            if room_id in seen:
                continue
            seen.add(room_id)
            if len(seen) % SLICE == 0:
                await asyncio.sleep(0)
            shown = await self._shown(walk.user_id, room_id, via.get(room_id, ()))
            if shown is None:
                continue
            summary, inside = shown
            children = [one for one in inside if one.suggested or not walk.suggested_only]
            found.append({**summary, "children_state": [one.told for one in children]})
            told += len(children)
            if depth < walk.max_depth:
                waiting.extend((one.room_id, depth + 1) for one in reversed(children))
                via.update((one.room_id, one.via) for one in children if one.room_id not in seen)
        # Of a room that waits several times the last one counts, which is looked at first.
        left = {room_id: depth for room_id, depth in waiting if room_id not in seen}
        order = list(dict.fromkeys(room_id for room_id, _ in reversed(waiting) if room_id in left))
        order = order[: max(0, MOST_SEEN - len(seen))]
        if not order:
            return found, None
        token = secrets.token_urlsafe(16)
        still = tuple((room_id, left[room_id]) for room_id in reversed(order))
        until = self._clock() + WALK_SECONDS
        self._walks.put(token, replace(walk, waiting=still, seen=frozenset(seen), until=until, via=_among(via, left)))
        return found, token

    async def _shown(
        self, user_id: str, room_id: str, servers: Sequence[str]
    ) -> tuple[Mapping[str, Any], Sequence[Child]] | None:
        """What a room shows of itself to a user, and the rooms in it; None where that is nothing."""
        facts = self._facts.of(room_id)
        if facts is not None:
            return (facts.summary(), self._children.of(facts)) if self._outlook.allows(user_id, facts) else None
        neighbour = await self.neighbours.look(room_id, servers) if servers else None
        if neighbour is None or not self._elsewhere.allows(user_id, neighbour.summary):
            return None
        return neighbour.summary, _told_children(neighbour)


def _among(via: Mapping[str, tuple[str, ...]], rooms: Collection[str]) -> dict[str, tuple[str, ...]]:
    return {room_id: servers for room_id, servers in via.items() if room_id in rooms}


def _told_children(neighbour: Neighbour) -> list[Child]:
    """The rooms in a room of another server's, in the order in which it tells them."""
    found = []
    for told in neighbour.children_state or ():
        content, room_id = told.get("content"), told.get("state_key")
        if told.get("type") == CHILD and isinstance(content, dict) and isinstance(room_id, str) and is_room_id(room_id):
            via = content.get("via")
            if isinstance(via, list) and via and all(isinstance(one, str) for one in via):
                kept = ("type", "state_key", "sender", "content", "origin_server_ts")
                stated = {field: told[field] for field in kept if field in told}
                found.append(Child(room_id, content.get("suggested") is True, tuple(via[:MOST_VIA]), stated))
    return found


def _is_valid(event: Event) -> bool:
    """Whether an event names a room of a space: by its id, and with a server to find it through."""
    via = event.content.get("via")
    named = isinstance(via, list) and bool(via) and all(isinstance(one, str) for one in via)
    return named and event.state_key is not None and is_room_id(event.state_key)


def _rank(event: Event) -> tuple[bool, str, int, str]:
    """Where a room stands among those of its space: by the ``order`` if it has one, by its age, by its id."""
    order = event.content.get("order")
    age = (event.origin_server_ts, event.state_key or "")
    if isinstance(order, str) and 0 < len(order) <= MOST_ORDER and all(" " <= letter <= "~" for letter in order):
        return False, order, *age
    return True, "", *age


def _child(event: Event) -> Child:
    told = {**stripped(event), "origin_server_ts": event.origin_server_ts}
    return Child(
        event.state_key or "", event.content.get("suggested") is True, tuple(event.content["via"][:MOST_VIA]), told
    )
