"""Handing on what other servers say of their keys, with our signature beside theirs (server-server API, "Querying Keys
Through Another Server")."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from appliance.federation.keyring import Keyring, Need, Why
from appliance.federation.keys import PublishedKeys, ServerIdentity
from appliance.protocol.identifiers import is_server_name

MOST_SERVERS = 100
"""Servers of one question that are looked into."""
MOST_KEY_IDS = 50

Wanted = Mapping[str, int | None]
"""Key id to when it must at least be valid, milliseconds since 1970; None for now."""


class Notary:
    """Answers for others.

    Args:
        identity: as whom we sign.
        published: our own keys.
        keyring: the others'.
        now_ms: the time, milliseconds since 1970.
    """

    def __init__(
        self, identity: ServerIdentity, published: PublishedKeys, keyring: Keyring, now_ms: Callable[[], int]
    ) -> None:
        self._identity = identity
        self._published = published
        self._keyring = keyring
        self._now_ms = now_ms

    async def answer(self, wanted: Mapping[str, Wanted], at_least_ms: int | None = None) -> dict[str, Any]:
        """What is known of some servers' keys; servers of which nothing is known are left out.

        Args:
            wanted: the servers, each with the keys that are wanted of it; none for all.
            at_least_ms: until when keys must be valid of which no time is given; now unless said otherwise.
        """
        default = self._now_ms() if at_least_ms is None else at_least_ms
        servers = [server for server in wanted if is_server_name(server)][:MOST_SERVERS]
        here = self._identity.server_name
        others = [server for server in servers if server != here]
        needs = []
        for server in others:
            keys = dict(list(wanted[server].items())[:MOST_KEY_IDS]) or {"": None}
            needs += [
                Need(server, frozenset((key_id,)) if key_id else frozenset(), default if at is None else at)
                for key_id, at in keys.items()
            ]
        await self._keyring.fetch(needs, Why.OTHERS)
        found = [self._published.document()] if here in servers else []
        key = self._identity.key
        for server in others:
            document = self._keyring.document(server)
            if document is not None:
                found.append(key.sign_json(orjson.loads(document.json), here))
        return {"server_keys": found}
