"""Random contents of events for hypothesis, full of the keys that rules and redactions care about."""

from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from(
    [
        *("membership", "creator", "join_rule", "allow", "users", "ban", "invite", "aliases", "redacts", "body"),
        *("history_visibility", "third_party_invite", "join_authorised_via_users_server", "events", "signed"),
    ]
)
CONTENT = st.dictionaries(KEYS | TEXT, JSON, max_size=6)
TYPES = (
    st.sampled_from(
        ["member", "create", "join_rules", "power_levels", "aliases", "history_visibility", "redaction", "message"]
    ).map("m.room.{}".format)
    | TEXT
)
