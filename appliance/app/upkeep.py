"""What is done at quiet times, put together."""

from appliance.accounts.unused_guests import UnusedGuests
from appliance.app.clock import now_ms
from appliance.app.encrypting import Encrypting
from appliance.app.graph import Graph
from appliance.app.owning import Owning
from appliance.app.shown import Shown
from appliance.app.syncing import Syncing
from appliance.rooms.upkeep.housekeeping import Housekeeping
from appliance.rooms.upkeep.purging import Purging
from appliance.storage.pruning import DAY_MS


class Upkeep:
    """Letting go of what nobody needs any more.

    Args:
        owning: settings.
        graph: the events.
        shown: what remembers rooms that are purged.
        syncing: what remembers connections.
        encrypting: what remembers lists of devices elsewhere.
    """

    def __init__(self, owning: Owning, graph: Graph, shown: Shown, syncing: Syncing, encrypting: Encrypting) -> None:
        database, settings = owning.database, owning.settings
        self.purging = Purging(database, graph.rooms, graph.standings, now_ms)
        self.purging.gone.extend(
            (
                *(shown.facts.forget, shown.children.forget, shown.directory.forget),
                *(graph.aggregations.forget_room, graph.ends.forget),
            )
        )
        self.housekeeping = Housekeeping(
            *(database, self.purging, now_ms),
            others=(
                *(graph.holding.prune, syncing.connections.prune, encrypting.remote_lists.chase),
                UnusedGuests(database, owning.accounts, now_ms).clear,
            ),
            originals_ms=lambda: settings.rooms_redacted_days * DAY_MS,
        )
