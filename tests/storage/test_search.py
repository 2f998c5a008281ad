"""The index of words: it follows the events, is asked in words of whatever kind, and gives up what is taken out."""

import sqlite3

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.protocol.wording import terms_of, words_of
from appliance.storage import search as rows
from appliance.storage.database import Database, Tx

pytestmark = pytest.mark.anyio
COLUMNS = ("body", "name", "topic")


def put(tx: Tx, nid: int, text: str, *, past: bool = False, event_type: str = "m.room.message", room: int = 1) -> None:
    """An event of the timeline."""
    position = tx.past_position() if past else tx.position()
    content = {"name" if event_type == "m.room.name" else "body": text}
    tx.execute(
        "INSERT INTO events (event_nid, event_id, room_nid, type, sender, ordering, position, json)"
        " VALUES (?, ?, ?, ?, '@a:x', ?, ?, ?)",
        (nid, f"${nid}", room, event_type, nid, position, orjson.dumps({"content": content})),
    )


async def found(database: Database, term: str, room: int = 1) -> list[int]:
    """The numbers of the events that are found, the latest first."""
    while await database.write(rows.follow):
        pass
    asked = rows.question(term, COLUMNS, [room])
    positions = [] if asked is None else [position for position, _ in rows.find(database, asked, 2**60, 100)]
    nids = rows.nids_at(database, positions)
    return [nids[position] for position in positions]


async def test_it_follows_what_comes_and_what_was_fetched_from_the_past(database: Database) -> None:
    def fill(tx: Tx) -> None:
        for nid in range(1, rows.AT_A_TIME + 50):
            put(tx, nid, f"tea number {nid}", event_type="m.room.message" if nid % 2 else "a.type")

    await database.write(fill)
    assert await found(database, "tea number 201") == [201]
    assert len(await found(database, "tea")) == 100
    await database.write(lambda tx: [put(tx, nid, "old tea", past=True) for nid in (1001, 1002)])
    await database.write(lambda tx: put(tx, 1003, "fresh tea"))
    assert await found(database, "old tea") == [1001, 1002]
    assert (await found(database, "tea"))[0] == 1003
    assert await database.write(rows.follow) == 0
    assert await found(database, "tea", room=2) == []


async def test_what_is_taken_out_is_gone(database: Database) -> None:
    """Whether the index had come to it or not; what is around it stays."""
    await database.write(lambda tx: [put(tx, nid, f"tea {nid}", past=nid > 2) for nid in (1, 2, 3, 4)])
    assert set(await found(database, "tea")) == {1, 2, 3, 4}
    await database.write(lambda tx: put(tx, 5, "tea 5"))
    await database.write(lambda tx: rows.take_out(tx, (1, 3, 5, 77)))
    await database.write(lambda tx: tx.execute("UPDATE events SET json = ? WHERE event_nid = 5", (b'{"content":{}}',)))
    assert set(await found(database, "tea")) == {2, 4}
    assert await database.write(lambda tx: tx.execute("INSERT INTO search (search) VALUES ('integrity-check')")) == []


def test_which_words_an_event_has() -> None:
    edit = {"body": "* b", "m.new_content": {"body": "b"}, "m.relates_to": {"rel_type": "m.replace", "event_id": "$a"}}
    assert words_of("m.room.message", edit) == ("body", "b")
    assert words_of("m.room.name", {"name": "Kitchen", "body": "x"}) == ("name", "Kitchen")
    assert words_of("m.room.topic", {"topic": ["x"]}) is None
    assert words_of("m.room.encrypted", {"body": "x"}) is None
    assert words_of("m.room.message", {"body": "  "}) is None
    assert words_of("m.room.message", {"body": "a中b"}) == ("body", "a 中 b")


def test_what_somebody_asks_for() -> None:
    assert terms_of('tea "two cups" at x') == [("tea", True), ("two cups", False), ("at", False), ("x", False)]
    assert terms_of('" " "') == []
    assert len(terms_of("a " * 100)) == 20


@given(st.text(max_size=40))
def test_any_text_can_be_asked_for(text: str) -> None:
    """No text is a question that the index cannot read."""

    index = sqlite3.connect(":memory:")
    index.execute("CREATE VIRTUAL TABLE search USING fts5 (body, name, topic, room, content='')")
    asked = rows.question(text, COLUMNS, [1, 2])
    if asked is not None:
        assert index.execute("SELECT rowid FROM search WHERE search MATCH ?", (asked,)).fetchall() == []
    index.close()
