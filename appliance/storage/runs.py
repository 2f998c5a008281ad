"""The runs of the server: each start, and the position of the stream at it."""

from appliance.storage.database import Reads, Tx


def runs(reads: Reads) -> list[tuple[int, int]]:
    """(number, position at its start) of the runs that are kept, the first first."""
    return [(row[0], row[1]) for row in reads.read("SELECT boot, began FROM runs ORDER BY run_nid")]


def begin(tx: Tx, boot: int, position: int, kept: int) -> None:
    """Note that a run begins, and forget those of long ago.

    Args:
        tx: the unit.
        boot: the run's number.
        position: the position of the stream.
        kept: how many are kept.
    """
    tx.execute("INSERT INTO runs (boot, began) VALUES (?, ?)", (boot, position))
    tx.execute("DELETE FROM runs WHERE run_nid <= (SELECT MAX(run_nid) FROM runs) - ?", (kept,))
