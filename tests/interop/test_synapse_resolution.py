"""Synapse, which others wrote and most rooms run on, resolves states to the same as we do."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from appliance.protocol import hashes
from appliance.protocol.auth import Slot
from appliance.protocol.events import Event
from appliance.protocol.resolution.resolver import resolve
from tests.protocol.resolution.cases import Case, KnownEvents, all_cases
from tests.protocol.resolution.histories import History, honest, states
from tests.support import synapse
from tests.support.synapse import Question

pytestmark = pytest.mark.apt

DIFFERENT = {
    # A state holds an event that was rejected by the state before it. The specification has it take part like any
    # other; Synapse leaves it out, and says in its own source that the specification wants it otherwise.
    ("rejected_event_in_a_state", algorithm)
    for algorithm in ("v2", "v2.1")
}
HISTORIES, SEED = 400, 20_240_229
LONGEST = 40


@pytest.fixture(scope="module")
def program() -> Path:
    """The Python that has Synapse."""
    return synapse.require()


def test_cases(program: Path) -> None:
    cases = [(name, Case(name, version)) for name, version in all_cases()]
    questions = [_question(case, case.states) for _, case in cases]
    differences = set()
    for (name, case), theirs in zip(cases, synapse.resolve(program, questions), strict=True):
        if case.resolved() != theirs:
            assert (name, case.version.state_resolution) in DIFFERENT, (name, case.version.identifier, theirs)
            differences.add((name, case.version.state_resolution))
    assert differences == DIFFERENT


def test_random_histories(program: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - histories, no secrets
    questions = []
    for number in range(HISTORIES):
        history = _with_real_ids(_history(chance, ("1", "2", "6", "11", "12")[number % 5]))
        questions.append(_question(history, states(history, _picks(chance))))
    agreed, disputed = 0, 0
    for number, (question, theirs) in enumerate(zip(questions, synapse.resolve(program, questions), strict=True)):
        assert not isinstance(theirs, str), (number, question.version.identifier, theirs)
        ours = _resolved(question)
        assert ours == theirs, (number, question.version.identifier, _shown(question, ours), _shown(question, theirs))
        agreed += 1
        disputed += any(state != question.states[0] for state in question.states)
    assert agreed == HISTORIES
    assert disputed > HISTORIES // 2


def _question(room: Case | History, several: list[dict[Slot, int]]) -> Question:
    return Question(room.version, room.lookup.events, room.lookup.rejected, several)


def _resolved(question: Question) -> dict[Slot, int]:
    numbers = {event.event_id: number for number, event in enumerate(question.events)}
    lookup = KnownEvents()
    lookup.rejected = question.rejected
    for event in question.events:
        lookup.add(event, [numbers[one] for one in event.auth_events])
    return resolve(question.version, question.states, lookup, question.events[0])


def _shown(question: Question, state: Mapping[Slot, int]) -> dict[Slot, str]:
    """What a state holds, where the states of the question do not hold the same."""
    return {
        slot: f"{nid}: {question.events[nid].sender} {question.events[nid].content}"
        for slot, nid in state.items()
        if any(one.get(slot) != nid for one in question.states)
    }


def _history(chance: random.Random, version: str) -> History:
    draws = [
        (*(chance.randrange(24) for _ in range(6)), chance.randrange(12), chance.randrange(6))
        for _ in range(chance.randrange(1, LONGEST))
    ]
    return honest(version, draws)


def _picks(chance: random.Random) -> list[list[int]]:
    """Two to four states, of which half have places that hold something else than they should."""
    return [
        [chance.randrange(20), *(chance.randrange(60) for _ in range(chance.choice([0, 0, 0, 1, 2, 3])))]
        for _ in range(chance.randrange(2, 5))
    ]


def _with_real_ids(history: History) -> History:
    """The same history with the ids that its events really have: Synapse works them out itself."""
    version = history.version
    real = History(version, after=history.after)
    ids: dict[str, str] = {}
    for number, event in enumerate(history.lookup.events):
        pdu = {**event.pdu, "hashes": {"sha256": f"{number}"}, "signatures": {}}
        for key, named in (("prev_events", event.prev_events), ("auth_events", event.auth_events)):
            pdu[key] = [[ids[one], {}] if version.hashed_references else ids[one] for one in named]
        if "room_id" in pdu and real.lookup.events:
            pdu["room_id"] = real.create.room_id
        if version.event_ids == "field":
            pdu["event_id"] = f"{event.event_id}:alice.example"
        ids[event.event_id] = hashes.event_id(version, pdu)
        real.lookup.add(Event(version, pdu, ids[event.event_id], b""), history.lookup.named[number])
    return real
