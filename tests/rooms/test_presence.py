"""Presence by a clock of its own: when somebody is online, idle or gone, who is told, and how often."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from appliance.rooms.signs import presence as module
from appliance.rooms.signs.company import Company
from appliance.rooms.signs.person import GRACE_MS, IDLE_MS, REFRESH_MS, REMOTE_MS
from appliance.rooms.signs.presence import Presence
from appliance.rooms.signs.serial import Serial
from appliance.settings import Settings

ALICE, BOB, CAROL, MALLORY = "@alice:here", "@bob:here", "@carol:here", "@mallory:elsewhere"


class Timer:
    """A handle that a test's clock fires."""

    def __init__(self, due: int, function: Callable[[], None]) -> None:
        self.due = due
        self.function = function
        self.live = True

    def cancel(self) -> None:
        self.live = False


class Stage:
    """Presence over a time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000
        self.timers: list[Timer] = []
        self.rooms = {ALICE: {1, 2}, BOB: {2}, CAROL: {3}, MALLORY: {2}}
        self.serial = Serial()
        self.settings = Settings(server_name="here")
        company = cast("Company", self)
        self.presence = Presence(company, self.serial, self.settings, lambda: self.now, cast("Any", self.later))
        self.woken: list[list[str]] = []
        self.federated: list[list[str]] = []
        self.presence.changed.append(lambda users: self.woken.append(sorted(users)))
        self.presence.refreshed.append(lambda users: self.federated.append(sorted(users)))

    def later(self, seconds: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        timer = Timer(self.now + int(seconds * 1000), function)
        self.timers.append(timer)
        return cast("asyncio.TimerHandle", timer)

    def passes(self, milliseconds: int) -> None:
        """Let time pass, with what was to happen meanwhile."""
        end = self.now + milliseconds
        while due := [timer for timer in self.timers if timer.live and timer.due <= end]:
            timer = min(due, key=lambda one: one.due)
            timer.live = False
            self.now = max(self.now, timer.due)
            timer.function()
        self.timers = [timer for timer in self.timers if timer.live]
        self.now = end

    def rooms_of(self, user_id: str) -> set[int]:
        return self.rooms.get(user_id, set())

    def share(self, one: str, other: str) -> bool:
        return one == other or bool(self.rooms_of(one) & self.rooms_of(other))

    def state(self, user_id: str) -> str:
        return str(self.presence.content(user_id)["presence"])


def test_a_device_that_syncs_is_online_idle_after_a_while_and_gone_half_a_minute_after_its_last_sync() -> None:
    stage = Stage()
    with stage.presence.syncing(ALICE, "PHONE", "online"):
        assert stage.state(ALICE) == "online"
        stage.passes(IDLE_MS - 10)
        assert stage.presence.content(ALICE) == {
            "presence": "online",
            "last_active_ago": IDLE_MS - 10,
            "currently_active": True,
        }
        stage.passes(20)
        assert stage.presence.content(ALICE) == {"presence": "unavailable", "last_active_ago": IDLE_MS + 10}
        stage.presence.acted(ALICE)
        assert stage.state(ALICE) == "online"
    stage.passes(GRACE_MS - 10)
    with stage.presence.syncing(ALICE, "PHONE", "online"):
        stage.passes(GRACE_MS)
        assert stage.state(ALICE) == "online"
    stage.passes(GRACE_MS + 10)
    assert stage.state(ALICE) == "offline"
    stage.passes(5_000)
    assert not [timer for timer in stage.timers if timer.live]


def test_syncing_on_does_not_count_as_doing_something() -> None:
    stage = Stage()
    for _ in range(12):
        with stage.presence.syncing(ALICE, "PHONE", "online"):
            stage.passes(IDLE_MS // 10)
    assert stage.state(ALICE) == "unavailable"


def test_of_several_devices_the_most_awake_counts() -> None:
    stage = Stage()
    with stage.presence.syncing(ALICE, "PHONE", "unavailable"):
        assert stage.state(ALICE) == "unavailable"
        with stage.presence.syncing(ALICE, "DESK", "online"):
            assert stage.state(ALICE) == "online"
        stage.presence.put(ALICE, "DESK", "offline", None)
        assert stage.state(ALICE) == "unavailable"
        stage.presence.deleted(ALICE, "PHONE")
        assert stage.state(ALICE) == "offline"
    with stage.presence.syncing(ALICE, "PHONE", "offline"):
        assert stage.state(ALICE) == "offline"


def test_changes_wake_together_and_at_most_once_in_two_seconds() -> None:
    stage = Stage()
    for number in range(40):
        stage.presence.put(ALICE, "PHONE", "online" if number % 2 else "unavailable", None)
        stage.presence.put(BOB, "PHONE", "online", str(number))
        stage.passes(100)
    stage.passes(5_000)
    assert 1 < len(stage.woken) <= 4
    assert stage.woken[0] == [ALICE, BOB]


def test_what_is_told_is_what_changed_for_those_who_share_a_room() -> None:
    stage = Stage()
    boot, start = stage.serial.boot, stage.serial.value
    stage.presence.put(ALICE, "PHONE", "online", "in the garden")
    between = stage.serial.value
    stage.presence.put(CAROL, "PHONE", "online", None)
    stage.presence.put(ALICE, "PHONE", "online", "in the garden")
    assert stage.presence.since(BOB, boot, start) == [ALICE]
    assert stage.presence.since(BOB, boot, between) == []
    assert stage.presence.since(CAROL, boot, start) == [CAROL]
    assert stage.presence.since(BOB, boot + 1, between) == stage.presence.all(BOB) == [ALICE]
    stage.presence.put(ALICE, "PHONE", "offline", None)
    assert stage.presence.since(BOB, boot, between) == [ALICE]
    assert stage.presence.all(BOB) == []


def test_another_server_tells_of_its_own_users_for_half_an_hour() -> None:
    stage = Stage()
    said = {"user_id": MALLORY, "presence": "online", "status_msg": "hm", "last_active_ago": 5000}
    stage.presence.take("here", [said])
    assert stage.state(MALLORY) == "offline"
    odd: list[Any] = [7, {}, {**said, "presence": "away"}, {**said, "user_id": 5}, {**said, "user_id": "@x:elsewhere"}]
    stage.presence.take("elsewhere", [*odd, said])
    assert stage.presence.content(MALLORY) == {
        "presence": "online",
        "status_msg": "hm",
        "last_active_ago": 5000,
        "currently_active": True,
    }
    assert stage.presence.all(ALICE) == [MALLORY]
    stage.passes(REMOTE_MS + 10)
    assert stage.state(MALLORY) == "offline"
    assert stage.federated == []


def test_other_servers_are_told_again_before_they_forget() -> None:
    stage = Stage()
    with stage.presence.syncing(ALICE, "PHONE", "online"):
        for _ in range(4):
            stage.passes(REFRESH_MS // 4)
            stage.presence.acted(ALICE)
        stage.passes(5_000)
    assert stage.federated[0] == [ALICE]
    assert len(stage.federated) >= 2


def test_what_is_known_has_bounds(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 10)
    stage = Stage()
    for number in range(50):
        stage.rooms[f"@user{number}:here"] = {1}
        stage.presence.put(f"@user{number}:here", "PHONE", "online", None)
    assert len(stage.presence.all(ALICE)) <= 11
    assert "@user49:here" in stage.presence.all(ALICE)


def test_users_of_another_server_who_are_never_there_make_place_for_others(monkeypatch: Any) -> None:
    """Another server may tell of as many as it likes that they are offline, which changes nothing of them."""
    monkeypatch.setattr(module, "MOST_KNOWN", 10)
    stage = Stage()
    many = [f"@user{number}:elsewhere" for number in range(30)]
    stage.rooms.update({user: {2} for user in many})
    stage.presence.take("elsewhere", [{"user_id": user, "presence": "offline"} for user in many])
    with stage.presence.syncing(BOB, "PHONE", "online"):
        assert stage.state(BOB) == "online"
    stage.presence.take("elsewhere", [{"user_id": user, "presence": "online"} for user in many])
    assert stage.state(BOB) == "online"


def test_where_the_owner_wants_none_nobody_is_online() -> None:
    stage = Stage()
    stage.settings.presence_enabled = False
    with stage.presence.syncing(ALICE, "PHONE", "online"):
        stage.presence.put(ALICE, "PHONE", "online", "hello")
        assert stage.presence.content(ALICE) == {"presence": "offline"}
        assert stage.presence.all(ALICE) == stage.presence.since(ALICE, 0, 0) == []
    assert stage.woken == []
