"""Certificates from a real ACME server, which rejects three good nonces in ten."""

import datetime
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from appliance.accounts.clock import wall_clock
from appliance.settings import Settings
from appliance.storage import certificates as rows
from appliance.storage.database import Database
from appliance.tls.ladder import DAY, HOUR
from appliance.tls.progress import Progress
from tests.support import apt
from tests.support.pebble import Pebble, free_ports
from tests.tls.parts import ChallengeServer, House

pytestmark = [pytest.mark.anyio, pytest.mark.apt]

NAMES = ["matrix.example.org", "example.org"]


@pytest.fixture
def listener() -> Iterator[ChallengeServer]:
    with ChallengeServer() as server:
        yield server


@pytest.fixture
def pebble(tmp_path: Path, listener: ChallengeServer) -> Iterator[Pebble]:
    with Pebble(tmp_path, http_port=listener.port) as pebble:
        yield pebble


@asynccontextmanager
async def running(
    folder: Path,
    pebble: Pebble,
    listener: ChallengeServer | None,
    clock: Callable[[], int] = wall_clock,
    rehearsals: dict[str, str] | None = None,
) -> AsyncIterator[House]:
    """A server with that data folder, from its start to its stop."""
    settings = Settings(
        server_name="example.org",
        public_host=NAMES[0],
        tls_names=NAMES,
        tls_directory=pebble.directory,
        tls_ca_file=str(pebble.ca_file),
    )
    async with AsyncExitStack() as stack:
        database = await Database.open(folder / "hearth.db")
        stack.push_async_callback(database.close)
        house = House(database, settings, clock, None, rehearsals or {})
        stack.push_async_callback(house.issuance.stop)
        if listener is not None:
            listener.challenges = house.challenges
        await house.certificates.load()
        house.issuance.start()
        yield house


async def decided(house: House) -> Progress:
    """Wait until an order came to its end."""
    await house.until(lambda: house.issuance.progress.state in ("done", "waiting", "failed"), 60)
    return house.issuance.progress


def is_trusted(house: House, root: str, folder: Path) -> bool:
    """Whether a client that knows only this root accepts the current certificate for every name."""
    current = house.certificates.current()
    assert current is not None
    (folder / "chain.pem").write_text(current.chain_pem)
    (folder / "key.pem").write_text(current.key_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    for name in NAMES:
        client = ssl.create_default_context(cadata=root)
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = [
            client.wrap_bio(to_client, to_server, server_hostname=name),
            server.wrap_bio(to_server, to_client, server_side=True),
        ]
        for _ in range(10):
            for end in list(ends):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                ends.remove(end)
        if ends:
            return False
    return True


async def test_from_nothing_to_a_trusted_certificate_and_over_a_restart(
    tmp_path: Path, pebble: Pebble, listener: ChallengeServer
) -> None:
    async with running(tmp_path, pebble, listener) as house:
        progress = await decided(house)
        assert progress.state == "done", progress
        assert f"The authority took the order for {', '.join(NAMES)}." in progress.steps
        assert is_trusted(house, pebble.root(), tmp_path)
        assert [shown.source for shown in house.shown] == ["self-signed", "acme"]
        first = house.certificates.current()
        assert first is not None
        assert set(first.names) == set(NAMES)
        assert 89 * DAY < first.not_after - first.not_before <= 90 * DAY
        assert house.challenges._answers == {}
    async with running(tmp_path, pebble, listener) as house:
        assert (await decided(house)).state == "done"
        await house.issuance.order_now()
        await house.issuance.settled()
        current = house.certificates.current()
        assert current is not None
        assert current.chain_pem == first.chain_pem
    assert pebble.orders() == 1


@pytest.mark.slow
async def test_a_short_lived_certificate_is_renewed(tmp_path: Path, listener: ChallengeServer) -> None:
    with Pebble(tmp_path, http_port=listener.port, validity=10) as pebble:
        async with running(tmp_path, pebble, listener) as house:
            await house.until(lambda: len(house.shown) >= 3)
            assert [shown.source for shown in house.shown[:3]] == ["self-signed", "acme", "acme"]
            assert house.shown[1].chain_pem != house.shown[2].chain_pem
            assert house.shown[1].key_pem != house.shown[2].key_pem
            assert house.shown[2].not_before - house.shown[1].not_before >= 4000
            account = rows.account(house.database, pebble.directory)
            assert account is not None
            assert account.uri.startswith(pebble.directory.removesuffix("/dir"))
        assert pebble.log().count("There are now 1 accounts in memory") == 1
        assert "There are now 2 accounts" not in pebble.log()


@pytest.mark.slow
async def test_proven_names_are_not_proven_again(tmp_path: Path, listener: ChallengeServer) -> None:
    with Pebble(tmp_path, http_port=listener.port, validity=10, authz_reuse=100) as pebble:
        async with running(tmp_path, pebble, listener) as house:
            await house.until(lambda: len(house.shown) >= 2)
            before = pebble.validations()
            listener.challenges = None  # nobody answers any more, and nobody needs to
            await house.until(lambda: len(house.shown) >= 3)
            assert f"{NAMES[0]} was proven to lead here before." in house.issuance.progress.steps
        assert pebble.validations() == before


async def test_port_80_leads_nowhere(tmp_path: Path) -> None:
    (closed,) = free_ports(1)
    with Pebble(tmp_path, http_port=closed) as pebble:
        async with running(tmp_path, pebble, None) as house:
            progress = await decided(house)
            assert progress.state == "waiting"
            assert (
                f"could not reach {NAMES[0]}" in progress.failure or f"could not reach {NAMES[1]}" in progress.failure
            )
            assert "Forward port 80" in progress.failure
            assert "refused" in progress.detail
            assert progress.next_attempt is not None
            current = house.certificates.current()
            assert current is not None
            assert current.source == "self-signed"


async def test_another_server_answers_at_port_80_until_the_owner_mends_it(
    tmp_path: Path, pebble: Pebble, listener: ChallengeServer
) -> None:
    late = {"by": 0}
    async with running(tmp_path, pebble, None, lambda: wall_clock() + late["by"]) as house:
        progress = await decided(house)
        assert progress.state == "waiting"
        assert "another server or a router's own page answered" in progress.failure
        listener.challenges = house.challenges
        late["by"] = HOUR // 2
        await house.issuance.order_now()
        assert (await house.issuance.settled()).state == "done"


async def test_the_dns_gives_no_answer(tmp_path: Path, pebble: Pebble, listener: ChallengeServer) -> None:
    for name in NAMES:
        pebble.dns("set-servfail", host=name)
    async with running(tmp_path, pebble, listener) as house:
        progress = await decided(house)
        assert progress.state == "waiting"
        assert "The name servers of" in progress.failure


async def test_the_authority_cannot_be_reached_or_trusted(tmp_path: Path, pebble: Pebble) -> None:
    late = {"by": 0}
    async with running(tmp_path, pebble, None, lambda: wall_clock() + late["by"]) as house:
        await house.issuance.stop()
        for ca_file, sentence in (("", "does not trust"), ("/nowhere/root.pem", "extra root certificate")):
            house.settings.tls_ca_file = ca_file
            late["by"] += 2 * DAY
            await house.issuance.order_now()
            assert sentence in (await house.issuance.settled()).failure
            await house.issuance.stop()
        house.settings.tls_ca_file = str(pebble.ca_file)
        pebble.stop()
        late["by"] += 2 * DAY
        await house.issuance.order_now()
        progress = await house.issuance.settled()
        assert progress.state == "waiting"
        assert progress.failure.startswith("The authority at 127.0.0.1 cannot be reached from this machine")


async def test_names_that_are_refused(tmp_path: Path, listener: ChallengeServer) -> None:
    with Pebble(tmp_path, http_port=listener.port, blocked="example.org") as pebble:
        async with running(tmp_path, pebble, listener) as house:
            progress = await decided(house)
            assert progress.state == "failed"
            assert "issues no certificates for" in progress.failure


async def test_an_account_that_must_be_bound(tmp_path: Path, listener: ChallengeServer) -> None:
    with Pebble(tmp_path, http_port=listener.port, external_account=True) as pebble:
        async with running(tmp_path, pebble, listener) as house:
            progress = await decided(house)
            assert progress.state == "failed"
            assert "external account binding" in progress.failure
    assert pebble.orders() == 0


async def test_an_authority_that_forgot_us_gets_to_know_us_again(
    tmp_path: Path, pebble: Pebble, listener: ChallengeServer
) -> None:
    async with running(tmp_path, pebble, listener) as house:
        assert (await decided(house)).state == "done"
        forgotten = rows.account(house.database, pebble.directory)
        assert forgotten is not None
        gone = rows.AcmeAccount(forgotten.directory, forgotten.key_pem, forgotten.uri + "0")
        await house.database.write(lambda tx: rows.save_account(tx, gone))
        house.settings.tls_names = [*NAMES, "third.example.org"]
        house.issuance.look()
        await house.until(lambda: pebble.orders() == 2)
        assert (await decided(house)).state == "done"
        assert rows.account(house.database, pebble.directory) == forgotten, "the same key has the same account"


async def test_after_a_failure_the_rehearsal_is_elsewhere(
    tmp_path: Path, pebble: Pebble, listener: ChallengeServer
) -> None:
    late = {"by": 0}
    with Pebble(tmp_path, http_port=listener.port) as staging:
        # Both must be trusted through one file.
        both = tmp_path / "both.pem"
        both.write_text(pebble.ca_file.read_text() + staging.ca_file.read_text())
        rehearsals = {pebble.directory: staging.directory}
        async with running(tmp_path, pebble, None, lambda: wall_clock() + late["by"], rehearsals) as house:
            house.settings.tls_ca_file = str(both)
            assert (await decided(house)).state == "waiting"
            listener.challenges = house.challenges
            late["by"] = HOUR // 2
            await house.issuance.order_now()
            progress = await house.issuance.settled()
            assert progress.state == "done", progress
            assert progress.steps[0] == "The rehearsal succeeded."
            assert (staging.orders(), pebble.orders()) == (1, 2)
            assert is_trusted(house, pebble.root(), tmp_path)


@pytest.fixture
def newer(tmp_path: Path, listener: ChallengeServer) -> Iterator[Pebble]:
    program = apt.require_newer_pebble()
    profiles = {"classic": 90 * 86400, "shortlived": 6 * 86400, "tlsserver": 45 * 86400}
    with Pebble(tmp_path, http_port=listener.port, program=program, profiles=profiles) as pebble:
        yield pebble


async def test_the_servers_profile_is_ordered(tmp_path: Path, newer: Pebble, listener: ChallengeServer) -> None:
    async with running(tmp_path, newer, listener) as house:
        progress = await decided(house)
        assert progress.state == "done", progress
        current = house.certificates.current()
        assert current is not None
        assert 44 * DAY < current.not_after - current.not_before <= 45 * DAY


async def test_an_address_gets_a_short_lived_one(tmp_path: Path, newer: Pebble, listener: ChallengeServer) -> None:
    async with running(tmp_path, newer, listener) as house:
        house.settings.tls_names = ["127.0.0.1"]
        house.issuance.look()
        await house.until(lambda: getattr(house.certificates.current(), "names", None) == ("127.0.0.1",), 60)
        current = house.certificates.current()
        assert current is not None
        assert current.not_after - current.not_before <= 6 * DAY


async def test_renewal_information_and_what_an_order_replaces(
    tmp_path: Path, newer: Pebble, listener: ChallengeServer
) -> None:
    late = {"by": 0}
    async with running(tmp_path, newer, listener, lambda: wall_clock() + late["by"]) as house:
        await house.until(lambda: getattr(house.certificates.current(), "check_at", None) is not None)
        first = house.certificates.current()
        assert first is not None
        assert first.renew_at is not None
        assert first.not_before < first.renew_at < first.not_after
        now = datetime.datetime.now(datetime.UTC)
        newer.set_renewal_window(first.chain_pem, now - datetime.timedelta(days=2), now - datetime.timedelta(days=1))
        late["by"] = 12 * HOUR  # when it is time to ask again
        house.issuance.look()
        await house.until(lambda: len(house.shown) == 3, 60)
        assert house.shown[2].chain_pem != first.chain_pem
        assert newer.log().count("has been marked as replaced") == 1
        # Replaced once already: the order goes through without saying so.
        await house.issuance.stop()
        late["by"] += 2 * HOUR
        await house.database.write(lambda tx: rows.replace(tx, first))
        await house.certificates.load()
        house.issuance.start()
        await house.until(lambda: len(house.shown) == 5, 60)
        assert newer.orders() == 3
        assert newer.log().count("has been marked as replaced") == 1


def test_the_processes_are_gone_after_the_test(tmp_path: Path) -> None:
    started = time.monotonic()
    with Pebble(tmp_path, http_port=1) as pebble:
        processes = list(pebble._processes)
        assert all(process.poll() is None for process in processes)
    assert all(process.poll() is not None for process in processes)
    assert time.monotonic() - started < 60
