"""Ed25519 signatures of JSON objects (appendices, "Signing JSON")."""

import functools
import re
import secrets
from typing import Any

import nacl.bindings
import nacl.exceptions
import nacl.signing

from appliance.protocol import canonical, unpadded

_KEY_ID = re.compile(r"ed25519:[A-Za-z0-9_]+")
_VERSION_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class SigningKey:
    """A private key and its id. Neither its seed nor anything that leads to it appears in its text form.

    Args:
        key_id: ``ed25519:`` and a version of letters, digits and underscores.
        seed: the 32 secret bytes.

    Raises:
        ValueError: for another form of id or length of seed.
    """

    __slots__ = ("_key", "key_id")

    def __init__(self, key_id: str, seed: bytes) -> None:
        if _KEY_ID.fullmatch(key_id) is None:
            raise ValueError(f"{key_id!r} is not the id of an ed25519 key")
        if len(seed) != nacl.bindings.crypto_sign_SEEDBYTES:
            raise ValueError("the seed of a signing key must have 32 bytes")
        self.key_id = key_id
        self._key = nacl.signing.SigningKey(seed)

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key with an id of its own, so that an older key of the same server keeps its meaning."""
        version = "a_" + "".join(secrets.choice(_VERSION_LETTERS) for _ in range(6))
        return cls(f"ed25519:{version}", secrets.token_bytes(nacl.bindings.crypto_sign_SEEDBYTES))

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, to be stored and never shown."""
        return bytes(self._key)

    @property
    def public_key(self) -> str:
        """The public key in unpadded base64, as servers publish it."""
        return unpadded.encode(bytes(self._key.verify_key))

    def sign(self, data: bytes) -> str:
        """The signature of some bytes, in unpadded base64."""
        return unpadded.encode(self._key.sign(data).signature)

    def sign_json(self, obj: dict[str, Any], server_name: str) -> dict[str, Any]:
        """A copy of a JSON object with this key's signature added; ``unsigned`` and other signatures stay.

        Raises:
            ValueError: for an object that has no canonical JSON.
        """
        return with_signature(obj, server_name, self.key_id, self.sign(_covered(obj)))

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id!r})"


def with_signature(obj: dict[str, Any], server_name: str, key_id: str, signature: str) -> dict[str, Any]:
    """A copy of a JSON object with one more signature; the object itself is not changed."""
    signatures = dict(obj.get("signatures", {}))
    signatures[server_name] = {**signatures.get(server_name, {}), key_id: signature}
    return {**obj, "signatures": signatures}


def verify(data: bytes, signature: str, public_key: str) -> bool:
    """Whether a signature of some bytes is that of a key; false as well for what is no key or no signature.

    Args:
        data: the bytes.
        signature: in base64.
        public_key: in base64.
    """
    try:
        key, signed = _key(public_key), unpadded.decode(signature)
        if len(signed) != nacl.bindings.crypto_sign_BYTES:
            return False
        nacl.bindings.crypto_sign_open(signed + data, key)
    except (ValueError, nacl.exceptions.CryptoError):
        return False
    return True


@functools.lru_cache(256)
def _key(public_key: str) -> bytes:
    """A public key made ready: a room's state is signed by few; 256 are some 50 KB. ValueError for what is none."""
    key = unpadded.decode(public_key)
    if len(key) != nacl.bindings.crypto_sign_PUBLICKEYBYTES:
        raise ValueError("this is no Ed25519 key")
    return key


def verify_json(obj: dict[str, Any], server_name: str, key_id: str, public_key: str) -> bool:
    """Whether a JSON object carries a valid signature of that server by that key; never raises.

    Args:
        obj: the object with its ``signatures``.
        server_name: the name under which the signature stands (a server, or a user id for device keys).
        key_id: the id of the key, ``ed25519:…``.
        public_key: the public key in base64.
    """
    signature = signatures_of(obj, server_name).get(key_id)
    if signature is None:
        return False
    try:
        data = _covered(obj)
    except ValueError:
        return False
    return verify(data, signature, public_key)


def signatures_of(obj: dict[str, Any], name: str) -> dict[str, str]:
    """The ed25519 signatures that an object carries of one server or user, by key id; what is malformed is left out."""
    signatures = obj.get("signatures")
    own = signatures.get(name) if isinstance(signatures, dict) else None
    if not isinstance(own, dict):
        return {}
    return {
        key_id: signature
        for key_id, signature in own.items()
        if key_id.startswith("ed25519:") and isinstance(signature, str)
    }


def _covered(obj: dict[str, Any]) -> bytes:
    """The bytes of a JSON object that a signature covers."""
    return canonical.encode({key: value for key, value in obj.items() if key not in ("signatures", "unsigned")})
