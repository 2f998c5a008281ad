"""Hearth and Synapse share rooms, whoever made them."""

import time
from collections.abc import Iterator

import pytest

from tests.support import synapse
from tests.support.client import PATIENCE, Client, joined, seg, timeline, unique
from tests.support.hearth import HearthProcess
from tests.support.network import Network
from tests.support.synapse_server import SynapseProcess

pytestmark = [pytest.mark.apt, pytest.mark.slow]
VERSIONS = ("10", "11", "12")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    synapse.require()
    with Network(tmp_path_factory.mktemp("network")) as network:
        yield network


@pytest.fixture(scope="module")
def hearth(network: Network) -> HearthProcess:
    return network.hearth_by_address()


@pytest.fixture(scope="module")
def other(network: Network) -> SynapseProcess:
    return SynapseProcess(network).start()


@pytest.fixture(scope="module")
def people(hearth: HearthProcess, other: SynapseProcess) -> dict[str, Client]:
    """Somebody on each."""
    return {"hearth": Client.register(hearth.url, "alice"), "synapse": Client.register(other.url, "bob")}


@pytest.fixture(params=["hearth", "synapse"])
def pair(request: pytest.FixtureRequest, people: dict[str, Client]) -> tuple[Client, Client]:
    """Who makes the room, and who comes from elsewhere."""
    first = people[request.param]
    (second,) = (client for client in people.values() if client is not first)
    return first, second


def via(maker: Client) -> str:
    """Through which server a room is found."""
    return maker.user_id.partition(":")[2]


def members(who: Client, room: str) -> dict[str, str]:
    """How everybody stands to a room."""
    events = who.must("GET", f"/rooms/{seg(room)}/members")["chunk"]
    return {event["state_key"]: event["content"]["membership"] for event in events}


def until_state(who: Client, room: str, kind: str, key: str = "", **content: str) -> None:
    """Sync until a state event says something."""
    who.sync_until(
        lambda sync: any(
            (event["type"], event.get("state_key")) == (kind, key)
            and all(event["content"].get(name) == value for name, value in content.items())
            for event in timeline(sync, room)
        )
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_life_in_one_room(pair: tuple[Client, Client], version: str) -> None:
    """Join, talk, change state, redact, be removed and let in again, read what was said before."""
    maker, guest = pair
    room = maker.create_room(preset="public_chat", room_version=version, name="Tea")
    before = [maker.send(room, f"before {number}") for number in range(30)]
    maker.sync()
    guest.must("POST", f"/join/{seg(room)}?via={via(maker)}&server_name={via(maker)}", {})
    guest.sync_until(lambda sync: joined(sync, room))
    until_state(maker, room, "m.room.member", guest.user_id, membership="join")
    maker.send(room, "hello")
    guest.sync_until_text(room, "hello")
    said = guest.send(room, "hello yourself")
    maker.sync_until_text(room, "hello yourself")
    maker.set_state(room, "m.room.topic", {"topic": "Leaves"})
    until_state(guest, room, "m.room.topic", topic="Leaves")
    guest.redact(room, said)
    maker.sync_until(lambda sync: any(event["type"] == "m.room.redaction" for event in timeline(sync, room)))
    assert maker.event(room, said)["content"] == {}
    # What was said before.
    found, token = [], None
    while True:
        page = guest.messages(room, limit=50, **({"from": token} if token else {}))
        found += [event["event_id"] for event in page["chunk"]]
        token = page.get("end")
        if token is None or not page["chunk"]:
            break
    assert set(before) <= set(found)
    # Removed, let in again by invitation, gone by themselves.
    maker.kick(room, guest)
    guest.sync_until(lambda sync: room in sync.get("rooms", {}).get("leave", {}))
    maker.invite(room, guest)
    guest.sync_until(lambda sync: room in sync.get("rooms", {}).get("invite", {}))
    guest.join(room)
    until_state(maker, room, "m.room.member", guest.user_id, membership="join")
    maker.send(room, "welcome back")
    guest.sync_until_text(room, "welcome back")
    assert members(maker, room) == members(guest, room)
    guest.leave(room)
    until_state(maker, room, "m.room.member", guest.user_id, membership="leave")
    maker.ban(room, guest)
    guest.refused("M_FORBIDDEN", 403, "POST", f"/join/{seg(room)}?via={via(maker)}&server_name={via(maker)}", {})


@pytest.mark.parametrize("version", VERSIONS)
def test_invited_rejected_knocked(pair: tuple[Client, Client], people: dict[str, Client], version: str) -> None:
    """A closed room: an invitation rejected and one taken; a knock taken back and one let in."""
    maker, guest = pair
    room = maker.create_room(preset="private_chat", room_version=version, name="Closed")
    maker.sync()
    maker.invite(room, guest)
    seen = guest.sync_until(lambda sync: room in sync.get("rooms", {}).get("invite", {}))
    shown = {event["type"] for event in seen["rooms"]["invite"][room]["invite_state"]["events"]}
    assert shown >= {"m.room.create", "m.room.name", "m.room.member"}
    guest.leave(room)
    until_state(maker, room, "m.room.member", guest.user_id, membership="leave")
    maker.set_state(room, "m.room.join_rules", {"join_rule": "knock"})
    path = f"/knock/{seg(room)}?via={via(maker)}&server_name={via(maker)}"
    guest.must("POST", path, {"reason": "Please."})
    until_state(maker, room, "m.room.member", guest.user_id, membership="knock", reason="Please.")
    guest.sync_until(lambda sync: room in sync.get("rooms", {}).get("knock", {}))
    if guest is people["hearth"]:  # Synapse takes a knock back for itself alone
        guest.leave(room)
        until_state(maker, room, "m.room.member", guest.user_id, membership="leave")
        guest.must("POST", path, {})
        until_state(maker, room, "m.room.member", guest.user_id, membership="knock")
    maker.invite(room, guest)
    guest.sync_until(lambda sync: room in sync.get("rooms", {}).get("invite", {}))
    guest.join(room)
    until_state(maker, room, "m.room.member", guest.user_id, membership="join")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_restricted_room_and_an_alias(pair: tuple[Client, Client], version: str) -> None:
    """Members of one room may join another; rooms are found by their names, and in the directory."""
    maker, guest = pair
    maker.must("PUT", f"/profile/{seg(maker.user_id)}/displayname", {"displayname": "Tea"})
    name = unique("club")
    club = maker.create_room(
        preset="public_chat", room_version=version, room_alias_name=name, visibility="public", name=name
    )
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    rules = {"type": "m.room.join_rules", "state_key": "", "content": rule}
    room = maker.create_room(preset="private_chat", room_version=version, initial_state=[rules])
    path = f"/join/{seg(room)}?via={via(maker)}&server_name={via(maker)}"
    guest.refused("M_FORBIDDEN", 403, "POST", path, {})
    search = {"filter": {"generic_search_term": name}}
    ends = time.monotonic() + PATIENCE
    while not (listed := guest.must("POST", f"/publicRooms?server={via(maker)}", search)["chunk"]):
        # Synapse's list follows its rooms, some seconds behind.
        assert time.monotonic() < ends
        time.sleep(0.2)
    assert [one["room_id"] for one in listed] == [club]
    assert guest.must("POST", f"/join/{seg(f'#{name}:{via(maker)}')}", {})["room_id"] == club
    guest.must("POST", path, {})
    assert guest.member(room)["join_authorised_via_users_server"] == maker.user_id
    assert guest.must("GET", f"/profile/{seg(maker.user_id)}")["displayname"] == "Tea"
