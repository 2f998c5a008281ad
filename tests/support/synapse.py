"""Synapse's state resolution, in an environment of its own, to compare ours with.

``python -m tests.support.apt`` makes the environment once, in the cache folder; nothing of it comes into the project's
own. A test asks with ``Resolver(require())``.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from appliance.protocol.auth import Slot
from appliance.protocol.events import Event
from appliance.protocol.versions import RoomVersion
from tests.support import apt

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


def _folder() -> Path:
    # Each Python has its own: an environment lives no longer than the one that it was made with.
    return apt.cache_folder() / f"synapse-{VERSION}-python{sys.version_info.major}.{sys.version_info.minor}"


def python() -> Path | None:
    """The Python that has Synapse, if a run of ``tests.support.apt`` made it."""
    found = _folder() / "bin" / "python"
    return found if (_folder() / "whole").is_file() and found.exists() else None


def ensure() -> str:
    """Make the environment, unless it is there.

    Returns:
        Why that was not possible, or "".
    """
    if python() is not None:
        return ""
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"Installing Synapse {VERSION} into an environment of its own ...", flush=True)
    program = str(folder / "bin" / "python")
    made = (
        apt.run(sys.executable, "-m", "venv", "--clear", str(folder))
        and apt.run(program, "-m", "pip", "install", "--quiet", "--prefer-binary", f"matrix-synapse=={VERSION}")
        and apt.run(program, "-I", "-c", "import synapse.event_auth, synapse.state")
    )
    if not made:
        return f"matrix-synapse {VERSION} could not be installed, see above"
    (folder / "whole").touch()
    return ""


def require() -> Path:
    """As ``python``. Skips the test where there is none; with CI=true fails it."""
    found = python()
    if found is None:
        reason = f"there is no environment with Synapse {VERSION}: try `python -m tests.support.apt synapse`"
        if apt.in_ci():
            pytest.fail(reason)
        pytest.skip(reason)
    return found


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
