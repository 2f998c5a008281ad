"""Names to addresses, and services to hosts (SRV), with a memory of both kinds of answer.

Addresses are the system's to find (``/etc/hosts`` counts), unless a setting names a DNS server. Services are asked of
DNS. dnspython takes a while to load: that happens in a thread, ahead of the first question.
"""

import asyncio
import random
import socket
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from appliance.federation.failures import Unreachable
from appliance.federation.memory import Once, TimedCache
from appliance.settings import Settings

PATIENCE = 6.0
"""Seconds for one question, with all its tries."""
SHORTEST, LONGEST = 30.0, 3600.0
"""Seconds for which a good answer is kept; DNS's own figure where it has one, within these."""
SYSTEMS = 120.0
"""Seconds for which an answer of the system's is kept, which does not say how long it is good."""
UNKNOWN = 10.0
"""Seconds for which it is remembered that the system knows no such name; it has a memory of its own."""
NEGATIVE = 300.0
"""Seconds for which it is remembered that there is no such name; DNS's own is often a day, too long after a mistake."""
FAILED = 30.0
"""Seconds for which it is remembered that a question failed."""
MOST_ADDRESSES, MOST_SERVICES = 8, 10
KEPT = 4096


class Service(Struct, frozen=True):
    """One SRV record.

    Args:
        host: where the service is, in lower case and without the last dot; not an alias.
        port: at which port.
        priority: lower ones come first.
        weight: how often it is to be chosen among those of its priority.
    """

    host: str
    port: int
    priority: int = 0
    weight: int = 0


class Resolver:
    """Asks and remembers.

    Args:
        settings: the DNS server, if not the system's.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._addresses: TimedCache[tuple[str, str], tuple[str, ...]] = TimedCache(KEPT)
        self._services: TimedCache[tuple[str, str], tuple[Service, ...]] = TimedCache(KEPT)
        self._asking: Once[tuple[str, str, str], Any] = Once()
        self._resolver: tuple[str, Any] | None = None
        self._loading: asyncio.Future[None] | None = None

    async def addresses(self, host: str) -> Sequence[str]:
        """The addresses of a host, in the order in which to try them.

        Raises:
            Unreachable: where there are none, or it cannot be found out.
        """
        key = (self._settings.federation_resolver, host.lower())
        found = self._addresses.get(key)
        if found is None:
            found = await self._asking.do(("", *key), lambda: self._find(key))
        if not found:
            raise Unreachable(f"The name {host} has no address: either DNS does not know it, or DNS cannot be asked.")
        return found

    async def services(self, kind: str, host: str) -> Sequence[Service]:
        """The SRV records of a service of a host, in the order in which to try them; none where DNS has none.

        Args:
            kind: such as ``_matrix-fed._tcp``.
            host: the host.
        """
        key = (self._settings.federation_resolver, f"{kind}.{host.lower()}")
        found = self._services.get(key)
        if found is None:
            found = await self._asking.do(("SRV", *key), lambda: self._find_services(key))
        return in_order(found)

    def doubt(self, kinds: Sequence[str], host: str) -> None:
        """Forget that a host, or the hosts of its services of some kinds, have no addresses: it was heard of."""
        server, host = self._settings.federation_resolver, host.lower()
        services = [service for kind in kinds for service in self._services.get((server, f"{kind}.{host}")) or ()]
        for name in (host, *(service.host for service in services)):
            if self._addresses.get((server, name)) == ():
                self._addresses.drop((server, name))

    def forget(self, kinds: Sequence[str], name: str, hosts: Sequence[str]) -> None:
        """Ask anew next time where a server is: it is not where it was said to be, and may have moved.

        Args:
            kinds: the kinds of services by which it may have been found.
            name: the host that has those.
            hosts: where it was looked for.
        """
        server = self._settings.federation_resolver
        for key in ((server, f"{kind}.{name.lower()}") for kind in kinds):
            if self._services.get(key):
                self._services.drop(key)
        for key in ((server, host.lower()) for host in hosts):
            if self._addresses.get(key):
                self._addresses.drop(key)

    # Addresses ---------------------------------------------------------------------------------------------------

    async def _find(self, key: tuple[str, str]) -> tuple[str, ...]:
        server, host = key
        try:
            found, seconds = await (self._of_dns(host) if server else _of_system(host))
        except _Failed:
            found, seconds = (), FAILED
        self._addresses.put(key, found, seconds)
        return found

    async def _of_dns(self, host: str) -> tuple[tuple[str, ...], float]:
        """The addresses that the DNS server of the settings knows."""
        outcomes: list[Any] = await asyncio.gather(
            self._ask(host, "AAAA"), self._ask(host, "A"), return_exceptions=True
        )
        answers = [answer for answer in outcomes if isinstance(answer, tuple)]
        if not answers:
            raise _Failed
        found = _mixed([str(record.address) for answer in answers for record in answer[0]])
        if not found:
            return (), (FAILED if len(answers) < 2 else NEGATIVE)
        return found, min(seconds for records, seconds in answers if records)

    # Services ----------------------------------------------------------------------------------------------------

    async def _find_services(self, key: tuple[str, str]) -> tuple[Service, ...]:
        try:
            records, seconds = await self._ask(key[1], "SRV")
        except _Failed:
            records, seconds = (), FAILED
        found = tuple(
            Service(host, record.port, record.priority, record.weight)
            for record in list(records)[:MOST_SERVICES]
            if (host := record.target.to_text(omit_final_dot=True).lower()) not in (".", "") and record.port
        )
        self._services.put(key, found, seconds)
        return found

    # DNS ---------------------------------------------------------------------------------------------------------

    def prepare(self) -> "asyncio.Future[None]":
        """Have at hand what asks DNS, so that the first question need not wait for it; ends when it is."""
        if self._loading is None:
            self._loading = asyncio.ensure_future(asyncio.to_thread(_load))
        return self._loading

    async def _ask(self, name: str, kind: str) -> tuple[tuple[Any, ...], float]:
        """The records of a kind and for how many seconds they are good; none where there are none.

        Raises:
            _Failed: where DNS gave no answer.
        """
        await asyncio.shield(self.prepare())
        import dns.exception
        import dns.resolver

        try:
            answer = await self._dns().resolve(name, kind, search=False, raise_on_no_answer=False, lifetime=PATIENCE)
        except dns.resolver.NXDOMAIN:
            return (), NEGATIVE
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise _Failed from error
        if answer.rrset is None:
            return (), NEGATIVE
        return tuple(answer.rrset), max(SHORTEST, min(LONGEST, float(answer.rrset.ttl)))

    def _dns(self) -> Any:
        """dnspython's resolver, made anew when the setting has changed."""
        import dns.asyncresolver
        import dns.exception

        server = self._settings.federation_resolver
        if self._resolver is None or self._resolver[0] != server:
            try:
                resolver = dns.asyncresolver.Resolver(configure=not server)
            except dns.exception.DNSException as error:  # no /etc/resolv.conf
                raise _Failed from error
            if server:
                host, _, port = server.rpartition(":")
                resolver.nameservers = [host.strip("[]")]
                resolver.port = int(port)
            self._resolver = (server, resolver)
        return self._resolver[1]


def _load() -> None:
    import dns.asyncresolver
    import dns.rdtypes.IN.A
    import dns.rdtypes.IN.AAAA
    import dns.rdtypes.IN.SRV  # noqa: F401  which dnspython loads when it meets the first of a kind


class _Failed(Exception):  # noqa: N818
    """DNS gave no answer."""


async def _of_system(host: str) -> tuple[tuple[str, ...], float]:
    """The addresses that the system knows."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(PATIENCE):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return (), UNKNOWN
        raise _Failed from error
    except (OSError, UnicodeError) as error:  # TimeoutError too
        raise _Failed from error
    return _mixed([str(address[0]) for *_, address in found]), SYSTEMS


def _mixed(addresses: Sequence[str]) -> tuple[str, ...]:
    """v6 and v4 in turn, so that a network without one of the two costs one try at most."""
    six = [address for address in dict.fromkeys(addresses) if ":" in address]
    four = [address for address in dict.fromkeys(addresses) if ":" not in address]
    mixed = [address for pair in zip(six, four, strict=False) for address in pair]
    shorter = min(len(six), len(four))
    return tuple([*mixed, *six[shorter:], *four[shorter:]][:MOST_ADDRESSES])


def in_order(services: Sequence[Service]) -> list[Service]:
    """SRV records in the order in which to try them: by priority, within one by chance and weight (RFC 2782)."""
    found = []
    for priority in sorted({service.priority for service in services}):
        left = sorted((one for one in services if one.priority == priority), key=lambda one: one.weight)
        while left:
            chosen = random.choices(left, [one.weight or 0.01 for one in left])[0]  # noqa: S311
            left.remove(chosen)
            found.append(chosen)
    return found
