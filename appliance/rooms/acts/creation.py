"""Making a room: all its first events, its alias and its place in the directory are one unit."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from appliance.errors import MatrixError, bad_json, forbidden, invalid_param, too_large
from appliance.protocol.events import Event, EventTooLarge, InvalidEvent, build_event
from appliance.protocol.identifiers import is_room_alias, is_user_id, server_of
from appliance.protocol.power import are_integers
from appliance.protocol.versions import VERSIONS, RoomVersion
from appliance.rooms.acts.elsewhere import Elsewhere, Nobody
from appliance.rooms.acts.presets import CreateRoom, create_content, first_state, power_levels
from appliance.rooms.graph.appending import Appender, Beside, Draft, Identity
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import MEMBER, Members, Snapshot
from appliance.rooms.store import EventStore
from appliance.settings import Settings
from appliance.storage import rooms as rows
from appliance.storage.database import Database, Tx
from appliance.storage.numbers import Numbers
from appliance.storage.rooms import RoomRow

log = logging.getLogger("hearth.rooms")

MOST_INVITES = 100
"""Invitations in one request; each is an event to sign."""
INVITING_SECONDS = 45.0
"""How long people of other servers are invited into a new room; whoever made it waits for that."""
EMPTY = Snapshot((), 0, {}, Members({}))


class People(Protocol):
    """What rooms need to know of local users."""

    def exists(self, user_id: str) -> bool:
        """Whether there is such an account, not deactivated."""
        ...

    def is_guest(self, user_id: str) -> bool:
        """Whether that is a guest of this server."""
        ...

    def member_fields(self, user_id: str) -> dict[str, Any]:
        """``displayname`` and ``avatar_url`` as the profile has them, for membership events."""
        ...

    def check_invitation(self, user_id: str, sender: str) -> None:
        """Refuse an invitation that a user does not want, with 403 ``M_INVITE_BLOCKED``."""
        ...


class Creation:
    """Makes rooms.

    Args:
        database: where they go.
        numbers: gives row numbers.
        rooms: the rooms in memory.
        store: the events in memory.
        appender: builds the events.
        identity: as whom this server signs.
        people: the local users.
        settings: the version of new rooms, read at use.
        now_ms: the time, milliseconds since 1970.

    Attributes:
        elsewhere: other servers.
        made: awaited with its creator after a room was made.
    """

    def __init__(
        self,
        database: Database,
        numbers: Numbers,
        rooms: Rooms,
        store: EventStore,
        appender: Appender,
        identity: Identity,
        people: People,
        settings: Settings,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._numbers = numbers
        self._rooms = rooms
        self._store = store
        self._appender = appender
        self._identity = identity
        self._people = people
        self._settings = settings
        self._now_ms = now_ms
        self.elsewhere: Elsewhere = Nobody()
        self.made: list[Callable[[str, Room], Awaitable[None]]] = []

    async def create(self, creator: str, request: CreateRoom) -> str:
        """Make a room.

        Args:
            creator: the local user who asks.
            request: what they want.

        Returns:
            the room's id.

        Raises:
            MatrixError: ``M_UNSUPPORTED_ROOM_VERSION``, ``M_ROOM_IN_USE`` for a taken alias, ``M_INVALID_ROOM_STATE``
                where the events asked for do not allow one another, ``M_INVALID_PARAM``, ``M_BAD_JSON``,
                ``M_FORBIDDEN``, ``M_INVITE_BLOCKED``.
        """
        wanted = self._settings.rooms_default_version if request.room_version is None else request.room_version
        version = VERSIONS.get(wanted)
        if version is None:
            raise MatrixError("M_UNSUPPORTED_ROOM_VERSION", f"Hearth knows no room version {wanted}.")
        alias = self._alias(request)
        self._check_invites(creator, request)

        def fill(draft: Draft) -> None:
            self._fill(draft, creator, request, version, alias)

        def also(tx: Tx, room: Room) -> None:
            if alias is not None and not rows.add_alias(tx, alias, room.room_id, creator):
                raise _in_use(alias)
            if request.visibility == "public":
                rows.set_listed(tx, room.nid, True)

        room_id = await self.make(creator, version, create_content(request, version, creator), fill, also)
        await self._invite_others(creator, room_id, request)
        return room_id

    async def make(
        self,
        creator: str,
        version: RoomVersion,
        content: dict[str, Any],
        fill: Callable[[Draft], None],
        also: Callable[[Tx, Room], None],
        room_id: str | None = None,
    ) -> str:
        """Make a room out of a create event and what fills it; all of it is one unit.

        Args, and what is raised: as ``draft``.

        Returns:
            the room's id.
        """
        made = self.draft(creator, version, content, fill, also, room_id)
        room = made.draft.room
        self._rooms.add(room)
        await self._appender.commit(made.draft, made.first)
        await self.tell(creator, room)
        return room.room_id

    async def tell(self, creator: str, room: Room) -> None:
        """Tell those who want to know that a room was made."""
        for listener in self.made:
            await listener(creator, room)

    def draft(
        self,
        creator: str,
        version: RoomVersion,
        content: dict[str, Any],
        fill: Callable[[Draft], None],
        also: Callable[[Tx, Room], None],
        room_id: str | None = None,
    ) -> Beside:
        """A room as it is to be, to be committed by itself or beside something else.

        Args:
            creator: the local user who makes it, and joins first.
            version: its version.
            content: the content of the create event.
            fill: adds the events after the creator's joining.
            also: further statements for the unit.
            room_id: its id, in versions in which it is free to choose.

        Raises:
            MatrixError: ``M_INVALID_ROOM_STATE`` where the events do not allow one another. What ``also`` raises comes
                with the commit.
        """
        first = self._create_event(creator, content, version, room_id)
        row = RoomRow(self._numbers.room(), first.room_id, version.identifier, creator, self._now_ms())
        room = Room(row, EMPTY, 0, self._store, first)
        self._store.know_room(row.room_nid, version)
        draft = Draft(room, self._appender)
        try:
            draft.judge(first)
            draft.put_on_top(first)
            draft.add(MEMBER, creator, {"membership": "join", **self._people.member_fields(creator)}, creator)
            fill(draft)
        except MatrixError as refusal:
            if refusal.status == 403:
                raise MatrixError("M_INVALID_ROOM_STATE", f"The room cannot be made so: {refusal.message}") from refusal
            raise

        def unit(tx: Tx) -> None:
            rows.insert(tx, row)
            also(tx, room)

        return Beside(draft, unit)

    def new_room_id(self) -> str:
        """An id for a room of a version in which it is free to choose."""
        return f"!{secrets.token_urlsafe(18)}:{self._identity.server_name}"

    def _create_event(self, creator: str, content: dict[str, Any], version: RoomVersion, room_id: str | None) -> Event:
        """The create event; from room version 12 on it also gives the room its id."""
        room_id = None if version.hash_room_ids else room_id or self.new_room_id()
        try:
            return build_event(
                version,
                room_id=room_id,
                type="m.room.create",
                sender=creator,
                content=content,
                state_key="",
                depth=1,
                prev_events=[],
                auth_events=[],
                origin_server_ts=self._now_ms(),
                server_name=self._identity.server_name,
                key=self._identity.key,
            )
        except EventTooLarge as error:
            raise too_large(str(error)) from error
        except InvalidEvent as error:
            raise bad_json(str(error)) from error

    def _fill(self, draft: Draft, creator: str, request: CreateRoom, version: RoomVersion, alias: str | None) -> None:
        """Draft the events of a new room after the creator's joining, in the specification's order."""
        levels = power_levels(request, version, creator)
        if not are_integers(levels):
            raise MatrixError("M_INVALID_ROOM_STATE", "The room cannot be made so: power levels must be integers.")
        draft.add("m.room.power_levels", creator, levels, "")
        if alias is not None:
            draft.add("m.room.canonical_alias", creator, {"alias": alias}, "")
        for entry in first_state(request):
            draft.add(entry.type, creator, entry.content, entry.state_key)
        for user_id in dict.fromkeys(request.invite):
            if user_id != creator and server_of(user_id) == self._identity.server_name:
                draft.add(MEMBER, creator, self._invitation(user_id, request), user_id)

    def _invitation(self, user_id: str, request: CreateRoom) -> dict[str, Any]:
        content = {"membership": "invite", **self._people.member_fields(user_id)}
        return {**content, "is_direct": True} if request.is_direct else content

    async def _invite_others(self, creator: str, room_id: str, request: CreateRoom) -> None:
        """Invite people of other servers into a room that has just been made; it stands, whatever they answer.

        Raises:
            MatrixError: after all have been tried, where somebody could not be invited, so that whoever asked for it
                knows: ``M_INVITE_BLOCKED`` where they do not want to be, ``M_UNSUPPORTED_ROOM_VERSION`` where their
                server does not know the version, else what ``Elsewhere.invite`` raises: 502 ``M_UNKNOWN`` where it
                could not be reached.
        """
        here, refusal = self._identity.server_name, None
        others = [user_id for user_id in dict.fromkeys(request.invite) if server_of(user_id) != here]
        servers = dict.fromkeys(server_of(user_id) for user_id in others)
        # Each invitation stands upon the one before it, so one server is asked after the other; but not one that is
        # away, for which all would wait.
        silent = await self.elsewhere.silent(servers) if len(servers) > 1 else {}
        deadline = asyncio.get_running_loop().time() + INVITING_SECONDS
        for user_id in others:
            content = self._invitation(user_id, request)
            problem = silent.get(server_of(user_id))
            if problem is None:
                problem = await self._invite_elsewhere(creator, room_id, user_id, content, deadline)
            if problem is None:
                continue
            if problem.status == 502:
                silent[server_of(user_id)] = problem
            log.warning("%s is not invited to the new room %s: %s", user_id, room_id, problem.message)
            told = f"The room {room_id} was made, but {user_id} is not invited: {problem.message}"
            if problem.errcode == "M_INVITE_BLOCKED":
                refusal = MatrixError(problem.errcode, told, problem.status)
            elif problem.errcode == "M_INCOMPATIBLE_ROOM_VERSION":
                refusal = MatrixError("M_UNSUPPORTED_ROOM_VERSION", told, 400)
            elif refusal is None:
                refusal = MatrixError(problem.errcode, told, problem.status)
        if refusal is not None:
            raise refusal

    async def _invite_elsewhere(
        self, creator: str, room_id: str, user_id: str, content: dict[str, Any], deadline: float
    ) -> MatrixError | None:
        """Invite somebody of another server; what went wrong, if something did."""
        try:
            async with asyncio.timeout_at(deadline):
                await self.elsewhere.invite(creator, room_id, user_id, content)
        except MatrixError as problem:
            return problem
        except TimeoutError:
            return MatrixError("M_UNKNOWN", "Their server, or those before it, took too long.", 504)
        return None

    def _alias(self, request: CreateRoom) -> str | None:
        if request.room_alias_name is None:
            return None
        alias = f"#{request.room_alias_name}:{self._identity.server_name}"
        if not request.room_alias_name or ":" in request.room_alias_name or not is_room_alias(alias):
            raise invalid_param("room_alias_name is not a valid local part of an alias.")
        if rows.room_of_alias(self._database, alias) is not None:
            raise _in_use(alias)
        return alias

    def _check_invites(self, creator: str, request: CreateRoom) -> None:
        if request.invite_3pid:
            raise forbidden("Invitations by e-mail or telephone number need an identity server, which Hearth has not.")
        if len(request.invite) > MOST_INVITES:
            raise invalid_param(f"At most {MOST_INVITES} people can be invited at once.")
        alone, here = request.creation_content.get("m.federate") is False, self._identity.server_name
        for user_id in request.invite:
            if alone and is_user_id(user_id) and server_of(user_id) != here:
                raise forbidden(f"This room is to be for people of this server only, which {user_id} is not.")
            check_invitee(user_id, self._identity, self._people, self.elsewhere)
            self._people.check_invitation(user_id, creator)


def check_invitee(user_id: str, identity: Identity, people: People, elsewhere: Elsewhere) -> None:
    """Refuse to invite what is no user id, or nobody.

    Raises:
        MatrixError: ``M_INVALID_PARAM`` for a malformed id, ``M_NOT_FOUND`` for a local user who does not exist,
            ``M_UNKNOWN`` for a user of another server where this server talks with none.
    """
    if not is_user_id(user_id):
        raise invalid_param(f"{user_id!r} is not a user id.")
    if server_of(user_id) != identity.server_name:
        if not elsewhere.can_reach(server_of(user_id)):
            raise MatrixError("M_UNKNOWN", f"Hearth cannot reach {server_of(user_id)} to invite {user_id}.", 400)
    elif not people.exists(user_id):
        raise MatrixError("M_NOT_FOUND", f"There is no user {user_id} here.", 404)


def _in_use(alias: str) -> MatrixError:
    return MatrixError("M_ROOM_IN_USE", f"{alias} belongs to another room already.", 400)
