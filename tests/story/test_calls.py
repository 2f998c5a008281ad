"""What calls need of a server: TURN credentials, the services of MatrixRTC, and proof of who one is (OpenID)."""

import base64
import hashlib
import hmac
import time

import httpx

from tests.support.client import V3, Client, seg
from tests.support.hearth import HearthProcess

USERINFO = "/_matrix/federation/v1/openid/userinfo"
TRANSPORTS = "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports"


def test_turn_credentials_are_made_of_the_shared_secret(furnished: HearthProcess) -> None:
    """The user name holds when they end; the password is what the TURN server computes of it too."""
    user = Client.register(furnished.url)
    told = user.must("GET", "/voip/turnServer")
    ends, _, user_id = told["username"].partition(":")
    assert user_id == user.user_id
    assert abs(int(ends) - time.time() - told["ttl"]) < 60
    digest = hmac.new(b"north wind", told["username"].encode(), hashlib.sha1).digest()
    assert told["password"] == base64.b64encode(digest).decode()
    assert told["uris"] == ["turn:turn.example.org?transport=udp", "turns:turn.example.org"]


def test_a_server_without_services_for_calls_says_so(hearth: HearthProcess, alice: Client) -> None:
    """An empty list, and an empty object, which the specification's schema does not foresee and clients expect."""
    bare = httpx.get(f"{hearth.url}{V3}/voip/turnServer", headers={"Authorization": f"Bearer {alice.token}"})
    assert (bare.status_code, bare.json()) == (200, {})
    assert alice.must("GET", TRANSPORTS) == {"rtc_transports": []}
    Client(hearth.url).refused("M_MISSING_TOKEN", 401, "GET", "/voip/turnServer")


def test_the_service_for_element_call_is_told_in_both_places(furnished: HearthProcess) -> None:
    """To users who ask for transports, and in the file that clients read before."""
    service = [{"type": "livekit", "livekit_service_url": "https://calls.example.org"}]
    assert Client.register(furnished.url).must("GET", TRANSPORTS) == {"rtc_transports": service}
    told = Client(furnished.url).must("GET", "/.well-known/matrix/client")
    assert told["org.matrix.msc4143.rtc_foci"] == service


def test_an_openid_token_proves_who_one_is(alice: Client, bob: Client) -> None:
    """Anybody who has it may ask, without federation and without a signature; it is no access token."""
    path = f"/user/{seg(alice.user_id)}/openid/request_token"
    told = alice.must("POST", path, {})
    assert told == {**told, "token_type": "Bearer", "matrix_server_name": "hearth.example", "expires_in": 3600}
    anybody = Client(alice.url)
    assert anybody.must("GET", USERINFO, access_token=told["access_token"]) == {"sub": alice.user_id}
    anybody.refused("M_UNKNOWN_TOKEN", 401, "GET", USERINFO, access_token="made up")
    anybody.refused("M_UNKNOWN_TOKEN", 401, "GET", USERINFO, access_token=alice.token)
    anybody.refused("M_MISSING_TOKEN", 401, "GET", USERINFO)
    Client(alice.url, told["access_token"]).refused("M_UNKNOWN_TOKEN", 401, "GET", "/account/whoami")
    bob.refused("M_FORBIDDEN", 403, "POST", path, {})


def test_whom_to_ask_and_the_policy_servers_key(furnished: HearthProcess, hearth: HearthProcess) -> None:
    """As the settings say; nothing where they say nothing."""
    anybody = Client(furnished.url)
    told = anybody.must("GET", "/.well-known/matrix/support")
    assert told["support_page"] == "https://furnished.example/help"
    assert told["contacts"][0]["email_address"] == "help@furnished.example"
    key = {"public_keys": {"ed25519": "6yhHGKhCiXTSEN2ksjV7kX/N6rBQZ3Xb+M7LlC6NS+s"}}
    assert anybody.must("GET", "/.well-known/matrix/policy_server") == key
    Client(hearth.url).refused("M_NOT_FOUND", 404, "GET", "/.well-known/matrix/policy_server")
