"""What owners may do to accounts (client-server API, module "Server Administration"), and accounts made by programs."""

from concurrent.futures import ThreadPoolExecutor

from tests.story.owner import PATH, made, owner, wish
from tests.support.client import Client, seg
from tests.support.hearth import HearthProcess

V1 = "/_matrix/client/v1/admin"


def test_accounts_are_made_with_the_shared_secret(furnished: HearthProcess) -> None:
    """Whoever has the secret may make accounts, owners too; each nonce is good once, a wrong proof makes none."""
    anybody = Client(furnished.url)
    plain, ruler = made(furnished.url, displayname="Maid"), owner(furnished.url)
    assert plain.must("GET", f"/profile/{seg(plain.user_id)}") == {"displayname": "Maid"}
    assert "m.account_moderation" not in plain.must("GET", "/capabilities")["capabilities"]
    told = ruler.must("GET", "/capabilities")["capabilities"]
    assert told["m.account_moderation"] == {"suspend": True, "lock": True}
    asked = wish(anybody)
    anybody.must("POST", PATH, asked)
    anybody.refused("M_UNKNOWN", 400, "POST", PATH, {**asked, "username": "second"})
    anybody.refused("M_FORBIDDEN", 403, "POST", PATH, wish(anybody, b"wrong"))
    anybody.refused("M_FORBIDDEN", 403, "POST", PATH, {**wish(anybody), "admin": True})
    anybody.refused("M_USER_IN_USE", 400, "POST", PATH, wish(anybody, username=asked["username"]))


def test_without_a_shared_secret_there_is_no_such_endpoint(hearth: HearthProcess) -> None:
    """Nobody can guess an empty secret."""
    Client(hearth.url).refused("M_UNRECOGNIZED", 404, "GET", PATH)
    body = {"nonce": "n", "username": "u", "password": "p", "mac": "m"}
    Client(hearth.url).refused("M_UNRECOGNIZED", 404, "POST", PATH, body)


def test_whois_is_for_oneself_and_for_owners(furnished: HearthProcess) -> None:
    """It tells from where each device was last used; others are refused before it is said whether there is a user."""
    user, other, ruler = made(furnished.url), made(furnished.url), owner(furnished.url)
    for asker in (user, ruler):
        told = asker.must("GET", f"/admin/whois/{seg(user.user_id)}")
        (connection,) = told["devices"][user.device_id]["sessions"][0]["connections"]
        assert told["user_id"] == user.user_id
        assert connection["ip"] == "127.0.0.1"
        assert connection["last_seen"] > 10**12
    for user_id in (user.user_id, "@nobody:furnished.example"):
        other.refused("M_FORBIDDEN", 403, "GET", f"/admin/whois/{seg(user_id)}")
    ruler.refused("M_NOT_FOUND", 404, "GET", f"/admin/whois/{seg('@nobody:furnished.example')}")


def test_only_owners_suspend_and_lock_and_never_owners(furnished: HearthProcess) -> None:
    """Who may ask is judged before who there is: users cannot be found out so."""
    user, ruler, second = made(furnished.url), owner(furnished.url), owner(furnished.url)
    for what, field in (("suspend", "suspended"), ("lock", "locked")):
        for user_id in (ruler.user_id, "@nobody:furnished.example"):
            user.refused("M_FORBIDDEN", 403, "GET", f"{V1}/{what}/{seg(user_id)}")
            user.refused("M_FORBIDDEN", 403, "PUT", f"{V1}/{what}/{seg(user_id)}", {field: True})
        for target, errcode, status in (
            ("@nobody:furnished.example", "M_NOT_FOUND", 404),
            ("@user:elsewhere.example", "M_INVALID_PARAM", 400),
            (ruler.user_id, "M_FORBIDDEN", 403),
            (second.user_id, "M_FORBIDDEN", 403),
        ):
            ruler.refused(errcode, status, "PUT", f"{V1}/{what}/{seg(target)}", {field: True})
        ruler.refused("M_MISSING_PARAM", 400, "PUT", f"{V1}/{what}/{seg(user.user_id)}", {})
        assert ruler.must("GET", f"{V1}/{what}/{seg(user.user_id)}") == {field: False}


def test_a_suspended_user_reads_and_does_not_write(furnished: HearthProcess) -> None:
    """They may log in, sync, read, set their account data and leave; all else says M_USER_SUSPENDED."""
    user, ruler = made(furnished.url), owner(furnished.url)
    room = user.create_room()
    path = f"{V1}/suspend/{seg(user.user_id)}"
    assert ruler.must("PUT", path, {"suspended": True}) == {"suspended": True}
    assert ruler.must("GET", path) == {"suspended": True}
    user.refused("M_USER_SUSPENDED", 403, "PUT", f"/rooms/{seg(room)}/send/m.room.message/1", {"body": "?"})
    user.refused("M_USER_SUSPENDED", 403, "POST", "/createRoom", {})
    user.refused("M_USER_SUSPENDED", 403, "PUT", f"/profile/{seg(user.user_id)}/displayname", {"displayname": "x"})
    user.must("PUT", f"/user/{seg(user.user_id)}/account_data/org.example.note", {"a": 1})
    assert room in user.login().sync()["rooms"]["join"]
    user.messages(room)
    user.leave(room)
    assert ruler.must("PUT", path, {"suspended": False}) == {"suspended": False}
    user.create_room()


def test_what_a_suspended_user_scheduled_is_not_sent(furnished: HearthProcess) -> None:
    """But for what takes something back: a call is left when its time comes."""
    user, ruler = made(furnished.url), owner(furnished.url)
    room, base = user.create_room(), "/_matrix/client/unstable/org.matrix.msc4140/delayed_events"
    delay = {"org.matrix.msc4140.delay": 600_000}
    path = f"/rooms/{seg(room)}/state/com.example.call/"
    words = user.must("PUT", f"/rooms/{seg(room)}/send/m.room.message/1", {"body": "later"}, **delay)["delay_id"]
    leaving = user.must("PUT", path, {}, **delay)["delay_id"]
    user.set_state(room, "com.example.call", {"in": True})
    ruler.must("PUT", f"{V1}/suspend/{seg(user.user_id)}", {"suspended": True})
    anybody = Client(furnished.url)
    anybody.refused("M_USER_SUSPENDED", 403, "POST", f"{base}/{words}/send", {})
    anybody.must("POST", f"{base}/{leaving}/send", {})
    assert user.state(room, "com.example.call") == {}
    assert user.must("GET", f"{base}/{words}")["error"]


def test_a_locked_user_is_out_at_once_and_keeps_what_they_have(furnished: HearthProcess) -> None:
    """Every request, also one that waits already, says M_USER_LOCKED with soft_logout; only logging out is possible."""
    user, ruler = made(furnished.url), owner(furnished.url)
    room, phone = user.create_room(), user.login()
    user.sync()
    path = f"{V1}/lock/{seg(user.user_id)}"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(user.ask, "GET", "/sync", since=user.since, timeout=30_000)
        user.ask("GET", "/account/whoami")
        assert ruler.must("PUT", path, {"locked": True}) == {"locked": True}
        answer = waiting.result(20)
    assert (answer.status_code, answer.json()["errcode"]) == (401, "M_USER_LOCKED")
    assert answer.json()["soft_logout"] is True
    assert user.refused("M_USER_LOCKED", 401, "GET", "/account/whoami")["soft_logout"] is True
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user.user_id}}
    phone.refused("M_USER_LOCKED", 401, "POST", "/login", {**login, "password": "wonderland"})
    phone.must("POST", "/logout", {})
    assert ruler.must("PUT", path, {"locked": False}) == {"locked": False}
    phone.refused("M_UNKNOWN_TOKEN", 401, "GET", "/account/whoami")
    assert room in user.sync(full_state="true")["rooms"]["join"]
