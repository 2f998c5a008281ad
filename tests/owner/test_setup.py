"""The set-up's steps over a real database: what is kept when, what can be taken back, and what a kill leaves behind."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.errors import MatrixError, OwnerError
from appliance.owner.answers import parse_answers
from appliance.owner.claim import Claim
from appliance.owner.fields import AnswerError
from appliance.owner.setup import SHOWN_AFTER_MS, Setup, Step
from appliance.settings import Settings
from appliance.storage.database import Database
from appliance.storage.keys import SigningKeys
from appliance.storage.registration_tokens import find_registration_token
from appliance.storage.settings import load_settings
from appliance.tls.making import self_signed

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"
ANSWERS = f"""
server_name = "example.org"
[owner]
username = "alice"
password = "{PASSWORD}"
[registration]
mode = "token"
"""


class KilledError(Exception):
    """Stands for the end of the process."""


class People:
    """Accounts that outlive the process, and that may kill it once they have made one."""

    def __init__(self) -> None:
        self.passwords: dict[str, str | None] = {}
        self.kill_next = False
        self.refusal: MatrixError | None = None

    async def create(self, localpart: str, password: str | None, *, admin: bool = False) -> str:
        """Make an owner's account in the server that the set-up names."""
        assert admin
        user_id = f"@{localpart}:example.org"
        if self.refusal:
            raise self.refusal
        if user_id in self.passwords:
            raise MatrixError("M_USER_IN_USE", "Taken.", 400)
        self.passwords[user_id] = password
        if self.kill_next:
            self.kill_next = False
            raise KilledError
        return user_id

    async def set_password(self, user_id: str, password: str, logout_devices: bool) -> None:
        """Change a password."""
        self.passwords[user_id] = password


class Machine:
    """A data folder, and the process that runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people = People()
        self.now = 1_800_000_000_000
        self.told: list[str] = []

    async def start(self) -> Setup:
        """Start the process, or start it again after a kill."""
        self.database = await Database.open(self.folder / "hearth.db")
        self.settings = load_settings(self.database)
        self.claim = Claim(self.folder)
        self.keys = SigningKeys(self.database)
        self.setup = Setup(self.database, self.settings, self.people, self.keys, self.claim, now=lambda: self.now)
        if not self.setup.is_finished:
            self.claim.renew()
        self.setup.on_reach.append(lambda: self.told.append(self.settings.tls_mode))
        self.setup.on_finished.append(lambda: self.told.append("finished"))
        return self.setup

    async def restart(self) -> Setup:
        """Stop the process and start it again."""
        await self.database.close()
        return await self.start()

    async def claimed(self) -> Setup:
        """Start it and claim it."""
        setup = await self.start()
        assert await setup.claim(self.claim.code, "127.0.0.1")
        return setup


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """A machine with an empty data folder."""
    it = Machine(tmp_path)
    yield it
    await it.database.close()


async def test_each_step_is_kept_and_outlives_a_restart(machine: Machine) -> None:
    setup = await machine.start()
    assert (setup.step, setup.state) == (Step.CLAIM, "unclaimed")
    secret = await setup.claim(machine.claim.code.lower(), "127.0.0.1")
    setup = await machine.restart()
    assert (setup.step, setup.state) == (Step.NAME, "claimed")
    assert setup.is_session(secret)
    await setup.name("example.org")
    assert load_settings(machine.database).server_name == ""
    setup = await machine.restart()
    assert setup.step is Step.REACH
    await setup.reach(msgspec.structs.replace(setup.draft.settings, public_host="matrix.example.org"))
    assert machine.settings.reached_at == "matrix.example.org"
    assert machine.told == ["acme"]
    setup = await machine.restart()
    assert (setup.step, machine.settings.reached_at) == (Step.CERTIFICATE, "matrix.example.org")
    await setup.leave_certificate()
    setup = await machine.restart()
    assert setup.step is Step.OWNER
    assert machine.keys.current is None
    await setup.owner("alice", PASSWORD)
    key = machine.keys.current
    setup = await machine.restart()
    assert (setup.step, setup.draft.owner) == (Step.JOINING, "@alice:example.org")
    await setup.joining("closed", False)
    assert machine.told == ["acme", "finished"]
    assert not (machine.folder / "claim-code").exists()
    setup = await machine.restart()
    assert (setup.step, setup.state, setup.is_finished) == (Step.DONE, "ready", True)
    assert machine.settings == Settings(
        server_name="example.org", public_host="matrix.example.org", federation_enabled=False
    )
    assert machine.keys.current and key and machine.keys.current.key_id == key.key_id
    assert machine.people.passwords == {"@alice:example.org": PASSWORD}
    assert PASSWORD.encode() not in (machine.folder / "hearth.db").read_bytes()


async def test_only_the_last_browser_that_claimed_goes_on(machine: Machine) -> None:
    setup = await machine.start()
    assert not setup.is_session("")
    assert await setup.claim("BCD-BCD-BCD", "127.0.0.1") == ""
    first = await setup.claim(machine.claim.code, "127.0.0.1")
    second = await setup.claim(machine.claim.code, "127.0.0.1")
    assert (setup.is_session(first), setup.is_session(second)) == (False, True)
    third = await setup.renew_session()
    assert (setup.is_session(second), setup.is_session(third)) == (False, True)


async def test_the_name_can_be_changed_until_there_is_an_account(machine: Machine) -> None:
    setup = await machine.claimed()
    await setup.name("exmaple.org")
    await setup.reach(setup.draft.settings)
    await setup.leave_certificate()
    await setup.name("exmaple.org")
    assert setup.step is Step.OWNER
    await setup.name("example.org")
    assert setup.step is Step.REACH
    await setup.reach(setup.draft.settings)
    await setup.leave_certificate()
    await setup.owner("alice", PASSWORD)
    with pytest.raises(OwnerError, match="locked in"):
        await setup.name("other.org")
    await setup.reach(msgspec.structs.replace(setup.draft.settings, tls_mode="lan"))
    assert machine.settings.server_name == "example.org"


async def test_what_is_refused_changes_nothing(machine: Machine) -> None:
    setup = await machine.claimed()
    await setup.name("example.org")
    before = setup.draft
    with pytest.raises(AnswerError) as caught:
        await setup.reach(msgspec.structs.replace(before.settings, tls_mode="files", tls_certificate="/nowhere"))
    assert caught.value.key == "tls.key"
    with pytest.raises(AnswerError):
        await setup.name("Example.org")
    for username, password in (("Alice", PASSWORD), ("alice", "short")):
        with pytest.raises(AnswerError):
            await setup.owner(username, password)
    with pytest.raises(OwnerError, match="comes first"):
        await setup.joining("closed", True)
    machine.people.refusal = MatrixError("M_EXCLUSIVE", "Not that one.", 400)
    with pytest.raises(AnswerError) as caught:
        await setup.owner("alice", PASSWORD)
    assert (caught.value.key, caught.value.sentence) == ("owner.username", "Not that one.")
    assert setup.draft == msgspec.structs.replace(before, pending="alice")
    assert machine.told == []


async def test_federation_follows_the_way(machine: Machine) -> None:
    setup = await machine.claimed()
    await setup.name("example.org")
    await setup.reach(msgspec.structs.replace(setup.draft.settings, tls_mode="lan"))
    assert not machine.settings.federation_enabled
    with pytest.raises(OwnerError):
        await setup.joining("closed", True)
    await setup.reach(msgspec.structs.replace(setup.draft.settings, tls_mode="proxy"))
    assert machine.settings.federation_enabled


async def test_own_files_are_looked_at_before_they_are_taken(machine: Machine) -> None:
    setup = await machine.claimed()
    await setup.name("example.org")
    chain, key = machine.folder / "chain.pem", machine.folder / "key.pem"
    made = self_signed(["other.org"], machine.now)
    chain.write_text(made.chain_pem)
    key.write_text(made.key_pem)
    wanted = msgspec.structs.replace(
        setup.draft.settings, tls_mode="files", tls_certificate=str(chain), tls_key=str(key)
    )
    with pytest.raises(AnswerError) as caught:
        await setup.reach(wanted)
    assert caught.value.key == "tls.certificate"
    assert "not for example.org" in caught.value.sentence
    await setup.reach(msgspec.structs.replace(wanted, tls_mode="proxy"))
    chain.write_text(self_signed(["example.org"], machine.now).chain_pem)
    with pytest.raises(AnswerError, match="does not belong"):
        await setup.reach(wanted)


async def test_a_kill_while_the_account_is_made_is_mended_by_doing_it_again(machine: Machine) -> None:
    setup = await machine.claimed()
    await setup.name("example.org")
    await setup.reach(setup.draft.settings)
    await setup.leave_certificate()
    machine.people.kill_next = True
    with pytest.raises(KilledError):
        await setup.owner("alice", PASSWORD)
    setup = await machine.restart()
    assert setup.step is Step.OWNER
    await setup.owner("alice", "another good password")
    assert machine.people.passwords == {"@alice:example.org": "another good password"}
    assert setup.draft.owner == "@alice:example.org"


async def test_an_account_that_is_not_ours_is_left_alone(machine: Machine) -> None:
    setup = await machine.claimed()
    await setup.name("example.org")
    machine.people.passwords["@bob:example.org"] = "bob's"
    for _ in range(2):
        with pytest.raises(AnswerError, match="an account bob already"):
            await setup.owner("bob", PASSWORD)
    assert machine.people.passwords == {"@bob:example.org": "bob's"}
    assert setup.draft.owner == ""


async def test_sent_twice_makes_one_account_and_one_end(machine: Machine) -> None:
    setup = await machine.claimed()
    await setup.name("example.org")
    await setup.owner("alice", PASSWORD)
    await setup.owner("alice", PASSWORD)
    with pytest.raises(OwnerError, match="made already"):
        await setup.owner("carol", PASSWORD)
    await setup.joining("token", True)
    token = setup.draft.token
    await setup.joining("open", True)
    assert setup.draft.token == token
    assert machine.settings.registration_mode == "token"
    assert find_registration_token(machine.database, token)
    assert machine.told == ["finished"]


async def test_after_the_end_nothing_can_be_changed(machine: Machine) -> None:
    setup = await machine.start()
    await setup.apply(parse_answers(ANSWERS))
    claimed = await setup.claim(machine.claim.code, "127.0.0.1")
    assert claimed == ""
    steps: list[Any] = [
        setup.name("other.org"),
        setup.reach(Settings(server_name="other.org")),
        setup.leave_certificate(),
        setup.owner("carol", PASSWORD),
        setup.renew_session(),
        setup.apply(parse_answers(ANSWERS)),
    ]
    for step in steps:
        with pytest.raises(OwnerError, match="set up already"):
            await step
    assert setup.is_open
    machine.now += SHOWN_AFTER_MS
    assert not setup.is_open


async def test_answers_do_it_all_at_once(machine: Machine) -> None:
    setup = await machine.start()
    await setup.apply(parse_answers(ANSWERS))
    assert setup.is_finished
    assert machine.told == ["acme", "finished"]
    assert machine.settings == Settings(server_name="example.org", registration_mode="token")
    assert load_settings(machine.database) == machine.settings
    assert machine.people.passwords == {"@alice:example.org": PASSWORD}
    assert machine.keys.current is not None
    assert not (machine.folder / "claim-code").exists()


async def test_answers_without_an_owner_where_anybody_may_join(machine: Machine) -> None:
    setup = await machine.start()
    await setup.apply(parse_answers('server_name = "example.org"\n[registration]\nmode = "open"\n'))
    assert (setup.is_finished, setup.draft.owner, setup.draft.token) == (True, "", "")


async def test_the_same_answers_again_bring_a_killed_set_up_to_its_end(machine: Machine) -> None:
    setup = await machine.start()
    machine.people.kill_next = True
    with pytest.raises(KilledError):
        await setup.apply(parse_answers(ANSWERS))
    setup = await machine.restart()
    assert not setup.is_finished
    await setup.apply(parse_answers(ANSWERS))
    assert setup.is_finished
    assert machine.people.passwords == {"@alice:example.org": PASSWORD}


async def test_answers_that_contradict_what_is_locked_in_change_nothing(machine: Machine) -> None:
    setup = await machine.claimed()
    await setup.name("example.org")
    await setup.owner("alice", PASSWORD)
    before = setup.draft
    with pytest.raises(OwnerError, match="server_name: The name is locked in"):
        await setup.apply(parse_answers(ANSWERS.replace("example.org", "other.org")))
    with pytest.raises(OwnerError, match=r"owner already: @alice:example\.org"):
        await setup.apply(parse_answers(ANSWERS.replace("alice", "carol")))
    assert setup.draft == before
    await setup.apply(parse_answers(ANSWERS))
    assert setup.is_finished


async def test_a_listener_that_fails_stops_nothing(machine: Machine) -> None:
    setup = await machine.start()

    def fails() -> None:
        raise RuntimeError("no port left")

    setup.on_finished.insert(0, fails)
    await setup.apply(parse_answers(ANSWERS))
    assert machine.told == ["acme", "finished"]
