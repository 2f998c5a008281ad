"""The specification's own table of endpoints, and what Hearth declares of them."""

import csv
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import NamedTuple

from litestar import Controller
from litestar.handlers import HTTPRouteHandler

from appliance import api
from appliance.server.endpoints import Declaration, declaration_of

TABLE = Path(__file__).parents[3] / "shared" / "spec" / "endpoints.tsv"
"""Not part of the project: what needs it is left out where it is missing."""


class Specified(NamedTuple):
    """One line of the table.

    Args:
        api: client-server, server-server, application-service or push-gateway.
        method: the HTTP method.
        path: with the parameters' names in braces.
        operation: the operation's own name.
        auth: who may ask, in the table's words.
        deprecated: whether new clients should not ask any more.
        tag: what it is about; "" where the table does not say.
        file: its description, below the specification's folder.
    """

    api: str
    method: str
    path: str
    operation: str
    auth: str
    deprecated: bool
    tag: str
    file: str

    @property
    def key(self) -> tuple[str, str]:
        """By which a declaration is found."""
        return self.method, plain(self.path)


def specified() -> list[Specified]:
    """The table, in its order."""
    with TABLE.open() as file:
        return [
            Specified(
                line["api"], line["method"], line["path"], line["operationId"], line["auth"],
                line["deprecated"] == "yes", line["tag"].strip("-"), line["file"],
            )
            for line in csv.DictReader(file, delimiter="\t")
        ]  # fmt: skip


def plain(path: str) -> str:
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


def declared() -> set[tuple[str, str]]:
    """Method and plain path of everything that is declared."""
    return {(declaration.method, plain(path)) for declaration in declarations() for path in declaration.paths}
