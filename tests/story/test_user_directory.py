"""Finding people (client-server API, module "User directory")."""

from typing import Any

from tests.support.client import Client, Json, seg, unique


def search(client: Client, term: str, **wanted: Any) -> Json:
    """Who is found for a term."""
    return client.must("POST", "/user_directory/search", {"search_term": term, **wanted})


def found(client: Client, term: str) -> list[str]:
    """The ids of who is found."""
    return [one["user_id"] for one in search(client, term)["results"]]


def name(client: Client, text: str) -> None:
    """Give oneself a name."""
    client.must("PUT", f"/profile/{seg(client.user_id)}/displayname", {"displayname": text})


def test_whom_one_could_meet(alice: Client, bob: Client, carol: Client) -> None:
    """Who shares a room with the asker, or is in a room that everybody may join or read; nobody else."""
    term = unique("Zebulon")
    name(alice, f"{term} Cooper")
    assert found(bob, term) == []
    room = alice.create_room()
    assert found(bob, term) == []
    alice.invite(room, bob)
    assert found(bob, term) == []
    bob.join(room)
    assert found(bob, term) == [alice.user_id]
    assert found(carol, term) == []
    bob.leave(room)
    assert found(bob, term) == []
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert found(bob, term) == [alice.user_id]
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "shared"})
    assert found(bob, term) == []
    alice.set_state(room, "m.room.join_rules", {"join_rule": "public"})
    assert found(bob, term) == [alice.user_id]
    alice.leave(room)
    assert found(bob, term) == []
    assert found(alice, term) == []


def test_by_name_or_id(alice: Client, bob: Client) -> None:
    """Any part of them, in any case; the names of rooms are not told to those outside."""
    alice.create_room(preset="public_chat")
    term = unique("Émile")
    assert alice.user_id in found(bob, alice.user_id[1:].upper())
    assert found(bob, alice.user_id) == [alice.user_id]
    name(alice, f"{term} the Great")
    for text in (term, term.lower(), f"great {term}", f"the {alice.user_id}", term[2:]):
        assert found(bob, text) == [alice.user_id], text
    (person,) = search(bob, term)["results"]
    assert person == {"user_id": alice.user_id, "display_name": f"{term} the Great"}
    alice.must("PUT", f"/profile/{seg(alice.user_id)}/avatar_url", {"avatar_url": "mxc://a.example/b"})
    assert search(bob, term)["results"][0]["avatar_url"] == "mxc://a.example/b"
    secret = unique("Freddy")
    room = alice.create_room(preset="public_chat")
    alice.set_state(room, "m.room.member", {"membership": "join", "displayname": secret}, alice.user_id)
    assert found(bob, secret) == []
    name(alice, "")
    assert found(bob, term) == []
    for text in ("", "   ", "no such name anywhere"):
        assert search(bob, text) == {"results": [], "limited": False}


def test_how_many(alice: Client, bob: Client, carol: Client) -> None:
    """The nearest first, no more than asked for, and whether there are more."""
    term = unique("Xanthippe")
    alice.create_room(preset="public_chat")
    carol.create_room(preset="public_chat")
    name(alice, f"not {term}")
    name(carol, term)
    assert [one["user_id"] for one in search(bob, term)["results"]] == [carol.user_id, alice.user_id]
    assert search(bob, term)["limited"] is False
    page = search(bob, term, limit=1)
    assert ([one["user_id"] for one in page["results"]], page["limited"]) == ([carol.user_id], True)
    bob.refused("M_MISSING_PARAM", 400, "POST", "/user_directory/search", {})
    bob.refused("M_BAD_JSON", 400, "POST", "/user_directory/search", {"search_term": "x", "limit": "x"})
    identifier = {"type": "m.id.user", "user": carol.user_id}
    auth = {"type": "m.login.password", "password": "wonderland", "identifier": identifier}
    carol.must("POST", "/account/deactivate", {"auth": auth})
    assert found(bob, term) == [alice.user_id]
