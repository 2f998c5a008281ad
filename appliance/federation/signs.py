"""Typing, receipts and presence on their way to one server: of each only the last counts, and none is kept on disk."""

from typing import Any

from appliance.protocol import canonical

MOST = 1000
"""Of each kind that wait for one server."""


class Signs:
    """What waits for one server."""

    __slots__ = ("_presence", "_receipts", "_typing")

    def __init__(self) -> None:
        self._typing: dict[tuple[str, str], bool] = {}
        self._receipts: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._presence: dict[str, dict[str, Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._typing or self._receipts or self._presence)

    def typing(self, room_id: str, user_id: str, typing: bool) -> None:
        """Somebody types, or types no more."""
        _put(self._typing, (room_id, user_id), typing)

    def receipt(self, room_id: str, user_id: str, thread_id: str, event_id: str, data: dict[str, Any]) -> None:
        """Somebody has read up to an event; the data are as clients are told them, ``thread_id`` included."""
        _put(self._receipts, (room_id, user_id, thread_id), {"data": data, "event_ids": [event_id]})

    def presence(self, user_id: str, push: dict[str, Any]) -> None:
        """Somebody's presence, as it stands in the ``push`` of the EDU."""
        _put(self._presence, user_id, push)

    def clear(self) -> None:
        """Forget all: the server does not answer, and it will be too late when it does."""
        self._typing.clear()
        self._receipts.clear()
        self._presence.clear()

    def take(self, limit: int) -> list[bytes]:
        """As EDUs, so many at most; what is left comes with the next transaction."""
        edus: list[dict[str, Any]] = []
        while self._typing and len(edus) < limit:
            (room_id, user_id), typing = _pop(self._typing)
            edus.append(_edu("m.typing", {"room_id": room_id, "typing": typing, "user_id": user_id}))
        while self._receipts and len(edus) < limit:
            edus.append(_edu("m.receipt", self._some_receipts()))
        if self._presence and len(edus) < limit:
            edus.append(_edu("m.presence", {"push": list(self._presence.values())}))
            self._presence.clear()
        return [canonical.encode(edu) for edu in edus]

    def _some_receipts(self) -> dict[str, Any]:
        """The content of one EDU, which has one receipt of each user and room; those of other threads are left."""
        content: dict[str, Any] = {}
        left = {}
        for (room_id, user_id, thread_id), receipt in self._receipts.items():
            users = content.setdefault(room_id, {"m.read": {}})["m.read"]
            if user_id in users:
                left[room_id, user_id, thread_id] = receipt
            else:
                users[user_id] = receipt
        self._receipts = left
        return content


def _edu(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"edu_type": kind, "content": content}


def _put(waiting: dict[Any, Any], key: Any, value: Any) -> None:
    waiting.pop(key, None)
    waiting[key] = value
    if len(waiting) > MOST:
        del waiting[next(iter(waiting))]


def _pop(waiting: dict[Any, Any]) -> tuple[Any, Any]:
    key = next(iter(waiting))
    return key, waiting.pop(key)
