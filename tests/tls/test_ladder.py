"""Renewal times and waits."""

from msgspec.structs import replace

from appliance.tls import ladder
from appliance.tls.ladder import DAY, HOUR, MINUTE
from tests.tls.parts import certificate


def test_the_waits_grow_and_end_at_six_hours() -> None:
    waits = [ladder.wait_after(failures, 0) for failures in range(1, 60)]
    assert waits[:7] == [minutes * MINUTE for minutes in (1, 2, 2, 5, 10, 10, 10)]
    assert waits == sorted(waits)
    assert waits[-1] == 6 * HOUR


def test_after_a_month_once_a_day() -> None:
    assert ladder.wait_after(5, 30 * DAY) == DAY


def test_renewed_with_a_third_of_its_life_left() -> None:
    assert ladder.renewal_time(certificate(("a",), 0, 90 * DAY)) == 60 * DAY
    assert ladder.renewal_time(certificate(("a",), 0, 45 * DAY)) == 30 * DAY


def test_short_lived_ones_at_half_their_life() -> None:
    assert ladder.renewal_time(certificate(("a",), 0, 160 * HOUR)) == 80 * HOUR


def test_a_suggestion_goes_before_but_not_to_the_very_end() -> None:
    base = certificate(("a",), 0, 90 * DAY)
    assert ladder.renewal_time(replace(base, renew_at=10 * DAY)) == 10 * DAY
    assert ladder.renewal_time(replace(base, renew_at=70 * DAY)) == 70 * DAY
    assert ladder.renewal_time(replace(base, renew_at=89 * DAY)) == 75 * DAY


def test_a_moment_in_the_window() -> None:
    assert ladder.within_window(100, 200, None, 0.25) == 125
    assert ladder.within_window(100, 200, 180, 0.25) == 180
    assert ladder.within_window(100, 200, 90, 0.25) == 125, "the window was moved, so the lot is drawn anew"
    assert ladder.within_window(200, 100, None, 0.25) == 200, "a window that makes no sense"


def test_renewal_information_is_asked_for_at_least_twice_a_day_and_not_all_the_time() -> None:
    assert ladder.next_check(0, None) == 6 * HOUR
    assert ladder.next_check(0, 3600) == HOUR
    assert ladder.next_check(0, 0) == MINUTE
    assert ladder.next_check(0, 10**9) == 12 * HOUR
