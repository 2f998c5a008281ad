"""What users reported to the owner, the last ones."""

from msgspec import Struct

from appliance.storage.database import Reads, Tx


class Report(Struct, frozen=True, kw_only=True):
    """One report.

    Args:
        report_id: its number; 0 for one that is not stored yet.
        received_ts: when it came, milliseconds since 1970.
        reporter: the user who reported.
        room_id: the room that it is about; empty where it is about a user.
        event_id: the event that it is about; empty where it is about a user or a whole room.
        user_id: the user that it is about, or who sent the event; empty where it is about a room.
        reason: why, in the reporter's words.
        excerpt: how the text of the event began, since it may be redacted by the time the owner reads this.
    """

    report_id: int = 0
    received_ts: int
    reporter: str
    room_id: str = ""
    event_id: str = ""
    user_id: str = ""
    reason: str = ""
    excerpt: str = ""


def insert(tx: Tx, report: Report, kept: int) -> None:
    """Store a report, and drop the oldest beyond so many."""
    tx.execute(
        "INSERT INTO reports (received_ts, reporter, room_id, event_id, user_id, reason, excerpt)"
        " VALUES (?,?,?,?,?,?,?)",
        (
            report.received_ts,
            report.reporter,
            report.room_id,
            report.event_id,
            report.user_id,
            report.reason,
            report.excerpt,
        ),
    )
    tx.execute("DELETE FROM reports WHERE report_id <= (SELECT max(report_id) FROM reports) - ?", (kept,))


def latest(database: Reads, limit: int) -> list[Report]:
    """The last reports, the last first."""
    rows = database.read(
        "SELECT report_id, received_ts, reporter, room_id, event_id, user_id, reason, excerpt FROM reports"
        " ORDER BY report_id DESC LIMIT ?",
        (limit,),
    )
    names = Report.__struct_fields__
    return [Report(**dict(zip(names, row, strict=True))) for row in rows]
