"""When certificates are ordered and renewed, with an authority that does as it is told and a clock that is set."""

import asyncio

import pytest

from appliance.settings import LETS_ENCRYPT
from appliance.storage import certificates as rows
from appliance.tls.certificate import Certificate
from appliance.tls.issuance import REHEARSALS
from appliance.tls.ladder import DAY, HOUR, MINUTE, SECOND
from appliance.tls.orders import OrderError, Window
from appliance.tls.progress import Progress
from tests.tls.parts import Clock, FakeAuthority, House, certificate

pytestmark = pytest.mark.anyio

NAMES = ("matrix.example.org",)
CONNECTION = OrderError("connection", names=NAMES, detail="203.0.113.7: Timeout during connect")


async def state(house: House, wanted: str) -> Progress:
    await house.until(lambda: house.issuance.progress.state == wanted)
    return house.issuance.progress


async def scheduled(house: House) -> Certificate:
    """The certificate, once the authority was asked when to renew it."""
    await house.until(lambda: getattr(house.certificates.current(), "check_at", None) is not None)
    current = house.certificates.current()
    assert current is not None
    return current


async def quiet(house: House) -> None:
    """Let the loop look and go to sleep again."""
    house.issuance.look()
    await house.until(lambda: not house.issuance._wake.is_set())
    for _ in range(5):
        await asyncio.sleep(0)
    await house.issuance.settled()


async def test_order_store_show(house: House, authority: FakeAuthority) -> None:
    await house.certificates.load()
    authority.hold.clear()
    await house.issuance.order_now()
    assert house.issuance.progress.state == "ordering"
    await house.until(lambda: house.issuance.progress.current == "Preparing an account there.")
    assert house.issuance.progress.steps == ("The certificate authority answers.",)
    authority.hold.set()
    progress = await house.issuance.settled()
    assert progress.state == "done"
    assert progress.names == NAMES
    assert progress.steps[-1] == "The certificate is in use."
    current = house.certificates.current()
    assert current is not None
    assert (current.source, current.names, progress.not_after) == ("acme", NAMES, current.not_after)
    assert [shown.source for shown in house.shown] == ["self-signed", "acme"]
    assert rows.account(house.database, house.settings.tls_directory) == rows.AcmeAccount(
        house.settings.tls_directory, authority.orders[0].account_key, "https://acme.example/dir/account/1"
    )
    await house.issuance.order_now()
    await quiet(house)
    assert len(authority.orders) == 1, "a good one is there already"


async def test_nothing_is_ordered_after_a_restart(house: House, authority: FakeAuthority, clock: Clock) -> None:
    await house.issuance.order_now()
    await state(house, "done")
    await house.issuance.stop()
    clock.now += DAY
    later = House(house.database, house.settings, clock, authority)
    await later.certificates.load()
    later.issuance.start()
    await state(later, "done")
    await later.issuance.stop()
    assert len(authority.orders) == 1
    assert later.certificates.current() == later.certificates.ordered()


@pytest.mark.parametrize("mode", ["files", "proxy", "lan"])
async def test_nothing_is_ordered_in_other_modes(house: House, authority: FakeAuthority, mode: str) -> None:
    house.settings.tls_mode = mode  # type: ignore[assignment]
    await house.issuance.order_now()
    await quiet(house)
    assert house.issuance.progress == Progress(state="idle")
    assert authority.orders == []


async def test_nothing_is_ordered_without_a_name(house: House, authority: FakeAuthority) -> None:
    house.settings.server_name = house.settings.public_host = ""
    house.issuance.start()
    await quiet(house)
    assert authority.orders == []


async def test_a_failure_is_told_and_tried_again(house: House, authority: FakeAuthority, clock: Clock) -> None:
    authority.outcomes = [CONNECTION, CONNECTION]
    house.issuance.start()
    progress = await state(house, "waiting")
    assert "could not reach matrix.example.org at port 80" in progress.failure
    assert progress.detail == CONNECTION.detail
    assert progress.next_attempt == clock.now + MINUTE
    await quiet(house)
    assert len(authority.orders) == 1
    clock.now += MINUTE
    house.issuance.look()
    await house.until(lambda: len(authority.orders) == 2)
    await house.until(lambda: house.issuance.progress.next_attempt == clock.now + 2 * MINUTE)
    clock.now += 2 * MINUTE
    house.issuance.look()
    progress = await state(house, "done")
    assert progress.failure == ""
    assert rows.attempts(house.database) is None
    assert len({order.account_key for order in authority.orders}) == 1


async def test_the_ladder_survives_a_restart(house: House, authority: FakeAuthority, clock: Clock) -> None:
    authority.outcomes = [CONNECTION]
    house.issuance.start()
    failure = (await state(house, "waiting")).failure
    await house.issuance.stop()
    clock.now += 10 * SECOND
    later = House(house.database, house.settings, clock, authority)
    later.issuance.start()
    progress = await state(later, "waiting")
    assert progress.failure == failure
    assert progress.next_attempt == clock.now + 50 * SECOND
    assert len(authority.orders) == 1
    await later.issuance.stop()


async def test_the_button_waits_a_moment_and_respects_the_authority(
    house: House, authority: FakeAuthority, clock: Clock
) -> None:
    authority.outcomes = [CONNECTION, OrderError("rateLimited", retry_after=3600)]
    house.issuance.start()
    await state(house, "waiting")
    await house.issuance.order_now()
    assert house.issuance.progress.next_attempt == clock.now + 10 * SECOND
    await quiet(house)
    assert len(authority.orders) == 1
    clock.now += 10 * SECOND
    await house.issuance.order_now()
    assert house.issuance.progress.state == "ordering"
    assert "could not reach" in house.issuance.progress.failure, "stays to be seen until this one is decided"
    progress = await house.issuance.settled()
    assert "will take the next one in 1 hour" in progress.failure
    clock.now += MINUTE
    await house.issuance.order_now()
    await quiet(house)
    assert len(authority.orders) == 2
    assert house.issuance.progress.next_attempt == clock.now + 59 * MINUTE


async def test_what_the_owner_must_change_is_tried_once_a_day(
    house: House, authority: FakeAuthority, clock: Clock
) -> None:
    authority.outcomes = [OrderError("rejectedIdentifier", names=NAMES)]
    house.issuance.start()
    progress = await state(house, "failed")
    assert progress.next_attempt == clock.now + DAY
    # Other names are another matter.
    house.settings.tls_names = ["other.example.org"]
    house.issuance.look()
    progress = await state(house, "done")
    assert progress.names == ("other.example.org",)


async def test_after_a_failure_there_is_a_rehearsal(house: House, authority: FakeAuthority, clock: Clock) -> None:
    house.settings.tls_directory = LETS_ENCRYPT
    staging = REHEARSALS[LETS_ENCRYPT]
    authority.outcomes = [CONNECTION, CONNECTION]
    house.issuance.start()
    await state(house, "waiting")
    clock.now += MINUTE
    house.issuance.look()
    await house.until(lambda: len(authority.orders) == 2)
    progress = await state(house, "waiting")
    assert progress.rehearsal
    assert progress.failure.startswith("Let's Encrypt's test authority could not reach")
    clock.now += 2 * MINUTE
    house.issuance.look()
    progress = await state(house, "done")
    assert "The rehearsal succeeded." in progress.steps
    assert [order.directory for order in authority.orders] == [LETS_ENCRYPT, staging, staging, LETS_ENCRYPT]
    current = house.certificates.current()
    assert current is not None
    assert current.directory == LETS_ENCRYPT
    assert len({order.account_key for order in authority.orders}) == 2, "one account at each"


async def test_renewal_at_two_thirds(house: House, authority: FakeAuthority, clock: Clock) -> None:
    house.issuance.start()
    await state(house, "done")
    first = house.certificates.current()
    assert first is not None
    clock.now += 59 * DAY
    await quiet(house)
    assert len(authority.orders) == 1
    clock.now += DAY
    house.issuance.look()
    await house.until(lambda: house.certificates.current() != first and len(authority.orders) == 2)
    await state(house, "done")
    assert authority.orders[1].replaces == first.chain_pem
    assert authority.orders[1].account_uri == "https://acme.example/dir/account/1"


async def test_the_old_one_serves_on_when_renewal_fails(house: House, authority: FakeAuthority, clock: Clock) -> None:
    house.issuance.start()
    await state(house, "done")
    authority.outcomes = [CONNECTION]
    clock.now += 61 * DAY
    house.issuance.look()
    progress = await state(house, "waiting")
    current = house.certificates.current()
    assert current is not None
    assert progress.not_after == current.not_after
    clock.now += MINUTE
    house.issuance.look()
    await state(house, "done")
    assert house.certificates.current() != current


async def test_renewal_information(house: House, authority: FakeAuthority, clock: Clock) -> None:
    authority.window = Window(clock.now + 10 * DAY, clock.now + 20 * DAY, 6 * 3600)
    house.issuance.start()
    current = await scheduled(house)
    assert (current.renew_at, current.check_at) == (clock.now + 15 * DAY, clock.now + 6 * HOUR)
    clock.now += HOUR
    await quiet(house)
    assert len(authority.asked) == 1
    clock.now += 6 * HOUR
    authority.window = Window(0, clock.now, None)  # the authority is about to revoke it
    house.issuance.look()
    await house.until(lambda: len(authority.orders) == 2)
    await state(house, "done")
    # The new one it wants replaced just as well: not without a pause.
    await quiet(house)
    assert len(authority.orders) == 2
    clock.now += HOUR
    house.issuance.look()
    await house.until(lambda: len(authority.orders) == 3)


async def test_renewal_information_that_cannot_be_had(house: House, authority: FakeAuthority, clock: Clock) -> None:
    authority.window = OrderError("unreachable")
    house.issuance.start()
    current = await scheduled(house)
    assert (current.renew_at, current.check_at) == (None, clock.now + HOUR)


async def test_a_clock_that_is_ahead_does_not_order_without_end(
    house: House, authority: FakeAuthority, clock: Clock
) -> None:
    authority.life = 0
    house.issuance.start()
    progress = await state(house, "waiting")
    assert "Check the clock" in progress.failure
    await quiet(house)
    assert len(authority.orders) == 1
    current = house.certificates.current()
    assert current is not None
    assert current.source == "acme"


async def test_another_directory_means_another_certificate(house: House, authority: FakeAuthority) -> None:
    house.issuance.start()
    await state(house, "done")
    house.settings.tls_directory = "https://other.example/dir"
    house.issuance.look()
    await house.until(lambda: len(authority.orders) == 2)
    await state(house, "done")
    assert authority.orders[1].replaces is None, "the other authority knows nothing of it"


async def test_what_was_stored_meanwhile_is_used(house: House, authority: FakeAuthority, clock: Clock) -> None:
    stored = certificate(NAMES, clock.now, 90 * DAY)
    await house.database.write(lambda tx: rows.replace(tx, stored))
    await house.issuance.order_now()
    await state(house, "done")
    assert authority.orders == []


async def test_an_unforeseen_error_is_a_failure_like_others(house: House, authority: FakeAuthority) -> None:
    authority.outcomes = [ZeroDivisionError("oh")]
    house.issuance.start()
    progress = await state(house, "waiting")
    assert "Hearth made a mistake" in progress.failure


async def test_a_listener_that_fails_does_not_end_the_loop(house: House, clock: Clock) -> None:
    def fails(shown: Certificate) -> None:
        assert shown.source == "self-signed"

    house.certificates.on_change.append(fails)
    house.issuance.start()
    progress = await state(house, "waiting")
    assert "Hearth made a mistake" in progress.failure
    clock.now += 10 * MINUTE
    house.issuance.look()
    await state(house, "done")


async def test_stopping_ends_an_order_and_does_not_wait_for_it(house: House, authority: FakeAuthority) -> None:
    authority.hold.clear()
    await house.issuance.order_now()
    await house.until(lambda: len(authority.orders) == 1)
    await asyncio.wait_for(house.issuance.stop(), 10)
    authority.hold.set()
    assert rows.attempts(house.database) is None
    assert house.certificates.ordered() is None


async def test_waiting_for_changes(house: House, authority: FakeAuthority) -> None:
    seen = house.issuance.progress
    house.issuance.start()
    changes = []
    while seen.state != "done":
        seen = await asyncio.wait_for(house.issuance.changed(seen), 10)
        changes.append(seen.state)
    assert changes[0] == "ordering"
