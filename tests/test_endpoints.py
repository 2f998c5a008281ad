"""Every endpoint's declaration against the specification's own table of endpoints."""

import re

import pytest

from appliance.server.requester import Access
from tests.support import endpoints
from tests.support.endpoints import Specified, declarations, plain

ACCESS = {
    "no": {Access.NOBODY, Access.OPTIONAL},  # a setting may make a difference between users and others
    "access_token": {Access.USER},
    "optional_access_token": {Access.OPTIONAL, Access.NOBODY},  # the same answer for everybody is allowed
    "openid_token_query": {Access.NOBODY},  # the token is the question, not the asker's
    "signed": {Access.SERVER},
}
OURS = {"/health", "/_synapse/admin/v1/register", "/_synapse/admin/v1/send_server_notice"}
"""Paths that are no part of Matrix."""
ACCEPTED = {"/_matrix/client/v4/sync"}
"""Paths of proposals that were accepted and that the specification does not have yet (MSC4186)."""
OF_OLD = ("/_matrix/federation/v1/send_join/", "/_matrix/federation/v1/send_leave/")
"""Paths that were part of Matrix, and that older servers still ask."""


@pytest.fixture(scope="module")
def specified() -> dict[tuple[str, str], Specified]:
    """The table, by method and path with nameless parameters."""
    if not endpoints.TABLE.exists():
        pytest.skip("the specification's table of endpoints is not here")
    return {line.key: line for line in endpoints.specified()}


def test_there_are_endpoints() -> None:
    assert len(declarations()) > 30


def test_every_path_is_the_specifications_or_marked_as_unstable(
    specified: dict[tuple[str, str], Specified],
) -> None:
    unknown = [
        f"{declaration.method} {path}"
        for declaration in declarations()
        for path in declaration.paths
        if (declaration.method, plain(path)) not in specified
        and "/unstable/" not in path
        and path.partition("/{")[0] not in OURS | ACCEPTED
        and not path.startswith(OF_OLD)
    ]
    assert not unknown


def test_everybody_is_let_in_as_the_specification_says(specified: dict[tuple[str, str], Specified]) -> None:
    different = []
    for declaration in declarations():
        for path in declaration.paths:
            line = specified.get((declaration.method, plain(path)))
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
