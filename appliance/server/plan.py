"""Which listeners run, in plain or over TLS, and what each may answer: a pure function of the settings."""

import enum
from typing import Literal

from msgspec import Struct

from appliance.server.addresses import Addresses, Bind
from appliance.settings import Settings

Role = Literal["http", "https", "federation"]


class Reach(enum.Enum):
    """How much of Hearth a listener answers."""

    EVERYTHING = "everything"
    """All there is (until the setup is finished: the wizard)."""
    REDIRECT = "redirect"
    """ACME challenges, ``/health`` and the wizard's own pages; anything else is sent to HTTPS."""
    FEDERATION = "federation"
    """What other servers ask for, and ``/health``."""


class Listener(Struct, frozen=True):
    """One listener of a plan.

    Args:
        role: which of the three it is.
        bind: its address.
        tls: whether it speaks TLS.
        reach: what it answers.
    """

    role: Role
    bind: Bind
    tls: bool
    reach: Reach


def plan(
    settings: Settings, *, setup_finished: bool, have_certificate: bool, addresses: Addresses
) -> tuple[Listener, ...]:
    """The listeners that should run.

    Until the setup is finished everything is bound, since the owner may come by any door and the certificate
    authority comes by the first: the wizard is answered in plain and, with the self-signed certificate, over TLS.

    Args:
        settings: the TLS mode and whether there is federation.
        setup_finished: whether the wizard is over.
        have_certificate: whether there is any certificate to speak TLS with, be it self-signed; without one no TLS
            listener runs.
        addresses: where to bind.
    """
    everything, federation = Reach.EVERYTHING, Reach.FEDERATION
    doors: list[tuple[Role, tuple[Bind, ...], bool, Reach]]
    if not setup_finished:
        doors = [
            ("http", addresses.http, False, everything),
            ("https", addresses.https, True, everything),
            ("federation", addresses.federation, True, federation),
        ]
    elif settings.tls_mode == "proxy":
        own_certificate = bool(settings.tls_certificate and settings.tls_key)
        doors = [("http", addresses.http, False, everything)]
        if settings.federation_enabled:
            doors.append(("federation", addresses.federation, own_certificate, federation))
    else:
        doors = [
            ("http", addresses.http, False, Reach.REDIRECT),
            ("https", addresses.https, True, everything),
        ]
        if settings.tls_mode != "lan" and settings.federation_enabled:
            doors.append(("federation", addresses.federation, True, federation))
    return tuple(
        Listener(role, bind, tls, reach)
        for role, binds, tls, reach in doors
        if have_certificate or not tls
        for bind in binds
    )
