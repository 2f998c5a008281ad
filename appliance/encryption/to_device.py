"""Sending messages to devices (client-server API, module "Send-to-Device messaging")."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from msgspec import Struct

from appliance.encryption.inbox import Inbox
from appliance.encryption.key_objects import are_objects_of, encoded, encoded_bytes
from appliance.encryption.remote import RemoteWay, by_server
from appliance.errors import MatrixError, bad_json, invalid_param, too_large
from appliance.protocol.identifiers import fits
from appliance.storage import to_device as rows
from appliance.storage.database import Database, Tx

MAX_MESSAGE_BYTES = 65_536
MOST_DEVICES = 10_000
"""Devices that one request may name."""
MOST_OUTGOING = 20_000
"""Messages that wait for one server which does not answer."""
MAX_TRANSACTION_BYTES = 255

Messages = Mapping[str, Mapping[str, dict[str, Any]]]
"""User to device (or ``*``) to content."""


class _Sent(Struct, frozen=True):
    """What came of a request: the position, what arrived at local users' devices, and the servers for the rest."""

    position: int = 0
    arrivals: Mapping[str, Mapping[str, bytes]] = {}
    servers: list[str] = []


_NOTHING = _Sent()


class ToDevice:
    """Takes messages for devices and lets them wait there.

    Args:
        database: where they wait.
        inbox: told of what waits.
        remote: knows who is a local user.
        now_ms: the time, milliseconds since 1970.

    Attributes:
        arrived: called on the loop with each local user to whom a message is being published.
        outgoing: called on the loop with each other server for which a message waits (``storage/to_device.py``); while
            nobody is here to carry them, messages to other servers are dropped.
    """

    def __init__(self, database: Database, inbox: Inbox, remote: RemoteWay, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._inbox = inbox
        self._remote = remote
        self._now_ms = now_ms
        self.arrived: list[Callable[[str], None]] = []
        self.outgoing: list[Callable[[str], None]] = []

    async def send(self, user_id: str, device_id: str, type_: str, transaction_id: str, messages: Any) -> None:
        """Send messages of one type from a device to others; the same request again does nothing.

        Args:
            user_id: the local user who sends.
            device_id: from which device.
            type_: the type of all messages.
            transaction_id: the client's id of the request.
            messages: as in the request.

        Raises:
            MatrixError: ``M_BAD_JSON`` for another shape, ``M_INVALID_PARAM``, ``M_TOO_LARGE``.
        """
        if not fits(type_) or len(transaction_id.encode()) > MAX_TRANSACTION_BYTES:
            raise invalid_param("A type and a transaction id may have at most 255 bytes each.")
        local, others = by_server(read_messages(messages), self._remote.is_local)
        known = self._database.position
        ready = self._ready(user_id, type_, local)
        packed = rows.packed(ready)
        edus = {server: _edu(user_id, type_, wanted) for server, wanted in others.items()} if self.outgoing else {}
        now_ms = self._now_ms()

        def work(tx: Tx) -> _Sent:
            if not rows.begin_transaction(tx, user_id, device_id, type_, transaction_id, now_ms):
                return _NOTHING
            position, kept = self._inbox.put(tx, ready, packed, known)
            for server, edu in edus.items():
                rows.put_outgoing(tx, server, position, edu)
                rows.trim_outgoing(tx, server, MOST_OUTGOING)
            return _Sent(position, kept, list(edus))

        await self._database.write(work, published=self._published)

    async def receive(self, origin: str, content: Mapping[str, Any]) -> None:
        """Take in an ``m.direct_to_device`` of another server, once.

        Args:
            origin: the server that sent it, authenticated.
            content: the content of the EDU.

        Raises:
            MatrixError: for what is no such message, or whose sender is not the server's.
        """
        sender, type_, message_id = (content.get(name) for name in ("sender", "type", "message_id"))
        if not (isinstance(sender, str) and isinstance(type_, str) and isinstance(message_id, str)):
            raise bad_json("sender, type and message_id must be strings.")
        if sender.partition(":")[2] != origin:
            raise MatrixError(
                "M_FORBIDDEN", "The sender of a message to a device must be of the server that sends it.", 403
            )
        if not fits(type_) or not fits(message_id):
            raise invalid_param("A type and a message id may have at most 255 bytes each.")
        local, _ = by_server(read_messages(content.get("messages")), self._remote.is_local)
        known = self._database.position
        ready = self._ready(sender, type_, local)
        packed = rows.packed(ready)
        now_ms = self._now_ms()

        def work(tx: Tx) -> _Sent:
            if not rows.begin_received(tx, origin, message_id, now_ms):
                return _NOTHING
            return _Sent(*self._inbox.put(tx, ready, packed, known))

        await self._database.write(work, published=self._published)

    def _ready(self, sender: str, type_: str, messages: Messages) -> dict[str, Mapping[str, bytes]]:
        """Messages as sync tells them, for those of the devices that are there."""
        before = b'{"sender":' + orjson.dumps(sender) + b',"type":' + orjson.dumps(type_) + b',"content":'
        ready: dict[str, Mapping[str, bytes]] = {}
        encode = orjson.dumps
        for user_id, own in messages.items():
            each = {}
            for device_id, content in own.items():
                try:
                    message = before + encode(content) + b"}"
                except TypeError:
                    message = before + encoded_bytes(content) + b"}"
                if len(message) > MAX_MESSAGE_BYTES:
                    raise too_large(f"A message to a device may have at most {MAX_MESSAGE_BYTES} bytes.")
                each[device_id] = message
            there = self._inbox.addressed(user_id, each)
            if there:
                ready[user_id] = there
        return ready

    def _published(self, sent: _Sent) -> None:
        if sent.arrivals:
            self._inbox.arrived(sent.position, sent.arrivals)
            for listener in self.arrived:
                for user_id in sent.arrivals:
                    listener(user_id)
        for server in sent.servers:
            for listener in self.outgoing:
                listener(server)


def read_messages(value: Any) -> Messages:
    """Messages for devices.

    Raises:
        MatrixError: ``M_BAD_JSON`` for what is not users to devices to objects, ``M_TOO_LARGE`` for too many.
    """
    if not are_objects_of(dict, value):
        raise bad_json("messages must be an object of user ids to an object of device ids to objects.")
    if sum(map(len, value.values())) > MOST_DEVICES:
        raise too_large(f"At most {MOST_DEVICES} devices can be sent to at once.")
    found: Messages = value
    return found


def _edu(sender: str, type_: str, messages: Messages) -> str:
    """The content of an ``m.direct_to_device``."""
    message_id = secrets.token_urlsafe(16)
    return encoded({"sender": sender, "type": type_, "message_id": message_id, "messages": messages})
