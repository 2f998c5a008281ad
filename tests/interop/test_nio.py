"""matrix-nio, a client library that others keep, against a running Hearth."""

import asyncio
from pathlib import Path

from tests.support.hearth import ANSWERS, HearthProcess
from tests.support.nio_chat import Person, chat, find_again
from tests.support.nio_session import session

OWNER = """
[owner]
username = "alice"
password = "correct horse battery"
"""


def test_two_people_chat_and_find_it_again_after_a_kill(tmp_path: Path) -> None:
    """Set up from a file, two users of the library talk; after a kill and a start everything is there."""
    server = HearthProcess(tmp_path / "data", ANSWERS.format(name="hearth.example") + OWNER).start()
    try:
        added = server.command("user", "add", "bob", "--ask-password", text="another long password\n")
        assert added.returncode == 0, added.stderr
        alice = Person("@alice:hearth.example", "correct horse battery")
        bob = Person("@bob:hearth.example", "another long password")
        room, words = asyncio.run(chat(server.url, alice, bob))
        server.kill()
        server.start()
        asyncio.run(find_again(server.url, bob, room, words))
    finally:
        server.end()


def test_two_people_live_a_session(tmp_path: Path) -> None:
    """A space with rooms, a thread, an edit, a reaction, a redaction, receipts, leaving and forgetting."""
    server = HearthProcess(tmp_path / "data", ANSWERS.format(name="hearth.example") + OWNER).start()
    try:
        server.command("user", "add", "bob", "--ask-password", text="another long password\n")
        alice = Person("@alice:hearth.example", "correct horse battery")
        bob = Person("@bob:hearth.example", "another long password")
        asyncio.run(session(server.url, alice, bob))
    finally:
        server.end()
