"""Push rules: conditions, their order, and judging once for all who have the same."""

import random
from collections.abc import Iterable
from typing import Any

import pytest

from appliance.protocol.globs import Patience, has_words, matches_whole, matches_words
from appliance.protocol.power import PowerLevels
from appliance.protocol.push_conditions import Occasion
from appliance.protocol.push_judging import NOTHING, Program
from appliance.protocol.push_rules import KINDS, default_rules
from appliance.protocol.push_ruleset import (
    NO_CHANGES,
    BadPlace,
    BadRule,
    Changes,
    NoSuchRule,
    alter_rule,
    delete_rule,
    find_rule,
    in_room,
    put_rule,
    read_rule,
    ruleset,
)
from appliance.protocol.versions import VERSIONS
from tests.protocol.room import ALICE, BOB, CAROL, Room

NAMES = {ALICE: "Alice", BOB: "Bobby Tables", CAROL: None}


def occasion(
    content: dict[str, Any],
    event_type: str = "m.room.message",
    *,
    sender: str = ALICE,
    state_key: str | None = None,
    joined: int = 3,
    levels: dict[str, Any] | None = None,
) -> Occasion:
    """An event in a room of three, of which one may set the power levels."""
    room = Room("11", {"creator": ALICE})
    event = room.make(event_type, sender, content, state_key)
    power = room.set("m.room.power_levels", levels) if levels is not None else None
    return Occasion(event, joined, lambda: PowerLevels(VERSIONS["11"], power, room.create))


def told(found: Occasion, changes: Changes = NO_CHANGES, users: Iterable[str] = (BOB, CAROL)) -> dict[str, str]:
    """What each of some users with the same rules is told: nothing, notify or highlight."""
    verdict = Program(changes).judge(found)
    group = set(users)
    exceptions = verdict.exceptions(found, group, NAMES.get)
    outcomes = {user: exceptions.get(user, verdict.rest) for user in group}
    return {
        user: "highlight" if one.highlight else "notify" if one.notify else "nothing" for user, one in outcomes.items()
    }


def matches(condition: dict[str, Any], found: Occasion) -> bool:
    """Whether one condition alone lets a rule match, for Bob."""
    rule = read_rule("override", "one", {"conditions": [condition], "actions": ["notify", {"set_tweak": "highlight"}]})
    return told(found, put_rule(NO_CHANGES, "override", rule), [BOB])[BOB] == "highlight"


def text(body: str) -> Occasion:
    """A message."""
    return occasion({"msgtype": "m.text", "body": body})


def test_default_rules() -> None:
    """Messages notify, notices, edits, reactions and membership do not; who is mentioned or invited is told apart."""
    nothing, notify = {BOB: "nothing", CAROL: "nothing"}, {BOB: "notify", CAROL: "notify"}
    assert told(text("hello")) == notify
    assert told(occasion({"algorithm": "m.megolm"}, "m.room.encrypted")) == notify
    assert told(occasion({"call_id": "1"}, "m.call.invite")) == notify
    assert told(occasion({"msgtype": "m.notice", "body": "hello"})) == nothing
    assert told(occasion({"name": "x"}, "m.room.name", state_key="")) == nothing
    assert told(occasion({"deny": []}, "m.room.server_acl", state_key="")) == nothing
    assert told(occasion({"m.relates_to": {"rel_type": "m.annotation"}}, "m.reaction")) == nothing
    edit = {"msgtype": "m.text", "body": "* x", "m.relates_to": {"rel_type": "m.replace", "event_id": "$1"}}
    assert told(occasion(edit)) == nothing
    assert told(occasion({**edit, "m.mentions": {"user_ids": [BOB]}})) == {BOB: "highlight", CAROL: "nothing"}
    invitation = occasion({"membership": "invite"}, "m.room.member", state_key=BOB)
    assert told(invitation) == {BOB: "notify", CAROL: "nothing"}
    assert told(occasion({"membership": "join"}, "m.room.member", state_key=BOB)) == nothing
    assert told(occasion({"body": "moved"}, "m.room.tombstone", state_key="")) == {BOB: "highlight", CAROL: "highlight"}
    assert told(occasion({"body": "moved"}, "m.room.tombstone")) == nothing


def test_mentions() -> None:
    """Only who is named in m.mentions is mentioned; the room only by somebody who may, and only by true itself."""
    assert told(occasion({"body": "x", "m.mentions": {"user_ids": [BOB]}})) == {BOB: "highlight", CAROL: "notify"}
    assert told(occasion({"body": f"{BOB} Bobby Tables bob @room"}))[BOB] == "notify"
    for wrong in ({"user_ids": BOB}, {"user_ids": [1, None, {"a": BOB}]}, [BOB], BOB, {"user_ids": {BOB: True}}):
        assert told(occasion({"body": "x", "m.mentions": wrong}))[BOB] == "notify"
    room = {"body": "x", "m.mentions": {"room": True}}
    assert told(occasion(room)) == {BOB: "highlight", CAROL: "highlight"}
    assert told(occasion(room, levels={"users": {ALICE: 49}}))[BOB] == "notify"
    assert told(occasion(room, levels={"users": {ALICE: 49}, "notifications": {"room": 49}}))[BOB] == "highlight"
    for wrong_value in (1, "true", None, [True]):
        assert told(occasion({"body": "x", "m.mentions": {"room": wrong_value}}))[BOB] == "notify"


def test_rooms_of_two() -> None:
    """Messages there come with a sound."""
    two = Program(NO_CHANGES).judge(occasion({"body": "x"}, joined=2)).rest.actions
    assert two == '["notify",{"set_tweak":"sound","value":"default"}]'
    assert Program(NO_CHANGES).judge(occasion({"body": "x"}, joined=3)).rest.actions == '["notify"]'


@pytest.mark.parametrize(
    ("key", "pattern", "value", "expected"),
    [
        ("content.topic", "lunc?*", "Lunch plans", True),
        ("content.topic", "lunc?*", "LUNCH", True),
        ("content.topic", "lunc?*", " lunch", False),
        ("content.topic", "lunc?*", "lunc", False),
        ("content.topic", "*", None, False),
        ("content.topic", "*", 1, False),
        ("content.topic", "*", "", True),
        ("content.topic", "", "", True),
        ("content.topic", "a.c", "abc", False),
        ("content.body", "ex*ple", "An example event.", True),
        ("content.body", "ex*ple", "exple", True),
        ("content.body", "ex*ple", "An exciting triple-whammy", True),
        ("content.body", "ex*ple", "An example_event", False),
        ("content.body", "ex*ple", "Texample", False),
        ("content.body", "cake", "pancakes, cake!", True),
        ("content.body", "cake", "pancakes", False),
        ("content.body", "ca?e", "the cave", True),
        ("content.body", "*", "anything", True),
        ("content.body", "line two", "line one\nLine Two", True),
    ],
)
def test_event_match(key: str, pattern: str, value: Any, expected: bool) -> None:
    """A pattern must match a text as a whole, in any case; in the body, some words."""
    content = {} if value is None else {key.removeprefix("content."): value}
    assert matches({"kind": "event_match", "key": key, "pattern": pattern}, occasion(content)) is expected


def test_paths() -> None:
    """Dots and backslashes in names are escaped; what is not there does not match."""
    found = occasion({"a.b": {"c\\d": "x", "e\\f": "y"}, "a": {"b": "z", "": "empty"}}, state_key="k")

    def match(key: str, pattern: str) -> bool:
        return matches({"kind": "event_match", "key": key, "pattern": pattern}, found)

    assert match(r"content.a\.b.c\\d", "x")
    assert match("content.a.b", "z")
    assert match(r"content.a\.b.e\f", "y")
    assert match("content.a.", "empty")
    assert match("state_key", "k")
    assert match("room_id", "!ROOM:one.example")
    assert match("sender", "*:one.example")
    assert not match("content.a", "*")
    assert not match("content.nothing", "*")
    assert not match("content.a.b.c", "*")
    assert not match("unsigned.age", "*")
    assert not match("", "*")


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        (True, True, True),
        (True, 1, False),
        (True, "true", False),
        (1, True, False),
        (1, 1, True),
        (0, False, False),
        (None, None, True),
        ("a", "a", True),
        ("a", "A", False),
        ([1], [1], False),
    ],
)
def test_exact_values(wanted: Any, value: Any, expected: bool) -> None:
    """event_property_is and event_property_contains compare value and type."""
    exact = {"kind": "event_property_is", "key": "content.v", "value": wanted}
    contains = {"kind": "event_property_contains", "key": "content.v", "value": wanted}
    assert matches(exact, occasion({"v": value})) is expected
    assert matches(contains, occasion({"v": ["other", {}, value]})) is expected
    assert not matches(contains, occasion({"v": value if not isinstance(value, list) else {"0": 1}}))
    assert not matches(exact, occasion({}))
    assert not matches(contains, occasion({}))


def test_other_conditions() -> None:
    """The count of members with its comparisons, the display name as words, and nothing that is not known or whole."""
    counts = {"3": True, "==3": True, "2": False, ">2": True, "<3": False, ">=3": True, "<=2": False, "x": False}
    for wanted, expected in {**counts, "": False, "=3": False, " 3": False, "!=2": False}.items():
        assert matches({"kind": "room_member_count", "is": wanted}, text("x")) is expected, wanted
    assert not matches({"kind": "room_member_count", "is": 3}, text("x"))
    name = {"kind": "contains_display_name"}
    assert matches(name, text("Hey BOBBY tables!"))
    assert not matches(name, text("Hey bobby tables2"))
    assert not matches(name, occasion({"body": 1}))
    rule = read_rule("override", "me", {"conditions": [name], "actions": ["notify", {"set_tweak": "highlight"}]})
    assert told(text("bobby tables"), put_rule(NO_CHANGES, "override", rule)) == {BOB: "highlight", CAROL: "notify"}
    for broken in ({"kind": "event_match", "key": "type"}, {"kind": "event_match", "pattern": "*"}, {"kind": "novel"}):
        assert not matches(broken, text("x"))
    permission = {"kind": "sender_notification_permission", "key": "room"}
    assert matches(permission, text("x"))
    assert not matches(permission, occasion({}, sender=BOB))
    assert not matches({"kind": "sender_notification_permission"}, text("x"))


def test_own_rules_and_their_order() -> None:
    """Kinds go in order; of a kind one's own rules come first, all of them after the master rule."""

    def with_rule(changes: Changes, kind: str, rule_id: str, actions: list[Any], **more: Any) -> Changes:
        return put_rule(changes, kind, read_rule(kind, rule_id, {"actions": actions, **more}))

    loud = ["notify", {"set_tweak": "highlight"}]
    hello = text("hello cake")
    room_id = hello.event.room_id
    assert told(hello, with_rule(NO_CHANGES, "sender", ALICE, []))[BOB] == "nothing"
    muted = with_rule(NO_CHANGES, "room", room_id, [])
    assert told(hello, muted)[BOB] == "nothing"
    assert told(hello, with_rule(NO_CHANGES, "room", "!other:one.example", []))[BOB] == "notify"
    assert told(hello, with_rule(muted, "sender", ALICE, loud))[BOB] == "nothing"
    cake = with_rule(muted, "content", "cake", loud, pattern="cake")
    assert told(hello, cake)[BOB] == "highlight"
    assert told(hello, with_rule(cake, "override", "never", ["dont_notify"]))[BOB] == "nothing"
    assert told(hello, alter_rule(cake, "content", "cake", "enabled", False))[BOB] == "nothing"
    assert told(hello, alter_rule(cake, "override", ".m.rule.master", "enabled", True))[BOB] == "nothing"
    assert told(hello, alter_rule(NO_CHANGES, "underride", ".m.rule.message", "actions", loud))[BOB] == "highlight"
    quiet = alter_rule(NO_CHANGES, "underride", ".m.rule.message", "actions", [{"set_tweak": "highlight"}])
    assert told(hello, quiet)[BOB] == "nothing"
    unlit = ["notify", {"set_tweak": "highlight", "value": False}]
    assert told(hello, with_rule(NO_CHANGES, "underride", "mine", unlit))[BOB] == "notify"
    order = ruleset(BOB, with_rule(cake, "override", "never", []))
    assert list(order) == list(KINDS)
    assert [rule["rule_id"] for rule in order["override"][:3]] == [
        ".m.rule.master",
        "never",
        ".m.rule.suppress_notices",
    ]


def test_places() -> None:
    """A new rule is the most important one, unless it is to stand by another; a changed one stays where it is."""

    def ids(changes: Changes) -> str:
        return "".join(rule["rule_id"] for rule in changes.of("room"))

    def put(changes: Changes, rule_id: str, before: str | None = None, after: str | None = None) -> Changes:
        return put_rule(changes, "room", read_rule("room", rule_id, {"actions": []}), before, after)

    changes = put(put(put(NO_CHANGES, "a"), "b"), "c")
    assert ids(changes) == "cba"
    assert ids(put(changes, "b")) == "cba"
    assert ids(put(changes, "d", before="b")) == "cdba"
    assert ids(put(changes, "d", after="b")) == "cbda"
    assert ids(put(changes, "d", before="a", after="c")) == "cbda"
    assert ids(put(changes, "a", before="c")) == "acb"
    assert ids(put(changes, "c", after="a")) == "bac"
    off = alter_rule(changes, "room", "b", "enabled", False)
    assert find_rule(BOB, put(off, "b"), "room", "b")["enabled"] is False
    assert ids(delete_rule(changes, "room", "b")) == "ca"
    for anchor in ("x", ".m.rule.master", "b"):
        with pytest.raises(BadPlace):
            put(changes, "b", before=anchor)
    for kind, rule_id in (("room", "x"), ("sender", "b"), ("override", ".m.rule.master"), ("novel", "b")):
        with pytest.raises(NoSuchRule):
            delete_rule(changes, kind, rule_id)
    with pytest.raises(NoSuchRule):
        alter_rule(changes, "underride", ".m.rule.master", "enabled", True)


@pytest.mark.parametrize(
    ("kind", "rule_id", "body"),
    [
        ("novel", "x", {"actions": []}),
        ("room", ".x", {"actions": []}),
        ("room", "a/b", {"actions": []}),
        ("room", "a\\b", {"actions": []}),
        ("room", "a" * 256, {"actions": []}),
        ("room", "x", {}),
        ("room", "x", {"actions": ["shout"]}),
        ("room", "x", {"actions": [{"value": 1}]}),
        ("room", "x", {"actions": {}}),
        ("content", "x", {"actions": []}),
        ("content", "x", {"actions": [], "pattern": 1}),
        ("override", "x", {"actions": [], "conditions": [{}]}),
        ("override", "x", {"actions": [], "conditions": {}}),
    ],
)
def test_rules_that_cannot_be(kind: str, rule_id: str, body: dict[str, Any]) -> None:
    """They are refused with a sentence."""
    with pytest.raises(BadRule, match=r"\w+ \w+"):
        read_rule(kind, rule_id, body)


def test_there_is_a_limit() -> None:
    """What one user may have is bounded, however it comes."""
    rule = read_rule("content", "long", {"actions": [], "pattern": "x" * 70_000})
    with pytest.raises(BadRule):
        put_rule(NO_CHANGES, "content", rule)
    with pytest.raises(BadRule):
        alter_rule(NO_CHANGES, "override", ".m.rule.master", "actions", [{"set_tweak": "x" * 70_000}])


def test_rules_in_common() -> None:
    """Users whose rules differ in nothing that matters in a room have the same key there."""

    def rule(kind: str, rule_id: str, **more: Any) -> Changes:
        return put_rule(NO_CHANGES, kind, read_rule(kind, rule_id, {"actions": [], **more}))

    here, other = "!here:one.example", "!other:one.example"
    assert in_room(NO_CHANGES, here).key == 0
    assert in_room(rule("room", other), here).key == 0
    assert in_room(rule("room", here), here).key != 0
    assert in_room(alter_rule(rule("room", here), "room", here, "enabled", False), here).key == 0
    elsewhere = {"kind": "event_match", "key": "room_id", "pattern": other}
    assert in_room(rule("override", "x", conditions=[elsewhere]), here).key == 0
    assert in_room(rule("override", "x", conditions=[{**elsewhere, "pattern": "!*"}]), here).key != 0
    one, two = (rule("content", name, pattern="tea") for name in ("one", "two"))
    assert in_room(one, here) == in_room(two, here)
    assert in_room(one, here) != in_room(rule("content", "one", pattern="time"), here)
    undone = alter_rule(NO_CHANGES, "override", ".m.rule.master", "enabled", False)
    assert in_room(undone, here).key == 0
    assert in_room(alter_rule(undone, "override", ".m.rule.master", "enabled", True), here).key != 0
    assert Changes.read(one.content()) == one


def test_judged_together_as_judged_alone() -> None:
    """A set of users with the same rules is told what each would be told alone."""
    chance = random.Random(1)  # noqa: S311 - repeats
    users = [ALICE, BOB, CAROL]
    conditions: list[dict[str, Any]] = [
        {"kind": "contains_display_name"},
        {"kind": "event_match", "key": "content.body", "pattern": "tea"},
        {"kind": "room_member_count", "is": ">2"},
    ]
    for _ in range(300):
        changes = NO_CHANGES
        for number in range(chance.randrange(4)):
            chosen = chance.sample(conditions, chance.randrange(3))
            actions = chance.choice([[], ["notify"], ["notify", {"set_tweak": "highlight"}]])
            rule = read_rule("override", str(number), {"conditions": chosen, "actions": actions})
            changes = put_rule(changes, "override", rule)
        body = " ".join(chance.sample(["tea", "Alice", "Bobby Tables", "time"], 2))
        content = {"body": body, "m.mentions": {"user_ids": chance.sample(users, chance.randrange(3))}}
        found = occasion(content, sender="@dave:hearth.example", joined=chance.randrange(1, 5))
        together = told(found, changes, users)
        assert together == {user: told(found, changes, [user])[user] for user in users}


def test_patterns_cost_no_time() -> None:
    """A pattern that would keep a backtracking matcher busy for ever is tried at once."""
    body = "a" * 60_000
    for pattern in ("a*" * 200 + "b", "*a" * 200 + "?b", "?" * 200 + "b", "a" * 500 + "*b", "a?" * 15_000 + "b"):
        assert not matches_words(pattern)(body, Patience())
        assert not matches_whole(pattern)(body, Patience())
    assert has_words("say a*b? now", "A*b?", Patience())
    assert not has_words("say axbc now", "A*b?", Patience())


def test_patterns_share_their_patience() -> None:
    """However many patterns there are, and however often each nearly fits, they are given up after so much looking
    together; a hundred words of somebody's own are found all the same, at the end of the longest message.
    """
    patience = Patience()
    assert not any(matches_words("a")("a" * 60_000, patience) for _ in range(600))
    assert patience.left == 0
    assert not matches_words("tea")("tea", patience), "nothing more is looked for"
    patience = Patience()
    body = "word " * 12_000 + "tea"
    assert not any(matches_words(f"no{number}")(body, patience) for number in range(100))
    assert matches_words("tea")(body, patience)
    assert matches_words("t?a")(body, patience)


def test_nobody_uses_up_the_patience_of_others() -> None:
    """A set of rules that looks for too much leaves those of others as they are."""
    greedy, plain = NO_CHANGES, NO_CHANGES
    for number in range(100):
        greedy = put_rule(greedy, "content", read_rule("content", str(number), {"pattern": "a", "actions": []}))
    plain = put_rule(plain, "content", read_rule("content", "tea", {"pattern": "tea", "actions": ["notify"]}))
    found = occasion({"body": "a" * 60_000 + " tea"})
    Program(greedy).judge(found)
    assert Program(plain).judge(found).rest.actions == '["notify"]'


def test_nothing_where_all_is_switched_off() -> None:
    """Without any rule that matches, nobody is told."""
    changes = NO_CHANGES
    for kind, rules in default_rules(BOB).items():
        for rule in rules:
            changes = alter_rule(changes, kind, rule["rule_id"], "enabled", False)
    assert Program(changes).judge(text("x")).rest == NOTHING
