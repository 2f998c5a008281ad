"""By whom somebody wants to be invited (client-server API, module "Invite permission"; MSC4155)."""

from typing import Any

import pytest

from tests.support.client import Client, Json, seg
from tests.support.hearth import HearthProcess

LISTS = "org.matrix.msc4155.invite_permission_config"


def wants(user: Client, type_: str, content: Json) -> None:
    """Write down by whom a user wants to be invited."""
    user.must("PUT", f"/user/{seg(user.user_id)}/account_data/{type_}", content)


def invited(answer: Json) -> set[str]:
    """The rooms that a sync says one is invited to."""
    return set(answer.get("rooms", {}).get("invite", {}))


def lists(**named: Any) -> Json:
    """The content of the lists."""
    return dict(named)


def test_whoever_blocks_invitations_is_invited_by_nobody(alice: Client, bob: Client) -> None:
    """By no way: the endpoint, a new room, the state; and what was there already is not told any more."""
    before, room = alice.create_room(invite=[bob.user_id]), alice.create_room()
    assert invited(bob.sync()) == {before}
    wants(bob, "m.invite_permission_config", {"default_action": "block"})
    blocked = ("M_INVITE_BLOCKED", 403)
    alice.refused(*blocked, "POST", f"/rooms/{seg(room)}/invite", {"user_id": bob.user_id})
    alice.refused(*blocked, "POST", "/createRoom", {"invite": [bob.user_id]})
    path = f"/rooms/{seg(room)}/state/m.room.member/{seg(bob.user_id)}"
    alice.refused(*blocked, "PUT", path, {"membership": "invite"})
    assert invited(bob.login().sync()) == set()
    assert alice.member(before, bob)["membership"] == "invite"
    wants(bob, "m.invite_permission_config", {})
    alice.invite(room, bob)
    assert invited(bob.login().sync()) == {before, room}


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        ({}, "shown"),
        ({"blocked_users": ["{}"]}, "blocked"),
        ({"ignored_users": ["{}"]}, "hidden"),
        ({"blocked_users": ["{}"], "enabled": False}, "shown"),
        ({"blocked_servers": ["hearth.example"]}, "blocked"),
        ({"ignored_servers": ["*.example"]}, "hidden"),
        ({"blocked_servers": ["hearth.?xample"], "allowed_users": ["{}"]}, "shown"),
        ({"blocked_users": ["{}"], "allowed_servers": ["*"]}, "blocked"),
        ({"allowed_users": ["{}"], "ignored_users": ["{}"], "blocked_users": ["{}"]}, "shown"),
        ({"blocked_users": ["@user*:hearth.example"]}, "blocked"),
        ({"blocked_users": None, "ignored_servers": 7, "blocked_servers": [None, {}]}, "shown"),
        ({"ignored_users": ["{}"], "blocked_users": ["{}"]}, "hidden"),
    ],
)
def test_lists_tell_people_and_servers_apart(alice: Client, bob: Client, rules: Json, verdict: str) -> None:
    """Users before servers, the allowed before the ignored before the blocked; the ignored are not told so."""
    filled = {
        name: [one.replace("{}", alice.user_id) if isinstance(one, str) else one for one in value]
        if isinstance(value, list)
        else value
        for name, value in rules.items()
    }
    wants(bob, LISTS, filled)
    room = alice.create_room()
    answer = alice.ask("POST", f"/rooms/{seg(room)}/invite", {"user_id": bob.user_id})
    assert (answer.status_code == 403) == (verdict == "blocked"), answer.text
    assert invited(bob.sync()) == ({room} if verdict == "shown" else set())


def test_whoever_is_ignored_invites_in_vain(hearth: HearthProcess, alice: Client, bob: Client) -> None:
    """They are not told; the others' invitations come as before."""
    carol = Client.register(hearth.url)
    wants(bob, "m.ignored_user_list", {"ignored_users": {alice.user_id: {}}})
    bob.sync()
    alice.create_room(invite=[bob.user_id])
    room = carol.create_room(invite=[bob.user_id])
    assert invited(bob.sync()) == {room}
    assert invited(bob.login().sync()) == {room}
    wish = {"lists": {"all": {"ranges": [[0, 10]], "timeline_limit": 1, "required_state": []}}}
    path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
    assert set(bob.must("POST", path, wish)["rooms"]) == {room}
