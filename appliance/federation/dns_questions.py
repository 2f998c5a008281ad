"""Asking DNS for addresses and services (RFC 1035, 2782, 3596): by UDP, and by TCP what is too large for that.

Only what finding a server needs, of whatever the answer says: addresses, SRV, and the aliases that lead to them. A
resolver that asks others for us is expected, as systems have one; it is what we believe, so nothing is asked of others.
"""

import asyncio
import secrets
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from msgspec import Struct

PORT = 53
SYSTEMS = Path("/etc/resolv.conf")
MOST_SERVERS = 3
ONE_TRY = 2.0
"""Seconds for one server's answer, until the next is asked."""
TRIES = 2
"""For each server."""
MOST_RECORDS = 200
"""Of an answer that are looked at."""
MOST_ALIASES = 8
MAX_NAME, MAX_LABEL = 255, 63

KINDS = {"A": 1, "AAAA": 28, "SRV": 33}
_ALIAS, _INTERNET = 5, 1
_QUESTION = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHiH")
_SERVICE = struct.Struct(">HHH")
_NOT_THERE = 3
_IS_ANSWER, _IS_CUT, _RECURSE = 0x8000, 0x0200, 0x0100

Place = tuple[str, int]


class Failed(Exception):  # noqa: N818
    """DNS gave no answer that is one."""


class Record(Struct, frozen=True):
    """One record of the kind that was asked for.

    Args:
        host: the address, or the host of a service without the last dot.
        port: of a service, as are the following.
        priority: lower ones come first.
        weight: how often it is to be chosen.
    """

    host: str
    port: int = 0
    priority: int = 0
    weight: int = 0


class Found(Struct, frozen=True):
    """An answer.

    Args:
        records: none where there are none of the kind, or no such name.
        seconds: for how long they are good.
    """

    records: Sequence[Record]
    seconds: float


def servers_of_system(file: Path = SYSTEMS) -> list[Place]:
    """The servers that the system asks; its own host where it names none."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    found = [(line[1], PORT) for line in words if len(line) > 1 and line[0] == "nameserver"]
    return found[:MOST_SERVERS] or [("127.0.0.1", PORT)]


async def ask(servers: Sequence[Place], name: str, kind: str) -> Found:
    """Ask one server after the other until one answers.

    Args:
        servers: addresses and ports.
        name: the name.
        kind: one of ``KINDS``.

    Raises:
        Failed: where none did, or the name is none.
    """
    for server in list(servers) * TRIES:
        number = secrets.randbits(16)
        question = _question(number, name, kind)
        try:
            async with asyncio.timeout(ONE_TRY):
                return read(await _exchange(server, question), name, kind)
        except (OSError, Failed, asyncio.IncompleteReadError):  # TimeoutError too
            continue
    raise Failed(f"No server answers what {name} is.")


def read(message: bytes, name: str, kind: str) -> Found:
    """What a message answers to a question.

    Raises:
        Failed: where the server failed, or what it says is malformed.
    """
    try:
        return _read(message, name.lower(), KINDS[kind])
    except (struct.error, IndexError, ValueError) as error:
        raise Failed("The answer is malformed.") from error


# Messages ------------------------------------------------------------------------------------------------------------


def _question(number: int, name: str, kind: str) -> bytes:
    return _QUESTION.pack(number, _RECURSE, 1, 0, 0, 0) + _asked(name, kind)


def _asked(name: str, kind: str) -> bytes:
    """The question itself, in lower case."""
    try:
        labels = [label.encode("ascii") for label in name.lower().removesuffix(".").split(".")]
    except UnicodeEncodeError as error:
        raise Failed("The name is none.") from error
    if not all(0 < len(label) <= MAX_LABEL for label in labels) or sum(map(len, labels)) + len(labels) >= MAX_NAME:
        raise Failed("The name is none.")
    written = b"".join(bytes([len(label)]) + label for label in labels)
    return written + b"\0" + struct.pack(">HH", KINDS[kind], _INTERNET)


def _answers(message: bytes, question: bytes) -> bool:
    """Whether a message is an answer to a question."""
    return (
        len(message) >= _QUESTION.size
        and message[:2] == question[:2]
        and bool(message[2] & (_IS_ANSWER >> 8))
        and message[_QUESTION.size : len(question)].lower() == question[_QUESTION.size :]
    )


def _read(message: bytes, name: str, wanted: int) -> Found:
    _, flags, questions, count, _, _ = _QUESTION.unpack_from(message)
    if flags & 0xF == _NOT_THERE:
        return Found((), 0.0)
    if flags & 0xF:
        raise Failed(f"The server says {flags & 0xF}.")
    place = _QUESTION.size
    for _ in range(questions):
        _, place = _name(message, place)
        place += 4
    aliases: dict[str, tuple[str, int]] = {}
    found: dict[str, list[tuple[Record, int]]] = {}
    for _ in range(min(count, MOST_RECORDS)):
        owner, place = _name(message, place)
        kind, group, ttl, size = _RECORD.unpack_from(message, place)
        place += _RECORD.size
        if place + size > len(message):
            raise Failed("The answer is cut.")
        if group == _INTERNET and kind == _ALIAS:
            aliases[owner] = (_name(message, place)[0], ttl)
        elif group == _INTERNET and kind == wanted:
            found.setdefault(owner, []).append((_record(message, place, size, kind), ttl))
        place += size
    seconds = []
    name = name.removesuffix(".")
    for _ in range(MOST_ALIASES):
        if name in found or name not in aliases:
            break
        name, ttl = aliases[name]
        seconds.append(ttl)
    records = found.get(name, [])
    seconds += [ttl for _, ttl in records]
    return Found(tuple(record for record, _ in records), float(max(0, min(seconds, default=0))))


def _record(message: bytes, place: int, size: int, kind: int) -> Record:
    data = message[place : place + size]
    if kind == KINDS["SRV"]:
        priority, weight, port = _SERVICE.unpack_from(data)
        return Record(_name(message, place + _SERVICE.size)[0], port, priority, weight)
    return Record(str(IPv4Address(data) if kind == KINDS["A"] else IPv6Address(data)))


def _name(message: bytes, place: int) -> tuple[str, int]:
    """The name at a place, in lower case and without the last dot, and the place after it.

    Names refer to what stands before them, so that each reference goes further back and there is an end.
    """
    labels: list[str] = []
    size, after, lowest = 0, 0, place
    while length := message[place]:
        if length >= 0xC0:
            after = after or place + 2
            place = (length & 0x3F) << 8 | message[place + 1]
            if place >= lowest:
                raise Failed("A name refers to what follows it.")
            lowest = place
            continue
        label = message[place + 1 : place + 1 + length]
        size += 1 + length
        if length > MAX_LABEL or len(label) < length or size > MAX_NAME:
            raise Failed("A name is malformed.")
        labels.append(label.decode("latin-1").lower())
        place += 1 + length
    return ".".join(labels), after or place + 1


# Wires ---------------------------------------------------------------------------------------------------------------


class _Waiting(asyncio.DatagramProtocol):
    """Waits for the answer to one question; whatever else comes is passed over."""

    def __init__(self, question: bytes) -> None:
        self._question = question
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.sendto(self._question)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.answer.done() and _answers(data, self._question):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _exchange(server: Place, question: bytes) -> bytes:
    # The socket is connected: the system lets nothing through that others send.
    transport, waiting = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Waiting(question), remote_addr=server
    )
    try:
        message = await waiting.answer
    finally:
        transport.close()
    return await _by_tcp(server, question) if message[2] & (_IS_CUT >> 8) else message


async def _by_tcp(server: Place, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack(">H", len(question)) + question)
        (size,) = struct.unpack(">H", await reader.readexactly(2))
        message = await reader.readexactly(size)
    finally:
        writer.close()
    if not _answers(message, question):
        raise Failed("The answer is to another question.")
    return message
