"""Keys and messages to devices between two servers: nothing is lost, nothing comes twice, no keys are old."""

from tests.federation.peer import Peer, Question
from tests.federation.test_talking import together
from tests.support.client import Client, Json, seg, timeline, unique
from tests.support.hearth import HearthProcess
from tests.support.keys import changed, messages, send_to_device, with_keys
from tests.support.network import Network


def query(who: Client, other: Client) -> Json:
    """The devices of somebody."""
    found = who.must("POST", "/keys/query", {"device_keys": {other.user_id: []}, "timeout": 10000})
    assert found["failures"] == {}, found
    devices: Json = found["device_keys"].get(other.user_id, {})
    return devices


def test_devices_are_told_and_queried_and_their_keys_claimed(alice: Client, bob: Client) -> None:
    room = together(alice, bob)
    with_keys(bob, "one", "two")
    alice.sync_until(lambda sync: bob.user_id in changed(sync))
    assert set(query(alice, bob)) == {bob.device_id}
    claims = {"one_time_keys": {bob.user_id: {bob.device_id: "signed_curve25519"}}}
    given = [
        set(alice.must("POST", "/keys/claim", claims)["one_time_keys"][bob.user_id][bob.device_id]) for _ in range(2)
    ]
    assert sorted(one for some in given for one in some) == ["signed_curve25519:one", "signed_curve25519:two"]
    # A further device, and one that goes.
    phone = bob.login()
    with_keys(phone)
    alice.sync_until(lambda sync: bob.user_id in changed(sync))
    while set(query(alice, bob)) != {bob.device_id, phone.device_id}:
        alice.sync(timeout=200)
    phone.must("POST", "/logout", {})
    alice.sync_until(lambda sync: bob.user_id in changed(sync))
    while set(query(alice, bob)) != {bob.device_id}:
        alice.sync(timeout=200)
    bob.leave(room)


def test_servers_are_told_of_the_devices_of_those_whom_they_meet(
    network: Network, one: HearthProcess, alice: Client
) -> None:
    """Of all that there are, once, in the first room that is shared."""
    gone, phone = alice.login(), alice.login()
    gone.must("POST", "/logout", {})
    with_keys(phone)
    with Peer(network) as peer:
        edus: list[Json] = []

        def take(question: Question) -> tuple[int, Json]:
            edus.extend(question.body.get("edus", ()))
            return 200, {"pdus": {}}

        peer.answer("PUT", ".*/v1/send/.*", take)

        def told() -> list[tuple[str, str]]:
            updates = [edu["content"] for edu in edus if edu["edu_type"] == "m.device_list_update"]
            return [(update["user_id"], update["device_id"]) for update in updates]

        for version in ("11", "12"):
            room = peer.found(version)
            room.serve()
            alice.must("POST", f"/join/{seg(room.room_id)}?via={peer.name}", {})
            alice.sync_until(lambda sync: told())
        alice.must("PUT", f"/devices/{phone.device_id}", {"display_name": "Phone"})
        alice.sync_until(lambda sync: len(told()) > 2)
        assert sorted(told()[:2]) == sorted((alice.user_id, one.device_id) for one in (alice, phone))
        assert told()[2:] == [(alice.user_id, phone.device_id)]


def test_who_was_away_between_two_syncs_is_told_as_changed(alice: Client, bob: Client) -> None:
    """Their server may have told nothing meanwhile, so that the list that is known here may be an old one."""
    room = together(alice, bob)
    with_keys(bob)
    alice.sync_until(lambda sync: bob.user_id in changed(sync))
    query(alice, bob)
    alice.sync_until(lambda sync: bob.user_id not in changed(sync))
    looking, phone = alice.login(), bob.login()
    looking.sync()

    def is_(membership: str, sync: Json) -> bool:
        events = [event for event in timeline(sync, room) if event.get("state_key") == bob.user_id]
        return any(event["content"]["membership"] == membership for event in events)

    bob.leave(room)
    looking.sync_until(lambda sync: is_("leave", sync))
    with_keys(phone)
    bob.must("POST", f"/join/{seg(room)}?via=one.test", {})
    looking.sync_until(lambda sync: is_("join", sync))
    assert bob.user_id in changed(alice.sync())
    assert set(query(alice, bob)) == {bob.device_id, phone.device_id}
    bob.leave(room)


def test_lists_are_answered_while_the_other_server_is_away(network: Network, alice: Client) -> None:
    other = network.hearth(f"{unique('five')}.test")
    eve = Client.register(other.url)
    together(alice, eve)
    with_keys(eve)
    alice.sync_until(lambda sync: eve.user_id in changed(sync))
    told = query(alice, eve)
    assert set(told) == {eve.device_id}
    other.stop()
    # The list was fetched when it was asked for; a message to a device waits.
    for _ in range(200):
        found = alice.must("POST", "/keys/query", {"device_keys": {eve.user_id: []}, "timeout": 2000})
        if not found["failures"]:
            break
    assert found["device_keys"][eve.user_id] == told
    for number in range(150):
        send_to_device(alice, {eve.user_id: {eve.device_id: {"n": number}}})
    # What changes here meanwhile is told when the other is back.
    with_keys(alice)
    other.start()
    eve.must("PUT", f"/presence/{seg(eve.user_id)}/status", {"presence": "online"})
    got: list[int] = []

    def all_there(sync: Json) -> bool:
        got.extend(message["content"]["n"] for message in messages(sync))
        return len(got) >= 150

    eve.sync_until(all_there)
    assert got == list(range(150))
    while set(query(eve, alice)) != {alice.device_id}:
        eve.sync(timeout=200)
    assert messages(eve.sync()) == []
