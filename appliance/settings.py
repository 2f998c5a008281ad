"""All settings of a Hearth, each with the sentence that the owner's pages and the documentation show.

One struct, held by every service that reads a setting and read at use; one table in hearth.db keeps what differs from
the defaults (``storage/settings.py``). Paths of the data folder and listening addresses are not settings: they come
from the command line, since they are needed to find this.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

TlsMode = Literal["acme", "files", "proxy", "lan"]
RegistrationMode = Literal["closed", "token", "open"]
NewRoomVersion = Literal["9", "10", "11", "12"]

LimitName = Literal["login", "register", "send", "join", "invite", "search", "write", "read"]
ProfileReaders = Literal["everybody", "users", "roommates"]

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


class Settings(Struct, kw_only=True):
    """The owner's choices. Changed only through ``storage.settings``, which keeps them."""

    server_name: Annotated[
        str, Meta(description="The part after the colon in @you:example.org. Permanent; may carry a port.")
    ] = ""
    public_host: Annotated[
        str, Meta(description="The host, with a port if it is not 443, at which clients reach this server.")
    ] = ""
    tls_mode: Annotated[TlsMode, Meta(description="How the server is reached: acme, files, proxy or lan.")] = "acme"
    tls_names: Annotated[
        list[str], Meta(description="The names in the certificate; empty means the public host alone.")
    ] = []
    tls_directory: Annotated[str, Meta(description="The directory address of the certificate authority.")] = (
        LETS_ENCRYPT
    )
    tls_ca_file: Annotated[
        str, Meta(description="A file with an extra root certificate to trust when talking to that authority.")
    ] = ""
    tls_certificate: Annotated[str, Meta(description="Your own certificate chain, a PEM file.")] = ""
    tls_key: Annotated[str, Meta(description="The private key of that certificate, a PEM file.")] = ""
    tls_trusted_proxies: Annotated[
        list[str], Meta(description="Networks whose X-Forwarded-For and X-Forwarded-Proto headers are believed.")
    ] = field(default_factory=lambda: ["127.0.0.0/8", "::1/128"])
    registration_mode: Annotated[
        RegistrationMode, Meta(description="Who may make an account: closed (nobody), token, or open.")
    ] = "closed"
    registration_terms: Annotated[
        str, Meta(description="The https address of the terms that newcomers must accept; empty for none.")
    ] = ""
    registration_terms_version: Annotated[str, Meta(description="The version of those terms, as clients show it.")] = (
        "1"
    )
    registration_guests: Annotated[
        bool, Meta(description="Whether anybody may look at open rooms as a guest, without a password or a name.")
    ] = False
    registration_shared_secret: Annotated[
        str, Meta(description="A secret with which programs may make accounts; empty switches that off.")
    ] = ""
    login_tokens: Annotated[
        bool, Meta(description="Whether somebody who is logged in may log in another device without its password.")
    ] = True
    presence_enabled: Annotated[bool, Meta(description="Whether people see who of their rooms is online.")] = True
    profiles_readers: Annotated[
        ProfileReaders, Meta(description="Who may look at profiles: everybody, users, or roommates alone.")
    ] = "everybody"
    user_directory_all: Annotated[
        bool,
        Meta(description="Whether people find everybody here, not only whom they meet in rooms or could meet."),
    ] = False
    calls_turn_uris: Annotated[
        list[str], Meta(description="Addresses of a TURN server that calls go through, such as turn:turn.example.org.")
    ] = []
    calls_turn_secret: Annotated[str, Meta(description="The secret that this server shares with the TURN server.")] = ""
    calls_livekit: Annotated[
        str, Meta(description="The https address of the LiveKit service that Element Call uses; empty for none.")
    ] = ""
    support_email: Annotated[str, Meta(description="An e-mail address for people with a question.")] = ""
    support_page: Annotated[str, Meta(description="The https address of a page for people with a question.")] = ""
    policy_server_key: Annotated[
        str, Meta(description="The public ed25519 key of the policy server at this name; empty where there is none.")
    ] = ""
    rooms_default_version: Annotated[
        NewRoomVersion, Meta(description="The version of new rooms; lower it only for old servers that do not know it.")
    ] = "12"
    rooms_redacted_days: Annotated[
        int,
        Meta(description="For how many days the content of what was redacted is kept.", ge=0, le=3650),
    ] = 7
    federation_enabled: Annotated[bool, Meta(description="Whether this server talks with other servers.")] = True
    federation_ca_file: Annotated[
        str, Meta(description="A file with an extra root certificate to trust when calling other servers.")
    ] = ""
    federation_resolver: Annotated[str, Meta(description="The DNS server to ask, host:port; empty: the system's.")] = ""
    federation_allow_private_addresses: Annotated[
        bool, Meta(description="Whether other servers may be at private addresses; for tests and closed networks.")
    ] = False
    federation_allowed_servers: Annotated[
        list[str], Meta(description="The only servers to talk with, as globs such as *.example.org; empty: all.")
    ] = []
    federation_blocked_servers: Annotated[
        list[str], Meta(description="Servers never to talk with, as globs such as *.example.org.")
    ] = []
    federation_notaries: Annotated[
        list[str], Meta(description="Servers that are asked for the keys of others which do not answer themselves.")
    ] = field(default_factory=lambda: ["matrix.org"])
    federation_device_names: Annotated[
        bool, Meta(description="Whether other servers are told the names of people's devices.")
    ] = False
    limits_enabled: Annotated[bool, Meta(description="Whether request rates are limited; off only for tests.")] = True
    limits_rates: Annotated[
        dict[LimitName, tuple[float, float]],
        Meta(description="Other rates than the usual ones: by kind, how many at once and how many a second."),
    ] = {}
    passwords_memory_kib: Annotated[
        int, Meta(description="Memory that hashing one password takes, in KiB (argon2id).", ge=8, le=4194304)
    ] = 19456
    passwords_rounds: Annotated[int, Meta(description="Passes over that memory (argon2id).", ge=1, le=1000)] = 2
    passwords_shortest: Annotated[
        int, Meta(description="How many characters people's new passwords have at least.", ge=1, le=128)
    ] = 8

    @property
    def reached_at(self) -> str:
        """``host[:port]`` that clients reach: the public host, else the server name."""
        return self.public_host or self.server_name

    @property
    def certificate_names(self) -> list[str]:
        """The names that the certificate must hold, without ports."""
        return self.tls_names or [host_of(self.reached_at)]


def host_of(authority: str) -> str:
    """The host in ``host``, ``host:port``, ``[v6]`` or ``[v6]:port``; a v6 address comes without its brackets."""
    if authority.startswith("["):
        return authority[1 : authority.index("]")] if "]" in authority else authority[1:]
    return authority.partition(":")[0]
