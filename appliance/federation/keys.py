"""The keys that this server publishes, for others to check its signatures (server-server API, "Publishing Keys")."""

from collections.abc import Callable
from typing import Any

from appliance.errors import MatrixError
from appliance.protocol.signing import SigningKey
from appliance.settings import Settings
from appliance.storage.keys import SigningKeys

VALID_FOR_MS = 24 * 3600 * 1000
"""How long others may rely on an answer before they ask again: long enough to survive an evening's outage, short
enough that a key which was taken away is soon known to be."""


class ServerIdentity:
    """As whom this server speaks: its name and the key that signs.

    Args:
        settings: the name.
        keys: the keys.
    """

    def __init__(self, settings: Settings, keys: SigningKeys) -> None:
        self._settings = settings
        self._keys = keys

    @property
    def server_name(self) -> str:
        """The server's name."""
        return self._settings.server_name

    @property
    def key(self) -> SigningKey:
        """The key that signs.

        Raises:
            MatrixError: 503 while the server has not been set up.
        """
        key = self._keys.current
        if key is None:
            raise MatrixError("M_UNKNOWN", "This server has not been set up yet.", 503)
        return key


class PublishedKeys:
    """What ``/_matrix/key/v2/server`` answers.

    Args:
        identity: as whom.
        keys: the keys, those that have ended included.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(self, identity: ServerIdentity, keys: SigningKeys, now_ms: Callable[[], int]) -> None:
        self._identity = identity
        self._keys = keys
        self._now_ms = now_ms

    def document(self) -> dict[str, Any]:
        """The signed list of this server's keys."""
        key = self._identity.key
        # In canonical order, for those who check the signature on what came without bringing it into that order.
        document = {
            "old_verify_keys": {
                ended.key_id: {"expired_ts": ended.ended_ts, "key": ended.public_key} for ended in self._keys.ended()
            },
            "server_name": self._identity.server_name,
            "valid_until_ts": self._now_ms() + VALID_FOR_MS,
            "verify_keys": {key.key_id: {"key": key.public_key}},
        }
        return key.sign_json(document, self._identity.server_name)
