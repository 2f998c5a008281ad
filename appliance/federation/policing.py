"""Policy servers, which rooms ask before an event goes out (server-server API, "Policy Servers")."""

import logging

from appliance.errors import MatrixError
from appliance.federation.access import RoomAccess
from appliance.federation.failures import Refused, Unreachable
from appliance.federation.remote import Remote
from appliance.protocol import canonical, hashes, signing
from appliance.protocol.events import Event
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Snapshot
from appliance.settings import Settings

log = logging.getLogger("hearth.federation")

POLICY = "m.room.policy"
POLICY_OF_OLD = "org.matrix.msc4284.policy"
"""What the event was called before it came into the specification, with its key in another place; rooms that have no
other go on with it."""
KEY_ID = "ed25519:policy_server"


class Policing:
    """Asks them.

    Args:
        access: which servers are in a room.
        remote: asks other servers.
        settings: this server's name, and whether there is a policy server at it; read at use.
    """

    def __init__(self, access: RoomAccess, remote: Remote, settings: Settings) -> None:
        self._access = access
        self._remote = remote
        self._settings = settings

    def wants(self, room: Room, snapshot: Snapshot, event: Event) -> bool:
        """Whether a room, as it is, has a policy server whose word an event lacks."""
        if event.type in (POLICY, POLICY_OF_OLD) and event.state_key == "":
            return False
        if (POLICY, "") not in snapshot.state and (POLICY_OF_OLD, "") not in snapshot.state:
            return False
        server = self._server(room, snapshot)
        return server is not None and not _is_endorsed(event, *server)

    async def endorse(self, room: Room, event: Event) -> Event:
        """The event with the signature of the room's policy server.

        Raises:
            MatrixError: what that server answered; 502 ``M_UNKNOWN`` where it is not there, or did not sign well.
        """
        found = self._server(room, room.published)
        if found is None:
            return event
        server, key = found
        try:
            answer = await self._remote.policy_signature(server, event.pdu)
        except Refused as refusal:
            raise MatrixError(refusal.errcode, refusal.error, refusal.status) from refusal
        except Unreachable as problem:
            raise MatrixError(
                "M_UNKNOWN", f"This room's policy server {server} is not there: {problem}", 502
            ) from problem
        signature = signing.signatures_of({"signatures": answer}, server).get(KEY_ID)
        if signature is None:
            raise MatrixError("M_UNKNOWN", f"This room's policy server {server} did not sign.", 502)
        pdu = signing.with_signature(event.pdu, server, KEY_ID, signature)
        endorsed = Event(event.version, pdu, event.event_id, canonical.encode(pdu))
        if not _is_endorsed(endorsed, server, key):
            raise MatrixError("M_UNKNOWN", f"This room's policy server {server} signed with another key.", 502)
        return endorsed

    def _server(self, room: Room, snapshot: Snapshot) -> tuple[str, str] | None:
        """The policy server of a room and its public key, where it has one that takes part."""
        event, keys = room.state_event(snapshot, POLICY), None
        if event is not None:
            keys = event.content.get("public_keys")
        elif (event := room.state_event(snapshot, POLICY_OF_OLD)) is not None:
            keys = {"ed25519": event.content.get("public_key")}
        server = None if event is None else event.content.get("via")
        key = keys.get("ed25519") if isinstance(keys, dict) else None
        if not isinstance(server, str) or not isinstance(key, str):
            return None
        if server == self._settings.server_name and not self._settings.policy_server_key:
            # Nobody would ever answer here, and nobody could say anything in the room any more.
            return None
        return (server, key) if server in self._access.servers(room, snapshot) else None


def _is_endorsed(event: Event, server: str, key: str) -> bool:
    signature = signing.signatures_of(event.pdu, server).get(KEY_ID)
    return signature is not None and signing.verify(hashes.signed_form(event.version, event.pdu), signature, key)
