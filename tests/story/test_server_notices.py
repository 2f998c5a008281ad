"""What the server itself says to users (client-server API, module "Server Notices")."""

import pytest

from tests.support.client import Client, Json, body, joined, seg, timeline, unique
from tests.support.hearth import HearthProcess

PATH = "/_synapse/admin/v1/send_server_notice"


@pytest.fixture
def owner(hearth: HearthProcess) -> Client:
    """Somebody who may have the server speak."""
    name = unique("owner")
    assert hearth.command("user", "add", name, "--admin", "--ask-password", text="wonderland\n").returncode == 0
    client = Client(hearth.url)
    client.user_id = f"@{name}:hearth.example"
    return client.login()


def asked(client: Client, method: str, path: str, wanted: Json | None = None) -> tuple[int, Json]:
    """Ask an endpoint that is Synapse's own, which no schema describes; gives the status and the answer."""
    headers = {"Authorization": f"Bearer {client.token}"}
    answer = client.http.request(method, path, json=wanted, headers=headers)
    return answer.status_code, answer.json()


def say(owner: Client, user: Client, text: str, transaction: str = "") -> str:
    """Have the server say something; gives the event's id."""
    method, path = ("PUT", f"{PATH}/{seg(transaction)}") if transaction else ("POST", PATH)
    wanted = {"user_id": user.user_id, "content": {"msgtype": "m.text", "body": text}}
    status, answer = asked(owner, method, path, wanted)
    assert status == 200, answer
    return str(answer["event_id"])


def invited(client: Client) -> tuple[str, list[Json]]:
    """The room that somebody is invited to, and what is shown of it."""
    answer = client.sync_until(lambda sync: sync.get("rooms", {}).get("invite"))
    ((room, shown),) = answer["rooms"]["invite"].items()
    return room, shown["invite_state"]["events"]


def test_notices_come_into_one_tagged_room(owner: Client, alice: Client, bob: Client) -> None:
    """Servers manage one room a user, tagged m.server_notice, and invite them to it."""
    first = say(owner, alice, "Good morning")
    room, shown = invited(alice)
    assert {event["sender"] for event in shown} == {"@_server:hearth.example"}
    alice.refused("M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", 403, "POST", f"/rooms/{seg(room)}/leave", {})
    alice.join(room)
    answer = alice.sync_until(lambda sync: joined(sync, room))
    assert [event["event_id"] for event in timeline(answer, room) if body(event) == "Good morning"] == [first]
    tags = {"type": "m.tag", "content": {"tags": {"m.server_notice": {}}}}
    assert joined(answer, room)["account_data"]["events"] == [tags]
    alice.refused("M_FORBIDDEN", 403, "PUT", f"/rooms/{seg(room)}/send/m.room.message/1", {"body": "Hello?"})
    say(owner, alice, "It rains")
    alice.sync_until_text(room, "It rains")
    alice.leave(room)
    alice.sync()
    say(owner, alice, "Come back")
    assert invited(alice)[0] == room
    say(owner, bob, "Good morning")
    assert invited(bob)[0] != room


def test_only_owners_have_the_server_speak_and_once_a_transaction(owner: Client, alice: Client, bob: Client) -> None:
    """Whoever is no owner is refused before the body is looked at."""
    status, refusal = asked(bob, "POST", PATH)
    assert (status, refusal["errcode"]) == (403, "M_FORBIDDEN")
    once = unique("txn")
    assert say(owner, alice, "Once", once) == say(owner, alice, "Once", once)
    assert say(owner, alice, "Once") != say(owner, alice, "Once")
    status, refusal = asked(owner, "POST", PATH, {"user_id": "@nobody:hearth.example", "content": {}})
    assert (status, refusal["errcode"]) == (404, "M_NOT_FOUND")
