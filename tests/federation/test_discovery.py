"""Where servers are: the table of server-server-api.md, "Resolving server names", and what is remembered."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from appliance.federation import resolver
from appliance.federation.addresses import is_public
from appliance.federation.discovery import FIRST_ERROR, HOUR, LONGEST, SERVICES, Discovery, Page, Route
from appliance.federation.failures import Unreachable
from appliance.federation.resolver import Resolver, Service, in_order
from appliance.settings import Settings


class World:
    """DNS and well-known files as a test wants them."""

    def __init__(self, files: Mapping[str, Any] | None = None, services: Mapping[str, Any] | None = None) -> None:
        self.files = dict(files or {})
        self.records = dict(services or {})
        self.fetched: list[str] = []
        self.doubted: list[str] = []
        self.now = 1000.0
        self.discovery = Discovery(self, self.fetch, lambda: self.now, lambda: 1.0)  # type: ignore[arg-type]

    def doubt(self, kinds: Sequence[str], host: str) -> None:
        self.doubted.append(host)

    async def services(self, kind: str, host: str) -> Sequence[Service]:
        return [Service(*one) for one in self.records.get(f"{kind}.{host}", ())]

    async def fetch(self, host: str, path: str, *, max_bytes: int) -> Page:
        assert (path, max_bytes) == ("/.well-known/matrix/server", 50 * 1024)
        self.fetched.append(host)
        await asyncio.sleep(0)
        found = self.files.get(host)
        if found is None:
            raise Unreachable("Nothing there.")
        return found if isinstance(found, Page) else Page(200, {}, orjson.dumps({"m.server": found}))

    def find(self, name: str) -> Route:
        return asyncio.run(self.discovery.find(name))


FED, OLD = "_matrix-fed._tcp", "_matrix._tcp"
NEW = Route("a.org", "a.org", (("c.org", 1),))
CASES = [
    # 1: addresses.
    ("1.2.3.4", {}, {}, Route("1.2.3.4", "1.2.3.4", (("1.2.3.4", 8448),))),
    ("1.2.3.4:99", {}, {}, Route("1.2.3.4:99", "1.2.3.4", (("1.2.3.4", 99),))),
    ("[2001:db8::1]", {}, {}, Route("[2001:db8::1]", "2001:db8::1", (("2001:db8::1", 8448),))),
    ("[2001:db8::1]:99", {}, {}, Route("[2001:db8::1]:99", "2001:db8::1", (("2001:db8::1", 99),))),
    # 2: a port; nothing else is asked for.
    ("a.org:99", {"a.org": "b.org"}, {f"{FED}.a.org": [("c.org", 1)]}, Route("a.org:99", "a.org", (("a.org", 99),))),
    # 3: a well-known file, and what may stand in it.
    ("a.org", {"a.org": "1.2.3.4"}, {}, Route("1.2.3.4", "1.2.3.4", (("1.2.3.4", 8448),))),
    ("a.org", {"a.org": "[2001:db8::1]:9"}, {}, Route("[2001:db8::1]:9", "2001:db8::1", (("2001:db8::1", 9),))),
    ("a.org", {"a.org": "b.org:9"}, {f"{FED}.b.org": [("c.org", 1)]}, Route("b.org:9", "b.org", (("b.org", 9),))),
    ("a.org", {"a.org": "b.org"}, {f"{FED}.b.org": [("c.org", 1)]}, Route("b.org", "b.org", (("c.org", 1),))),
    ("a.org", {"a.org": "b.org"}, {f"{OLD}.b.org": [("c.org", 1)]}, Route("b.org", "b.org", (("c.org", 1),))),
    ("a.org", {"a.org": "b.org"}, {f"{FED}.a.org": [("c.org", 1)]}, Route("b.org", "b.org", (("b.org", 8448),))),
    # 4 to 6: none, or a bad one.
    ("a.org", {}, {f"{FED}.a.org": [("c.org", 1)]}, Route("a.org", "a.org", (("c.org", 1),))),
    ("a.org", {}, {f"{FED}.a.org": [("c.org", 1)], f"{OLD}.a.org": [("d.org", 2)]}, NEW),
    ("a.org", {}, {f"{OLD}.a.org": [("d.org", 2)]}, Route("a.org", "a.org", (("d.org", 2),))),
    ("a.org", {}, {}, Route("a.org", "a.org", (("a.org", 8448),))),
    ("a.org", {"a.org": "not a name"}, {}, Route("a.org", "a.org", (("a.org", 8448),))),
    ("a.org", {"a.org": "b.org:99999"}, {}, Route("a.org", "a.org", (("a.org", 8448),))),
    ("a.org", {"a.org": 7}, {}, Route("a.org", "a.org", (("a.org", 8448),))),
    ("a.org", {"a.org": Page(200, {}, b"[1]")}, {}, Route("a.org", "a.org", (("a.org", 8448),))),
    ("a.org", {"a.org": Page(200, {}, b"<html>")}, {}, Route("a.org", "a.org", (("a.org", 8448),))),
    ("a.org", {"a.org": Page(404, {}, b'{"m.server":"b.org"}')}, {}, Route("a.org", "a.org", (("a.org", 8448),))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "files", "services", "route"), CASES)
def test_where_a_server_is(name: str, files: dict[str, Any], services: dict[str, Any], route: Route) -> None:
    assert World(files, services).find(name) == route


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a.org:", "[::1", "a.org:99999", "a.org:0", "@a:b"])
def test_what_is_no_name_is_not_looked_for(name: str) -> None:
    world = World()
    with pytest.raises(Unreachable):
        world.find(name)
    assert not world.fetched


def page(server: str, control: str) -> Page:
    return Page(200, {"cache-control": control} if control else {}, orjson.dumps({"m.server": server}))


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        ("", 24 * HOUR),
        ("max-age=7200", 7200.0),
        ("public, Max-Age=7200", 7200.0),
        ("max-age=1", 300.0),
        ("no-store", 300.0),
        ("max-age=99999999", LONGEST),
    ],
)
def test_how_long_a_file_is_believed(control: str, seconds: float) -> None:
    world = World({"a.org": page("b.org:1", control)})
    world.find("a.org")
    world.files["a.org"] = page("c.org:1", control)
    world.now += seconds - 1
    assert world.find("a.org").tls_name == "b.org"
    world.now += 2
    assert world.find("a.org").tls_name == "c.org"


def test_a_failure_is_remembered_longer_each_time_but_an_hour_at_most() -> None:
    world = World()
    waits = []
    for _ in range(8):
        before, world.fetched = world.now, []
        while not world.fetched:
            world.now += 30
            world.find("a.org")
        waits.append(world.now - before)
    assert waits[:4] == [30, FIRST_ERROR, 2 * FIRST_ERROR, 4 * FIRST_ERROR]
    assert waits[-1] == HOUR


def test_a_file_that_cannot_be_had_for_a_while_is_believed_on_and_one_that_was_withdrawn_is_not() -> None:
    world = World({"a.org": page("b.org:1", "max-age=600")})
    world.find("a.org")
    del world.files["a.org"]
    world.now += 3600
    assert world.find("a.org").tls_name == "b.org"
    world.now += LONGEST
    assert world.find("a.org").tls_name == "a.org"
    world.files["a.org"] = page("b.org:1", "max-age=600")
    world.now += HOUR
    assert world.find("a.org").tls_name == "b.org"
    world.files["a.org"] = Page(404, {}, b"")
    world.now += 3600
    assert world.find("a.org").tls_name == "a.org"


def test_what_was_not_found_is_looked_for_again_once_the_server_was_heard_of() -> None:
    world = World({"b.org": page("c.org", "")})
    world.find("a.org")
    world.find("b.org")
    for name in ("a.org", "B.org:9", "unheard-of.org", "no name"):
        world.discovery.doubt(name)
    assert sorted(world.doubted) == ["a.org", "b.org", "c.org", "unheard-of.org"]
    world.files["a.org"] = "c.org:1"
    world.fetched.clear()
    assert world.find("a.org").tls_name == "c.org"
    world.find("b.org")
    assert world.fetched == ["a.org"]


def test_a_name_without_address_is_asked_for_again_once_its_server_was_heard_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known: dict[str, tuple[str, ...]] = {}

    async def of_system(host: str) -> tuple[tuple[str, ...], float]:
        return known.get(host, ()), 300.0

    monkeypatch.setattr(resolver, "_of_system", of_system)
    asking = Resolver(Settings())
    with pytest.raises(Unreachable):
        asyncio.run(asking.addresses("a.org"))
    known["a.org"] = ("8.8.8.8",)
    with pytest.raises(Unreachable):
        asyncio.run(asking.addresses("a.org"))
    asking.doubt(SERVICES, "A.org")
    assert asyncio.run(asking.addresses("a.org")) == ("8.8.8.8",)
    known.clear()
    asking.doubt(SERVICES, "a.org")
    assert asyncio.run(asking.addresses("a.org")) == ("8.8.8.8",)  # what was found is believed


def test_many_who_look_at_once_ask_once() -> None:
    world = World({"a.org": "b.org:1"})

    async def look() -> None:
        found = await asyncio.gather(*(world.discovery.find("A.org") for _ in range(20)))
        assert {route.tls_name for route in found} == {"b.org"}

    asyncio.run(look())
    assert world.fetched == ["a.org"]


def test_services_come_by_priority_and_within_one_by_weight() -> None:
    records = [Service("last", 1, 20, 0), Service("heavy", 1, 10, 90), Service("light", 1, 10, 10)]
    orders = [[service.host for service in in_order(records)] for _ in range(300)]
    assert {order[-1] for order in orders} == {"last"}
    heavy = sum(order[0] == "heavy" for order in orders)
    assert 220 < heavy < 300


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1"),
        *("224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1"),
        *("fe80::1%eth0", "fc00::1", "ff02::1", "fec0::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("2002:7f00:1::", "64:ff9b::7f00:1"),
        *("2001:0:1:2:3:4:5:6", "localhost", ""),
    ],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)
