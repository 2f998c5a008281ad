"""Whatever was answered with success outlives a kill, while people do all kinds of things."""

import base64
import contextlib
import itertools
import random
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.story.further_deeds import BACKUP, FurtherDeeds
from tests.support.chance import seed
from tests.support.client import Client, Json, Refused, joined, seg
from tests.support.hearth import HearthProcess

PEOPLE, KILLS = 5, 2
SOONEST, LATEST = 60, 150
"""Deeds before a kill."""
DELAYED = "/_matrix/client/unstable/org.matrix.msc4140"

Check = Callable[[], None]


class Person(FurtherDeeds):
    """Somebody who does one thing after the other, each of which can be looked for afterwards.

    Args:
        url: the server's address.
        friend: who gets their messages between devices; nobody else sends any to that device.
    """

    def __init__(self, url: str, friend: Client) -> None:
        self.client, self.friend = Client.register(url), friend
        self.room = self.client.create_room()
        self.account = f"/user/{seg(self.client.user_id)}"
        self.backup = self.client.must("POST", "/room_keys/version", BACKUP)["version"]
        self.dry: list[str] = []
        self.masters: list[str] = []
        self.keys = 0
        self.sent: list[str] = []
        self.messages: set[str] = set()
        self.deeds = [
            self.says,
            self.reads,
            self.notes,
            self.notes_in_room,
            self.keeps_a_filter,
            self.is_named,
            self.makes_a_rule,
            self.sends_to_a_device,
            self.uploads_keys,
            self.backs_up,
            self.comes_and_goes,
            self.renames_the_device,
            self.trades_a_token,
            self.sets_state,
            self.makes_a_room,
            self.takes_back,
            self.says_later,
            self.is_asked,
            self.changes_the_backup,
            self.signs_itself,
            self.leaves_a_dry_device,
            self.goes_for_good,
            self.knocks,
            self.follows_a_thread,
            self.slides,
            self.publishes,
            self.upgrades,
            self.tags,
            self.forgets,
            self.comes_by_another_room,
            self.is_asked_by_an_address,
        ]

    # Each does one thing, and gives what must be true from then on. What was underway at the kill may be done or not,
    # so values grow and the next one is as good.

    def says(self, number: int) -> Check:
        txn = f"says{number}"
        event_id = self.client.send(self.room, txn, txn=txn)
        self.sent.append(event_id)

        def check() -> None:
            assert self.client.send(self.room, txn, txn=txn) == event_id
            assert self.client.event(self.room, event_id)["content"]["body"] == txn

        return check

    def reads(self, number: int) -> Check:
        self.says(number)
        place = len(self.sent) - 1
        body = {"m.fully_read": self.sent[place], "m.read": self.sent[place], "m.read.private": self.sent[place]}
        self.client.must("POST", f"/rooms/{seg(self.room)}/read_markers", body)

        def check() -> None:
            path = f"{self.account}/rooms/{seg(self.room)}/account_data/m.fully_read"
            assert self.client.must("GET", path)["event_id"] in self.sent[place:]
            ephemeral = joined(Client(self.client.url, self.client.token).sync(), self.room)["ephemeral"]["events"]
            (receipts,) = [event["content"] for event in ephemeral if event["type"] == "m.receipt"]
            for kind in ("m.read", "m.read.private"):
                assert any(self.client.user_id in receipts.get(one, {}).get(kind, {}) for one in self.sent[place:])

        return check

    def notes(self, number: int) -> Check:
        return self._put(f"{self.account}/account_data/org.example", {"n": number})

    def notes_in_room(self, number: int) -> Check:
        return self._put(f"{self.account}/rooms/{seg(self.room)}/account_data/org.example", {"n": number})

    def keeps_a_filter(self, number: int) -> Check:
        wanted = {"room": {"timeline": {"limit": number + 1}}}
        path = f"{self.account}/filter"
        path += "/" + self.client.must("POST", path, wanted)["filter_id"]
        return lambda: _same(self.client.must("GET", path), wanted)

    def is_named(self, number: int) -> Check:
        path = f"/profile/{seg(self.client.user_id)}/displayname"
        self.client.must("PUT", path, {"displayname": f"{number}"})
        return lambda: _grown(int(self.client.must("GET", path)["displayname"]), number)

    def makes_a_rule(self, number: int) -> Check:
        path = f"/pushrules/global/content/rule{number}"
        self.client.must("PUT", path, {"pattern": f"word{number}", "actions": []})
        return lambda: _same(self.client.must("GET", path)["pattern"], f"word{number}")

    def sends_to_a_device(self, number: int) -> Check:
        text = f"{self.client.user_id} {number}"
        path = f"/sendToDevice/org.example/{number}"
        messages = {self.friend.user_id: {self.friend.device_id: {"text": text}}}
        self.client.must("PUT", path, {"messages": messages})
        self.messages.add(text)

        def check() -> None:
            self.client.must("PUT", path, {"messages": messages})  # the same transaction is not done again

        return check

    def uploads_keys(self, number: int) -> Check:
        key = base64.b64encode(number.to_bytes(32, "big")).decode().rstrip("=")
        self.client.must("POST", "/keys/upload", {"one_time_keys": {f"curve25519:{number}": key}})
        self.keys += 1
        least = self.keys

        def check() -> None:
            counts = self.client.must("POST", "/keys/upload", {})["one_time_key_counts"]
            assert least <= counts["curve25519"] <= self.keys + 1

        return check

    def backs_up(self, number: int) -> Check:
        path = f"/room_keys/keys/{seg(self.room)}/session{number}"
        key = {"first_message_index": 1, "forwarded_count": 0, "is_verified": True, "session_data": {"n": number}}
        self.client.must("PUT", path, key, version=self.backup)
        return lambda: _same(self.client.must("GET", path, version=self.backup), key)

    def comes_and_goes(self, number: int) -> Check:
        stays, goes = self.client.login(), self.client.login()
        goes.must("POST", "/logout", {})

        def check() -> None:
            assert stays.must("GET", "/account/whoami")["device_id"] == stays.device_id
            goes.refused("M_UNKNOWN_TOKEN", 401, "GET", "/account/whoami")

        return check

    def renames_the_device(self, number: int) -> Check:
        path = f"/devices/{seg(self.client.device_id)}"
        self.client.must("PUT", path, {"display_name": f"{number}"})
        return lambda: _grown(int(self.client.must("GET", path)["display_name"]), number)

    def trades_a_token(self, number: int) -> Check:
        identifier = {"type": "m.id.user", "user": self.client.user_id}
        wanted = {"type": "m.login.password", "identifier": identifier, "password": "wonderland"}
        nobody = Client(self.client.url)
        pair = nobody.must("POST", "/login", {**wanted, "refresh_token": True})
        traded = nobody.must("POST", "/refresh", {"refresh_token": pair["refresh_token"]})
        return lambda: Client(self.client.url, traded["access_token"]).must("GET", "/account/whoami") and None

    def sets_state(self, number: int) -> Check:
        self.client.set_state(self.room, "org.example", {"n": number})
        return lambda: _grown(self.client.state(self.room, "org.example")["n"], number)

    def makes_a_room(self, number: int) -> Check:
        alias = f"{self.client.user_id[1:].partition(':')[0]}{number}"
        room = self.client.create_room(room_alias_name=alias, name=alias)
        where = f"/directory/room/{seg(f'#{alias}:hearth.example')}"

        def check() -> None:
            assert self.client.must("GET", where)["room_id"] == room
            assert self.client.state(room, "m.room.name")["name"] == alias

        return check

    def takes_back(self, number: int) -> Check:
        event_id = self.client.send(self.room, "oops")
        self.client.redact(self.room, event_id)
        return lambda: _same(self.client.event(self.room, event_id)["content"], {})

    def says_later(self, number: int) -> Check:
        path = f"/rooms/{seg(self.room)}/send/m.room.message/later{number}"
        name = self.client.must("PUT", path, {"body": f"{number}"}, **{"org.matrix.msc4140.delay": 1_000_000})
        listed = f"{DELAYED}/delayed_events"

        def check() -> None:
            waiting = self.client.must("GET", listed)["delayed_events"]
            assert name["delay_id"] in [one["delay_id"] for one in waiting]

        return check

    def is_asked(self, number: int) -> Check:
        room = self.friend.create_room(invite=[self.client.user_id])
        if number % 2:
            self.client.join(room)
        else:
            self.client.leave(room)
        expected = "join" if number % 2 else "leave"
        return lambda: _same(self.friend.member(room, self.client)["membership"], expected)

    def _put(self, path: str, content: Json) -> Check:
        self.client.must("PUT", path, content)
        return lambda: _grown(self.client.must("GET", path)["n"], content["n"])


def _same(found: object, expected: object) -> None:
    assert found == expected


def _grown(found: int, least: int) -> None:
    assert found >= least


class Bustle:
    """All people doing things until the server is gone."""

    def __init__(self, people: list[Person], first: int, enough: int) -> None:
        self.checks: list[Check] = []
        self.done = 0
        self.wrong: list[BaseException] = []
        self.enough = threading.Event()
        self._most = enough
        # Each begins elsewhere, so that all kinds of things are done before the kill.
        self._threads = [
            threading.Thread(target=self._live, args=(one, first + 6 * place)) for place, one in enumerate(people)
        ]
        for thread in self._threads:
            thread.start()

    def _live(self, person: Person, first: int) -> None:
        latest: dict[str, Check] = {}
        try:
            with contextlib.suppress(httpx.HTTPError):
                for number in itertools.count(first):
                    deed = person.deeds[number % len(person.deeds)]
                    check = deed(number)
                    # Of what grows the last one says it all; two of the rest will do.
                    latest[f"{deed.__name__} {number // len(person.deeds) % 2}"] = check
                    self.done += 1
                    if self.done >= self._most:
                        self.enough.set()
        except Refused as refusal:
            self.wrong.append(refusal)
            self.enough.set()
        self.checks += latest.values()

    def join(self) -> None:
        """Wait until everybody has noticed that the server is gone."""
        for thread in self._threads:
            thread.join(60)


def received(device: Client) -> list[str]:
    """All that was sent to a device, which acknowledges nothing of it."""
    found: list[str] = []
    since: str | None = None
    while True:
        answer = device.must("GET", "/sync", **({} if since is None else {"since": since}), filter=_NOTHING_ELSE)
        some = [one["content"]["text"] for one in answer.get("to_device", {}).get("events", [])]
        if not some:
            return found
        found, since = found + some, answer["next_batch"]


_NOTHING_ELSE = '{"room":{"rooms":[]}}'


@pytest.mark.slow
def test_kills_while_people_do_all_kinds_of_things(tmp_path: Path) -> None:
    """Of each kind of thing that was answered with success, what was done is there after each of two kills at random
    moments; what is sent to devices, once."""
    chance = random.Random(seed(7))  # noqa: S311
    server = HearthProcess(tmp_path / "data").start()
    try:
        friend = Client.register(server.url)
        people = [Person(server.url, friend) for _ in range(PEOPLE)]
        for generation in range(KILLS):
            bustle = Bustle(people, generation * 10_000, chance.randrange(SOONEST, LATEST))
            assert bustle.enough.wait(60)
            server.kill()
            bustle.join()
            assert not bustle.wrong
            server.start()
            for check in bustle.checks:
                check()
        texts = received(friend)
        assert len(texts) == len(set(texts))
        assert {text for person in people for text in person.messages} <= set(texts)
    finally:
        server.end()
