"""An account that ends leaves its rooms."""

from tests.support.client import Client, timeline


def test_an_ended_account_leaves_its_rooms(alice: Client, bob: Client) -> None:
    """After deactivation the others see the user leave."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.sync()
    first = bob.ask("POST", "/account/deactivate", {})
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": bob.user_id},
        "password": "wonderland",
        "session": first.json()["session"],
    }
    bob.must("POST", "/account/deactivate", {"auth": auth})
    alice.sync_until(
        lambda sync: any(
            event.get("state_key") == bob.user_id and event["content"]["membership"] == "leave"
            for event in timeline(sync, room)
        )
    )
