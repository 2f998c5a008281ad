"""What people do in a simulated room; each deed says whether the rules of their server's view allowed it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from appliance.rooms.snapshot import MEMBER

if TYPE_CHECKING:
    from tests.federation.resident import Server

PEOPLE = ("anchor", "bea", "carl")
"""On each server; its anchor is never removed, so that each can speak at the end."""


def somebody(server: "Server", *, movable: bool = True) -> str:
    """Any user of any server."""
    people = PEOPLE[1:] if movable else PEOPLE
    return f"@{server.random.choice(people)}:{server.random.choice(server.world.servers).name}"


async def speak(server: "Server", user: str) -> bool:
    """A message."""
    return await server.do("m.room.message", user, {"msgtype": "m.text", "body": str(server.random.random())})


async def come_or_go(server: "Server", user: str) -> bool:
    """A join, a leaving, or another name."""
    membership = (await server.room()).head.members.of(user)
    content: dict[str, Any] = {"membership": "join"}
    if membership == "join":
        if user != server.anchor and server.random.random() < 0.5:
            content = {"membership": "leave"}
        else:
            content["displayname"] = f"{server.random.random()}"
    return await server.do(MEMBER, user, content, user)


async def remove(server: "Server", user: str) -> bool:
    """A kick, a ban, an unban."""
    target = somebody(server)
    membership = server.random.choice(("leave", "ban", "ban", "leave"))
    return await server.do(MEMBER, user, {"membership": membership}, target)


async def invite(server: "Server", user: str) -> bool:
    """An invitation."""
    return await server.do(MEMBER, user, {"membership": "invite"}, somebody(server))


async def name(server: "Server", user: str) -> bool:
    """State that does not matter to the rules."""
    kind = server.random.choice(("m.room.topic", "m.room.name", "org.example.thing"))
    key = server.random.choice(("", "", "one")) if kind == "org.example.thing" else ""
    return await server.do(kind, user, {"value": str(server.random.random())}, key)


async def close_or_open(server: "Server", user: str) -> bool:
    """The join rules."""
    rule = server.random.choice(("public", "public", "invite"))
    return await server.do("m.room.join_rules", user, {"join_rule": rule}, "")


async def empower(server: "Server", user: str) -> bool:
    """A change of power: somebody's, or what is needed for something."""
    room = await server.room()
    present = room.state_event(room.head, "m.room.power_levels")
    content = dict(present.content) if present else {}
    users = dict(content.get("users", {}))
    if server.random.random() < 0.6:
        target = somebody(server, movable=server.random.random() < 0.7)
        if not (server.world.version.creators_above_all and target == server.world.servers[0].anchor):
            users[target] = server.random.choice((0, 25, 50, 50, 75, 100))
        content["users"] = users
    else:
        content[server.random.choice(("kick", "ban", "invite", "state_default"))] = server.random.choice(
            (0, 25, 50, 75)
        )
    return await server.do("m.room.power_levels", user, content, "")


async def redact(server: "Server", user: str) -> bool:
    """A redaction of anything that was sent, known here or not yet."""
    targets = [
        one for one in server.world.sent if one.type in ("m.room.message", "m.room.topic", "m.room.name", MEMBER)
    ]
    if not targets:
        return False
    return await server.do("m.room.redaction", user, {}, redacts=server.random.choice(targets).event_id)


DEEDS: "dict[str, tuple[int, Callable[[Server, str], Awaitable[bool]]]]" = {
    "speak": (20, speak),
    "come or go": (20, come_or_go),
    "remove": (14, remove),
    "invite": (6, invite),
    "name": (14, name),
    "close or open": (5, close_or_open),
    "empower": (14, empower),
    "redact": (6, redact),
}
