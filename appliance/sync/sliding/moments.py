"""What an answer of sliding sync is about: one moment, and of which rooms something may have to be told in it.

The published position, the lists and the rooms' snapshots are taken in one step. Where a connection goes on from its
last answer for the same wishes, only those rooms are looked at in which something happened since, and those that came
into a window; mostly there is none of either, and then not even the lists are.
"""

from collections.abc import Mapping

from msgspec import Struct

from appliance.rooms.reading.serving import Asker
from appliance.rooms.room import Rooms
from appliance.storage.database import Database
from appliance.storage.receipts import read_since
from appliance.storage.sliding import Told
from appliance.storage.tokens import ConnectionToken
from appliance.sync.account_data import AccountDataStream
from appliance.sync.activity import Activity
from appliance.sync.ephemeral import Ephemeral, News
from appliance.sync.held import Held, hold
from appliance.sync.sliding.connections import Connection, Memory, Rest
from appliance.sync.sliding.lists import Lists, Relevant
from appliance.sync.sliding.order import STAYING, Order
from appliance.sync.sliding.own import DIRECT
from appliance.sync.sliding.rooms import ALL, Task
from appliance.sync.sliding.wishes import Wishes


class Moment(Struct, frozen=True):
    """What was taken in one step.

    Args:
        upto: the published position.
        since: up to where the client knows what happened; None where it knows nothing.
        order: the rooms that it may be told of.
        relevant: those that its request is about.
        looked: those of them of which something may have to be told.
        stirred: the numbers of the rooms in which something happened since; None where that may be any.
        counts: how many rooms each list has.
        news: receipts and typing.
        changed: what account data was written: (room id, type, content).
        known: up to where it knows each room that is looked at.
        forgotten: how many rooms the user has forgotten.
        tasks: what is to be told of rooms, by their numbers.
    """

    upto: int
    since: int | None
    order: Order
    relevant: Mapping[int, Relevant]
    looked: Mapping[int, Relevant]
    stirred: frozenset[int] | None
    counts: dict[str, int]
    news: News
    changed: tuple[tuple[str, str, bytes], ...]
    known: dict[int, int | None]
    forgotten: int
    tasks: dict[int, Task]

    @property
    def still(self) -> bool:
        """Whether nothing happened: then the connection remembers all as it is."""
        return self.stirred is not None and not self.stirred and not self.looked and not self.changed

    @property
    def rest(self) -> tuple[Order, Mapping[int, Relevant], int, int]:
        """What the next one can go on from."""
        return self.order, self.relevant, self.upto, self.forgotten


class Moments:
    """Takes them.

    Args:
        database: the stream.
        rooms: the rooms in memory.
        activity: when something happened in each room.
        lists: makes lists.
        account_data: what changed of account data.
        ephemeral: receipts and typing.
    """

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        activity: Activity,
        lists: Lists,
        account_data: AccountDataStream,
        ephemeral: Ephemeral,
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._activity = activity
        self._lists = lists
        self._account_data = account_data
        self._ephemeral = ephemeral

    async def take(
        self, connection: Connection, before: Memory, asker: Asker, token: ConnectionToken | None, wishes: Wishes
    ) -> Moment:
        """The present moment, for a request on a connection.

        Args:
            connection: the connection, with its lock held.
            before: what it remembers of what the client has.
            asker: the user and the device.
            token: where the client's knowledge ends.
            wishes: what it wants to know.
        """
        held: dict[int, Held] = {}
        user_id = asker.user_id
        while True:
            upto = self._database.position
            since = None if token is None else min(token.position, upto)
            news = self._ephemeral.news(None if token is None else token.sync, ALL)
            changed = () if since is None else tuple(self._account_data.between(user_id, since, upto))
            forgotten = self._lists.forgotten(user_id)
            rest = self._rest(connection, token, wishes, forgotten)
            stirred = None
            if rest is not None and since is not None:
                stirred = self._lists.stirred(user_id, since, news, {room_id for room_id, _, _ in changed})
            if rest is not None and stirred is not None and not stirred and not changed:
                # Nothing happened: lists and windows are as they were.
                return Moment(
                    *(upto, since, rest.order, rest.relevant, {}, stirred, connection.counts, news, (), {}),
                    *(forgotten, {}),
                )
            order = self._lists.order(user_id, upto, since, before)
            relevant, counts = self._lists.relevant(user_id, wishes, order)
            looked: Mapping[int, Relevant] = relevant
            if rest is None or rest.order is not order:
                stirred = None
            if rest is not None and stirred is not None:
                looked = {
                    nid: one
                    for nid, one in relevant.items()
                    if nid in stirred or (was := rest.relevant.get(nid)) is None or not was.is_wanted_as(one)
                }
            known = {nid: self._known_upto(before.get(nid), one, since, upto) for nid, one in looked.items()}
            wanted = {
                nid: one
                for nid, one in looked.items()
                if self._is_to_be_told(connection, before.get(nid), one, known[nid], news, user_id)
            }
            missing = [
                one.candidate.history
                for nid, one in wanted.items()
                if nid not in held or held[nid].position < self._activity.since(nid)
            ]
            if not missing or await hold(self._rooms, missing, held):
                break
        directs = any(kind == DIRECT and not room_id for room_id, kind, _ in changed)
        tasks = {
            nid: self._task(connection, before.get(nid), one, held[nid], asker, known[nid], since, upto, directs)
            for nid, one in wanted.items()
            if nid in held
        }
        return Moment(upto, since, order, relevant, looked, stirred, counts, news, changed, known, forgotten, tasks)

    @staticmethod
    def _rest(connection: Connection, token: ConnectionToken | None, wishes: Wishes, forgotten: int) -> Rest | None:
        """How the connection was left by the answer from which the client goes on, if it still wants the same."""
        rest = connection.rest
        if (
            token is None
            or rest is None
            or rest.generation != token.generation
            or rest.upto > token.position
            or rest.forgotten != forgotten
            or not rest.wishes.are_as(wishes)
        ):
            return None
        return rest

    def _known_upto(self, told: Told | None, one: Relevant, since: int | None, upto: int) -> int | None:
        """Up to where the client knows a room; None where it knows nothing, or knew it before it was out of it."""
        if told is None or since is None:
            return None
        known = since if told.upto is None else told.upto
        candidate = one.candidate
        if candidate.change.membership == "join" and candidate.history.came_in(known, upto):
            return None
        return known

    def _is_to_be_told(
        self,
        connection: Connection,
        told: Told | None,
        one: Relevant,
        known: int | None,
        news: News,
        user_id: str,
    ) -> bool:
        change = one.candidate.change
        if known is None or told is None or change.position > known:
            return True
        if change.membership in STAYING and change.membership != "join":
            return False
        if change.membership == "join":
            history = one.candidate.history
            if self._activity.since(history.room_nid) > known or told.upto is not None:
                return True
            # What they read themselves changes what is unread.
            if history.room_id in news.read and read_since(self._database, history.room_id, user_id, known):
                return True
        before, now = connection.configs[told.config_nid], one.config
        return now.timeline_limit > before.timeline_limit or (
            now.required != before.required and before.required.union(now.required) != before.required
        )

    def _task(
        self,
        connection: Connection,
        told: Told | None,
        one: Relevant,
        room: Held,
        asker: Asker,
        known: int | None,
        since: int | None,
        upto: int,
        directs: bool,
    ) -> Task:
        history, change = one.candidate.history, one.candidate.change
        return Task(
            history=history,
            membership=change.membership,
            snapshot=room.published,
            position=room.position,
            since=known,
            upto=upto if change.membership in STAYING else change.position,
            live_from=since,
            config=one.config,
            before=None if told is None or known is None else connection.configs[told.config_nid],
            lists=one.lists,
            is_direct=self._lists.is_direct(asker.user_id, history.room_id) if known is None or directs else None,
        )
