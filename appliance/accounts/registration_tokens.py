"""Registration tokens: who holds one may make an account where registration asks for it.

Client-server API, "Token-authenticated registration".
"""

from appliance.accounts.clock import Clock, wall_clock
from appliance.storage import registration_tokens
from appliance.storage.database import Database


class RegistrationTokens:
    """The tokens that the owner has made.

    Args:
        database: hearth.db.
        clock: the time in milliseconds since 1970.
    """

    def __init__(self, database: Database, clock: Clock = wall_clock) -> None:
        self._database = database
        self._clock = clock

    def valid(self, token: str) -> bool:
        """Whether an account can be made with a token now."""
        known = registration_tokens.find_registration_token(self._database, token)
        if known is None or (known.expires_ts is not None and known.expires_ts <= self._clock()):
            return False
        return known.uses_allowed is None or known.uses < known.uses_allowed
