"""The push rules that everybody starts with.

Client-server API, "Push notifications", "Predefined Rules". Kinds and, within each, rules are in order of importance.
"""

from typing import Any

KINDS = ("override", "content", "room", "sender", "underride")
"""The kinds of rules, the most important first."""

ME = "\0"
"""Stands for the user's own id in rules that are meant for everybody; no user id can be that."""

Rule = dict[str, Any]

_HIGHLIGHT: Rule = {"set_tweak": "highlight"}


def _sound(name: str) -> Rule:
    return {"set_tweak": "sound", "value": name}


def _match(key: str, pattern: str) -> Rule:
    return {"kind": "event_match", "key": key, "pattern": pattern}


def _rule(rule_id: str, conditions: list[Rule], actions: list[Any], *, enabled: bool = True) -> Rule:
    return {"rule_id": rule_id, "default": True, "enabled": enabled, "conditions": conditions, "actions": actions}


def _overrides(user_id: str) -> list[Rule]:
    return [
        _rule(".m.rule.master", [], [], enabled=False),
        _rule(".m.rule.suppress_notices", [_match("content.msgtype", "m.notice")], []),
        _rule(
            ".m.rule.invite_for_me",
            [_match("type", "m.room.member"), _match("content.membership", "invite"), _match("state_key", user_id)],
            ["notify", _sound("default")],
        ),
        _rule(".m.rule.member_event", [_match("type", "m.room.member")], []),
        _rule(
            ".m.rule.is_user_mention",
            [{"kind": "event_property_contains", "key": r"content.m\.mentions.user_ids", "value": user_id}],
            ["notify", _sound("default"), _HIGHLIGHT],
        ),
        _rule(
            ".m.rule.is_room_mention",
            [
                {"kind": "event_property_is", "key": r"content.m\.mentions.room", "value": True},
                {"kind": "sender_notification_permission", "key": "room"},
            ],
            ["notify", _HIGHLIGHT],
        ),
        _rule(
            ".m.rule.tombstone", [_match("type", "m.room.tombstone"), _match("state_key", "")], ["notify", _HIGHLIGHT]
        ),
        _rule(".m.rule.reaction", [_match("type", "m.reaction")], []),
        _rule(".m.rule.room.server_acl", [_match("type", "m.room.server_acl"), _match("state_key", "")], []),
        _rule(
            ".m.rule.suppress_edits",
            [{"kind": "event_property_is", "key": r"content.m\.relates_to.rel_type", "value": "m.replace"}],
            [],
        ),
    ]


def _underrides() -> list[Rule]:
    two_members = {"kind": "room_member_count", "is": "2"}
    return [
        _rule(".m.rule.call", [_match("type", "m.call.invite")], ["notify", _sound("ring")]),
        _rule(
            ".m.rule.encrypted_room_one_to_one",
            [two_members, _match("type", "m.room.encrypted")],
            ["notify", _sound("default")],
        ),
        _rule(
            ".m.rule.room_one_to_one", [two_members, _match("type", "m.room.message")], ["notify", _sound("default")]
        ),
        _rule(".m.rule.message", [_match("type", "m.room.message")], ["notify"]),
        _rule(".m.rule.encrypted", [_match("type", "m.room.encrypted")], ["notify"]),
    ]


def default_rules(user_id: str) -> dict[str, list[Rule]]:
    """The global rule set that a user has before changing anything.

    Args:
        user_id: the user, whose id the rules about invitations and mentions match; ``ME`` for nobody in particular.

    Returns:
        Each kind with its rules, the most important first.
    """
    return {"override": _overrides(user_id), "content": [], "room": [], "sender": [], "underride": _underrides()}
