"""Who is online (client-server API, module "Presence"): in memory alone, and told to those who share a room.

It must cost little: only changes of the state are told, several together, and nobody is woken more than once in two
seconds for them. A contributor, since whoever sends something is active, and whoever comes into a room learns who of
it is there.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from appliance.errors import MatrixError
from appliance.protocol.identifiers import server_of
from appliance.rooms.graph.appending import Statement
from appliance.rooms.signs.company import Company
from appliance.rooms.signs.person import REFRESH_MS, REMOTE_MS, Person, State
from appliance.rooms.signs.serial import Serial
from appliance.rooms.snapshot import Step
from appliance.settings import Settings

STATES: tuple[State, ...] = ("online", "unavailable", "offline")
MOST_KNOWN = 10_000
"""Users of whom something is known; those who are not there, or changed longest ago, are forgotten first."""
LOOKED_AT = 50
"""Among whom somebody is chosen to be forgotten."""
MOST_MEETINGS = 2_000
MOST_STATUS = 1_000
TOGETHER_SECONDS, APART_SECONDS = 0.1, 2.0
"""How long changes are gathered before they wake anybody, and how far apart that happens at least."""

Later = Callable[[float, Callable[[], None]], asyncio.TimerHandle]


class Presence:
    """Keeps who is online.

    Args:
        company: who shares a room with whom.
        serial: numbers the changes.
        settings: whether people want to know at all, and the server's name; read at use.
        now_ms: the time, milliseconds since 1970.
        later: calls something after so many seconds; the loop's own unless said otherwise.

    Attributes:
        changed: called with the users who changed since it was called last, now and then.
        refreshed: called with this server's users of whom other servers have to be told, changed or not.
    """

    def __init__(
        self,
        company: Company,
        serial: Serial,
        settings: Settings,
        now_ms: Callable[[], int],
        later: Later | None = None,
    ) -> None:
        self._company = company
        self._serial = serial
        self._settings = settings
        self._now_ms = now_ms
        self._later = later
        self.changed: list[Callable[[Sequence[str]], None]] = []
        self.refreshed: list[Callable[[Sequence[str]], None]] = []
        self._people: OrderedDict[str, Person] = OrderedDict()
        """By user, the one that changed last at the end."""
        self._meetings: deque[tuple[int, str, int]] = deque()
        """Who came into which room, with the serial of that."""
        self._forgotten = 0
        self._dirty: dict[str, None] = {}
        self._stale: dict[str, None] = {}
        self._flush: asyncio.TimerHandle | None = None
        self._flushed_ms = 0

    # What people and their devices say -------------------------------------------------------------------------------

    @contextmanager
    def syncing(self, user_id: str, device_id: str, wants: State) -> Iterator[None]:
        """A device syncs, and says by it what its user is; ``offline`` says nothing."""
        if not self._settings.presence_enabled or wants == "offline":
            yield
            return
        person = self._person(user_id)
        person.says(device_id, wants, self._now_ms())
        person.sync_begins(device_id)
        self._look(user_id, person)
        try:
            yield
        finally:
            person.sync_ends(device_id, self._now_ms())
            self._look(user_id, person)

    def put(self, user_id: str, device_id: str, state: str, status: str | None) -> None:
        """A user says what they are, with a message or without.

        Raises:
            MatrixError: 400 ``M_INVALID_PARAM`` for another word, or a message that is too long.
        """
        wants = next((known for known in STATES if known == state), None)
        if wants is None:
            raise MatrixError("M_INVALID_PARAM", f"presence must be one of {', '.join(STATES)}.", 400)
        if len(status or "") > MOST_STATUS:
            raise MatrixError("M_INVALID_PARAM", f"status_msg may have at most {MOST_STATUS} characters.", 400)
        if not self._settings.presence_enabled:
            return
        person, now = self._person(user_id), self._now_ms()
        before = person.status
        person.status = status or ""
        person.says(device_id, wants, now)
        if wants == "online":
            person.last_active = now
        self._look(user_id, person, changed=person.status != before)

    def acted(self, user_id: str) -> None:
        """A user did something; that makes nobody online who is not there, and nothing of somebody unknown."""
        person = self._people.get(user_id)
        if person is not None and person.until is None:
            person.acts(self._now_ms())
            if person.state != "online":
                self._look(user_id, person)

    def deleting(self, tx: object, user_id: str, device_id: str) -> None:
        """Nothing is stored about a device."""

    def deleted(self, user_id: str, device_id: str) -> None:
        """A device is gone."""
        person = self._people.get(user_id)
        if person is not None:
            person.loses(device_id)
            self._look(user_id, person)

    # What other servers say ------------------------------------------------------------------------------------------

    def take(self, server: str, updates: Iterable[Any]) -> None:
        """Take in what another server says of its users: the ``push`` of an ``m.presence`` EDU.

        What is not of that server, of nobody's company, or not of its shape is passed over.
        """
        if not self._settings.presence_enabled:
            return
        now = self._now_ms()
        for update in updates:
            if not isinstance(update, Mapping) or update.get("presence") not in STATES:
                continue
            user_id = update.get("user_id")
            if not isinstance(user_id, str) or server_of(user_id) != server or not self._company.rooms_of(user_id):
                continue
            person = self._person(user_id)
            before = (person.state, person.status)
            status, ago = update.get("status_msg"), update.get("last_active_ago")
            person.status = status[:MOST_STATUS] if isinstance(status, str) else ""
            if isinstance(ago, int) and not isinstance(ago, bool):
                person.last_active = now - max(0, min(ago, now))
            person.until = now + REMOTE_MS
            state: State = update["presence"]
            changed = (state, person.status) != before
            person.state = state
            self._look(user_id, person, changed=changed)

    # What others learn -----------------------------------------------------------------------------------------------

    def of(self, asker: str, user_id: str) -> dict[str, Any]:
        """What somebody may know of a user, as the content of ``m.presence``.

        Raises:
            MatrixError: 403 ``M_FORBIDDEN`` for somebody who shares no room with the user.
        """
        if not self._company.share(asker, user_id):
            raise MatrixError("M_FORBIDDEN", "You share no room with this user.", 403)
        return self.content(user_id)

    def content(self, user_id: str) -> dict[str, Any]:
        """What there is to know of a user, as the content of ``m.presence``."""
        person = self._people.get(user_id) if self._settings.presence_enabled else None
        return {"presence": "offline"} if person is None else person.content(self._now_ms())

    def since(self, asker: str, boot: int, serial: int) -> list[str]:
        """Of whom somebody has to be told, after a change of that number in a run of the server.

        Those who share a room with them and changed; those who came into a room of theirs; and all who are there in a
        room that they came into themselves. Of another run: all who are there.
        """
        if not self._settings.presence_enabled:
            return []
        if boot != self._serial.boot or serial < self._forgotten:
            return self.all(asker)
        found: dict[str, None] = {}
        for user_id, person in reversed(self._people.items()):
            if person.serial <= serial:
                break
            if self._company.share(asker, user_id):
                found[user_id] = None
        for number, user_id, room_nid in reversed(self._meetings):
            if number <= serial:
                break
            if user_id == asker:
                found.update(dict.fromkeys(self.there_in(room_nid)))
            elif room_nid in self._company.rooms_of(asker) and self._is_there(user_id):
                found[user_id] = None
        return list(found)

    def all(self, asker: str) -> list[str]:
        """Everybody who is there and shares a room with somebody, themselves too."""
        if not self._settings.presence_enabled:
            return []
        there = (user_id for user_id, person in self._people.items() if person.state != "offline")
        return [user_id for user_id in there if self._company.share(asker, user_id)]

    def there_in(self, room_nid: int) -> list[str]:
        """The users who are in a room and not offline."""
        if not self._settings.presence_enabled:
            return []
        return [
            user_id
            for user_id, person in self._people.items()
            if person.state != "offline" and room_nid in self._company.rooms_of(user_id)
        ]

    def _is_there(self, user_id: str) -> bool:
        person = self._people.get(user_id)
        return person is not None and person.state != "offline"

    # As a contributor ------------------------------------------------------------------------------------------------

    def prepare(self, step: Step) -> Statement | None:
        """Nothing to store."""
        return None

    def published(self, step: Step, position: int) -> None:
        """Whoever sent something is active; whoever came into a room and those who are in it learn of each other."""
        if step.transaction is not None:
            self.acted(step.event.sender)
        for user_id in step.members_changed:
            if step.after.members.of(user_id) == "join" and step.before.members.of(user_id) != "join":
                self._meetings.append((self._serial.next(), user_id, step.room_nid))
                if len(self._meetings) > MOST_MEETINGS:
                    self._forgotten = self._meetings.popleft()[0]

    # Inside ----------------------------------------------------------------------------------------------------------

    def _person(self, user_id: str) -> Person:
        person = self._people.get(user_id)
        if person is None:
            person = self._people[user_id] = Person()
            # One that never changed stands in front of those that did.
            self._people.move_to_end(user_id, last=False)
            if len(self._people) > MOST_KNOWN:
                self._evict()
        return person

    def _evict(self) -> None:
        """Forget somebody who is not there, else a user of another server, else who changed longest ago: of the few
        who stand next to the newcomer, who stands in front, since other servers can name as many as they like.
        """
        few = list(islice(self._people.items(), 1, 1 + LOOKED_AT))
        away = (user_id for user_id, person in few if person.state == "offline")
        elsewhere = (user_id for user_id, person in few if person.until is not None)
        gone = self._people.pop(next(away, None) or next(elsewhere, few[0][0]))
        if gone.timer is not None:
            gone.timer.cancel()

    def _look(self, user_id: str, person: Person, changed: bool = False) -> None:
        """See what somebody is now, tell of a change, and look again in time."""
        now = self._now_ms()
        state = person.look(now)
        if state != person.state or changed:
            person.state = state
            person.serial = self._serial.next()
            self._people[user_id] = person
            self._people.move_to_end(user_id)
            self._dirty[user_id] = None
            self._tell_others(user_id, person, now)
            self._gather(now)
        elif person.until is None and person.state != "offline" and now - person.told >= REFRESH_MS:
            self._tell_others(user_id, person, now)
            self._gather(now)
        self._look_again(user_id, person, now)

    def _look_again(self, user_id: str, person: Person, now: int) -> None:
        """Look again in time; a look that comes too early arranges the next one, which is cheaper than moving it."""
        moment = person.next_look(now)
        if person.timer is not None:
            if moment is not None and person.looks <= moment:
                return
            person.timer.cancel()
            person.timer = None
        if moment is not None:
            person.looks = moment
            person.timer = self._call((moment - now) / 1000 + 0.001, lambda: self._on_time(user_id, person))

    def _on_time(self, user_id: str, person: Person) -> None:
        person.timer = None
        self._look(user_id, person)

    def _tell_others(self, user_id: str, person: Person, now: int) -> None:
        if person.until is None:
            person.told = now
            self._stale[user_id] = None

    def _gather(self, now: int) -> None:
        if self._flush is None:
            apart = (self._flushed_ms - now) / 1000 + APART_SECONDS
            self._flush = self._call(max(TOGETHER_SECONDS, min(APART_SECONDS, apart)), self._tell)

    def _tell(self) -> None:
        self._flush = None
        self._flushed_ms = self._now_ms()
        dirty, stale = list(self._dirty), list(self._stale)
        self._dirty, self._stale = {}, {}
        for users, listeners in ((dirty, self.changed), (stale, self.refreshed)):
            for listener in listeners if users else ():
                listener(users)

    def _call(self, seconds: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        if self._later is not None:
            return self._later(seconds, function)
        return asyncio.get_running_loop().call_later(seconds, function)
