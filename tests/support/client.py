"""A Matrix client for stories: verbs that must succeed, and the plain request for everything else.

Nothing in here knows Hearth: it speaks the client-server API to whatever server it is given.
"""

import functools
import itertools
import ssl
import time
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

V3 = "/_matrix/client/v3"
PATIENCE = 60.0
Json = dict[str, Any]
_numbers = itertools.count(1)


@functools.cache
def _trust() -> ssl.SSLContext:
    """What all clients trust; reading the roots takes longer than most stories' requests."""
    return ssl.create_default_context()


class Refused(AssertionError):  # noqa: N818 - a verdict
    """An answer that should have been a success."""


class Client:
    """One device of one user, or nobody.

    Args:
        url: the server's base address.
        token: an access token, if the client is logged in.
    """

    witness: ClassVar[Callable[[httpx.Response], None] | None] = None
    """Sees every answer that any client gets; set by whoever holds answers against the specification."""

    def __init__(self, url: str, token: str = "", user_id: str = "", device_id: str = "") -> None:
        self.url = url
        self.token = token
        self.user_id = user_id
        self.device_id = device_id
        self.http = httpx.Client(base_url=url, timeout=40, verify=_trust())
        self.since: str | None = None
        """Where ``sync`` goes on."""

    # Requests ----------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        """Send a request as it is; ``path`` begins after ``/_matrix/client/v3`` unless it begins with ``/_``."""
        return self._request(method, path, params=query or None, **({} if body is None else {"json": body}))

    def raw(self, method: str, path: str, content: bytes, **headers: str) -> httpx.Response:
        """Send a request with a body of bytes; a header's underscores are sent as hyphens."""
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._request(method, path, content=content, headers=lines)

    def _request(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})}
        path = path if path.startswith(("/_", "/.")) else V3 + path
        answer = self.http.request(method, path, headers=headers, **more)
        if Client.witness is not None:
            Client.witness(answer)
        return answer

    def must(self, method: str, path: str, body: Any = None, **query: Any) -> Json:
        """Send a request that must succeed, and give its body."""
        answer = self.ask(method, path, body, **query)
        if answer.status_code != 200:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text}")
        found: Json = answer.json()
        return found

    def refused(self, errcode: str, status: int, method: str, path: str, body: Any = None, **query: Any) -> Json:
        """Send a request that must fail in a certain way, and give its body."""
        answer = self.ask(method, path, body, **query)
        assert (answer.status_code, answer.json().get("errcode")) == (status, errcode), answer.text
        found: Json = answer.json()
        assert isinstance(found["error"], str)
        assert found["error"]
        return found

    # Accounts ----------------------------------------------------------------------------------------------------

    @classmethod
    def register(cls, url: str, name: str = "", password: str = "wonderland", **extra: Any) -> "Client":
        """A new user with a name that nobody else has."""
        client = cls(url)
        body = {"username": name or unique("user"), "password": password, **extra}
        first = client.ask("POST", "/register", body)
        assert first.status_code == 401, first.text
        auth = {"type": "m.login.dummy", "session": first.json()["session"]}
        return client._as(client.must("POST", "/register", {**body, "auth": auth}))

    def login(self, password: str = "wonderland", **extra: Any) -> "Client":
        """Another device of the same user."""
        other = Client(self.url)
        identifier = {"type": "m.id.user", "user": self.user_id}
        body = {"type": "m.login.password", "identifier": identifier, "password": password, **extra}
        return other._as(other.must("POST", "/login", body))

    def _as(self, login: Json) -> "Client":
        self.token = login.get("access_token", "")
        self.user_id = login["user_id"]
        self.device_id = login.get("device_id", "")
        return self

    # Rooms -------------------------------------------------------------------------------------------------------

    def create_room(self, **wanted: Any) -> str:
        """A new room."""
        return str(self.must("POST", "/createRoom", wanted)["room_id"])

    def join(self, room_id: str) -> None:
        """Join a room."""
        self.must("POST", f"/join/{seg(room_id)}", {})

    def invite(self, room_id: str, other: "Client | str") -> None:
        """Invite somebody."""
        self.must(
            "POST", f"/rooms/{seg(room_id)}/invite", {"user_id": other if isinstance(other, str) else other.user_id}
        )

    def leave(self, room_id: str) -> None:
        """Leave a room."""
        self.must("POST", f"/rooms/{seg(room_id)}/leave", {})

    def kick(self, room_id: str, other: "Client", **more: str) -> None:
        """Remove somebody."""
        self.must("POST", f"/rooms/{seg(room_id)}/kick", {"user_id": other.user_id, **more})

    def ban(self, room_id: str, other: "Client", **more: str) -> None:
        """Ban somebody."""
        self.must("POST", f"/rooms/{seg(room_id)}/ban", {"user_id": other.user_id, **more})

    def unban(self, room_id: str, other: "Client", **more: str) -> None:
        """Lift a ban."""
        self.must("POST", f"/rooms/{seg(room_id)}/unban", {"user_id": other.user_id, **more})

    def forget(self, room_id: str) -> None:
        """Forget a room that was left."""
        self.must("POST", f"/rooms/{seg(room_id)}/forget", {})

    def redact(self, room_id: str, event_id: str, **content: str) -> str:
        """Redact an event."""
        path = f"/rooms/{seg(room_id)}/redact/{seg(event_id)}/{seg(unique('txn'))}"
        return str(self.must("PUT", path, content)["event_id"])

    def event(self, room_id: str, event_id: str) -> Json:
        """One event."""
        return self.must("GET", f"/rooms/{seg(room_id)}/event/{seg(event_id)}")

    def member(self, room_id: str, other: "Client | None" = None) -> Json:
        """The content of a membership event, one's own unless said otherwise."""
        return self.state(room_id, "m.room.member", (other or self).user_id)

    def send(self, room_id: str, text: str, *, txn: str = "", event_type: str = "m.room.message") -> str:
        """Send a text."""
        path = f"/rooms/{seg(room_id)}/send/{seg(event_type)}/{seg(txn or unique('txn'))}"
        return str(self.must("PUT", path, {"msgtype": "m.text", "body": text})["event_id"])

    def set_state(self, room_id: str, event_type: str, content: Json, state_key: str = "") -> str:
        """Set a state event."""
        path = f"/rooms/{seg(room_id)}/state/{seg(event_type)}/{seg(state_key)}"
        return str(self.must("PUT", path, content)["event_id"])

    def state(self, room_id: str, event_type: str, state_key: str = "") -> Json:
        """The content of a state event."""
        return self.must("GET", f"/rooms/{seg(room_id)}/state/{seg(event_type)}/{seg(state_key)}")

    def messages(self, room_id: str, direction: str = "b", **query: Any) -> Json:
        """A page of the history."""
        return self.must("GET", f"/rooms/{seg(room_id)}/messages", dir=direction, **query)

    # Sync --------------------------------------------------------------------------------------------------------

    def sync(self, *, timeout: int = 0, **query: Any) -> Json:
        """One sync, which goes on where the last one ended."""
        if self.since is not None:
            query.setdefault("since", self.since)
        answer = self.must("GET", "/sync", timeout=timeout, **query)
        self.since = answer["next_batch"]
        return answer

    def sync_until(self, found: Callable[[Json], Any], **query: Any) -> Json:
        """Sync again and again until an answer is the one that is waited for, and give it."""
        deadline = time.monotonic() + PATIENCE
        seen = []
        while time.monotonic() < deadline:
            answer = self.sync(timeout=1000, **query)
            if found(answer):
                return answer
            seen.append(answer)
        raise Refused(f"{self.user_id} waited in vain; the last answers were {seen[-3:]}")

    def sync_until_text(self, room_id: str, text: str) -> Json:
        """Sync until somebody says something in a room, and give that event."""
        answer = self.sync_until(lambda sync: any(body(event) == text for event in timeline(sync, room_id)))
        return next(event for event in timeline(answer, room_id) if body(event) == text)


def seg(text: str) -> str:
    """A path segment."""
    return quote(text, safe="")


def unique(prefix: str) -> str:
    """A word that no other test uses."""
    return f"{prefix}{next(_numbers)}-{time.time_ns() % 10**12}"


def body(event: Json) -> Any:
    """What a message says."""
    return event["content"].get("body")


def together(alice: Client, bob: Client) -> str:
    """A room with both, who have heard of everything in it."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.sync()
    bob.sync()
    return room


def joined(sync: Json, room_id: str) -> Json:
    """The section of a room that one is in; empty where there is none."""
    found: Json = sync.get("rooms", {}).get("join", {}).get(room_id, {})
    return found


def timeline(sync: Json, room_id: str, membership: str = "join") -> list[Json]:
    """The timeline of a room in a sync."""
    room = sync.get("rooms", {}).get(membership, {}).get(room_id, {})
    events: list[Json] = room.get("timeline", {}).get("events", [])
    return events


def state_of(sync: Json, room_id: str, membership: str = "join") -> dict[tuple[str, str], Json]:
    """The state of a room in a sync, by type and state key."""
    room = sync.get("rooms", {}).get(membership, {}).get(room_id, {})
    return {(event["type"], event["state_key"]): event for event in room.get("state", {}).get("events", [])}
