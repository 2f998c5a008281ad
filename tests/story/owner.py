"""An owner's account on the server that has a shared secret."""

import hashlib
import hmac
from typing import Any

from tests.support.client import Client, Json, unique

SECRET = b"open sesame"
PATH = "/_synapse/admin/v1/register"


def wish(client: Client, secret: bytes = SECRET, **fields: Any) -> Json:
    """The body that asks for an account, with its proof."""
    asked = {"nonce": client.must("GET", PATH)["nonce"], "username": unique("made"), "password": "wonderland", **fields}
    words = [asked["nonce"], asked["username"], asked["password"], "admin" if asked.get("admin") else "notadmin"]
    if asked.get("user_type"):
        words.append(asked["user_type"])
    asked["mac"] = hmac.new(secret, "\0".join(words).encode(), hashlib.sha1).hexdigest()
    return asked


def made(url: str, **fields: Any) -> Client:
    """A user who was made with the shared secret."""
    client = Client(url)
    told = client.must("POST", PATH, wish(client, **fields))
    return Client(url, told["access_token"], told["user_id"], told["device_id"])


def owner(url: str) -> Client:
    """An owner of the server."""
    return made(url, admin=True)
