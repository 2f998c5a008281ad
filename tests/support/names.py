"""A DNS server for tests, on loopback and in a thread: it knows what it is told, and that names do not exist.

A server uses it by the setting ``federation.resolver``.
"""

import socket
import threading
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class Names:
    """The DNS server; use it as a context manager.

    Attributes:
        asked: the questions so far, as ``("SRV", "_matrix-fed._tcp.one.test")``.
    """

    def __init__(self, ttl: int = 60) -> None:
        self.asked: list[tuple[str, str]] = []
        self._ttl = ttl
        self._records: dict[tuple[str, str], list[str]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """What the setting takes."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def say(self, kind: str, name: str, *values: str) -> None:
        """Know the records of a name, in the form of a zone file; none for a name that has others."""
        self._records[kind, name.lower()] = list(values)

    def serve(self, server_name: str, port: int, address: str = "127.0.0.1") -> None:
        """Know a server without a port in its name: its address, and its port by SRV."""
        self.say("A", server_name, address)
        self.say("SRV", f"_matrix-fed._tcp.{server_name}", f"10 5 {port} {server_name}.")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(4096)
            if not data:
                return
            self._socket.sendto(self._answer(dns.message.from_wire(data)).to_wire(), sender)

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((kind, name))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        values = self._records.get((kind, name))
        if values:
            response.answer.append(dns.rrset.from_text(question.name, self._ttl, "IN", kind, *values))
        elif values is None and not any(known == name for _, known in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response
