"""Which certificate is shown, and that it stays the same over restarts."""

import os
from pathlib import Path

import pytest

from appliance.errors import OwnerError
from appliance.settings import Settings
from appliance.storage import certificates as rows
from appliance.storage.database import Database
from appliance.tls.ladder import DAY
from appliance.tls.store import Certificates
from tests.tls.parts import Clock, House, Maker, certificate, pem

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker()


def again(house: House) -> Certificates:
    """The service as it is after a restart."""
    return Certificates(house.database, house.settings, clock=house.certificates._clock)


async def test_before_the_setup_there_is_a_self_signed_one_that_stays(database: Database, clock: Clock) -> None:
    settings = Settings()
    certificates = Certificates(database, settings, clock=clock)
    assert certificates.current() is None
    first = await certificates.load()
    assert first is not None
    assert (first.source, first.names) == ("self-signed", ("localhost",))
    # Also when the server has got its name meanwhile: the owner has already looked at the fingerprint.
    settings.server_name = "example.org"
    assert await Certificates(database, settings, clock=clock).load() == first


async def test_an_ordered_one_is_stored_before_it_is_shown_and_found_again(house: House, clock: Clock) -> None:
    await house.certificates.load()
    seen = []
    house.certificates.on_change.append(lambda shown: seen.append((shown, house.certificates.ordered())))
    put = await house.certificates.put(certificate(("matrix.example.org",), clock.now, 90 * DAY))
    assert seen == [(put, put)]
    assert house.certificates.current() == put
    assert await again(house).load() == put


async def test_a_newer_one_takes_the_place_of_the_old(house: House, clock: Clock) -> None:
    for number in (1, 2):
        await house.certificates.put(certificate(("matrix.example.org",), clock.now, 90 * DAY, number=number))
    assert house.database.read("SELECT count(*) FROM certificates WHERE source = 'acme'") == [(1,)]
    loaded = await again(house).load()
    assert loaded is not None
    assert "\n2\n" in loaded.chain_pem


async def test_an_ordered_one_is_shown_after_its_end_too(house: House, clock: Clock) -> None:
    put = await house.certificates.put(certificate(("matrix.example.org",), clock.now, 90 * DAY))
    clock.now += 100 * DAY
    assert await again(house).load() == put


async def test_an_ordered_one_for_other_names_is_not_shown(house: House, clock: Clock) -> None:
    await house.certificates.put(certificate(("www.example.org",), clock.now, 90 * DAY))
    loaded = await again(house).load()
    assert loaded is not None
    assert loaded.source == "self-signed"


async def test_one_that_comes_when_another_way_was_chosen_is_not_shown(house: House, clock: Clock) -> None:
    house.settings.tls_mode = "lan"
    shown = await house.certificates.load()
    await house.certificates.put(certificate(("matrix.example.org",), clock.now, 90 * DAY))
    assert house.certificates.current() == shown


async def test_the_suggested_times_are_kept(house: House, clock: Clock) -> None:
    put = await house.certificates.put(certificate(("matrix.example.org",), clock.now, 90 * DAY))
    await house.certificates.schedule(put, 5, 6)
    loaded = await again(house).load()
    assert loaded is not None
    assert loaded == house.certificates.current()
    assert (loaded.renew_at, loaded.check_at) == (5, 6)


async def test_lan_has_one_for_its_names_made_anew_before_its_end(house: House, clock: Clock) -> None:
    house.settings.tls_mode = "lan"
    house.settings.tls_names = ["hearth.lan", "192.168.1.5"]
    first = await house.certificates.load()
    assert first is not None
    assert first.names == ("hearth.lan", "192.168.1.5")
    await house.certificates.refresh()
    assert await again(house).load() == house.certificates.current() == first
    clock.now = first.not_after - 20 * DAY
    await house.certificates.refresh()
    second = house.certificates.current()
    assert second is not None
    assert second.not_after > first.not_after
    assert house.shown == [first, second]
    house.settings.tls_names = ["other.lan"]
    third = await house.certificates.load()
    assert third is not None
    assert third.names == ("other.lan",)


async def test_own_files_are_read_and_followed(
    house: House, clock: Clock, maker: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    settings = house.settings
    settings.tls_mode, settings.tls_certificate, settings.tls_key = "files", str(cert), str(key)
    leaf, private = maker.leaf()
    clock.now = int(leaf.not_valid_before_utc.timestamp() * 1000) + 1
    with pytest.raises(OwnerError, match="cannot read"):
        await house.certificates.load()
    assert house.certificates.current() is None
    cert.write_bytes(pem(leaf))
    key.write_bytes(pem(private))
    first = await house.certificates.load()
    assert first is not None
    assert house.database.read("SELECT count(*) FROM certificates") == [(0,)], "the owner's key stays in its file"
    await house.certificates.refresh()
    assert house.shown == [first]

    # Files that do not fit change nothing, and are complained of once.
    cert.write_bytes(pem(maker.intermediate))
    for _ in range(2):
        await house.certificates.refresh()
    assert house.certificates.current() is first
    assert len([record for record in caplog.records if "old ones stay in use" in record.getMessage()]) == 1

    leaf, private = maker.leaf()
    clock.now = int(leaf.not_valid_before_utc.timestamp() * 1000) + 1  # perhaps a second after the first
    cert.write_bytes(pem(leaf))
    key.write_bytes(pem(private))
    os.utime(cert, ns=(1, 1))
    await house.certificates.refresh()
    assert house.shown[1:] == [house.certificates.current()]
    assert house.shown[1].chain_pem == pem(leaf).decode()


async def test_a_proxy_needs_none_but_may_have_files(house: House, maker: Maker, tmp_path: Path, clock: Clock) -> None:
    house.settings.tls_mode = "proxy"
    assert await house.certificates.load() is None
    leaf, private = maker.leaf()
    clock.now = int(leaf.not_valid_before_utc.timestamp() * 1000) + 1
    (tmp_path / "c.pem").write_bytes(pem(leaf))
    (tmp_path / "k.pem").write_bytes(pem(private))
    house.settings.tls_certificate, house.settings.tls_key = str(tmp_path / "c.pem"), str(tmp_path / "k.pem")
    loaded = await house.certificates.load()
    assert loaded is not None
    assert loaded.source == "files"


async def test_accounts_are_kept_by_directory(database: Database) -> None:
    account = rows.AcmeAccount("https://a/dir", "key")
    await database.write(lambda tx: rows.save_account(tx, account))
    assert rows.account(database, "https://a/dir") == account
    assert rows.account(database, "https://b/dir") is None
    known = rows.AcmeAccount("https://a/dir", "key", "https://a/account/1")
    await database.write(lambda tx: rows.save_account(tx, known))
    assert rows.account(database, "https://a/dir") == known
