"""More that people do while their server may be killed; see ``test_kill_under_any_load.py``."""

from collections.abc import Callable

from tests.story.test_deactivation import end
from tests.story.test_dehydrated_devices import PATH as DEHYDRATED
from tests.story.test_dehydrated_devices import dehydrate
from tests.story.test_thread_subscriptions import path as subscription
from tests.support.client import Client, Json, seg
from tests.support.keys import make_key, query
from tests.support.sliding import Sliding, window

Check = Callable[[], None]
BACKUP = {
    "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
    "auth_data": {"public_key": "abcdefg", "signatures": {}},
}


class FurtherDeeds:
    """What a person does beside talking.

    Attributes:
        client: the person.
        friend: somebody else.
        room: a room of the person's.
        dry: the dehydrated devices that there may be.
        masters: the master keys that there may be.
    """

    client: Client
    friend: Client
    room: str
    backup: str
    dry: list[str]
    masters: list[str]

    def changes_the_backup(self, number: int) -> Check:
        where = f"/room_keys/version/{self.backup}"
        auth_data = {**BACKUP["auth_data"], "org.example": number}  # type: ignore[dict-item]
        self.client.must("PUT", where, {**BACKUP, "auth_data": auth_data})

        def check() -> None:
            assert self.client.must("GET", where)["auth_data"]["org.example"] >= number

        return check

    def signs_itself(self, number: int) -> Check:
        key = make_key()
        name = f"ed25519:{key.public_key}"
        master = {"user_id": self.client.user_id, "usage": ["master"], "keys": {name: key.public_key}}
        auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": self.client.user_id}}
        self.masters.append(name)
        place = len(self.masters) - 1
        upload = {"master_key": master, "auth": {**auth, "password": "wonderland"}}
        self.client.must("POST", "/keys/device_signing/upload", upload)

        def check() -> None:
            told = query(self.friend, self.client)["master_keys"][self.client.user_id]["keys"]
            assert set(told) <= set(self.masters[place:])

        return check

    def leaves_a_dry_device(self, number: int) -> Check:
        self.dry.append(f"DRY{number}")
        place = len(self.dry) - 1
        dehydrate(self.client, f"DRY{number}")

        def check() -> None:
            there = self.client.must("GET", DEHYDRATED)["device_id"]
            assert there in self.dry[place:]
            devices = {one["device_id"] for one in self.client.must("GET", "/devices")["devices"]}
            assert devices.intersection(self.dry) == {there}
            assert there in query(self.friend, self.client)["device_keys"][self.client.user_id]

        return check

    def goes_for_good(self, number: int) -> Check:
        guest = Client.register(self.client.url)
        self.client.invite(self.room, guest)
        guest.join(self.room)
        end(guest)
        identifier = {"type": "m.id.user", "user": guest.user_id}
        login = {"type": "m.login.password", "identifier": identifier, "password": "wonderland"}

        def check() -> None:
            Client(self.client.url).refused("M_USER_DEACTIVATED", 403, "POST", "/login", login)
            self.client.since = None
            self.client.sync_until(lambda _: self.client.member(self.room, guest)["membership"] == "leave")

        return check

    def knocks(self, number: int) -> Check:
        knock: Json = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
        room = self.friend.create_room(initial_state=[knock])
        self.client.must("POST", f"/knock/{seg(room)}", {"reason": f"{number}"})

        def check() -> None:
            assert self.friend.member(room, self.client)["reason"] == f"{number}"
            knocks = Client(self.client.url, self.client.token).sync()["rooms"]["knock"]
            assert room in knocks

        return check

    def follows_a_thread(self, number: int) -> Check:
        root = self.client.send(self.room, "root", txn=f"root{number}")
        self.client.must("PUT", subscription(self.room, root), {})

        def check() -> None:
            assert self.client.must("GET", subscription(self.room, root)) == {"automatic": False}

        return check

    def slides(self, number: int) -> Check:
        sliding = Sliding(self.client, f"c{number % 5}", all=window(0, 5))
        sliding.ask()
        self.client.set_state(self.room, "org.example.slid", {"n": number})
        pos = sliding.pos

        def check() -> None:
            # Both what the answer that was given last says and what came then are there to go on with.
            sliding.pos = pos
            sliding.sync()

        return check

    def publishes(self, number: int) -> Check:
        room = self.client.create_room(visibility="public", name=f"open {self.client.user_id} {number}")
        wanted = {"filter": {"generic_search_term": f"open {self.client.user_id} {number}"}}

        def check() -> None:
            chunk = self.client.must("POST", "/publicRooms", wanted)["chunk"]
            assert room in [one["room_id"] for one in chunk]

        return check

    def upgrades(self, number: int) -> Check:
        old = self.client.create_room(room_version="10", name=f"{number}")
        new = self.client.must("POST", f"/rooms/{seg(old)}/upgrade", {"new_version": "12"})["replacement_room"]

        def check() -> None:
            assert self.client.state(old, "m.room.tombstone")["replacement_room"] == new
            assert self.client.state(new, "m.room.create")["predecessor"]["room_id"] == old
            assert self.client.state(new, "m.room.name")["name"] == f"{number}"

        return check

    def tags(self, number: int) -> Check:
        where = f"/user/{seg(self.client.user_id)}/rooms/{seg(self.room)}/tags"
        self.client.must("PUT", f"{where}/u.{number}", {"order": 0.5})

        def check() -> None:
            assert f"u.{number}" in self.client.must("GET", where)["tags"]

        return check

    def forgets(self, number: int) -> Check:
        room = self.client.create_room()
        self.client.leave(room)
        self.client.forget(room)

        def check() -> None:
            self.client.refused("M_FORBIDDEN", 403, "GET", f"/rooms/{seg(room)}/messages", dir="b")

        return check

    def comes_by_another_room(self, number: int) -> Check:
        allowed = [{"type": "m.room_membership", "room_id": self.room}]
        rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "restricted", "allow": allowed}}
        guest = Client.register(self.client.url)
        room = self.client.create_room(preset="private_chat", initial_state=[rules])
        self.client.invite(self.room, guest)
        guest.join(self.room)
        guest.join(room)

        def check() -> None:
            assert self.client.member(room, guest)["membership"] == "join"
            assert guest.member(room)["join_authorised_via_users_server"] == self.client.user_id

        return check

    def is_asked_by_an_address(self, number: int) -> Check:
        identity, token = make_key("0"), f"address{number}"
        room = self.friend.create_room()
        offer = {
            "display_name": "a...@e...",
            "key_validity_url": "https://id.example/",
            "public_key": identity.public_key,
        }
        self.friend.set_state(room, "m.room.third_party_invite", offer, token)
        signed = identity.sign_json({"mxid": self.client.user_id, "token": token}, "id.example")
        invitation = {"membership": "invite", "third_party_invite": {"display_name": "a...@e...", "signed": signed}}
        self.friend.set_state(room, "m.room.member", invitation, self.client.user_id)

        def check() -> None:
            assert room in Client(self.client.url, self.client.token).sync()["rooms"]["invite"]
            assert self.friend.member(room, self.client)["third_party_invite"]["signed"] == signed

        return check
