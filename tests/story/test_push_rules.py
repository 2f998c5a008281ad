"""Push rules over HTTP (client-server API, "Push Rules: API")."""

import pytest

from tests.support.client import Client, Json, seg

RULES = "/pushrules/global"
KINDS = ["override", "content", "room", "sender", "underride"]


def path(kind: str, rule_id: str, part: str = "") -> str:
    """The path of a rule."""
    return f"{RULES}/{kind}/{seg(rule_id)}{part}"


def told(client: Client) -> Json | None:
    """What a sync says of the rules; None for nothing."""
    events = client.sync().get("account_data", {}).get("events", [])
    found = [event["content"]["global"] for event in events if event["type"] == "m.push_rules"]
    assert len(found) <= 1
    return found[0] if found else None


def test_what_everybody_begins_with(alice: Client) -> None:
    """Everywhere the same: both ways to ask for all rules, account data, and the first sync."""
    rules = alice.must("GET", "/pushrules/")["global"]
    assert sorted(rules) == sorted(KINDS)
    assert alice.must("GET", f"{RULES}/") == rules
    data = alice.must("GET", f"/user/{seg(alice.user_id)}/account_data/m.push_rules")
    assert data == {"global": rules}
    alice.since = None
    assert told(alice) == rules
    assert told(alice) is None
    master = alice.must("GET", path("override", ".m.rule.master"))
    assert master == {
        "rule_id": ".m.rule.master",
        "default": True,
        "enabled": False,
        "conditions": [],
        "actions": [],
    }


def test_a_rule_of_ones_own(alice: Client) -> None:
    """It can be added, read, changed, switched off and removed, and each change comes with a sync."""
    alice.sync()
    alice.must("PUT", path("content", "nocake"), {"pattern": "cake*lie", "actions": ["notify"]})
    rule = {"actions": ["notify"], "default": False, "enabled": True, "pattern": "cake*lie", "rule_id": "nocake"}
    assert alice.must("GET", path("content", "nocake")) == rule
    rules = told(alice)
    assert rules is not None
    assert rules["content"] == [rule]
    alice.must("PUT", path("content", "nocake", "/enabled"), {"enabled": False})
    assert alice.must("GET", path("content", "nocake", "/enabled")) == {"enabled": False}
    alice.must("PUT", path("content", "nocake", "/actions"), {"actions": ["dont_notify"]})
    assert alice.must("GET", path("content", "nocake", "/actions")) == {"actions": ["dont_notify"]}
    rules = told(alice)
    assert rules is not None
    assert rules["content"] == [{**rule, "enabled": False, "actions": ["dont_notify"]}]
    alice.must("PUT", path("content", "nocake"), {"pattern": "pie", "actions": []})
    assert alice.must("GET", path("content", "nocake")) == {**rule, "pattern": "pie", "actions": [], "enabled": False}
    alice.must("DELETE", path("content", "nocake"))
    alice.refused("M_NOT_FOUND", 404, "GET", path("content", "nocake"))
    rules = told(alice)
    assert rules is not None
    assert rules["content"] == []


def test_order(alice: Client) -> None:
    """before and after say where a rule stands; without them it is the most important of the user's own."""

    def order() -> list[str]:
        return [rule["rule_id"] for rule in alice.must("GET", f"{RULES}/")["override"] if not rule["default"]]

    for name, query in (("one", {}), ("two", {}), ("three", {"after": "two"}), ("four", {"before": "one"})):
        alice.must("PUT", path("override", name), {"actions": [], "conditions": []}, **query)
    assert order() == ["two", "three", "four", "one"]
    alice.refused(
        "M_UNKNOWN", 400, "PUT", path("override", "five"), {"actions": [], "conditions": []}, before="nowhere"
    )
    alice.refused(
        "M_UNKNOWN", 400, "PUT", path("override", "five"), {"actions": [], "conditions": []}, after=".m.rule.master"
    )
    first = alice.must("GET", f"{RULES}/")["override"][0]
    assert first["rule_id"] == ".m.rule.master"
    for name in order():
        alice.must("DELETE", path("override", name))


def test_predefined_rules(alice: Client) -> None:
    """They can be switched and given other actions, and neither be replaced nor removed."""
    rule = path("underride", ".m.rule.message")
    alice.must("PUT", f"{rule}/actions", {"actions": ["notify", {"set_tweak": "highlight"}]})
    alice.must("PUT", f"{rule}/enabled", {"enabled": False})
    found = alice.must("GET", rule)
    assert (found["default"], found["enabled"]) == (True, False)
    assert found["actions"] == ["notify", {"set_tweak": "highlight"}]
    alice.refused("M_INVALID_PARAM", 400, "PUT", rule, {"actions": []})
    alice.refused("M_NOT_FOUND", 404, "DELETE", rule)
    alice.refused("M_NOT_FOUND", 404, "PUT", path("override", ".m.rule.message", "/enabled"), {"enabled": True})
    alice.must("PUT", f"{rule}/enabled", {"enabled": True})
    alice.must("PUT", f"{rule}/actions", {"actions": ["notify"]})


@pytest.mark.parametrize(
    ("kind", "rule_id", "part", "body", "errcode"),
    [
        ("override", ".own", "", {"actions": [], "conditions": []}, "M_INVALID_PARAM"),
        ("room", "a/b", "", {"actions": []}, "M_INVALID_PARAM"),
        ("room", "a\\b", "", {"actions": []}, "M_INVALID_PARAM"),
        ("novel", "a", "", {"actions": []}, "M_INVALID_PARAM"),
        ("content", "a", "", {"actions": []}, "M_INVALID_PARAM"),
        ("override", "a", "", {"conditions": []}, "M_INVALID_PARAM"),
        ("override", ".m.rule.master", "/enabled", {"enabled": "yes"}, "M_BAD_JSON"),
        ("override", ".m.rule.master", "/actions", {"actions": ["shout"]}, "M_INVALID_PARAM"),
        ("override", ".m.rule.master", "/actions", {}, "M_INVALID_PARAM"),
    ],
)
def test_what_cannot_be(alice: Client, kind: str, rule_id: str, part: str, body: Json, errcode: str) -> None:
    """It is refused and changes nothing."""
    before = alice.must("GET", "/pushrules/")
    alice.refused(errcode, 400, "PUT", path(kind, rule_id, part), body)
    assert alice.must("GET", "/pushrules/") == before


def test_rules_follow_a_room_to_its_new_version(alice: Client, bob: Client) -> None:
    """Whoever comes into the room that replaces one finds their rules for that one there."""
    room = alice.create_room(preset="public_chat", room_version="11")
    bob.join(room)
    bob.must("PUT", path("room", room), {"actions": []})
    condition = {"kind": "event_match", "key": "room_id", "pattern": room}
    bob.must("PUT", path("override", room), {"actions": ["dont_notify"], "conditions": [condition]})
    new = alice.must("POST", f"/rooms/{seg(room)}/upgrade", {"new_version": "12"})["replacement_room"]
    bob.join(new)
    assert bob.must("GET", path("room", new))["actions"] == []
    assert bob.must("GET", path("override", new))["conditions"] == [{**condition, "pattern": new}]
    assert bob.must("GET", path("override", room))["conditions"] == [condition]


def test_there_are_no_pushers_yet(alice: Client) -> None:
    """Element shows no settings for notifications at all where it cannot ask for them."""
    assert alice.must("GET", "/pushers") == {"pushers": []}
