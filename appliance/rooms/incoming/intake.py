"""What all that takes events in works with: new ones (``accepting.py``), whole rooms (``arriving.py``), and the past
(``backfilling.py``).
"""

from appliance.protocol import hashes
from appliance.protocol.events import Event
from appliance.rooms.graph.appending import Appender
from appliance.rooms.graph.resolving import Resolving
from appliance.rooms.incoming.holding import Holding
from appliance.rooms.incoming.judging import Judging
from appliance.rooms.incoming.naming import Naming, Unacceptable
from appliance.rooms.incoming.places import Places
from appliance.rooms.incoming.states import States
from appliance.rooms.incoming.verdicts import ManySignatures, NeedsKeys
from appliance.rooms.room import Room, Rooms
from appliance.rooms.store import EventStore
from appliance.storage import events as event_rows
from appliance.storage.database import Database
from appliance.storage.events import EventRow
from appliance.storage.numbers import Numbers


class Intake:
    """The parts, and what everybody asks of them alike.

    Args:
        database: where events go.
        numbers: gives row numbers.
        rooms: the rooms in memory.
        store: the events in memory.
        appender: brings accepted events into the database.
        holding: keeps events that wait.
        signatures: checks who signed.

    Attributes:
        naming: finds what events name.
        judging: judges them.
        states: finds the states around them.
        places: finds where they stand.
    """

    def __init__(
        self,
        database: Database,
        numbers: Numbers,
        rooms: Rooms,
        store: EventStore,
        appender: Appender,
        holding: Holding,
        signatures: ManySignatures,
    ) -> None:
        self.database = database
        self.numbers = numbers
        self.rooms = rooms
        self.store = store
        self.appender = appender
        self.holding = holding
        self.signatures = signatures
        self.naming = Naming(database, store)
        self.judging = Judging(store)
        self.states = States(database, numbers, Resolving(database))
        self.places = Places(database, numbers, store, self.naming, self.states)

    async def room(self, room_id: str) -> Room:
        """A room that is here; ``Unacceptable`` for any other."""
        room = await self.rooms.find(room_id)
        if room is None:
            raise Unacceptable("This server is not in that room.")
        return room

    @staticmethod
    def read(room: Room, pdu: object) -> Event:
        """An event whose format is that of the room's version, and which belongs to the room."""
        event = Event.from_pdu(room.version, pdu)
        if event.room_id != room.room_id:
            raise Unacceptable("The event belongs to another room.")
        return event

    async def checked(self, event: Event) -> Event:
        """An event that is signed as it must be; redacted where its hash is not."""
        if not await self.signatures.are_good(event):
            server = self.signatures.lacking(event)
            raise NeedsKeys(event, server) if server else Unacceptable("The event is not signed as it must be.")
        return event if event.has_valid_content_hash else event.redacted()

    def known(self, room: Room, event: Event) -> EventRow | None:
        """The stored row of an event. In room versions 1 and 2 servers choose the ids of their events themselves."""
        known = event_rows.by_id(self.database, event.event_id)
        if known is not None and known.room_nid != room.nid:
            raise Unacceptable("Another room has an event of the same id.")
        return known

    def form(self, known: EventRow, event: Event) -> Event:
        """The form in which an outlier gets its place: the stored one, unless that was spoilt on its way to us.

        Raises:
            Unacceptable: where it is another event under the same id.
        """
        stored = Event.from_json(event.version, known.json, event.event_id)
        if hashes.reference_hash(event.version, stored.pdu) != hashes.reference_hash(event.version, event.pdu):
            raise Unacceptable("The event has the id of another one.")
        spoilt = not stored.has_valid_content_hash and event.has_valid_content_hash
        return event if spoilt and not event_rows.redactions_of(self.database, [event.event_id]) else stored
