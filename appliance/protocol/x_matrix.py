"""The header that signs a request between servers (server-server API, "Request Authentication")."""

import re
from typing import Any

from msgspec import Struct

from appliance.protocol import canonical
from appliance.protocol.signing import SigningKey

LONGEST = 4096
"""Characters of a header that is looked at; two names, a key id and a signature need a tenth."""
_SCHEME = re.compile(r"x-matrix +", re.IGNORECASE)
_PARAMETER = re.compile(r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]*))[ \t]*")
_ESCAPED = re.compile(r"\\(.)")


class XMatrix(Struct, frozen=True):
    """What such a header says.

    Args:
        origin: the server that asks.
        destination: the server that it means to ask; None where it does not say, as old ones do.
        key: the id of the key that signed.
        signature: the signature, base64.
    """

    origin: str
    destination: str | None
    key: str
    signature: str


def parse(header: str) -> XMatrix | None:
    """Read a header ``Authorization``; None for another scheme, and for what cannot be read.

    Names in any case and order, blanks around commas, values in quotes or not, escapes in quotes, colons without
    quotes; further parameters are passed over. The signature stands under ``sig``, as all servers send it, or under
    ``signature``, as the specification's list has it.
    """
    scheme = _SCHEME.match(header)
    if scheme is None or len(header) > LONGEST:
        return None
    found: dict[str, str] = {}
    place = scheme.end()
    while True:
        one = _PARAMETER.match(header, place)
        if one is None:
            return None
        name, quoted, plain = one.groups()
        found.setdefault(name.lower(), plain if quoted is None else _ESCAPED.sub(r"\1", quoted))
        place = one.end()
        while header.startswith(",", place):  # RFC 9110 lets a list have empty elements
            place = place + 1 + len(header[place + 1 :]) - len(header[place + 1 :].lstrip(" \t"))
        if place == len(header):
            break
        if header[one.end()] != ",":
            return None
    origin, key = found.get("origin"), found.get("key")
    signature = found.get("sig") or found.get("signature")
    if not origin or not key or not signature:
        return None
    return XMatrix(origin, found.get("destination"), key, signature)


def signed_bytes(method: str, uri: str, origin: str, destination: str | None, content: bytes | None) -> bytes:
    """The bytes that a request's signature covers.

    Args:
        method: the HTTP method.
        uri: path and query, as they are sent.
        origin: who asks.
        destination: who is asked; None for what an old server signed without it.
        content: the body as canonical JSON; None where there is none.
    """
    named: dict[str, Any] = {} if destination is None else {"destination": destination}
    rest = canonical.encode({**named, "method": method, "origin": origin, "uri": uri})
    # "content" comes first in the order of canonical JSON, so that a body need not be read to be signed.
    return rest if content is None else b'{"content":' + content + b"," + rest[1:]


def authorization(method: str, uri: str, origin: str, destination: str, content: bytes | None, key: SigningKey) -> str:
    """The header of a request, as old servers can read it too; arguments as ``signed_bytes``."""
    signature = key.sign(signed_bytes(method, uri, origin, destination, content))
    return f'X-Matrix origin="{origin}",destination="{destination}",key="{key.key_id}",sig="{signature}"'
