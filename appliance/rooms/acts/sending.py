"""Sending: messages, state and redactions of local users, each at most once for a transaction."""

import json
from typing import Any

from appliance.errors import MatrixError, bad_json, forbidden, invalid_param, not_found
from appliance.protocol.event_signatures import AUTHORISER
from appliance.protocol.identifiers import is_room_alias, server_of
from appliance.protocol.power import are_integers, creators
from appliance.protocol.server_acl import ServerAcl
from appliance.rooms.acts import guests
from appliance.rooms.acts.creation import People, check_invitee
from appliance.rooms.acts.elsewhere import Elsewhere, Nobody
from appliance.rooms.acts.relating import AT_A_TIME, MOST, Relating
from appliance.rooms.graph.appending import Appender, Draft, Identity
from appliance.rooms.graph.transactions import Transactions
from appliance.rooms.reading.timeline import START
from appliance.rooms.room import Room, Rooms
from appliance.rooms.snapshot import MEMBER, Transaction
from appliance.rooms.store import EventStore
from appliance.storage import rooms as rows
from appliance.storage.database import Database
from appliance.storage.tokens import HistoryToken

Content = dict[str, Any]
WITH_RELATIONS = "org.matrix.msc3912.with_relations"


class Sending:
    """Takes what local users send.

    Args:
        database: for the aliases that an event may name.
        rooms: the rooms in memory.
        store: the events in memory.
        appender: builds the events.
        transactions: what was sent before.
        relating: judges what events relate to.
        identity: as whom this server signs.
        people: the local users.

    Attributes:
        elsewhere: other servers.
    """

    def __init__(
        self,
        database: Database,
        rooms: Rooms,
        store: EventStore,
        appender: Appender,
        transactions: Transactions,
        relating: Relating,
        identity: Identity,
        people: People,
    ) -> None:
        self._database = database
        self._rooms = rooms
        self._store = store
        self._appender = appender
        self._transactions = transactions
        self._relating = relating
        self._identity = identity
        self._people = people
        self.elsewhere: Elsewhere = Nobody()

    async def send(self, sender: str, room_id: str, event_type: str, content: Content, transaction: Transaction) -> str:
        """Send an event that is no state.

        Returns:
            the event's id; for a transaction that was seen before, the id that it made then.

        Raises:
            MatrixError: ``M_FORBIDDEN``, ``M_TOO_LARGE``, ``M_BAD_JSON``, and what ``Relating.check`` raises.
        """
        _check_type(event_type)
        if event_type == "m.room.redaction":
            redacts = content.get("redacts")
            if not isinstance(redacts, str):
                raise MatrixError("M_MISSING_PARAM", "A redaction must name the event to redact in redacts.")
            return await self.redact(sender, room_id, redacts, content, transaction)

        async def make() -> str:
            room = await self._rooms.joined(room_id, sender)
            self._relating.check(room, sender, event_type, content)
            event = await self._appender.append(
                room_id, lambda draft: draft.add(event_type, sender, content, transaction=transaction)
            )
            return event.event_id

        return await self._transactions.once(transaction, make)

    async def set_state(self, sender: str, room_id: str, event_type: str, state_key: str, content: Content) -> str:
        """Send a state event; one that says what the state says already makes no other event.

        Returns:
            the id of the event that now holds the slot.

        Raises:
            MatrixError: as ``send``; ``M_BAD_ALIAS`` for aliases that do not lead to the room.
        """
        _check_type(event_type)
        room = await self._rooms.find(room_id)
        own_join = event_type == MEMBER and state_key == sender and content.get("membership") == "join"
        content = _unvouched(event_type, content)
        if room is None or not own_join:
            room = await self._rooms.joined(room_id, sender)
        if event_type == MEMBER and content.get("membership") == "invite":
            check_invitee(state_key, self._identity, self._people, self.elsewhere)
            self._people.check_invitation(state_key, sender)
            if server_of(state_key) != self._identity.server_name:
                return await self.elsewhere.invite(sender, room_id, state_key, content)
        if event_type == "m.room.canonical_alias" and not state_key:
            await self._check_aliases(room, content)
        if event_type == "m.room.power_levels" and not state_key:
            _check_levels(room, content)
        if (event_type, state_key) == ("m.room.server_acl", "") and not ServerAcl(content).allows(
            self._identity.server_name
        ):
            raise MatrixError("M_UNKNOWN", "This list would keep out this server itself, and you with it.", 400)
        self._relating.check(room, sender, event_type, content)

        def work(draft: Draft) -> str:
            present = draft.state_event(event_type, state_key)
            if present is not None and present.sender == sender and _same(present.content, content):
                return present.event_id
            if event_type == MEMBER:
                _check_removal(draft, sender, state_key, content)
            if own_join:
                guests.admit(draft, sender, self._people)
            event = draft.add(event_type, sender, content, state_key)
            if event_type == guests.GUEST_ACCESS and not state_key:
                guests.evict(draft, self._identity.server_name, self._people)
            return event.event_id

        return await self._appender.append(room_id, work)

    async def redact(
        self, sender: str, room_id: str, target_id: str, content: Content, transaction: Transaction
    ) -> str:
        """Redact an event.

        Args:
            sender: the local user.
            room_id: the room.
            target_id: the event to redact.
            content: the redaction's content, such as ``reason``. Kinds of relation in ``WITH_RELATIONS`` are no part of
                it: what relates to the event in these ways is redacted with it, as far as the user may (MSC3912).
            transaction: the client's request.

        Raises:
            MatrixError: ``M_NOT_FOUND`` for an unknown target, ``M_INVALID_PARAM`` for one of another room,
                ``M_FORBIDDEN`` for somebody else's event without the power to redact, and for what a room cannot do
                without.
        """

        async def make() -> str:
            room = await self._rooms.joined(room_id, sender)
            author = self._author(room, target_id)
            said = {key: value for key, value in content.items() if key not in ("redacts", WITH_RELATIONS)}
            kinds = _kinds(content)
            after: HistoryToken | None = START if kinds else None

            def redact_others(draft: Draft) -> HistoryToken | None:
                def redact(event_id: str, author: str) -> None:
                    if author == sender or may_redact(draft, room, sender):
                        draft.add("m.room.redaction", sender, said, redacts=event_id)

                return None if after is None else self._relating.redact_related(draft, target_id, kinds, after, redact)

            def work(draft: Draft) -> tuple[str, HistoryToken | None]:
                if author != sender and not may_redact(draft, room, sender):
                    raise forbidden("You may not redact what others wrote in this room.")
                redaction = draft.add("m.room.redaction", sender, said, redacts=target_id, transaction=transaction)
                return redaction.event_id, redact_others(draft)

            event_id, after = await self._appender.append(room_id, work)
            for _ in range(MOST // AT_A_TIME):
                if after is not None:
                    after = await self._appender.append(room_id, redact_others)
            return event_id

        return await self._transactions.once(transaction, make)

    def _author(self, room: Room, target_id: str) -> str:
        """Who sent the event that is to be redacted; empty where only other servers can know it.

        Raises:
            MatrixError: as ``redact``.
        """
        found = self._store.find(target_id)
        if found is None:
            if all(server_of(user) == self._identity.server_name for user in room.published.members.having("join")):
                raise not_found("There is no such event to redact.")
            return ""
        row, target = found
        if row.room_nid != room.nid:
            raise invalid_param("The event to redact is in another room.")
        if target.type == "m.room.create":
            raise forbidden("A room's first event cannot be redacted.")
        if target.type == "m.room.server_acl" and target.is_state:
            # What is left of it would keep out every server, this one included.
            raise forbidden("A list of servers cannot be redacted, as it would keep out all of them: send another one.")
        return target.sender

    async def _check_aliases(self, room: Room, content: Content) -> None:
        """Refuse aliases that were not named before and do not lead here.

        Raises:
            MatrixError: ``M_INVALID_PARAM`` for what is no alias, ``M_BAD_ALIAS``.
        """
        present = room.state_event(room.published, "m.room.canonical_alias")
        known = _aliases(present.content) if present else set()
        others = content.get("alt_aliases", [])
        if not isinstance(others, list) or not all(isinstance(one, str) for one in others):
            raise invalid_param("alt_aliases must be a list of aliases.")
        if not isinstance(content.get("alias", ""), str | None):
            raise invalid_param("alias must be an alias.")
        for alias in _aliases(content) - known:
            if not is_room_alias(alias):
                raise invalid_param(f"{alias!r} is not an alias.")
            if await self._room_of(alias) != room.room_id:
                raise MatrixError("M_BAD_ALIAS", f"The alias {alias} does not lead to this room.", 400)

    async def _room_of(self, alias: str) -> str | None:
        if server_of(alias) == self._identity.server_name:
            return rows.room_of_alias(self._database, alias)
        try:
            return (await self.elsewhere.room_of(alias))[0]
        except MatrixError:
            return None


def may_redact(draft: Draft, room: Room, user_id: str) -> bool:
    """Whether somebody may redact what others wrote."""
    power = room.power(draft.snapshot)
    return power.user(user_id) >= power.redact


def _kinds(content: Content) -> list[str]:
    """The kinds of relation by which others are to be redacted too.

    Raises:
        MatrixError: ``M_INVALID_PARAM`` for what is no list of them.
    """
    kinds = content.get(WITH_RELATIONS, [])
    if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
        raise invalid_param(f"{WITH_RELATIONS} must be a list of kinds of relation.")
    return kinds


def _unvouched(event_type: str, content: Content) -> Content:
    """A membership's content without who vouches for a join, which is the servers' to say.

    Raises:
        MatrixError: ``M_BAD_JSON`` for names that are no text.
    """
    for field in ("displayname", "avatar_url") if event_type == MEMBER else ():
        if not isinstance(content.get(field), str | None):
            raise bad_json(f"{field} must be a string.")
    return {key: value for key, value in content.items() if event_type != MEMBER or key != AUTHORISER}


def _check_type(event_type: str) -> None:
    if event_type == "m.room.create":
        raise invalid_param("A room has one create event, which is made with it.")


def _aliases(content: Content) -> set[str]:
    others = content.get("alt_aliases")
    named = [content.get("alias"), *(others if isinstance(others, list) else [])]
    return {alias for alias in named if isinstance(alias, str) and alias}


def _same(one: Content, other: Content) -> bool:
    """Whether two contents are the same JSON; to Python 1 and True are equal, and so are 1 and 1.0."""
    return one == other and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _check_levels(room: Room, content: Content) -> None:
    """Say what is wrong with a power level for a creator, before the authorisation rules only say that it is; refuse
    text for numbers in versions where they do not.
    """
    if room.version.text_levels and not are_integers(content):
        raise bad_json("Power levels must be integers.")
    users = content.get("users")
    if room.version.creators_above_all and isinstance(users, dict):
        for user_id in creators(room.create) & users.keys():
            raise invalid_param(f"{user_id} is a creator of this room and stands above all power levels.")


def _check_removal(draft: Draft, sender: str, user_id: str, content: Content) -> None:
    """What the authorisation rules let pass and the membership endpoints do not: removing somebody who is not there."""
    if content.get("membership") == "leave" and sender != user_id and draft.snapshot.members.of(user_id) == "leave":
        raise forbidden(f"{user_id} is not in this room.")
