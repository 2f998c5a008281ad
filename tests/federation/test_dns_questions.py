"""Questions to DNS: what is read of answers, however they are made, and whom we believe."""

import asyncio
import struct
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.federation import dns_questions
from appliance.federation.dns_questions import Failed, Found, Record, ask, read, servers_of_system
from appliance.federation.resolver import Resolver
from appliance.settings import Settings
from tests.support.names import Names

NAME = "_matrix-fed._tcp.Example.org"


def message(*rrsets: tuple[str, str, str], kind: str = "SRV", name: str = NAME, number: int = 7) -> dns.message.Message:
    """An answer with records: name, kind and value of each."""
    response = dns.message.make_response(dns.message.make_query(name, kind))
    response.id = number
    for owner, one, value in rrsets:
        response.answer.append(dns.rrset.from_text(owner + ".", 300, "IN", one, value))
    return response


def test_records_are_read_through_aliases() -> None:
    wire = message(
        (NAME.lower(), "CNAME", "Srv.example.net."),
        ("srv.example.net", "SRV", "10 5 8448 Matrix.Example.net."),
        ("srv.example.net", "SRV", "5 0 443 other.example.net."),
        ("srv.example.net", "TXT", "anything"),
        ("unasked.example.net", "SRV", "1 1 1 evil.example.net."),
    ).to_wire()
    found = Found((Record("matrix.example.net", 8448, 10, 5), Record("other.example.net", 443, 5, 0)), 300.0)
    assert read(wire, NAME, "SRV") == found
    for kind, value in (("A", "192.0.2.1"), ("AAAA", "2001:db8::1")):
        one = message(("example.org", kind, value), kind=kind, name="example.org")
        assert read(one.to_wire(), "example.org", kind) == Found((Record(value),), 300.0)
    assert read(message().to_wire(), NAME, "SRV") == Found((), 0.0)
    gone = message()
    gone.set_rcode(dns.rcode.NXDOMAIN)
    assert read(gone.to_wire(), NAME, "SRV").records == ()
    gone.set_rcode(dns.rcode.SERVFAIL)
    with pytest.raises(Failed):
        read(gone.to_wire(), NAME, "SRV")


def test_aliases_and_references_that_never_end_do() -> None:
    circle = message((NAME, "CNAME", "a.test."), ("a.test", "CNAME", "b.test."), ("b.test", "CNAME", "a.test."))
    assert read(circle.to_wire(), NAME, "SRV").records == ()
    head = struct.pack(">HHHHHH", 7, 0x8180, 0, 1, 0, 0)
    for name in (b"\xc0\x0c", b"\xc0\x0e", b"\x01a\xc0\x0c", b"\xff\xff", b"\x3f" + b"a" * 20, b"\x01a" * 130):
        with pytest.raises(Failed):
            read(head + name, NAME, "SRV")


@given(
    st.binary(max_size=300) | st.binary(max_size=200).map(lambda some: struct.pack(">6H", 7, 0x8180, 1, 3, 0, 0) + some)
)
def test_whatever_comes_is_an_answer_or_none(data: bytes) -> None:
    try:
        found = read(data, NAME, "SRV")
    except Failed:
        return
    assert all(isinstance(one, Record) for one in found.records)


def test_names_that_are_none_are_not_asked_for() -> None:
    for name in ("", "a..b", "a" * 64, ".".join(["abcdefgh"] * 30), "é.test"):
        with pytest.raises(Failed):
            asyncio.run(ask([("127.0.0.1", 9)], name, "A"))


class Dns(asyncio.DatagramProtocol):
    """A server that answers by UDP with what it is given, and by TCP with the whole."""

    def __init__(self, *answers: dns.message.Message, first: bytes = b"") -> None:
        self.answers, self.first = list(answers), first
        self.asked = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        if self.first:
            self.transport.sendto(self.first, addr)
        if self.answers:
            self.transport.sendto(self.made(data), addr)

    def made(self, question: bytes) -> bytes:
        answer = self.answers.pop(0)
        answer.id = struct.unpack(">H", question[:2])[0]
        return answer.to_wire()

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readexactly(struct.unpack(">H", await reader.readexactly(2))[0])
        made = self.made(question)
        writer.write(struct.pack(">H", len(made)) + made)
        writer.close()


async def listen(server: Dns) -> tuple[str, int]:
    """Where a server listens."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    place = transport.get_extra_info("sockname")
    await asyncio.start_server(server.serve_tcp, *place)
    return str(place[0]), int(place[1])


def test_the_next_server_is_asked_and_what_is_too_large_comes_by_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_questions, "ONE_TRY", 0.3)
    whole = message(*((NAME, "SRV", f"1 1 {port} host.example.org.") for port in range(1, 100)))
    cut = message()
    cut.flags |= dns.flags.TC
    failing = message()
    failing.set_rcode(dns.rcode.SERVFAIL)
    stray = message((NAME, "SRV", "1 1 1 evil.example.net."), name="other.example.org")

    async def story() -> None:
        mute, broken, good = Dns(), Dns(failing), Dns(cut, whole, first=stray.to_wire())
        places = [await listen(one) for one in (mute, broken, good)]
        found = await ask([*places[:1], ("127.0.0.1", 1), *places[1:]], NAME, "SRV")
        assert [one.port for one in found.records] == list(range(1, 100))
        assert (mute.asked, broken.asked, good.asked) == (1, 1, 1)
        with pytest.raises(Failed):
            await ask(places[:1], NAME, "SRV")
        assert mute.asked == 1 + dns_questions.TRIES

    asyncio.run(story())


def test_a_resolver_asks_whom_the_settings_name() -> None:
    async def story(names: Names) -> None:
        resolver = Resolver(Settings(federation_resolver=names.address))
        assert list(await resolver.addresses("here.test")) == ["2001:db8::1", "192.0.2.7"]
        (service,) = await resolver.services("_matrix-fed._tcp", "here.test")
        assert (service.host, service.port) == ("matrix.here.test", 8448)
        assert await resolver.services("_matrix._tcp", "here.test") == []

    with Names() as names:
        names.say("A", "here.test", "192.0.2.7")
        names.say("AAAA", "here.test", "2001:db8::1")
        names.say("SRV", "_matrix-fed._tcp.here.test", "10 5 8448 matrix.here.test.")
        asyncio.run(story(names))


def test_whom_the_system_asks(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    assert servers_of_system(file) == [("127.0.0.1", 53)]
    file.write_text("# none\nsearch example.org\nnameserver 192.0.2.1\nnameserver ::1 # own\nnameserver\n")
    assert servers_of_system(file) == [("192.0.2.1", 53), ("::1", 53)]
