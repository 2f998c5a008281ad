"""No input, allowed or not, makes the client-server API answer with 5xx: tried by schemathesis.

It makes requests up from the specification's own description, so it is left out where that is not beside the project.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.document import document
from tests.support import endpoints, schemathesis
from tests.support.client import Client, seg
from tests.support.hearth import HearthProcess

SECONDS = float(os.environ.get("FUZZ_SECONDS") or 90)
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 30)
"""Requests for each operation; about half of them hold what is not allowed."""
SCRIPT = Path(__file__).with_name("script.py")

pytestmark = [pytest.mark.slow, pytest.mark.apt]


@pytest.fixture(scope="module")
def hearth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HearthProcess]:
    """A server that is going to be asked strange things."""
    server = HearthProcess(tmp_path_factory.mktemp("fuzz") / "data").start()
    yield server
    server.end()


def furnish(url: str) -> tuple[str, dict[str, list[str]]]:
    """Somebody with rooms, events and more; their access token, and the names of all that by parameter."""
    alice, bob = Client.register(url), Client.register(url)
    alias = f"fuzz:{alice.user_id.partition(':')[2]}"
    rooms = [
        alice.create_room(preset="public_chat", room_alias_name="fuzz"),
        alice.create_room(invite=[bob.user_id], room_version="10"),
        bob.create_room(preset="public_chat"),
    ]
    said = [alice.send(room, "something") for room in rooms[:2]]
    chosen = alice.must("POST", f"/user/{seg(alice.user_id)}/filter", {"room": {"timeline": {"limit": 5}}})
    alice.sync()
    return alice.token, {
        "roomId": rooms,
        "roomIdOrAlias": [*rooms, f"#{alias}"],
        "roomAlias": [f"#{alias}"],
        "eventId": said,
        "userId": [alice.user_id, bob.user_id],
        "deviceId": [alice.device_id],
        "filterId": [chosen["filter_id"]],
        "serverName": [alice.user_id.partition(":")[2]],
        "eventType": ["m.room.message", "m.room.power_levels", "m.room.member", "m.room.name"],
        "stateKey": ["", alice.user_id],
        "type": ["m.direct", "m.push_rules", "m.fully_read"],
        "keyName": ["displayname", "avatar_url", "m.tz"],
        "receiptType": ["m.read", "m.read.private", "m.fully_read"],
        "relType": ["m.thread", "m.annotation", "m.replace"],
        "kind": ["override", "content", "room"],
        "ruleId": [".m.rule.master", "mine"],
        "since": [str(alice.since)],
        "from": [str(alice.since)],
        "dir": ["b", "f"],
        "tag": ["m.favourite", "u.mine"],
    }


def test_no_input_is_answered_with_an_error_of_the_servers_own(hearth: HearthProcess) -> None:
    """Every operation, what the specification allows of it and what it does not."""
    if not endpoints.TABLE.exists():
        pytest.skip("the specification is not beside the project")
    program = schemathesis.require()
    have = endpoints.declared()
    operations = [each for each in endpoints.specified() if each.api == "client-server" and each.key in have]
    token, names = furnish(hearth.url)
    asked: dict[str, Any] = {
        "document": document(operations, names), "url": hearth.url, "token": token,
        "seconds": SECONDS, "examples": EXAMPLES,
    }  # fmt: skip
    done = subprocess.run(
        [program, "-I", SCRIPT],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["operation"] for each in told} == {f"{each.method} {each.path}" for each in operations}
    assert all(each["tried"] for each in told)
    failed = [each for each in told if each["failed"]]
    assert not failed, f"{json.dumps(failed, indent=1)}\n{hearth.tail()}"
