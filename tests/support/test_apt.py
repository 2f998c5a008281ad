"""What happens where a Debian program is missing."""

import pytest

from tests.support import apt, nio_olm, npm, schemathesis, synapse
from tests.support.environments import Environment


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without programs, without root, and not in CI."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(apt, "_may_install", lambda: False)
    monkeypatch.setattr(synapse, "ensure", lambda: "no package index")
    monkeypatch.setattr(Environment, "python", lambda self: None)
    monkeypatch.setattr(npm, "modules", lambda: None)
    monkeypatch.setattr(nio_olm, "ensure", lambda: "no package index")
    monkeypatch.setattr(schemathesis, "ensure", lambda: "no package index")
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
    assert "LEFT OUT: tests of state resolution beside Synapse's: no package index." in said
    assert "LEFT OUT: encryption by matrix-nio (tests/interop): no package index." in said
    assert "LEFT OUT: the sessions of matrix-js-sdk (tests/interop): there is no npm on this machine." in said
    bare.setenv("CI", "true")
    assert apt.main([]) == 1
    assert apt.main(["synapse"]) == 1


def test_synapse_is_required_in_ci_alone(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.skip.Exception, match="no environment with Synapse"):
        synapse.require()
    bare.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no environment with Synapse"):
        synapse.require()


def test_the_js_sdk_is_required_where_npm_is(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match="matrix-js-sdk"):
        npm.require()
    bare.setattr("shutil.which", lambda name: f"/bin/{name}")
    with pytest.raises(pytest.fail.Exception, match="matrix-js-sdk"):
        npm.require()
