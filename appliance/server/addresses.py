"""Addresses to listen on, as the owner writes them: ``host:port``, ``:port``, ``[v6]:port``, or ``off``."""

import ipaddress
import re

from msgspec import Struct

from appliance.errors import OwnerError

DEFAULT_HTTP = ":8080"
DEFAULT_HTTPS = ":8443"
DEFAULT_FEDERATION = ":8448"
"""What is listened on unless the owner says otherwise: ports that need no root."""

ANY = "::"
"""Every address of the machine, of both kinds: an IPv6 socket that takes IPv4 too."""

_SHAPE = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class Bind(Struct, frozen=True):
    """One address to listen on.

    Args:
        host: an IP address without brackets, ``::`` for all of them, or a host name of this machine.
        port: 0 lets the system choose, which tests use.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Addresses(Struct, frozen=True):
    """Where each of the three listeners is bound; an empty tuple means that it is off."""

    http: tuple[Bind, ...] = ()
    https: tuple[Bind, ...] = ()
    federation: tuple[Bind, ...] = ()


def parse_address(text: str, option: str) -> tuple[Bind, ...]:
    """The addresses in an option's value.

    Args:
        text: the value, for example ``:8080`` or ``127.0.0.1:80,[::1]:80``; ``off`` gives none.
        option: the option's name, for the sentence on a mistake.

    Raises:
        OwnerError: saying which part is wrong and how an address is written.
    """
    if text.strip().lower() == "off":
        return ()
    return tuple(dict.fromkeys(_parse_one(part.strip(), option) for part in text.split(",")))


def _parse_one(part: str, option: str) -> Bind:
    shape = _SHAPE.fullmatch(part)
    if shape is None:
        raise _mistake(part, option)
    port = int(shape["port"])
    if port > 65535:
        raise OwnerError(f"{option}: {port} is not a port; ports go from 1 to 65535.", 2)
    if shape["v6"] is not None:
        try:
            return Bind(str(ipaddress.IPv6Address(shape["v6"])), port)
        except ValueError as error:
            raise _mistake(part, option) from error
    host = shape["host"]
    if not host:
        return Bind(ANY, port)
    if host.replace(".", "").isdigit():
        try:
            return Bind(str(ipaddress.IPv4Address(host)), port)
        except ValueError as error:
            raise _mistake(part, option) from error
    if not _HOST_NAME.fullmatch(host):
        raise _mistake(part, option)
    return Bind(host, port)


def _mistake(part: str, option: str) -> OwnerError:
    return OwnerError(
        f"{option}: “{part}” is not an address. Write host:port, :port for every address of this machine, [v6]:port,"
        " several with commas between them, or off.",
        2,
    )
