"""What happens where a Debian program is missing."""

import pytest

from tests.support import apt


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without programs, without root, and not in CI."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(apt, "_may_install", lambda: False)
    monkeypatch.delenv("CI", raising=False)
    return monkeypatch


def test_a_missing_program_skips_its_tests(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.skip.Exception, match="Debian package pebble"):
        apt.require("pebble")


def test_in_ci_a_missing_program_fails(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Debian package chromium"):
        apt.require("chromium")


def test_what_is_left_out_is_said(bare: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert apt.main([]) == 0
    said = capsys.readouterr().out
    assert "LEFT OUT: the browser tests" in said
    assert "pebble is missing (installed only as root on a Debian-like system)" in said
    bare.setenv("CI", "true")
    assert apt.main([]) == 1
