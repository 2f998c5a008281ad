"""A new identity for somebody who cannot prove by password who they are: the owner allows it, once and for a while."""

import contextlib
import sqlite3
from pathlib import Path

from tests.support.client import Client
from tests.support.hearth import HearthProcess
from tests.support.keys import UserSecrets, query, with_cross_signing

UPLOAD = "/keys/device_signing/upload"


def test_the_owner_allows_a_new_identity(tmp_path: Path) -> None:
    """It lives through a kill, is used up by one replacement, can be taken back, and is for that account alone."""
    server = HearthProcess(tmp_path / "data").start()
    try:
        alice, bob = Client.register(server.url), Client.register(server.url)
        first = with_cross_signing(alice)
        with_cross_signing(bob)
        second, third = UserSecrets(alice), UserSecrets(alice)
        server.kill()
        with contextlib.closing(sqlite3.connect(server.folder / "hearth.db")) as file, file:
            file.execute("UPDATE accounts SET password_hash = NULL WHERE user_id = ?", (alice.user_id,))
        server.start()
        error = alice.refused("M_FORBIDDEN", 403, "POST", UPLOAD, second.all())
        assert "hearth user allow-key-reset" in error["error"]
        told = server.command("user", "allow-key-reset", alice.user_id)
        assert told.returncode == 0, told.stderr
        assert "may replace the keys of its identity once, until 20" in told.stdout
        server.kill()
        server.start()
        # The same keys again use nothing up, and neither do keys that are refused.
        assert alice.must("POST", UPLOAD, first.all()) == {}
        unsigned = {**third.all(), "self_signing_key": second.public("self_signing")}
        alice.refused("M_INVALID_SIGNATURE", 400, "POST", UPLOAD, unsigned)
        assert bob.ask("POST", UPLOAD, UserSecrets(bob).all()).status_code == 401
        assert alice.must("POST", UPLOAD, second.all()) == {}
        assert query(bob, alice)["master_keys"] == {alice.user_id: second.public("master")}
        alice.refused("M_FORBIDDEN", 403, "POST", UPLOAD, third.all())
        for undo in ((), ("--undo",)):
            assert server.command("user", "allow-key-reset", alice.user_id, *undo).returncode == 0
        alice.refused("M_FORBIDDEN", 403, "POST", UPLOAD, third.all())
        assert query(bob, alice)["self_signing_keys"] == {alice.user_id: second.public("self_signing")}
    finally:
        server.end()
