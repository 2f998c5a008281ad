"""Who is asking: a frozen value that the authentication of a request ends in, and that handlers read."""

import enum

from msgspec import Struct


class Access(enum.Enum):
    """Who may ask an endpoint at all."""

    NOBODY = "nobody"
    """No credentials are looked at."""
    OPTIONAL = "optional"
    """A valid access token is taken note of; without one the request goes on. A bad token is refused."""
    USER = "user"
    """A valid access token of a local user."""
    SERVER = "server"
    """A request that another server signed (X-Matrix)."""


class Limit(enum.Enum):
    """Which bucket of the rate limits a request counts against."""

    NONE = "none"
    """None: what other servers send is bounded by how much of it is worked on at once."""
    LOGIN = "login"
    """Whatever a password or a token can be guessed at."""
    REGISTER = "register"
    """Making accounts."""
    SEND = "send"
    """Events."""
    JOIN = "join"
    """Coming into rooms, and making them."""
    INVITE = "invite"
    """Asking others in."""
    SEARCH = "search"
    """What takes a look at much to answer little."""
    WRITE = "write"
    """Whatever else changes something."""
    READ = "read"
    """Whatever else reads."""


class Requester(Struct, frozen=True, kw_only=True):
    """Who asks, as far as the endpoint's declaration wanted to know.

    Args:
        address: the client's IP address, as text; behind a trusted proxy the one that the proxy names.
        user_id: the local user, or "" where nobody was authenticated.
        device_id: that user's device, or "".
        session: the number of the session (a login on a device, whatever its current access token), or 0.
        admin: whether the user is an owner of this server.
        guest: whether the user is a guest.
        server: the name of the server that signed the request, or "".
    """

    address: str
    user_id: str = ""
    device_id: str = ""
    session: int = 0
    admin: bool = False
    guest: bool = False
    server: str = ""
