"""Run packages of Complement against this checkout, through netbox, which stands in for Docker.

    python -m tests.complement SUITE [PACKAGE …] [--run REGEX] [--netbox FILE] [--out FOLDER]

SUITE is a clone of Complement whose tests were built (README.md beside this says how). The answers of each package are
written to FOLDER/PACKAGE.json, in the form of ``go test -json``, and what failed is listed at the end.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.complement.results import Results, read

ROOT = Path(__file__).parents[2]
NETBOX = ROOT.parent / "shared" / "tools" / "netbox" / "netbox.py"
IMAGE = "hearth"
FOLDERS = {"federation": "tests"}
"""Packages whose folder in the suite is not tests/PACKAGE: the federation tests are at the top."""


def main() -> int:
    """Read the command line and run the packages; gives 1 where a test failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.complement", description=__doc__)
    parser.add_argument("suite", type=Path, help="a clone of Complement, its tests built into its folder bin")
    parser.add_argument(
        "packages", nargs="*", default=["csapi", "federation"], help="such as csapi, federation, msc3874"
    )
    parser.add_argument("--run", default="", help="only tests whose name matches, as of `go test -run`")
    parser.add_argument("--skip", default="", help="no tests whose name matches")
    parser.add_argument("--parallel", default="2", help="how many tests at once")
    parser.add_argument("--timeout", default="60m", help="after which a package is given up")
    parser.add_argument("--netbox", type=Path, default=NETBOX, help="netbox.py")
    parser.add_argument("--out", type=Path, default=Path("complement-results"), help="where the results go")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hearth-complement-") as folder, _netbox(options, Path(folder)) as address:
        results = [_run(options, package, address) for package in options.packages]
    for each in results:
        print(each.summary())
    return 0 if all(not each.failed for each in results) else 1


@contextmanager
def _netbox(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """A running netbox with one image: a copy of this checkout, which may change while the tests run."""
    source = folder / "source"
    for package in ("appliance", "web"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("entry.py"), source)
    subprocess.run([sys.executable, "-m", "compileall", "-q", source], check=True)
    image = {
        "command": [sys.executable, str(source / "entry.py")],
        "env": {"PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        "expose": [8008, 8448],
        "host_paths": [str(source)],
    }
    (folder / "images.json").write_text(json.dumps({f"{IMAGE}:latest": image}))
    command = [sys.executable, options.netbox, "--images", folder / "images.json"]
    command += ["--socket", folder / "netbox.sock", "--state", folder / "state"]
    with (options.out / "netbox.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        if "DOCKER_HOST=" not in said:
            raise SystemExit(f"netbox did not start; see {options.out / 'netbox.log'}. {said}")
        yield said.partition("DOCKER_HOST=")[2]
    finally:
        process.terminate()
        process.wait()


def _run(options: argparse.Namespace, package: str, address: str) -> Results:
    """One package of the suite; its output becomes JSON by the suite's own tool."""
    binaries, suite = options.suite.resolve() / "bin", options.suite.resolve()
    command = [binaries / f"{package}.test", "-test.v=test2json", f"-test.parallel={options.parallel}"]
    command += [f"-test.timeout={options.timeout}"]
    command += [f"-test.run={options.run}"] if options.run else []
    command += [f"-test.skip={options.skip}"] if options.skip else []
    environment = {
        **os.environ, "DOCKER_HOST": address, "COMPLEMENT_BASE_IMAGE": IMAGE, "COMPLEMENT_SPAWN_HS_TIMEOUT_SECS": "60",
    }  # fmt: skip
    output = options.out / f"{package}.json"
    with output.open("wb") as results:
        tests = subprocess.Popen(
            command, cwd=suite / FOLDERS.get(package, f"tests/{package}"), env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        subprocess.run([binaries / "test2json", "-t", "-p", package], stdin=tests.stdout, stdout=results, check=True)
        tests.wait()
    return read(output)


if __name__ == "__main__":
    sys.exit(main())
