"""Another server of the tests' own making: answers what a test says, asks with good signatures, makes any event.

It has TLS and keys like a real one, so that a Hearth in a process of its own cannot tell it from one. What it says is
up to the test: honest by default, and hostile where a test puts something else into ``answers``.
"""

import contextlib
import itertools
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from appliance.protocol import canonical, hashes
from appliance.protocol.auth import auth_event_slots
from appliance.protocol.events import Event, build_event
from appliance.protocol.signing import SigningKey
from appliance.protocol.versions import VERSIONS, RoomVersion
from appliance.protocol.x_matrix import authorization
from tests.support.client import Json, seg, unique
from tests.support.hearth import HearthProcess
from tests.support.network import Network

FEDERATION = "/_matrix/federation"
UNTOLD_SIZE = 2**40
"""The length that is said of a body that comes piece by piece, however long it is."""
Answer = Callable[["Question"], tuple[int, Any]]
_clock = itertools.count(1_760_000_000_000)


class Question:
    """A request that came: the groups of its path, its query and its body."""

    def __init__(self, method: str, path: str, groups: Sequence[str], query: dict[str, list[str]], body: Any) -> None:
        self.method = method
        self.path = path
        self.groups = [unquote(one) for one in groups]
        self.query = query
        self.body = body


class Peer:
    """The server; use it as a context manager.

    Args:
        network: where it is.
        name: its name.

    Attributes:
        answers: by method and regular expression of the path; the latest that fits counts.
        asked: the questions that came, keys left out.
        rooms: those that it keeps, by their ids.
        taken: the events that others pushed.
    """

    def __init__(self, network: Network, name: str = "") -> None:
        self.network = network
        self.name = name or f"{unique('peer')}.test"
        self.key = SigningKey.generate()
        self.answers: dict[tuple[str, str], Answer] = {}
        self.asked: list[Question] = []
        self.rooms: dict[str, PeerRoom] = {}
        chain, key = network.certificate(self.name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                peer._handle(self)

            do_GET = do_PUT = do_POST = do  # noqa: N815 - the standard library's names

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._gone = False
        self.taken: list[Json] = []
        self._transactions = itertools.count(1)
        self.http = httpx.Client(verify=False, timeout=40)  # noqa: S501 - the server is asked by its address
        network.names.serve(self.name, self._server.server_address[1])
        self.answer("GET", "/_matrix/key/v2/server", lambda question: (200, self.keys()))
        self.answer("PUT", FEDERATION + "/v1/send/.*", self._take)

    def user(self, name: str = "mallory") -> str:
        """The id of a user here."""
        return f"@{name}:{self.name}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gone = True
        self._server.shutdown()
        self._server.server_close()
        self.http.close()

    # Answering ---------------------------------------------------------------------------------------------------

    def answer(self, method: str, pattern: str, answer: Answer) -> None:
        """Say what a question is answered with."""
        self.answers[method, pattern] = answer

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("content-length") or 0)
        data = handler.rfile.read(length)
        if self._gone:
            # Connections that were made before live on in their threads.
            handler.close_connection = True
            return
        parts = urlsplit(handler.path)
        body = json.loads(data) if data else None
        status, answer = 404, {"errcode": "M_NOT_FOUND", "error": "Nothing."}
        for (method, pattern), say in reversed(self.answers.items()):
            found = re.fullmatch(pattern, parts.path)
            if method == handler.command and found:
                question = Question(method, parts.path, found.groups(), parse_qs(parts.query), body)
                if "/key/" not in parts.path and "/send/" not in parts.path:
                    self.asked.append(question)
                status, answer = say(question)
                break
        else:
            self.asked.append(Question(handler.command, parts.path, (), parse_qs(parts.query), body))
        pieces: Iterable[bytes]
        if isinstance(answer, Iterator):
            pieces, size = answer, UNTOLD_SIZE
            handler.close_connection = True
        else:
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            pieces, size = [content], len(content)
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(size))
        handler.end_headers()
        with contextlib.suppress(OSError):  # who asked may have left
            for piece in pieces:
                handler.wfile.write(piece)
                if self._gone:
                    break

    def keys(self) -> Json:
        """What this server says of its keys."""
        document = {
            "server_name": self.name,
            "valid_until_ts": 2_000_000_000_000,
            "verify_keys": {self.key.key_id: {"key": self.key.public_key}},
            "old_verify_keys": {},
        }
        return self.key.sign_json(document, self.name)

    def _take(self, question: Question) -> tuple[int, Any]:
        self.taken += question.body.get("pdus", [])
        return 200, {"pdus": {}}

    # Asking ------------------------------------------------------------------------------------------------------

    def ask(self, server: HearthProcess, name: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask a Hearth something, with this server's signature.

        Args:
            server: where it listens.
            name: its name.
            method: the method.
            path: path and query; begins after ``/_matrix/federation`` unless it begins with ``/_``.
            body: JSON.
        """
        target = path if path.startswith("/_") else FEDERATION + path
        content = None if body is None else canonical.encode(body)
        line = authorization(method, target, self.name, name, content, self.key)
        headers = {"host": name, "authorization": line, "content-type": "application/json"}
        url = f"https://127.0.0.1:{server.federation}{target}"
        return self.http.request(method, url, headers=headers, content=content)

    def send(self, server: HearthProcess, name: str, *events: Event | Json, edus: Sequence[Json] = ()) -> Json:
        """Send a transaction, and give what it is answered with."""
        pdus = [one.pdu if isinstance(one, Event) else one for one in events]
        body = {"origin": self.name, "origin_server_ts": next(_clock), "pdus": pdus, "edus": list(edus)}
        answer = self.ask(server, name, "PUT", f"/v1/send/{next(self._transactions)}", body)
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()["pdus"]
        return told

    def join(self, server: HearthProcess, name: str, room_id: str, user_id: str = "") -> "PeerRoom":
        """Come into a room of a Hearth's, and know it from then on."""
        user_id = user_id or self.user()
        versions = "&".join(f"ver={one}" for one in VERSIONS)
        made = self.ask(server, name, "GET", f"/v1/make_join/{seg(room_id)}/{seg(user_id)}?{versions}")
        assert made.status_code == 200, made.text
        version, template = VERSIONS[made.json()["room_version"]], made.json()["event"]
        template = {**template, "origin_server_ts": next(_clock)}
        join = self.finished(version, {key: value for key, value in template.items() if key != "origin"})
        path = f"/v2/send_join/{seg(room_id)}/{seg(join.event_id)}"
        answer = self.ask(server, name, "PUT", path, join.pdu)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        room = PeerRoom(self, version, room_id)
        # Also where no event names it: others count on it (room version 12).
        assert "m.room.create" in [pdu["type"] for pdu in told["auth_chain"]]
        for pdu in (*told["auth_chain"], *told["state"]):
            room.know(Event.from_pdu(version, pdu))
        for pdu in told["state"]:
            room.put(Event.from_pdu(version, pdu))
        room.put(Event.from_pdu(version, told["event"]))
        self.rooms[room_id] = room
        return room

    def finished(self, version: RoomVersion, pdu: Json) -> Event:
        """An event out of whatever stands in it, with its hash and a signature made anew."""
        pdu = {**pdu, "signatures": {}}
        pdu["hashes"] = {"sha256": hashes.content_hash({**pdu, "hashes": {}})}
        signature = self.key.sign(hashes.signed_form(version, pdu))
        return Event.from_pdu(version, {**pdu, "signatures": {self.name: {self.key.key_id: signature}}})

    def found(self, version: str = "12", **rules: Any) -> "PeerRoom":
        """A room of this server's own, with Mallory in it, that it answers for."""
        known = VERSIONS[version]
        room_id = None if known.hash_room_ids else f"!{unique('room')}:{self.name}"
        room = PeerRoom(self, known, room_id or "")
        content: Json = {"room_version": version, **({"creator": self.user()} if known.creator_in_content else {})}
        create = room.event("m.room.create", content, "", room_id=room_id)
        room.room_id = create.room_id
        room.put(create)
        room.put(room.event("m.room.member", {"membership": "join"}, self.user()))
        levels = {} if known.creators_above_all else {"users": {self.user(): 100}}
        room.put(room.event("m.room.power_levels", levels, ""))
        room.put(room.event("m.room.join_rules", {"join_rule": "public", **rules}, ""))
        self.rooms[room.room_id] = room
        room.serve()
        return room


class PeerRoom:
    """A room as the peer knows it.

    Attributes:
        events: all that it knows, by their ids.
        state: the ids of the state, by slots.
        ends: the ids on which the next event stands.
        before: for each event that was put, the ids of the state before it.
    """

    def __init__(self, peer: Peer, version: RoomVersion, room_id: str) -> None:
        self.peer = peer
        self.version = version
        self.room_id = room_id
        self.events: dict[str, Event] = {}
        self.state: dict[tuple[str, str], str] = {}
        self.ends: list[str] = []
        self.before: dict[str, list[str]] = {}

    def know(self, event: Event) -> None:
        """Keep an event."""
        self.events[event.event_id] = event

    def put(self, event: Event) -> Event:
        """Put an event onto the end of the room."""
        self.know(event)
        self.before[event.event_id] = list(self.state.values())
        if event.state_key is not None:
            self.state[event.type, event.state_key] = event.event_id
        self.ends = [event.event_id]
        return event

    def event(
        self,
        event_type: str,
        content: Json,
        state_key: str | None = None,
        *,
        sender: str = "",
        parents: Sequence[str] | None = None,
        auth: Sequence[str] | None = None,
        room_id: str | None = None,
        depth: int | None = None,
    ) -> Event:
        """An event on the ends of the room, unless told otherwise; not put there."""
        sender = sender or self.peer.user()
        slots = auth_event_slots(self.version, type=event_type, sender=sender, state_key=state_key, content=content)
        named = [self.state[slot] for slot in slots if slot in self.state]
        on = self.ends if parents is None else parents
        deepest = max((self.events[one].depth for one in on if one in self.events), default=0)
        is_create = event_type == "m.room.create"
        return build_event(
            self.version,
            room_id=room_id if is_create else self.room_id,
            type=event_type,
            sender=sender,
            content=content,
            state_key=state_key,
            depth=deepest + 1 if depth is None else depth,
            prev_events=[] if is_create else on,
            auth_events=named if auth is None else auth,
            origin_server_ts=next(_clock),
            server_name=self.peer.name,
            key=self.peer.key,
        )

    def say(self, text: str, **more: Any) -> Event:
        """A message on the ends of the room; not put there."""
        return self.event("m.room.message", {"msgtype": "m.text", "body": text}, **more)

    def chain(self, event_ids: Sequence[str]) -> list[str]:
        """The ids of what allows some events."""
        found: dict[str, None] = {}
        waiting = list(event_ids)
        while waiting:
            for other in self.events[waiting.pop()].auth_events:
                if other not in found and other in self.events:
                    found[other] = None
                    waiting.append(other)
        return list(found)

    def pdus(self, event_ids: Sequence[str]) -> list[Json]:
        """Events as other servers get them."""
        return [self.events[one].pdu for one in event_ids]

    # Answering ---------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Answer what other servers ask about this room, honestly."""
        room, peer = re.escape(seg(self.room_id)), self.peer
        for question, answer in (
            (f"GET /v1/make_(join|leave|knock)/{room}/(.*)", self._template),
            (f"PUT /v[12]/send_(join|leave|knock)/{room}/(.*)", self._sent),
            (f"GET /v1/state/{room}", self._state),
            (f"GET /v1/state_ids/{room}", self._state_ids),
            (f"GET /v1/event_auth/{room}/(.*)", self._event_auth),
            (f"GET /v1/backfill/{room}", self._backfill),
            (f"POST /v1/get_missing_events/{room}", self._missing),
            ("GET /v1/event/(.*)", self._event),
        ):
            method, _, path = question.partition(" ")
            peer.answer(method, FEDERATION + path, answer)

    def _template(self, question: Question) -> tuple[int, Any]:
        membership, user_id = question.groups
        event = self.event("m.room.member", {"membership": membership}, user_id, sender=user_id)
        pdu = {key: value for key, value in event.pdu.items() if key not in ("hashes", "signatures", "event_id")}
        return 200, {"room_version": self.version.identifier, "event": pdu}

    def _sent(self, question: Question) -> tuple[int, Any]:
        event = Event.from_pdu(self.version, question.body)
        state = list(self.state.values())
        self.put(event)
        if question.groups[0] == "knock":
            return 200, {"knock_room_state": self.pdus(state)}
        if question.groups[0] == "leave":
            return 200, {}
        chain = self.chain([event.event_id, *state])
        return 200, {"state": self.pdus(state), "auth_chain": self.pdus(chain), "event": event.pdu}

    def _state(self, question: Question) -> tuple[int, Any]:
        state = self.before[question.query["event_id"][0]]
        return 200, {"pdus": self.pdus(state), "auth_chain": self.pdus(self.chain(state))}

    def _state_ids(self, question: Question) -> tuple[int, Any]:
        state = self.before[question.query["event_id"][0]]
        return 200, {"pdu_ids": state, "auth_chain_ids": self.chain(state)}

    def _event_auth(self, question: Question) -> tuple[int, Any]:
        return 200, {"auth_chain": self.pdus(self.chain([question.groups[0]]))}

    def _event(self, question: Question) -> tuple[int, Any]:
        for room in self.peer.rooms.values():
            if question.groups[0] in room.events:
                return 200, {"origin": self.peer.name, "pdus": room.pdus([question.groups[0]])}
        return 404, {"errcode": "M_NOT_FOUND", "error": "There is no such event."}

    def back(self, event_ids: Sequence[str], limit: int, stop: Sequence[str] = ()) -> list[str]:
        """The ids of events and those before them, nearest first."""
        found: dict[str, None] = {}
        waiting = [one for one in event_ids if one not in stop]
        while waiting and len(found) < limit:
            one = waiting.pop(0)
            if one in self.events and one not in found:
                found[one] = None
                waiting += [other for other in self.events[one].prev_events if other not in stop]
        return list(found)

    def _backfill(self, question: Question) -> tuple[int, Any]:
        ids = self.back(question.query["v"], int(question.query["limit"][0]))
        return 200, {"origin": self.peer.name, "pdus": self.pdus(ids)}

    def _missing(self, question: Question) -> tuple[int, Any]:
        wanted = question.body
        parents = [other for one in wanted["latest_events"] for other in self.events[one].prev_events]
        stop = [*wanted["earliest_events"], *wanted["latest_events"]]
        return 200, {"events": self.pdus(self.back(parents, wanted["limit"], stop)[::-1])}
