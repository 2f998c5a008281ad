"""Synapse's state resolution, in an environment of its own, to compare ours with.

``python -m tests.support.apt`` makes the environment once, in the cache folder; nothing of it comes into the project's
own. A test asks with ``Resolver(require())``.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from appliance.protocol.auth import Slot
from appliance.protocol.events import Event
from appliance.protocol.versions import RoomVersion
from tests.support.environments import Environment

VERSION = "1.163.2"
"""The release that is asked. A newer one may decide otherwise: that is to be looked at, not to fail a build."""
PATIENCE = 120.0
"""Seconds for all questions of one call."""
_SCRIPT = Path(__file__).with_name("synapse_script.py")


class Question(NamedTuple):
    """States that disagree.

    Args:
        version: the version of their room.
        events: the room's events, those that others name first.
        rejected: the places in ``events`` of those that were rejected.
        states: the states, as places in ``events``.
    """

    version: RoomVersion
    events: Sequence[Event]
    rejected: set[int]
    states: Sequence[Mapping[Slot, int]]


_environment = Environment(
    "synapse", "Synapse", "matrix-synapse", VERSION, "synapse", ("synapse.event_auth", "synapse.state")
)
ensure, require = _environment.ensure, _environment.require


def resolve(program: Path, questions: Sequence[Question]) -> list[dict[Slot, int] | str]:
    """What Synapse makes of states, or what it failed with."""
    asked = "\n".join(json.dumps(_written(question)) for question in questions)
    done = subprocess.run(
        [program, "-I", _SCRIPT], input=asked, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [_read(question, answer) for question, answer in zip(questions, answers, strict=True)]


def _written(question: Question) -> dict[str, Any]:
    events = question.events
    return {
        "version": question.version.identifier,
        "room": events[0].room_id,
        "events": [
            {"id": event.event_id, "pdu": event.pdu, "rejected": place in question.rejected}
            for place, event in enumerate(events)
        ],
        "states": [[[*slot, events[place].event_id] for slot, place in state.items()] for state in question.states],
    }


def _read(question: Question, answer: Any) -> dict[Slot, int] | str:
    if isinstance(answer, str):
        return answer
    places = {event.event_id: place for place, event in enumerate(question.events)}
    return {(event_type, state_key): places[event_id] for event_type, state_key, event_id in answer}
