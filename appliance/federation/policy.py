"""With which servers this one talks, as its owner wants it."""

import functools
import re

from appliance.errors import MatrixError, forbidden
from appliance.federation.failures import Unreachable
from appliance.settings import Settings, host_of


@functools.lru_cache(256)
def _pattern(glob: str) -> re.Pattern[str]:
    """A glob of ``*`` and ``?`` as a regular expression, in any case."""
    runs = re.sub(r"\*+", "*", glob)
    return re.compile("".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in runs), re.IGNORECASE)


def matches(globs: list[str], server_name: str) -> bool:
    """Whether one of some globs is a server's name or its host without the port."""
    names = (server_name, host_of(server_name))
    return any(_pattern(glob).fullmatch(name) for glob in globs for name in names)


class Policy:
    """Says with whom to talk.

    Args:
        settings: whether there is federation, and the lists.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def enabled(self) -> bool:
        """Whether this server talks with others at all."""
        return self._settings.federation_enabled

    def allows(self, server_name: str) -> bool:
        """Whether the owner lets a server take part; a block counts more than a permission."""
        settings = self._settings
        if matches(settings.federation_blocked_servers, server_name):
            return False
        return not settings.federation_allowed_servers or matches(settings.federation_allowed_servers, server_name)

    def reaches(self, server_name: str) -> bool:
        """Whether we may ask a server."""
        return self.enabled and server_name != self._settings.server_name and self.allows(server_name)

    def may_ask(self, server_name: str) -> None:
        """See that we may ask a server; raises ``Unreachable``."""
        if not self.enabled:
            raise Unreachable("Federation is switched off in this server's settings.", local=True)
        if server_name == self._settings.server_name:
            raise Unreachable("This is the server itself.", local=True)
        if not self.allows(server_name):
            raise Unreachable(f"{server_name} is blocked in this server's settings.", local=True)

    def may_be_asked(self, server_name: str) -> None:
        """See that a server may ask us; raises 403 ``M_FORBIDDEN``."""
        if not self.enabled:
            raise MatrixError("M_FORBIDDEN", "This server does not talk with other servers.", 403)
        if not self.allows(server_name):
            raise forbidden("This server does not talk with yours.")
