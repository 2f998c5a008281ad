"""The keys of other servers: fetched, kept, and held against signatures.

A key is fetched from its server, or where that does not answer from a notary (a server that the owner trusts to have
fetched it); many together rather from a notary at first. What is known stays in the database. What could not be found
out is not asked for again for a while, since anybody can send us events of servers that do not exist.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import orjson
from msgspec import Struct

from appliance.federation import key_documents
from appliance.federation.client import FederationClient, path_of
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.memory import Clock, Once, TimedCache
from appliance.federation.policy import Policy
from appliance.protocol import signing
from appliance.protocol.event_signatures import is_signed_by, required_signers
from appliance.protocol.events import Event
from appliance.protocol.identifiers import is_server_name
from appliance.settings import Settings
from appliance.storage.database import Database
from appliance.storage.keys import SigningKeys
from appliance.storage.lru import Lru
from appliance.storage.server_keys import KEYS_KEPT, KeyDocument, ServerKey, document_of, keep_keys, keys_of

log = logging.getLogger("hearth.federation.keys")

FETCH_SECONDS = 10.0
NOTARY_SECONDS = 20.0
MAX_DOCUMENT = 64 * 1024
"""Bytes of one server's list of keys."""
MAX_DOCUMENTS = 10 * 1024 * 1024
AT_ONCE = 20
"""Servers that are asked at the same time."""
FEW = 8
"""Up to so many servers are asked themselves first; of more the notaries, as many of them will be dead."""
MOST_BUSY = 200
"""Servers that are being asked at the most, or wait for it, for the sake of strangers."""
BATCH = 100
"""Servers that a notary is asked about at once."""
FIRST_WAIT, LONGEST_WAIT = 10.0, 3600.0
"""Seconds for which a server that did not tell its keys is not asked again: at first, and after doublings."""
CONTACT_WAIT = 10.0
"""Seconds until it is asked again all the same, if somebody says that they are that server."""
TOLD_WAIT = 60.0
"""Seconds for which a server that did tell them is not asked again."""
SLICE = 1000
"""Events whose signatures are checked in one go, in two threads: some fifty milliseconds."""
KEPT = 2000
NO_TIME = 0

_Check = tuple[Event, Sequence[tuple[str, Mapping[str, str]]]]


class Need(Struct, frozen=True):
    """A key that is needed.

    Args:
        server_name: whose.
        key_ids: one of these; empty for any at all.
        at_ms: when it must have been valid, milliseconds since 1970; 0 for whenever.
    """

    server_name: str
    key_ids: frozenset[str]
    at_ms: int = NO_TIME


class Why(Enum):
    """For whose sake keys are asked for: none waits for what is asked for another's."""

    EVENTS = "events"
    CONTACT = "contact"
    """Somebody says that they are that server, which anybody can."""
    OTHERS = "others"
    """Anybody asks what we know of other servers' keys."""


class _Lane:
    """Servers that are asked for one reason: so many at once, and so many in all with those that wait for that."""

    __slots__ = ("busy", "most", "turn")

    def __init__(self, at_once: int, most: int) -> None:
        self.turn = asyncio.Semaphore(at_once)
        self.most = most
        self.busy = 0


class Keyring:
    """Knows the keys of all servers.

    Args:
        database: where they are kept.
        settings: our name, and the notaries.
        client: asks for them.
        own: our own keys.
        policy: whom to ask.
        now_ms: the time, milliseconds since 1970.
        clock: the time in seconds, for waits.

    Attributes:
        learned: called with a server whose keys were told.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        client: FederationClient,
        own: SigningKeys,
        policy: Policy,
        now_ms: Callable[[], int],
        clock: Clock = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._client = client
        self._own = own
        self._policy = policy
        self._now_ms = now_ms
        self._known: Lru[str, dict[str, ServerKey]] = Lru(KEPT)
        self._resting: TimedCache[str, float] = TimedCache(KEPT, clock)
        """Servers that are not asked for their own keys at the moment; 0 for those that have just told them."""
        self._waits: Lru[str, float] = Lru(KEPT)
        self._contacts: TimedCache[str, bool] = TimedCache(KEPT, clock)
        self.learned: list[Callable[[str], None]] = []
        self._fetching: Once[tuple[str, Why], bool] = Once()
        self._lanes = {
            Why.EVENTS: _Lane(AT_ONCE, sys.maxsize),
            Why.CONTACT: _Lane(AT_ONCE, MOST_BUSY),
            Why.OTHERS: _Lane(FEW, MOST_BUSY),
        }

    # Checking ----------------------------------------------------------------------------------------------------

    async def are_good(self, event: Event) -> bool:
        """Whether every server that must have signed an event did so with a key that was valid then."""
        return event.event_id in await self.good_among([event])

    async def good_among(self, events: Sequence[Event]) -> set[str]:
        """The ids of those events of which that is so. Keys are asked for once, the sums are done off the loop."""
        signers = {event.event_id: required_signers(event) for event in events}
        await self.fetch(_needs(events, signers), Why.EVENTS)
        good: set[str] = set()
        for start in range(0, len(events), SLICE):
            some = self._with_keys(events[start : start + SLICE], signers)
            if len(some) == 1:
                good |= _good(some)
            else:
                # In two threads: the sums themselves need no interpreter, and are nine tenths of it.
                halves = [half for half in (some[::2], some[1::2]) if half]
                good.update(*await asyncio.gather(*(asyncio.to_thread(_good, half) for half in halves)))
        return good

    def _with_keys(self, events: Sequence[Event], signers: Mapping[str, Collection[str]]) -> list[_Check]:
        """Each event with those who must have signed it, and their keys."""
        return [
            (event, [(server, self._keys_for(event, server)) for server in signers[event.event_id]]) for event in events
        ]

    def lacking(self, event: Event) -> str:
        """The server without whose keys it cannot be said for now whether an event that is not good is bad; "" where
        that is known: for want of a signature, or as the key was not among those that its server told.
        """
        signers = {event.event_id: required_signers(event)}
        needs = {need.server_name: need for need in _needs([event], signers)}
        found = ""
        for server in signers[event.event_id]:
            need = needs.get(server)
            if need is not None and not self._has(need) and self._is_silent(server):
                found = server
            elif not is_signed_by(event, server, self._keys_for(event, server)):
                return ""
        return found

    def _is_silent(self, server: str) -> bool:
        """Whether a server may have keys that it has not told."""
        return is_server_name(server) and self._policy.reaches(server) and self._resting.get(server) != 0.0

    async def current_key(self, server_name: str, key_id: str) -> str | None:
        """The public key by that id that a server signs with at present; None where there is none."""
        now = self._now_ms()
        if server_name == self._settings.server_name:
            return None
        need = Need(server_name, frozenset((key_id,)), now)
        if not self._has(need) and not self._contacts.get(server_name):
            self._contacts.put(server_name, True, CONTACT_WAIT)
            # It says that it is there, and perhaps that it has another key: it may well tell that by now.
            self._resting.drop(server_name)
        await self.fetch([need], Why.CONTACT)
        key = self.known(server_name).get(key_id)
        return key.public_key if key is not None and key.expired_ts is None and key.valid_until_ts >= now else None

    def known(self, server_name: str) -> Mapping[str, ServerKey]:
        """What is known of a server's keys at the moment, by their ids; at once. Our own are among the known."""
        if server_name == self._settings.server_name:
            return self._ours()
        found = self._known.get(server_name)
        if found is None:
            found = {key.key_id: key for key in keys_of(self._database, server_name)}
            self._known.put(server_name, found)
        return found

    def _ours(self) -> dict[str, ServerKey]:
        keys = {
            key.key_id: ServerKey(key.key_id, key.public_key, key.ended_ts, key.ended_ts) for key in self._own.ended()
        }
        current = self._own.current
        if current is not None:
            keys[current.key_id] = ServerKey(current.key_id, current.public_key, 2**53, None)
        return keys

    def _keys_for(self, event: Event, server: str) -> dict[str, str]:
        """The public keys of a server that count for an event: since room version 5 those that were valid then."""
        keys = self.known(server)
        if not event.version.enforced_key_validity:
            return {key_id: key.public_key for key_id, key in keys.items()}
        at = event.origin_server_ts
        return {key_id: key.public_key for key_id, key in keys.items() if at <= key.valid_until_ts}

    # Fetching ----------------------------------------------------------------------------------------------------

    async def fetch(self, needs: Iterable[Need], why: "Why") -> None:
        """Have the keys that are needed, as far as they can be had; where too much is being asked for by strangers, at
        once without.
        """
        lacking = sorted({need.server_name for need in needs if not self._has(need)})
        asked = [server for server in lacking if is_server_name(server) and self._may_ask(server)]
        lane = self._lanes[why]
        asked = asked[: lane.most - lane.busy]
        if not asked:
            return
        lane.busy += len(asked)
        try:
            await self._ask_for(asked, needs, len(lacking) <= FEW, why)
        finally:
            lane.busy -= len(asked)

    async def _ask_for(self, asked: Sequence[str], needs: Iterable[Need], few: bool, why: "Why") -> None:
        """Ask servers for their keys, and the notaries for what cannot be had so; many rather the other way round."""
        if len(asked) > FEW and self._settings.federation_notaries:
            wanted = {need.server_name: need for need in needs if need.server_name in set(asked)}
            await self._from_notaries(asked)
            asked = [server for server in asked if not self._has(wanted[server])]
        outcomes = await asyncio.gather(*(self._told(server, why) for server in asked))
        silent = [server for server, good in zip(asked, outcomes, strict=True) if not good]
        if silent and few:
            await self._from_notaries(silent)

    async def refresh(self, server_name: str) -> None:
        """Ask a server for its keys, unless that was tried a moment ago."""
        if is_server_name(server_name) and self._may_ask(server_name):
            await self._told(server_name, Why.EVENTS)

    def rest(self, server_name: str) -> float:
        """For how many seconds a server is not asked for its keys."""
        return self._resting.left(server_name)

    def document(self, server_name: str) -> KeyDocument | None:
        """What a server last said of its keys."""
        return document_of(self._database, server_name)

    def _has(self, need: Need) -> bool:
        keys = self.known(need.server_name)
        return any(
            (not need.key_ids or key_id in need.key_ids) and need.at_ms <= key.valid_until_ts
            for key_id, key in keys.items()
        )

    def _may_ask(self, server: str) -> bool:
        return self._resting.get(server) is None and self._policy.enabled and self._policy.allows(server)

    async def _told(self, server: str, why: "Why") -> bool:
        return await self._fetching.do((server, why), lambda: self._direct(server, self._lanes[why]))

    async def _direct(self, server: str, lane: "_Lane") -> bool:
        """Ask a server for its keys; whether it told them."""
        async with lane.turn:
            try:
                document = await self._client.request(
                    server,
                    "GET",
                    path_of("key", "v2", "server"),
                    timeout=FETCH_SECONDS,
                    max_bytes=MAX_DOCUMENT,
                    signed=False,
                    urgent=True,
                )
                await self._learn(document, server)
            except Unreachable as error:
                self._rest(server, error.sentence)
            except Refused as error:
                self._rest(server, f"It answered {error.status}: {error.error}")
            except key_documents.BadDocument as error:
                self._rest(server, f"What it says of its keys cannot be believed: {error}.")
            else:
                self._waits.drop(server)
                # What it has told it need not tell again at once, should a key be asked for that it does not have.
                self._resting.put(server, 0.0, TOLD_WAIT)
                return True
        return False

    async def _from_notaries(self, servers: Sequence[str]) -> None:
        """Ask the notaries, one after the other, for what is left."""
        left = list(servers)
        for notary in self._settings.federation_notaries:
            if not left:
                return
            if notary == self._settings.server_name or self._resting.get(notary):
                continue
            found: set[str] = set()
            for start in range(0, len(left), BATCH):
                told = await self._from_notary(notary, [one for one in left[start : start + BATCH] if one != notary])
                if told is None:
                    break
                found |= told
            left = [server for server in left if server not in found]

    async def _from_notary(self, notary: str, servers: Sequence[str]) -> set[str] | None:
        """Ask one notary about some servers; those that it told of, None where it told nothing."""
        if not servers:
            return set()
        criteria: dict[str, Any] = {server: {} for server in servers}
        try:
            answer = await self._client.request(
                notary,
                "POST",
                path_of("key", "v2", "query"),
                content={"server_keys": criteria},
                timeout=NOTARY_SECONDS,
                max_bytes=MAX_DOCUMENTS,
                signed=False,
            )
        except (Unreachable, Refused) as error:
            log.info("The notary %s tells no keys: %s", notary, error)
            return None
        if not any(key.expired_ts is None for key in self.known(notary).values()):
            await self._told(notary, Why.EVENTS)
        documents = answer.get("server_keys")
        found: set[str] = set()
        for document in documents[: 4 * BATCH] if isinstance(documents, list) else []:
            server = document.get("server_name") if isinstance(document, dict) else None
            if not isinstance(server, str) or server not in servers or not self._vouched(document, notary):
                continue
            try:
                await self._learn(document, server)
            except key_documents.BadDocument as error:
                log.info("The notary %s has a list of keys of %s that is not good: %s.", notary, server, error)
            else:
                found.add(server)
        return found

    def _vouched(self, document: dict[str, Any], notary: str) -> bool:
        """Whether a notary has signed what it hands on."""
        return any(
            signing.verify_json(document, notary, key_id, key.public_key)
            for key_id, key in self.known(notary).items()
            if key.expired_ts is None
        )

    async def _learn(self, document: Any, server: str) -> None:
        """Check and keep what a server says of its keys; raises ``BadDocument``."""
        now = self._now_ms()
        keys, until = key_documents.read(document, server, now)
        before = self.known(server)
        for key in keys:
            # An id stands for one key for ever: otherwise old events would change their meaning.
            known = before.get(key.key_id)
            if known is not None and known.public_key.rstrip("=") != key.public_key.rstrip("="):
                log.warning("The key %s of %s is another one than before.", key.key_id, server)
        json = orjson.dumps(key_documents.without_others(document, server))
        kept = KeyDocument(server, now, until, json)
        await self._database.write(lambda tx: keep_keys(tx, server, keys, kept))
        learnt = {**before, **{key.key_id: key for key in keys}}
        if len(learnt) > KEYS_KEPT:  # some are gone
            self._known.drop(server)
        else:
            self._known.put(server, learnt)
        for listener in self.learned:
            listener(server)

    def _rest(self, server: str, why: str) -> None:
        """Leave a server alone for a while."""
        last = self._waits.get(server)
        # Whoever claims to be that server must not make us wait longer for it.
        wait = FIRST_WAIT if last is None else last if self._contacts.get(server) else min(LONGEST_WAIT, 2 * last)
        self._waits.put(server, wait)
        self._resting.put(server, wait, wait)
        log.info("The keys of %s cannot be had: %s", server, why)


def _needs(events: Sequence[Event], signers: Mapping[str, Collection[str]]) -> list[Need]:
    """The keys that a check of some events needs, each once."""
    found: dict[tuple[str, frozenset[str]], int] = {}
    for event in events:
        at = event.origin_server_ts if event.version.enforced_key_validity else NO_TIME
        for server in signers[event.event_id]:
            ids = frozenset(signing.signatures_of(event.pdu, server)) - {"ed25519:policy_server"}
            if ids:
                found[server, ids] = max(at, found.get((server, ids), NO_TIME))
    return [Need(server, ids, at) for (server, ids), at in found.items()]


def _good(wanted: Sequence[_Check]) -> set[str]:
    """The ids of the events that are signed by all that are asked for."""
    return {
        event.event_id
        for event, signers in wanted
        if all(is_signed_by(event, server, keys) for server, keys in signers)
    }
