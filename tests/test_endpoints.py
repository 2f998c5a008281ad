"""Every endpoint's declaration against the specification's own table of endpoints."""

import csv
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from litestar import Controller
from litestar.handlers import HTTPRouteHandler

from appliance import api
from appliance.server.endpoints import Declaration, declaration_of
from appliance.server.requester import Access

TABLE = Path(__file__).parents[2] / "shared" / "spec" / "endpoints.tsv"
ACCESS = {
    "no": {Access.NOBODY},
    "access_token": {Access.USER},
    "optional_access_token": {Access.OPTIONAL, Access.NOBODY},  # the same answer for everybody is allowed
    "openid_token_query": {Access.NOBODY},  # the token is the question, not the asker's
    "signed": {Access.SERVER},
}
OURS = {"/health", "/_synapse/admin/v1/register"}
"""Paths that are no part of Matrix."""


class Specified(NamedTuple):
    """One line of the table."""

    method: str
    path: str
    auth: str


@pytest.fixture(scope="module")
def specified() -> dict[tuple[str, str], Specified]:
    """The table, by method and path with nameless parameters."""
    if not TABLE.exists():
        pytest.skip("the specification's table of endpoints is not here")
    with TABLE.open() as file:
        lines = [Specified(line["method"], line["path"], line["auth"]) for line in csv.DictReader(file, delimiter="\t")]
    return {(line.method, _plain(line.path)): line for line in lines}


def _plain(path: str) -> str:
    """A path in one spelling: parameters nameless, no slash at the end, an empty state key not left out, version 3."""
    bare = re.sub(r"\{[^}]*\}", "{}", path).rstrip("/") or "/"
    if bare.endswith("/state/{}"):
        bare += "/{}"
    return bare.replace("/_matrix/client/r0/", "/_matrix/client/v3/")


def declarations() -> list[Declaration]:
    """The declarations of every handler in ``appliance.api``."""
    found: dict[int, Declaration] = {}
    for module in pkgutil.walk_packages(api.__path__, f"{api.__name__}."):
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(kind, Controller) and kind is not Controller:
                for _, handler in inspect.getmembers(kind, lambda member: isinstance(member, HTTPRouteHandler)):
                    found[id(handler)] = declaration_of(handler)
    return list(found.values())


def test_there_are_endpoints() -> None:
    assert len(declarations()) > 30


def test_every_path_is_the_specifications_or_marked_as_unstable(
    specified: dict[tuple[str, str], Specified],
) -> None:
    unknown = [
        f"{declaration.method} {path}"
        for declaration in declarations()
        for path in declaration.paths
        if (declaration.method, _plain(path)) not in specified and "/unstable/" not in path and path not in OURS
    ]
    assert not unknown


def test_everybody_is_let_in_as_the_specification_says(specified: dict[tuple[str, str], Specified]) -> None:
    different = []
    for declaration in declarations():
        for path in declaration.paths:
            line = specified.get((declaration.method, _plain(path)))
            if line is not None and declaration.access not in ACCESS.get(line.auth, set()):
                different.append(f"{line.method} {line.path}: {line.auth}, declared {declaration.access.value}")
    assert not different


def test_no_path_is_declared_twice() -> None:
    seen: set[tuple[str, str]] = set()
    twice = []
    for declaration in declarations():
        for path in declaration.paths:
            key = (declaration.method, re.sub(r"\{[^}]*\}", "{}", path))
            if key in seen:
                twice.append(key)
            seen.add(key)
    assert not twice
