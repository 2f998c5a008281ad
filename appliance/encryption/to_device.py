"""Sending messages to devices (client-server API, module "Send-to-Device messaging")."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from appliance.encryption import parcels
from appliance.encryption.inbox import Inbox
from appliance.encryption.key_objects import encoded
from appliance.encryption.parcels import EMPTY, Parcel
from appliance.encryption.remote import RemoteWay
from appliance.errors import MatrixError, bad_json, invalid_param
from appliance.protocol.identifiers import fits
from appliance.storage import to_device as rows
from appliance.storage.database import Database, Tx
from appliance.storage.to_device import Request

MOST_OUTGOING = 20_000
"""Messages that wait for one server which does not answer."""
MAX_TRANSACTION_BYTES = 255


class _Sent(Struct, frozen=True):
    """What came of a request: the position, what arrived at local users' devices, and the servers for the rest."""

    position: int = 0
    arrivals: Parcel = EMPTY
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
        arrived: called on the loop with the local users to whom messages are being published.
        outgoing: called on the loop with each other server for which a message waits (``storage/to_device.py``); while
            nobody is here to carry them, messages to other servers are dropped.
    """

    def __init__(self, database: Database, inbox: Inbox, remote: RemoteWay, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._inbox = inbox
        self._remote = remote
        self._now_ms = now_ms
        self.arrived: list[Callable[[Iterable[str]], None]] = []
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
        request: Request = user_id, device_id, type_, transaction_id
        requests = self._inbox.requests
        while requests.is_underway(request):
            # Units are committed in their order: when this one is over, so is the other.
            await self._database.write(_nothing)
        if requests.is_known(request):
            return
        known = self._database.position
        parcel, others = self._read(user_id, type_, messages)
        edus = {server: _edu(user_id, type_, wanted) for server, wanted in others.items()} if self.outgoing else {}
        now_ms = self._now_ms()

        def work(tx: Tx) -> _Sent:
            position, kept = self._inbox.put(tx, parcel, known, request, now_ms)
            if not position:
                return _NOTHING
            for server, edu in edus.items():
                rows.put_outgoing(tx, server, position, edu)
                rows.trim_outgoing(tx, server, MOST_OUTGOING)
            return _Sent(position, kept, list(edus))

        def published(sent: _Sent) -> None:
            if sent.arrivals.keys:
                requests.served(request, sent.position)
            self._published(sent)

        requests.begin(request)
        waited = True
        try:
            await self._database.write(work, published=published)
        except asyncio.CancelledError:
            # The unit goes on though its client does not: until it is over, the same request has to wait.
            waited = False
            self._database.submit(_nothing).add_done_callback(lambda _: requests.end(request))
            raise
        finally:
            if waited:
                requests.end(request)

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
        known = self._database.position
        parcel, _ = self._read(sender, type_, content.get("messages"))
        now_ms = self._now_ms()

        def work(tx: Tx) -> _Sent:
            if not rows.begin_received(tx, origin, message_id, now_ms):
                return _NOTHING
            return _Sent(*self._inbox.put(tx, parcel, known, None, now_ms))

        await self._database.write(work, published=self._published)

    def _read(self, sender: str, type_: str, messages: Any) -> tuple[Parcel, dict[str, dict[str, Any]]]:
        return parcels.read(sender, type_, messages, self._remote.server_name, self._inbox.devices)

    def _published(self, sent: _Sent) -> None:
        if sent.arrivals.keys:
            self._inbox.arrived(sent.position, sent.arrivals)
            for arrived in self.arrived:
                arrived(sent.arrivals.users)
        for server in sent.servers:
            for listener in self.outgoing:
                listener(server)


def _nothing(tx: Tx) -> None:
    """A unit that only has its place in the order."""


def _edu(sender: str, type_: str, messages: Mapping[str, Any]) -> str:
    """The content of an ``m.direct_to_device``."""
    message_id = secrets.token_urlsafe(16)
    return encoded({"sender": sender, "type": type_, "message_id": message_id, "messages": messages})
