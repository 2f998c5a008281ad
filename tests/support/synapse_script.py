"""Run by the Python that has Synapse, knowing nothing of Hearth: one question a line comes in, one answer goes out.

An answer is the resolved state, or the text of what went wrong.
"""

import json
import sys
from collections.abc import Coroutine
from typing import Any

import synapse.event_auth  # noqa: F401 - imported first, or the modules below import each other in a circle
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS, StateResolutionVersions
from synapse.events import EventBase, make_event_from_dict
from synapse.state import v1, v2
from synapse.storage.databases.main.event_federation import StateDifference


class Clock:
    """What its algorithm rests with between batches: here not at all."""

    async def sleep(self, duration: Any) -> None:
        """Go on at once."""


class Store:
    """The part of its database that the algorithm asks."""

    def __init__(self, events: dict[str, EventBase]) -> None:
        self.known = events

    async def get_events(self, event_ids: Any, allow_rejected: bool = False) -> dict[str, EventBase]:
        """Events by their ids."""
        return {one: self.known[one] for one in event_ids if one in self.known}

    async def get_auth_chain_difference(
        self, room_id: str, state_sets: list[set[str]], conflicted: set[str] | None, additional: Any
    ) -> StateDifference:
        """What is not in all auth chains, and for v2.1 what lies between the conflicted events."""
        chains = [self.chain(one) for one in state_sets]
        between = None
        if conflicted is not None:
            between = {one for one in self.chain(conflicted) if self.chain([one]) & conflicted}
        return StateDifference(
            auth_difference=set.union(*chains) - set.intersection(*chains), conflicted_subgraph=between
        )

    def chain(self, event_ids: Any) -> set[str]:
        """Events and all that they rest on."""
        found: set[str] = set()
        waiting = list(event_ids)
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting.extend(self.known[one].auth_event_ids())
        return found


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("It waits.")


def answer(question: dict[str, Any]) -> Any:
    """The resolved state of one question."""
    version = KNOWN_ROOM_VERSIONS[question["version"]]
    events: dict[str, EventBase] = {}
    for one in question["events"]:
        event = make_event_from_dict(one["pdu"], version, rejected_reason="rejected" if one["rejected"] else None)
        if event.event_id != one["id"]:
            return f"event {one['id']} is {event.event_id} here"
        events[one["id"]] = event
    states = [{(slot[0], slot[1]): slot[2] for slot in state} for state in question["states"]]

    async def fetch(event_ids: Any) -> dict[str, EventBase]:
        return {one: events[one] for one in event_ids if one in events}

    if version.state_res == StateResolutionVersions.V1:
        work = v1.resolve_events_with_store(question["room"], version, states, None, fetch)
    else:
        work = v2.resolve_events_with_store(Clock(), question["room"], version, states, None, Store(events))
    return [[*slot, event_id] for slot, event_id in finished(work).items()]


if __name__ == "__main__":
    for line in sys.stdin:
        try:
            found = answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the test shows it
            found = repr(error)
        print(json.dumps(found), flush=True)
