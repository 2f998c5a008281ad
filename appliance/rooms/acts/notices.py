"""Server notices: what the owner has the server itself say to a user (client-server API, module "Server Notices").

Each user has one room for it. The server's own user makes it, and keeps which one it is in its ``m.direct`` account
data, where anybody looks for the room with somebody.
"""

import asyncio
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from appliance.accounts.account_data import AccountData
from appliance.accounts.accounts import Accounts
from appliance.accounts.profiles import Profiles
from appliance.errors import MatrixError, forbidden, not_found
from appliance.protocol import canonical
from appliance.rooms.acts.creation import Creation
from appliance.rooms.acts.membership import Membership
from appliance.rooms.acts.presets import CreateRoom
from appliance.rooms.acts.sending import Sending
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import Transaction
from appliance.settings import Settings
from appliance.storage.database import Tx

LOCALPART = "_server"
"""The server's own user: an account without a password, which nobody else can have once it was needed."""
NAME = "Server notices"
TAG = "m.server_notice"
SILENT = {"users_default": -10}
"""Power levels: the user reads, and cannot answer."""


class Notices:
    """Says things to users in the server's name.

    Args:
        accounts: has the server's own user.
        account_data: tags the rooms, and remembers them.
        profiles: gives the server's own user a name.
        rooms: the rooms in memory.
        creation: makes them.
        membership: invites.
        sending: says it.
        settings: the server's name, read at use.
    """

    def __init__(
        self,
        accounts: Accounts,
        account_data: AccountData,
        profiles: Profiles,
        rooms: Rooms,
        creation: Creation,
        membership: Membership,
        sending: Sending,
        settings: Settings,
    ) -> None:
        self._accounts = accounts
        self._account_data = account_data
        self._profiles = profiles
        self._rooms = rooms
        self._creation = creation
        self._membership = membership
        self._sending = sending
        self._settings = settings
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def user_id(self) -> str:
        """The server's own user."""
        return f"@{LOCALPART}:{self._settings.server_name}"

    async def say(self, user_id: str, content: dict[str, Any], transaction: Transaction) -> str:
        """Say something to a user, who is invited where they are not in the room for it.

        Args:
            user_id: a local user.
            content: of the ``m.room.message``.
            transaction: used again, it says nothing and gives the first event's id.

        Returns:
            the event's id.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for a user who is not here, and what ``Sending.send`` raises.
        """
        if not self._profiles.exists(user_id):
            raise not_found("There is no such user on this server.")
        lock = self._locks.setdefault(user_id, asyncio.Lock())
        async with lock:
            await self._be_there()
            room = await self._room(user_id)
            if room.published.members.of(user_id) not in ("join", "invite"):
                await self._membership.invite(self.user_id, room.room_id, user_id)
            return await self._sending.send(self.user_id, room.room_id, "m.room.message", content, transaction)

    async def check_leaving(self, user_id: str, room_id: str) -> None:
        """Refuse to reject the invitation to the room for notices; leaving it later is allowed.

        Raises:
            MatrixError: 403 ``M_CANNOT_LEAVE_SERVER_NOTICE_ROOM``.
        """
        room = await self._rooms.find(room_id)
        if room is None or room.create.sender != self.user_id or room.published.members.of(user_id) != "invite":
            return
        raise MatrixError(
            "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM",
            "This is where the server tells you things: it cannot be rejected.",
            403,
        )

    async def _be_there(self) -> None:
        account = self._accounts.get(self.user_id)
        if account is None:
            await self._accounts.create(LOCALPART, None)
            await self._profiles.put(self.user_id, "displayname", {"displayname": NAME})
        elif account.password_hash is not None or account.deactivated:
            raise forbidden(f"{self.user_id} belongs to somebody, so the server cannot speak by that name.")

    async def _room(self, user_id: str) -> Room:
        """The room for one user's notices: the one that was made for them, or a new one."""
        for room_id in self._known(user_id):
            room = await self._rooms.find(room_id)
            if room is not None and room.published.members.of(self.user_id) == "join":
                return room
        wanted = CreateRoom(name=NAME, preset="private_chat", power_level_content_override=SILENT)
        room_id = await self._creation.create(self.user_id, wanted)

        def remember(tx: Tx, direct: dict[str, Any]) -> dict[str, Any]:
            return {**direct, user_id: [room_id]}

        def tag(tx: Tx, tags: dict[str, Any]) -> dict[str, Any]:
            return {**tags, "tags": {**tags.get("tags", {}), TAG: {}}}

        await self._account_data.alter(self.user_id, "m.direct", "", remember)
        await self._account_data.alter(user_id, "m.tag", room_id, tag)
        room = await self._rooms.find(room_id)
        if room is None:
            raise forbidden("The room for notices is gone.")
        return room

    def _known(self, user_id: str) -> list[str]:
        with suppress(MatrixError):
            direct = canonical.decode(self._account_data.get(self.user_id, "m.direct"))
            return [str(room_id) for room_id in direct.get(user_id, [])]
        return []
