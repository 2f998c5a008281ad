"""When events were made, noted in their units so that one near a time is found; a contributor."""

from appliance.rooms.graph.appending import Statement
from appliance.rooms.snapshot import Step
from appliance.storage import event_times as rows
from appliance.storage.database import Tx

LATEST = 2**53 - 1


class Times:
    """Notes when events were made."""

    def prepare(self, step: Step) -> Statement | None:
        """Store when an event of the timeline was made, as its sender says."""
        if step.ordering is None:
            return None
        room_nid, timestamp = step.room_nid, min(step.event.origin_server_ts, LATEST)

        def statement(tx: Tx, position: int) -> None:
            rows.insert(tx, room_nid, timestamp, position)

        return statement

    def published(self, step: Step, position: int) -> None:
        """Nothing is kept in memory."""

    def prepare_past(self, step: Step) -> Statement | None:
        """The same for an event of the past."""
        return self.prepare(step)

    def published_past(self, step: Step, position: int) -> None:
        """Nothing is kept in memory."""
