"""One OpenAPI document of all that Hearth has of the client-server API, made of the specification's many files.

Parameters that name something (a room, an event, a user …) may take the names of things that are really there, so that
what is tried gets past "there is no such room".
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.contract import SPEC
from tests.support.endpoints import Specified

METHODS = ("get", "post", "put", "delete")
WAITS = {"timeout", "delay"}
"""Parameters that make the server wait: always zero."""
LONGEST = 40
"""Nested references that are followed; a schema that holds itself ends there."""
_KEPT = ("parameters", "requestBody", "responses", "operationId")
_DROPPED = ("example", "examples", "description", "title", "x-addedInMatrixVersion", "x-changedInMatrixVersion")


def document(
    operations: Iterable[Specified], names: Mapping[str, Sequence[str]], folder: Path = SPEC
) -> dict[str, Any]:
    """The document.

    Args:
        operations: what to put into it.
        names: for the name of a parameter, values that exist.
        folder: the specification.
    """
    files = _Files(folder)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = files.operation(operation)
        described["operationId"] = f"{operation.method} {operation.path}"  # the table has a name twice
        described["parameters"] = [
            _with_names(parameter, names)
            for parameter in described.get("parameters", ())
            if parameter["in"] != "header"
        ]
        described["responses"] = {"default": {"description": "anything"}}
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {"openapi": "3.1.0", "info": {"title": "Hearth", "version": "1"}, "paths": paths}


def _with_names(parameter: dict[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    schema = parameter.get("schema", {})
    if parameter["name"] in WAITS:
        schema = {"enum": [0]}
    elif parameter["name"] in names:
        schema = {"anyOf": [{"enum": list(names[parameter["name"]])}, schema]}
    return {**parameter, "schema": schema}


class _Files:
    """The specification's files, each read once, with what they refer to in its place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, Any] = {}

    def operation(self, operation: Specified) -> dict[str, Any]:
        """The description of an operation, of itself alone."""
        file = self._folder / operation.file
        for path, described in self._file(file)["paths"].items():
            found = described.get(operation.method.lower())
            if found is not None and operation.path.endswith(path.strip()):
                kept = {key: found[key] for key in _KEPT if key in found and key != "responses"}
                inherited = [*described.get("parameters", ()), *kept.get("parameters", ())]
                return dict(self._resolved({**kept, "parameters": inherited}, file.resolve(), 0))
        raise LookupError(f"{operation.file} does not describe {operation.method} {operation.path}.")

    def _file(self, path: Path) -> Any:
        path = path.resolve()
        if path not in self._read:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            self._read[path] = yaml.load(path.read_text(), loader)  # noqa: S506 - safe, and in C where there is one
        return self._read[path]

    def _resolved(self, node: Any, file: Path, depth: int) -> Any:
        if isinstance(node, list):
            return [self._resolved(one, file, depth) for one in node]
        if not isinstance(node, dict):
            return node
        rest = {
            key: self._resolved(value, file, depth)
            for key, value in node.items()
            # A property may be called like a keyword: those are kept, as their values are schemas.
            if key != "$ref" and (key not in _DROPPED or (isinstance(value, dict) and "type" in value))
        }
        if not isinstance(node.get("$ref"), str):
            return rest
        if depth > LONGEST:
            return rest
        name, _, pointer = node["$ref"].partition("#")
        target = (file.parent / name).resolve() if name else file
        found = self._file(target)
        for step in filter(None, pointer.split("/")):
            found = found[step]
        resolved = self._resolved(found, target, depth + 1)
        return {**rest, "allOf": [*rest.get("allOf", ()), resolved]} if "allOf" in rest else {**resolved, **rest}
