"""The claim code: its file, its one use, and the growing delays, on a clock of the test's own."""

import asyncio
import re
import stat
from pathlib import Path

import pytest

from appliance.owner.claim import ALPHABET, REMEMBERED, Claim, claim_lines, read_code

pytestmark = pytest.mark.anyio

STRANGER = "203.0.113.9"


class Time:
    """A clock that only sleepers move."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


def made(folder: Path) -> tuple[Claim, Time]:
    time = Time()
    claim = Claim(folder, time.clock, time.sleep)
    claim.renew()
    return claim, time


def test_the_code_is_short_clear_and_only_ours_to_read(tmp_path: Path) -> None:
    claim, _ = made(tmp_path)
    assert re.fullmatch(rf"[{ALPHABET}]{{3}}(-[{ALPHABET}]{{3}}){{2}}", claim.code)
    file = tmp_path / "claim-code"
    assert file.read_text() == claim.code + "\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_code(tmp_path) == claim.code
    assert list(tmp_path.iterdir()) == [file]


def test_each_start_makes_a_new_code(tmp_path: Path) -> None:
    first, _ = made(tmp_path)
    second, _ = made(tmp_path)
    assert first.code != second.code
    assert read_code(tmp_path) == second.code


async def test_a_code_is_taken_as_people_write_it_and_once(tmp_path: Path) -> None:
    claim, _ = made(tmp_path)
    code = claim.code
    assert await claim.check(f"  {code.lower().replace('-', ' ')} ", STRANGER)
    assert claim.code != code
    assert read_code(tmp_path) == claim.code
    assert not await claim.check(code, STRANGER)


async def test_without_a_code_nothing_is_right(tmp_path: Path) -> None:
    claim, _ = made(tmp_path)
    claim.remove()
    assert read_code(tmp_path) == ""
    assert not (tmp_path / "claim-code").exists()
    assert not await claim.check("", STRANGER)
    claim.remove()


async def test_wrong_guesses_make_an_address_wait_longer_each_time(tmp_path: Path) -> None:
    claim, time = made(tmp_path)
    for _ in range(9):
        assert not await claim.check("BCD-BCD-BCD", STRANGER)
    assert time.slept == [0.5, 1, 2, 4, 8, 15, 15, 15]
    time.slept.clear()
    assert not await claim.check("BCD-BCD-BCD", "198.51.100.7")
    assert time.slept == []


async def test_the_right_code_is_taken_after_its_wait_and_clears_the_address(tmp_path: Path) -> None:
    claim, time = made(tmp_path)
    for _ in range(50):
        await claim.check("BCD-BCD-BCD", STRANGER)
    assert await claim.check(claim.code, STRANGER)
    assert max(time.slept) == 15
    time.now += 6 * 3600
    time.slept.clear()
    assert await claim.check(claim.code, STRANGER)
    assert time.slept == []


async def test_guesses_at_once_wait_like_guesses_one_by_one(tmp_path: Path) -> None:
    claim, time = made(tmp_path)
    await asyncio.gather(*(claim.check("BCD-BCD-BCD", STRANGER) for _ in range(8)))
    assert sorted(time.slept) == [0.5, 1, 2, 4, 8, 15, 15]


async def test_of_two_who_have_the_code_one_claims(tmp_path: Path) -> None:
    claim, _ = made(tmp_path)
    await claim.check("x", STRANGER)
    results = await asyncio.gather(claim.check(claim.code, STRANGER), claim.check(claim.code, STRANGER))
    assert sorted(results) == [False, True]


async def test_many_addresses_make_everybody_wait_a_little_and_memory_stays_small(tmp_path: Path) -> None:
    claim, time = made(tmp_path)
    for number in range(3 * REMEMBERED):
        await claim.check("BCD-BCD-BCD", f"10.0.{number // 256}.{number % 256}")
    assert len(claim._failures) == REMEMBERED
    assert max(time.slept) == 5
    time.slept.clear()
    assert await claim.check(claim.code, "192.0.2.1")
    assert time.slept == [5]
    time.now += 6 * 3600
    time.slept.clear()
    await claim.check("BCD-BCD-BCD", "192.0.2.2")
    assert time.slept == []


async def test_a_household_with_ipv6_is_one_source(tmp_path: Path) -> None:
    claim, time = made(tmp_path)
    for number in range(4):
        await claim.check("BCD-BCD-BCD", f"2001:db8:1:2::{number}")
    assert time.slept == [0.5, 1, 2]
    await claim.check("BCD-BCD-BCD", "2001:db8:1:3::1")
    await claim.check("BCD-BCD-BCD", "fe80::1%eth0")
    await claim.check("BCD-BCD-BCD", "no address at all: odd")
    assert time.slept == [0.5, 1, 2]


def test_the_banner_ends_with_the_code() -> None:
    lines = claim_lines("BCD-FGH-JKM", ["http://192.168.1.5:8080/setup"], "AA:BB")
    assert lines[-1] == "Claim code: BCD-FGH-JKM"
    assert "    http://192.168.1.5:8080/setup" in lines
    assert any("AA:BB" in line for line in lines)
