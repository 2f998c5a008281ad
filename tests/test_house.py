"""The house's own rules, where a linter does not know them."""

import ast
import configparser
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from appliance import settings
from appliance.settings import Settings
from appliance.version import VERSION

ROOT = Path(__file__).parents[1]
LONGEST = 450
"""Lines of a Python file: what is aimed for is 250, and 400 are plenty."""
TEXT = {".py", ".md", ".toml", ".lock", ".in", ".yaml", ".container", ".html", ".css", ".js", ".txt", ".json", ""}


def _tracked() -> list[Path]:
    """The files that git keeps, or where there is no git those of a source archive."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [
            path
            for path in ROOT.rglob("*")
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts[:-1])
        ]
    return [path for path in paths if path.is_file()]


def _code(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_long() -> None:
    long = {
        _named(path): lines
        for path in _code("appliance", "web", "tests")
        if (lines := len(path.read_text().splitlines())) > LONGEST
    }
    assert not long


def test_every_module_and_every_public_thing_says_what_it_is() -> None:
    silent = []
    for path in _code("appliance", "web"):
        tree = ast.parse(path.read_text())
        if not ast.get_docstring(tree):
            silent.append(_named(path))
        silent += [f"{_named(path)}: {name}" for name in _undocumented(tree)]
    assert not silent


def _undocumented(tree: ast.Module) -> list[str]:
    """Public classes and functions of a module, and public methods of its public classes, that have no docstring."""
    found = []
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            found.append(node.name)
        if isinstance(node, ast.ClassDef):
            found += [
                f"{node.name}.{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
                and not inner.name.startswith("_")
                and not ast.get_docstring(inner)
                and not _is_plain_override(node, inner)
            ]
    return found


def _is_plain_override(owner: ast.ClassDef, method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method only does what the class that it comes from says: then that says it."""
    return bool(owner.bases) and any(
        isinstance(mark, ast.Name) and mark.id == "override" for mark in method.decorator_list
    )


def _registry_hosts() -> set[str]:
    """The hosts that pip and apt of this machine ask, which nobody else may come to depend on."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    addresses = re.findall(r"https?://[^\s'\"]+", listed)
    addresses += [value for name, value in os.environ.items() if re.search(r"INDEX|REGISTRY|PROXY", name.upper())]
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.is_file():
            addresses += re.findall(r"https?://[^\s'\"]+", path.read_text(errors="replace"))
    npm = Path.home() / ".npmrc"
    if npm.is_file():
        addresses += re.findall(r"https?://[^\s'\"]+", npm.read_text(errors="replace"))
    hosts = {urlsplit(address).hostname or "" for address in addresses}
    return {host for host in hosts if "." in host and not host[0].isdigit()}


def test_no_file_names_a_package_registry() -> None:
    # Spelled so that this file does not name them either.
    names = {f"{first}.{last}" for first, last in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))}
    names |= _registry_hosts()
    found = [
        f"{_named(path)}: {name}"
        for path in _tracked()
        if path.suffix in TEXT
        for name in names
        if name in path.read_text(errors="replace")
    ]
    assert not found


def test_locks_hold_names_versions_and_hashes_alone() -> None:
    line = re.compile(
        r"(?:[a-z0-9][a-z0-9.-]*==[^\s;]+(?: ; [a-z_]+ [=!<>]+ '[^']*')? \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?)"
    )
    for name in ("requirements.lock", "build.lock"):
        wrong = [text for text in (ROOT / "image" / name).read_text().splitlines() if not line.fullmatch(text)]
        assert not wrong


def test_the_lock_holds_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = (ROOT / "image" / "requirements.lock").read_text()
    versions = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE))
    for requirement in project["dependencies"]:
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name is not None
        assert name[0] in versions
        pinned = re.fullmatch(r"[A-Za-z0-9-]+==(\S+)", requirement)
        assert pinned is None or versions[name[0]] == pinned[1]


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    reasons = (ROOT / "docs" / "dependencies.md").read_text()
    listed = {
        name.strip() for line in re.findall(r"^\| ([a-z0-9, -]+) \|", reasons, re.MULTILINE) for name in line.split(",")
    }
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[^A-Za-z0-9-]", each)[0] for each in wanted} <= listed


def test_every_setting_is_described() -> None:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"]
    assert [name for name, field in schema.items() if not field.get("description", "").endswith(".")] == []
    assert len(schema) < 80
    assert settings.__doc__


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {path.parent for path in (ROOT / "appliance").rglob("__init__.py")} - {ROOT / "appliance"}
    packages |= {path.parent for path in (ROOT / "web").rglob("__init__.py")}
    assert sorted(_named(path) for path in packages if f"{path.name}/" not in text) == []


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == VERSION


def test_the_readme_and_ci_run_the_same_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    run = (ROOT / ".ci" / "run").read_text()
    command = "python3 -m venv .venv && .venv/bin/pip install '.[dev]' && .venv/bin/just test"
    assert command in readme
    assert command.replace(" && ", "\n") in run
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_nothing_of_this_machine_is_in_the_project() -> None:
    home = re.compile(r"(?<![\w.])/(?:root|home|Users|work)/\w")
    found = [
        _named(path) for path in _tracked() if path.suffix in TEXT and home.search(path.read_text(errors="replace"))
    ]
    assert not found


def test_the_image_takes_what_the_ignore_file_lets_through() -> None:
    """What the Containerfile copies must not be held back by .dockerignore."""
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Containerfile").read_text(), re.MULTILINE):
        copied |= set(sources.split())
    assert copied == kept


def test_the_quadlet_and_compose_examples_are_as_hardened_as_the_test() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((ROOT / "image" / "hearth.container").read_text())
    container = unit["Container"]
    assert (container["ReadOnly"], container["DropCapability"], container["NoNewPrivileges"]) == ("true", "all", "true")
    compose = (ROOT / "image" / "compose.yaml").read_text()
    for line in ("read_only: true", "- ALL", "- no-new-privileges", 'net.ipv4.ip_unprivileged_port_start: "0"'):
        assert line in compose


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "CHANGELOG.md", "justfile", "Containerfile"])
def test_what_a_stranger_looks_for_is_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0
