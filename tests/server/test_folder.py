"""The data folder and its lock, and addresses as the owner writes them."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.errors import OwnerError
from appliance.server.addresses import DEFAULT_FEDERATION, DEFAULT_HTTP, DEFAULT_HTTPS, Bind, parse_address
from appliance.server.folder import DataFolder


def test_the_folder_is_made_for_us_alone(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "deep" / "data")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    (tmp_path / "open").mkdir(mode=0o755)
    assert stat.S_IMODE(DataFolder(tmp_path / "open").path.stat().st_mode) == 0o700
    names = [path.name for path in (folder.database, folder.socket, folder.claim_code)]
    assert names == ["hearth.db", "hearth.sock", "claim-code"]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(OwnerError, match="is a file"):
        DataFolder(tmp_path / "data")
    with pytest.raises(OwnerError, match="cannot be made"):
        DataFolder(tmp_path / "data" / "deeper")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.path.chmod(0o500)
    with pytest.raises(OwnerError, match="must belong to the user"):
        folder.lock()


def test_a_second_instance_is_refused(tmp_path: Path) -> None:
    with DataFolder(tmp_path) as first:
        assert first.is_locked_by_us
        assert first.try_lock()
        second = DataFolder(tmp_path)
        assert not second.try_lock()
        with pytest.raises(OwnerError, match=f"Another Hearth \\(process {os.getpid()}\\) is already running"):
            second.lock()
    assert second.try_lock()
    second.unlock()
    second.unlock()
    assert not second.is_locked_by_us


def test_the_lock_of_another_process_ends_with_it(tmp_path: Path) -> None:
    holding = """if True:
        import sys
        from pathlib import Path
        from appliance.server.folder import DataFolder
        DataFolder(Path(sys.argv[1])).lock()
        print("locked", flush=True)
        sys.stdin.read()
    """
    other = subprocess.Popen(
        [sys.executable, "-c", holding, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        assert not DataFolder(tmp_path).try_lock()
    finally:
        other.kill()
        other.communicate(timeout=10)
    assert DataFolder(tmp_path).try_lock()


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        (":8080", [("::", 8080)]),
        ("127.0.0.1:80", [("127.0.0.1", 80)]),
        ("[::1]:80", [("::1", 80)]),
        ("[2001:DB8:0::1]:443", [("2001:db8::1", 443)]),
        ("localhost:0", [("localhost", 0)]),
        (" :80 , 10.0.0.1:81,:80", [("::", 80), ("10.0.0.1", 81)]),
        ("off", []),
        ("OFF", []),
        (DEFAULT_HTTP, [("::", 8080)]),
        (DEFAULT_HTTPS, [("::", 8443)]),
        (DEFAULT_FEDERATION, [("::", 8448)]),
    ],
)
def test_addresses(text: str, binds: list[tuple[str, int]]) -> None:
    assert parse_address(text, "--http") == tuple(Bind(host, port) for host, port in binds)


@pytest.mark.parametrize(
    "text",
    [
        *("", "8080", "host", "1.2.3:80", "1.2.3.4.5:80", "999.1.1.1:80", "::1:80", "[::1]", "[1.2.3.4]:80", "[]:80"),
        *("a b:80", ":x", ":-1", ":65536", ":80,", "off,:80", "-x:80", "http://host:80"),
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(OwnerError, match=r"^--http: ") as refused:
        parse_address(text, "--http")
    assert refused.value.exit_code == 2


def test_addresses_are_written_as_they_are_read() -> None:
    assert [str(bind) for bind in parse_address("127.0.0.1:80,[::1]:443", "x")] == ["127.0.0.1:80", "[::1]:443"]
