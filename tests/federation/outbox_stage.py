"""A house whose way to other servers leads to all of them at once, who take what is sent or fail as they are told."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from appliance.federation.failures import Refused, Unreachable
from appliance.protocol import canonical
from appliance.rooms.room import Room
from appliance.rooms.snapshot import Transaction
from appliance.storage import destinations as rows
from tests.federation.house import ALICE, ELSEWHERE, House, Remote, house
from tests.support.waiting import until

THIRD = "third.example"
INVITED_TO = "fourth.example"
INVITED = f"@guest:{INVITED_TO}"


class Peers:
    """All other servers at once: take transactions, or fail as they are told."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.refusing: set[str] = set()
        self.spits_out: Callable[[dict[str, Any]], Any] = lambda transaction: False
        self.held: dict[str, asyncio.Event] = {}
        self.transactions: dict[str, list[dict[str, Any]]] = {}
        self.ids: list[str] = []
        self.tries = 0

    async def request(self, destination: str, method: str, path: str, *, content: bytes, **more: Any) -> dict[str, Any]:
        self.tries += 1
        assert (method, path.rpartition("/")[0]) == ("PUT", "/_matrix/federation/v1/send")
        transaction = orjson.loads(content)
        assert canonical.encode(transaction) == content
        assert len(transaction["pdus"]) <= 50
        assert len(transaction.get("edus", [])) <= 100
        if destination in self.held:
            await self.held[destination].wait()
        await asyncio.sleep(0)
        if destination in self.down:
            raise Unreachable("Nothing answers.")
        if destination in self.refusing:
            raise Refused(403, "M_FORBIDDEN", "No.")
        if self.spits_out(transaction):
            raise Refused(413, "M_TOO_LARGE", "Too much.")
        self.ids.append(path.rpartition("/")[2])
        self.transactions.setdefault(destination, []).append(transaction)
        return {"pdus": {}}

    def close(self) -> None:
        """Nothing to close."""

    def texts(self, server: str = ELSEWHERE) -> list[str]:
        """What a server was told, in order."""
        return [
            pdu["content"]["body"]
            for one in self.transactions.get(server, ())
            for pdu in one["pdus"]
            if "body" in pdu["content"]
        ]


async def watched(stage: "Stage", monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> list[str]:
    """Do something once nothing is on its way any more, and say who writes from then on."""
    await until(lambda: all(one._task is None for one in stage.outbox._destinations.values()))
    database, written = stage.house.owning.database, []
    submit = database.submit

    def spy(work: Any, **more: Any) -> Any:
        written.append(work.__qualname__)
        return submit(work, **more)

    monkeypatch.setattr(database, "submit", spy)
    await work()
    return written


class Stage:
    """A house whose way to other servers leads to ``Peers``."""

    def __init__(self, house: House, peers: Peers) -> None:
        self.house, self.peers = house, peers
        self.reaching = house.living.reaching
        self.outbox, self.standing = self.reaching.outbox, self.reaching.standing
        client = self.reaching.client
        client.request = self._request  # type: ignore[method-assign]
        self.now = 1_800_000_000_000
        self.standing._now_ms = lambda: self.now
        self.standing._spread = lambda: 1.0

    async def _request(self, destination: str, *named: Any, **more: Any) -> dict[str, Any]:
        try:
            answer = await self.peers.request(destination, *named, **more)
        except Unreachable as error:
            self.standing.after(destination, error.sentence)
            raise
        except Refused:
            self.standing.after(destination, "")
            raise
        self.standing.after(destination, "")
        return answer

    async def say(self, room: Room, text: str) -> None:
        transaction = Transaction(user_id=ALICE, device_id="D", scope="send", transaction_id=f"{room.nid} {text}")
        await self.house.living.acts.sending.send(ALICE, room.room_id, "m.room.message", {"body": text}, transaction)

    async def room(self, *servers: str) -> Room:
        """A room of Alice's with somebody of each of those servers."""
        room = await self.house.room()
        for server in servers:
            remote = self.house.remote if server == ELSEWHERE else Remote(server)
            self.ring(remote)
            user = f"@mallory:{server}"
            join = remote.event(room, "m.room.member", {"membership": "join"}, user, sender=user)
            await self.house.accepting.accept(room.room_id, join.pdu)
        return room

    def ring(self, remote: Remote) -> None:
        """Know a server's key."""
        self.house.intake.signatures.know(remote.name, remote.key)  # type: ignore[attr-defined]

    def later(self, seconds: float) -> None:
        """Let time pass for the waits, and try whoever is due."""
        self.now += int(seconds * 1000)
        for destination in list(self.outbox._destinations.values()):
            if destination.behind and not self.standing.wait_ms(destination.server):
                destination.wake()

    @property
    def behind(self) -> list[str]:
        return [row.server_name for row in self.standing.behind()]

    def noted(self, server: str = ELSEWHERE) -> dict[int, int]:
        return rows.lacking(self.house.owning.database, server, 1000)


def play(tmp_path: Path, story: Callable[[Stage], Any], peers: Peers | None = None, *, start: bool = True) -> None:
    """Play a story in a house, which may be there already."""

    async def live() -> None:
        async with house(tmp_path) as found:
            stage = Stage(found, peers or Peers())
            if start:
                await stage.reaching.start()
                stage.reaching.release()
            await story(stage)
            await stage.reaching.stop()

    asyncio.run(live())
