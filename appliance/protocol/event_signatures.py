"""Whose signatures an event needs, and whether it has them (server-server API, "Validating hashes and signatures")."""

from collections.abc import Mapping

from appliance.protocol import signing
from appliance.protocol.events import Event
from appliance.protocol.identifiers import is_user_id, server_of

AUTHORISER = "join_authorised_via_users_server"
"""In the content of a restricted join: the user whose server vouches for it."""


def required_signers(event: Event) -> frozenset[str]:
    """The servers that must have signed an event.

    That of the sender; in versions 1 and 2 also the one in the event's id; for a membership that was vouched for, the
    voucher's too. An invite by third-party identifier may be sent by a server that is not the sender's, so there the
    sender's server is not asked for.
    """
    signers = set()
    if not (event.membership == "invite" and "third_party_invite" in event.content):
        signers.add(server_of(event.sender))
    if event.version.event_id_server_signs:
        signers.add(server_of(event.event_id))
    if event.version.restricted and event.type == "m.room.member":
        authoriser = event.content.get(AUTHORISER)
        if isinstance(authoriser, str) and is_user_id(authoriser):
            signers.add(server_of(authoriser))
    return frozenset(signers)


def is_signed_by(event: Event, server_name: str, keys: Mapping[str, str]) -> bool:
    """Whether a server has signed an event: by one of these keys at least, and by all of them that it claims to.

    Args:
        event: the event, in full or redacted.
        server_name: the server.
        keys: its public keys by key id: those that are known and were valid at the event's ``origin_server_ts``.
            Signatures by other keys are passed over.
    """
    signatures = signing.signatures_of(event.pdu, server_name)
    known = [(signature, keys[key_id]) for key_id, signature in signatures.items() if key_id in keys]
    if not known:
        return False
    form = event.take_signed_form()
    return all(signing.verify(form, signature, key) for signature, key in known)
