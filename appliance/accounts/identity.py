"""Whom a client means: the user identifier objects of logging in and of interactive authentication.

Client-server API, "Identifier types". Of these Hearth knows ``m.id.user`` alone, and the older form with ``user``
beside the password.
"""

from collections.abc import Mapping
from typing import Any

from appliance.errors import MatrixError, bad_json
from appliance.protocol.identifiers import is_user_id, localpart_of, server_of


def named_user(fields: Mapping[str, Any], server_name: str) -> str | None:
    """The user id that a login or an authentication stage names.

    Args:
        fields: the object with ``identifier``, or with the older ``user``.
        server_name: our own.

    Returns:
        The full id, whether there is such a user or not; None where the fields name nobody. Localparts of our own
        server are lower-cased, as they are when they are registered.

    Raises:
        MatrixError: ``M_BAD_JSON`` for a wrong shape, ``M_UNKNOWN`` for a kind of identifier that we do not know.
    """
    identifier = fields.get("identifier")
    user = fields.get("user")
    if identifier is not None:
        if not isinstance(identifier, dict):
            raise bad_json("identifier must be an object.")
        if identifier.get("type") != "m.id.user":
            raise MatrixError("M_UNKNOWN", "Only identifiers of the type m.id.user can be used here.", 400)
        user = identifier.get("user")
    if user is None and identifier is None:
        return None
    if not isinstance(user, str):
        raise bad_json("user must be a string.")
    if not user.startswith("@"):
        return f"@{user.lower()}:{server_name}"
    if is_user_id(user) and server_of(user) == server_name:
        return f"@{localpart_of(user).lower()}:{server_name}"
    return user
