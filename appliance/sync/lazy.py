"""Which members a client was told of, so that lazy loading does not tell it of them again (client-server API,
"Lazy-loading room members").

A *chain* is what begins with a first sync and goes on from token to token; its number is part of each token. A member
counts as known to whoever comes with a token only if the answer that told of them ended at or before it. Whoever comes
with an older token than was given has lost what came after, which is forgotten, so that it is told again.

All of this lives in memory. What is forgotten here is told again, which does no harm.
"""

import secrets

from appliance.storage.lru import Lru

CHAINS_KEPT = 1_000
MOST_MEMBERS = 20_000
"""Members that are remembered in one chain."""
_Told = tuple[int, int]
_NOTHING: _Told = (0, 0)
_NEVER = (_NOTHING, _NOTHING)


class Chain:
    """What one client was told in answers that follow each other."""

    __slots__ = ("_count", "_last", "_rooms")

    def __init__(self) -> None:
        # By room and user: the event, where the answer that told of it ended, and the same for the one before.
        self._rooms: dict[int, dict[str, tuple[_Told, _Told]]] = {}
        self._last = 0
        self._count = 0

    def go_on(self, position: int) -> None:
        """A client comes with a token of a position: what was told after it may never have arrived."""
        if self._last <= position:
            return
        for members in self._rooms.values():
            for user_id, (now, before) in list(members.items()):
                if now[1] > position:
                    if before[1] > position or before == _NOTHING:
                        del members[user_id]
                        self._count -= 1
                    else:
                        members[user_id] = (before, _NOTHING)
        self._last = position

    def knows(self, room_nid: int, user_id: str, nid: int) -> bool:
        """Whether the client was told of a member by this event, the last one."""
        return self._rooms.get(room_nid, {}).get(user_id, _NEVER)[0][0] == nid

    def tell(self, room_nid: int, user_id: str, nid: int, position: int) -> None:
        """The client is told of a member by this event, in an answer that ends at a position."""
        if self._count >= MOST_MEMBERS:
            self._rooms.clear()
            self._count = 0
        members = self._rooms.setdefault(room_nid, {})
        before = members.get(user_id)
        if before is None:
            self._count += 1
            members[user_id] = ((nid, position), _NOTHING)
        elif before[0][0] != nid:
            members[user_id] = ((nid, position), before[0])
        self._last = max(self._last, position)


class Chains:
    """The chains of those who sync."""

    def __init__(self) -> None:
        self._chains: Lru[int, Chain] = Lru(CHAINS_KEPT)

    def begin(self) -> int:
        """The number of a new chain, which nobody had before, also not before a restart."""
        return secrets.randbits(40) or 1

    def of(self, number: int) -> Chain:
        """A chain; an empty one where it is not remembered."""
        chain = self._chains.get(number)
        if chain is None:
            chain = Chain()
            self._chains.put(number, chain)
        return chain
