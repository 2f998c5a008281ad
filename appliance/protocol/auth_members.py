"""The authorisation rules for ``m.room.member``: one function for each membership."""

from typing import Any, TypeGuard

from appliance.protocol import canonical, signing
from appliance.protocol.auth_state import Judged, NotAllowed, require
from appliance.protocol.event_signatures import AUTHORISER
from appliance.protocol.identifiers import is_user_id
from appliance.protocol.slim import AnyEvent, PlainMember

MAX_VERIFICATIONS = 100
"""How many pairs of a signature and a key of a third-party invite are tried: two lists of attackers' length would take
half a minute."""


def check_member(judged: Judged) -> None:
    """Judge a membership.

    Raises:
        NotAllowed: with the reason.
    """
    event = judged.event
    target = event.state_key
    # The rules ask for a state key; one that is no user id can be nobody's membership.
    if target is None or not is_user_id(target) or "membership" not in event.content:
        raise NotAllowed("A membership event must say whose membership it is, and which.")
    if judged.version.restricted and AUTHORISER in event.content:
        authoriser = event.content[AUTHORISER]
        # That this user's server has signed is found out together with the other signatures.
        require(isinstance(authoriser, str) and is_user_id(authoriser), "Who vouches for the join is not a user id.")
    match event.membership:
        case "join":
            _check_join(judged, target)
        case "invite":
            _check_invite(judged, target)
        case "leave":
            _check_leave(judged, target)
        case "ban":
            _check_ban(judged, target)
        case "knock" if judged.version.knocking:
            _check_knock(judged, target)
        case _:
            raise NotAllowed("This room knows no such membership.")


def is_closed(create: AnyEvent) -> bool:
    """Whether a room is closed to users of other servers than its creator's."""
    return create.content.get("m.federate") is False


def rests_on_own_membership(event: AnyEvent, create: AnyEvent) -> TypeGuard[PlainMember]:
    """Whether an event is a membership of which a state says no more than this if it is allowed: what its sender's own
    membership was, and what the join rule is. So it is for all that people plainly say of themselves.

    Args:
        event: the event.
        create: the create event of its room, which is not closed.
    """
    return event.__class__ is PlainMember and event.sender == event.state_key and event.room_id == create.room_id


def _check_join(judged: Judged, target: str) -> None:
    # Of a large resolution this is most of the work: no sentence is made that nobody needs.
    event, version = judged.event, judged.version
    if target == first_member(judged.create) and event.prev_events == (judged.create.event_id,):
        return
    if event.sender != target:
        raise NotAllowed("Nobody can join a room for somebody else.")
    current = judged.membership(target)
    if current == "ban":
        raise NotAllowed(f"{target} is banned from this room.")
    rule = judged.join_rule
    if rule == "public":
        return
    vouching = (rule == "restricted" and version.restricted) or (
        rule == "knock_restricted" and version.knock_restricted
    )
    known = vouching or rule == "invite" or (rule == "knock" and version.knocking)
    require(known, "Nobody can join this room: its join rule is unknown.")
    if current in ("invite", "join"):
        return
    require(vouching, f"{target} is not invited to this room.")
    _check_vouched(judged)


def first_member(create: AnyEvent) -> Any:
    """Who may join an empty room: its creator, additional ones not included."""
    return create.content.get("creator") if create.version.creator_in_content else create.sender


def _check_vouched(judged: Judged) -> None:
    """Somebody in the room who may invite must vouch for a join to a restricted room."""
    authoriser = judged.event.content.get(AUTHORISER)
    require(
        isinstance(authoriser, str)
        and judged.membership(authoriser) == "join"
        and judged.levels.user(authoriser) >= judged.levels.invite,
        "Nobody in the room who may invite vouches for this join.",
    )


def _check_invite(judged: Judged, target: str) -> None:
    if "third_party_invite" in judged.event.content:
        _check_third_party_invite(judged, target)
        return
    sender = judged.event.sender
    require(judged.membership(sender) == "join", f"{sender} is not in the room.")
    current = judged.membership(target)
    require(current != "join", f"{target} is in the room already.")
    require(current != "ban", f"{target} is banned from this room.")
    require(judged.sender_power >= judged.levels.invite, f"{sender} may not invite to this room.")


def _check_third_party_invite(judged: Judged, target: str) -> None:
    """An invite by e-mail address or telephone number, whose owner an identity server has found."""
    require(judged.membership(target) != "ban", f"{target} is banned from this room.")
    invite = judged.event.content["third_party_invite"]
    signed = invite.get("signed") if isinstance(invite, dict) else None
    if not isinstance(signed, dict) or "mxid" not in signed or not isinstance(signed.get("token"), str):
        raise NotAllowed("The third-party invite lacks what an identity server must have signed.")
    require(signed["mxid"] == target, "The third-party invite is for somebody else.")
    offer = judged.state("m.room.third_party_invite", signed["token"])
    if offer is None:
        raise NotAllowed("There is no such third-party invite in this room.")
    require(offer.sender == judged.event.sender, "The third-party invite was made by somebody else.")
    require(_is_signed(signed, _public_keys(offer)), "The third-party invite is not signed by its identity server.")


def _public_keys(offer: AnyEvent) -> list[str]:
    """All the public keys that an ``m.room.third_party_invite`` names."""
    keys = [offer.content.get("public_key")]
    more = offer.content.get("public_keys")
    if isinstance(more, list):
        keys += [entry.get("public_key") for entry in more if isinstance(entry, dict)]
    return list(dict.fromkeys(key for key in keys if isinstance(key, str)))


def _is_signed(signed: dict[str, Any], public_keys: list[str]) -> bool:
    """Whether any signature of an object, whoever's, is by any of the keys."""
    signatures = signed.get("signatures")
    names = list(signatures) if isinstance(signatures, dict) else []
    data = canonical.encode({key: value for key, value in signed.items() if key not in ("signatures", "unsigned")})
    tries = [
        (signature, key)
        for name in names
        for signature in signing.signatures_of(signed, name).values()
        for key in public_keys
    ]
    return any(signing.verify(data, signature, key) for signature, key in tries[:MAX_VERIFICATIONS])


def _check_leave(judged: Judged, target: str) -> None:
    sender = judged.event.sender
    current = judged.membership(target)
    if sender == target:
        leavable = ("invite", "join", "knock") if judged.version.knocking else ("invite", "join")
        require(current in leavable, f"{target} is not in the room, nor invited to it.")
        return
    require(judged.membership(sender) == "join", f"{sender} is not in the room.")
    require(
        current != "ban" or judged.sender_power >= judged.levels.ban,
        f"{sender} has too little power in this room to lift a ban.",
    )
    require(
        judged.sender_power >= judged.levels.kick and judged.levels.user(target) < judged.sender_power,
        f"{sender} has too little power in this room to remove {target}.",
    )


def _check_ban(judged: Judged, target: str) -> None:
    sender = judged.event.sender
    require(judged.membership(sender) == "join", f"{sender} is not in the room.")
    require(
        judged.sender_power >= judged.levels.ban and judged.levels.user(target) < judged.sender_power,
        f"{sender} has too little power in this room to ban {target}.",
    )


def _check_knock(judged: Judged, target: str) -> None:
    rule = judged.join_rule
    require(
        rule == "knock" or (rule == "knock_restricted" and judged.version.knock_restricted),
        "This room does not let people knock.",
    )
    require(judged.event.sender == target, "Nobody can knock for somebody else.")
    current = judged.membership(target)
    require(
        current not in ("ban", "invite", "join"),
        f"{target} is banned from this room, invited to it, or in it already.",
    )
