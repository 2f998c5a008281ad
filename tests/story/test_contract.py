"""The judge of answers itself: what the specification says passes, anything else does not."""

import copy
from typing import Any

import httpx
import pytest

from tests.support.client import Json
from tests.support.contract import SPEC, Broken, Contract

EVENT: Json = {
    "event_id": "$a", "type": "m.room.message", "sender": "@a:b", "origin_server_ts": 1, "content": {"any": ["thing"]},
    "unsigned": {"age": 1},
}  # fmt: skip
SYNC: Json = {
    "next_batch": "x",
    "device_one_time_keys_count": {},
    "device_unused_fallback_key_types": [],
    "rooms": {"join": {"!a:b": {"timeline": {"events": [EVENT], "limited": False}, "state": {"events": []}}}},
}


@pytest.fixture(scope="module")
def contract() -> Contract:
    """The specification's own words."""
    if not SPEC.is_dir():
        pytest.skip("the specification is not beside the project")
    return Contract()


def answered(method: str, path: str, body: Any, status: int = 200, **headers: str) -> httpx.Response:
    """An answer to a request."""
    headers = {"content-type": "application/json", "access-control-allow-origin": "*", **headers}
    request = httpx.Request(method, f"http://x/_matrix/client/v3{path}")
    return httpx.Response(status, json=body, headers=headers, request=request)


def changed(*where: Any, to: Any = None) -> Json:
    """A good sync with one thing changed, or taken out."""
    body: Any = copy.deepcopy(SYNC)
    inner = body
    for step in where[:-1]:
        inner = inner[step]
    if to is None:
        del inner[where[-1]]
    else:
        inner[where[-1]] = to
    return dict(body)


TIMELINE = ("rooms", "join", "!a:b", "timeline")


def test_good_answers_pass(contract: Contract) -> None:
    """What is in order, and what is no business of the contract's."""
    contract.judge(answered("GET", "/sync?timeout=1", SYNC))
    contract.judge(answered("GET", "/rooms/!a:b/state/m.room.name/", {"any": "thing"}))
    contract.judge(answered("GET", "/sync", {"errcode": "M_X", "error": "x"}, 400))
    contract.judge(answered("GET", "/sync", {"flows": []}, 401))


@pytest.mark.parametrize(
    "body",
    [
        changed("next_batch"),
        changed("next_batch", to=5),
        changed("odd", to=1),
        changed("rooms", "odd", to={"x": 1}),
        changed("rooms", "join", "!a:b", "odd", to={"x": 1}),
        changed(*TIMELINE, "odd", to=1),
        changed(*TIMELINE, "limited", to="no"),
        changed(*TIMELINE, "events", 0, "sender"),
        changed(*TIMELINE, "events", 0, "sender", to="somebody"),
        changed(*TIMELINE, "events", 0, "odd", to=1),
        changed(*TIMELINE, "events", 0, "unsigned", "odd", to=1),
        changed(*TIMELINE, "events", 0, "content", to="text"),
    ],
)
def test_broken_answers_do_not(contract: Contract, body: Json) -> None:
    """A required field that is missing, a wrong type, a field that nobody knows."""
    with pytest.raises(Broken):
        contract.judge(answered("GET", "/sync", body))


def test_errors_and_headers_are_judged_too(contract: Contract) -> None:
    """An error needs code and sentence, any answer its headers, and a success an endpoint."""
    for answer in (
        answered("GET", "/sync", {"error": "x"}, 400),
        answered("GET", "/sync", SYNC, **{"content-type": "text/plain"}),
        answered("GET", "/sync", SYNC, **{"access-control-allow-origin": "x"}),
        answered("GET", "/nothing", {}),
    ):
        with pytest.raises(Broken):
            contract.judge(answer)
