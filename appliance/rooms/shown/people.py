"""Finding people by their names (client-server API, module "User directory").

Found is who shares a room with the asker, or is in a room that everybody may join or read: local users by the name of
their profile, never by what they call themselves in a room of others; users of other servers by the name that they have
in a room that the asker could look into.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from msgspec import Struct

from appliance.protocol.identifiers import localpart_of, server_of
from appliance.rooms.graph.appending import Identity, Statement
from appliance.rooms.snapshot import MEMBER, Step
from appliance.rooms.store import EventStore
from appliance.settings import Settings
from appliance.storage import user_directory as rows
from appliance.storage.database import Database, Tx
from appliance.storage.user_directory import Candidate

OPEN = {("m.room.join_rules", ""): ("join_rule", "public"), ("m.room.history_visibility", ""): (
    "history_visibility", "world_readable",
)}  # fmt: skip
"""The state that opens a room: slots, and what their content must say."""
MOST_WORDS = 10


class ProfileNames(Protocol):
    """What accounts know of local users."""

    def member_fields(self, user_id: str) -> dict[str, Any]:
        """``displayname`` and ``avatar_url`` as the profile has them."""
        ...


class Person(Struct, frozen=True):
    """Somebody who was found."""

    user_id: str
    display_name: str | None
    avatar_url: str | None


class PeopleDirectory:
    """Finds people; a contributor that keeps the names of users of other servers, and which rooms are open.

    Args:
        database: where that is.
        store: the events in memory.
        identity: whose users are local.
        profiles: their names.
        settings: whether all local users are found.
    """

    def __init__(
        self, database: Database, store: EventStore, identity: Identity, profiles: ProfileNames, settings: Settings
    ) -> None:
        self._database = database
        self._store = store
        self._identity = identity
        self._profiles = profiles
        self._settings = settings

    async def search(self, asker: str, term: str, limit: int) -> tuple[list[Person], bool]:
        """People whose name or id holds all words of a term, the nearest first.

        Args:
            asker: who looks.
            term: what they typed.
            limit: how many at most.

        Returns:
            the people, and whether there are more.
        """
        words = list(dict.fromkeys(term.casefold().split()))[:MOST_WORDS]
        if not words:
            return [], False
        everybody = self._settings.user_directory_all
        here, elsewhere = await self._database.reading(
            lambda reader: (rows.local(reader, asker, words, everybody), rows.remote(reader, asker, words))
        )
        found = {candidate.user_id: self._local(candidate) for candidate in here}
        for person in self._remote(elsewhere):
            found.setdefault(person.user_id, person)
        nearest = sorted(found.values(), key=lambda person: _distance(person, term.casefold().strip()))
        return nearest[:limit], len(nearest) > limit

    def prepare(self, step: Step) -> Statement | None:
        """Store the names of users of other servers who come, go or call themselves otherwise, and whether the room is
        open.
        """
        put, gone = [], []
        for user_id in step.members_changed:
            if server_of(user_id) != self._identity.server_name:
                nid = step.after.state.get((MEMBER, user_id))
                if nid is not None and step.after.members.of(user_id) == "join":
                    put.append((user_id, step.room_nid, folded(user_id, self._event(step, nid).get("displayname"))))
                else:
                    gone.append((user_id, step.room_nid))
        is_open = self._is_open(step) if any(slot in step.changes for slot in OPEN) else None
        if not put and not gone and is_open is None:
            return None

        def statement(tx: Tx, position: int) -> None:
            rows.put(tx, put)
            rows.drop(tx, gone)
            if is_open is not None:
                rows.set_open(tx, step.room_nid, is_open)

        return statement

    def published(self, step: Step, position: int) -> None:
        """Nothing is kept in memory."""

    def _is_open(self, step: Step) -> bool:
        slots = [slot for slot in OPEN if slot in step.after.state]
        return any(self._event(step, step.after.state[slot]).get(OPEN[slot][0]) == OPEN[slot][1] for slot in slots)

    def _event(self, step: Step, nid: int) -> dict[str, Any]:
        return step.event.content if nid == step.nid else self._store.event(nid).content

    def _local(self, candidate: Candidate) -> Person:
        return _person(candidate.user_id, self._profiles.member_fields(candidate.user_id))

    def _remote(self, candidates: Iterable[Candidate]) -> list[Person]:
        events = self._store.events(candidate.event_nid for candidate in candidates)
        return [
            _person(candidate.user_id, events[candidate.event_nid].content)
            for candidate in candidates
            if candidate.event_nid in events
        ]


def folded(user_id: str, name: object) -> str:
    """What is looked through for somebody: their id and their name, without the difference of capitals."""
    return f"{user_id} {name}".casefold() if isinstance(name, str) else user_id.casefold()


def _person(user_id: str, said: dict[str, Any]) -> Person:
    name, avatar = said.get("displayname"), said.get("avatar_url")
    return Person(user_id, name if isinstance(name, str) else None, avatar if isinstance(avatar, str) else None)


def _distance(person: Person, term: str) -> tuple[int, bool, str, str]:
    """How far somebody is from what was typed: names that are it, then names and ids that begin with it, then others;
    those with a name before those without.
    """
    name = (person.display_name or "").casefold()
    ids = (person.user_id.casefold(), localpart_of(person.user_id).casefold())
    if term == name or term in ids:
        rank = 0
    elif any(text.startswith(term) for text in (name, *ids)):
        rank = 1
    else:
        rank = 2
    return rank, person.display_name is None, name, person.user_id
