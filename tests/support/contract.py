"""The specification's own description of answers, held against what a server says.

Every answer that a ``Client`` gets is looked up in the OpenAPI files of the client-server API: what is required must be
there, everything must have the type that is written, and a field that the specification does not know is refused.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator

SPEC = Path(__file__).parents[3] / "shared" / "spec"
ERROR = {"type": "object", "required": ["errcode", "error"], "properties": {"errcode": {}, "error": {}}}
EXTRA: Mapping[str, frozenset[str]] = {
    # Said by the text of the end-to-end encryption module, not by sync.yaml.
    "": frozenset({"device_unused_fallback_key_types"}),
    # The top-level key of m.room.redaction, which the schema of events in general does not list.
    "event": frozenset({"redacts"}),
    # Said by the schema of m.presence, not by that of what sync tells beside rooms.
    "presence": frozenset({"sender"}),
    # Aggregations of child events, which the text of the specification describes; the name of a delayed event; who sent
    # the event before, which Element and every library like its own look for, and which all servers tell.
    "unsigned": frozenset({"m.relations", "org.matrix.msc4140.delay_id", "prev_sender"}),
}
_EVENT = frozenset({"type", "sender", "content", "origin_server_ts"})


class Broken(AssertionError):  # noqa: N818 - a verdict
    """An answer that is not what the specification says."""


class Contract:
    """Judges answers.

    Args:
        folder: the specification, as the matrix-spec repository lays it out, with a list ``endpoints.tsv`` of all
            endpoints and their files.
    """

    def __init__(self, folder: Path = SPEC) -> None:
        self._folder = folder
        self._files: dict[Path, Any] = {}
        self._resolved: dict[tuple[Path, str], Any] = {}
        self._endpoints = list(_endpoints(folder / "endpoints.tsv"))
        self._answers: dict[tuple[str, str], Any] = {}

    def judge(self, response: httpx.Response) -> None:
        """Raise ``Broken`` for an answer that breaks the contract; other endpoints than clients' are passed over."""
        method, path = response.request.method, response.request.url.raw_path.decode("ascii").partition("?")[0]
        if not path.startswith("/_matrix/client/") or method == "OPTIONS":
            return
        if response.headers.get("content-type", "").startswith("text/html"):  # a page for a browser
            return
        name = f"{method} {path} ({response.status_code})"
        for header, value in (("content-type", "application/json"), ("access-control-allow-origin", "*")):
            if response.headers.get(header) != value:
                raise Broken(f"{name}: {header} is {response.headers.get(header)!r}")
        body = response.json()
        # What is asked for in the words of a proposal is answered in those.
        proposed = "/unstable/" in path or b"org.matrix.msc4140.delay=" in response.request.url.raw_path
        if response.status_code == 200 and not proposed:
            schema = self.answers(method, path)
            if schema is not None:
                self.check(name, schema, body)
        elif response.status_code not in (200, 401):  # whose body may be an invitation to authenticate
            self.check(name, ERROR, {key: body.get(key) for key in ("errcode", "error") if key in body})

    @staticmethod
    def check(name: str, schema: Mapping[str, Any], body: Any) -> None:
        """Raise ``Broken`` for JSON that a schema does not allow."""
        for error in Draft202012Validator(schema).iter_errors(body):
            where = "/".join(map(str, error.absolute_path))
            raise Broken(f"{name}: {where}: {error.message[:300]}\n{json.dumps(body)[:2000]}")
        for where in unknown(schema, body):
            raise Broken(f"{name}: {where} is no field of the specification\n{json.dumps(body)[:2000]}")

    def answers(self, method: str, path: str) -> Any:
        """The schema of the success of an endpoint, None where it says nothing of a body."""
        for wanted, pattern, template, file in self._endpoints:
            if wanted == method and pattern.fullmatch(path):
                if (method, template) not in self._answers:
                    self._answers[method, template] = self._success(method, template, self._folder / file)
                return self._answers[method, template]
        raise Broken(f"{method} {path} is no endpoint of the specification, but succeeds")

    def _success(self, method: str, template: str, file: Path) -> Any:
        operation = next(
            operations[method.lower()]
            for path, operations in self._file(file)["paths"].items()
            if template.endswith(path.strip()) and method.lower() in operations
        )
        schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
        return None if schema is None else self._resolve(schema, file)

    def _file(self, path: Path) -> Any:
        path = path.resolve()
        if path not in self._files:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            self._files[path] = yaml.load(path.read_text(), loader)  # noqa: S506 - safe, and in C where there is one
        return self._files[path]

    def _resolve(self, node: Any, file: Path) -> Any:
        """A schema with what its references lead to in their place."""
        if isinstance(node, list):
            return [self._resolve(one, file) for one in node]
        if not isinstance(node, dict):
            return node
        # Where the specification writes oneOf, one form of an answer is often a case of the other.
        rest = {
            "anyOf" if key == "oneOf" else key: self._resolve(value, file)
            for key, value in node.items()
            if key not in ("$ref", "example", "examples")
        }
        if "$ref" not in node:
            return rest
        name, _, pointer = node["$ref"].partition("#")
        target = (file.parent / name).resolve() if name else file.resolve()
        if (target, pointer) not in self._resolved:
            found = self._file(target)
            for step in filter(None, pointer.split("/")):
                found = found[step]
            self._resolved[target, pointer] = {}
            self._resolved[target, pointer].update(self._resolve(found, target))
        resolved = self._resolved[target, pointer]
        return {**rest, "allOf": [*rest.get("allOf", ()), resolved]} if rest else resolved


@functools.cache
def witness() -> Callable[[httpx.Response], None] | None:
    """What judges the answers of all clients; nothing where the specification is not at hand."""
    return Contract().judge if SPEC.is_dir() else None


def unknown(schema: Mapping[str, Any], value: Any, where: str = "") -> Iterator[str]:
    """The places of fields that a schema does not name, in objects for which it names any."""
    if isinstance(value, list):
        for part in _parts(schema):
            if "items" in part:
                for index, one in enumerate(value):
                    yield from unknown(part["items"], one, f"{where}/{index}")
        return
    parts = list(_parts(schema))
    named = any("properties" in part or "patternProperties" in part for part in parts)
    if not isinstance(value, dict) or not named or any("anyOf" in part for part in parts):
        return
    place = "unsigned" if where.endswith("/unsigned") else where
    extra = EXTRA["event"] if value.keys() >= _EVENT else EXTRA.get(place, frozenset())
    if value.get("type") == "m.presence":
        extra = EXTRA["presence"]
    for key, one in value.items():
        schemas = [inner for part in parts for inner in _of_field(part, key)]
        if not schemas and key not in extra:
            yield f"{where}/{key}"
        merged = {"allOf": schemas}
        yield from unknown(merged, one, f"{where}/{key}")


def _parts(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield schema
    for part in schema.get("allOf", ()):
        yield from _parts(part)


def _of_field(schema: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    found = False
    if key in schema.get("properties", {}):
        found = True
        yield schema["properties"][key]
    for pattern, inner in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            found = True
            yield inner
    if not found and schema.get("additionalProperties"):
        others = schema["additionalProperties"]
        yield {} if others is True else others


def _endpoints(table: Path) -> Iterator[tuple[str, re.Pattern[str], str, str]]:
    """Method, pattern of the path, the path as written, and the file, of every endpoint for clients."""
    lines = table.read_text().splitlines()
    columns = lines[0].split("\t")
    for line in lines[1:]:
        row = dict(zip(columns, line.split("\t"), strict=True))
        if row["api"] == "client-server":
            pattern = re.sub(r"\\{[^/]+\\}", "[^/]+", re.escape(row["path"]))
            if row["path"].endswith("/state/{eventType}/{stateKey}"):
                pattern = pattern.removesuffix("/[^/]+") + "(/[^/]*)?"
            yield row["method"], re.compile(pattern), row["path"], row["file"]
