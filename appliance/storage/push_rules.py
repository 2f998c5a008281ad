"""Push rules as rows: the present ones are account data, former ones are kept to know what events were judged by."""

from appliance.storage.account_data import find_account_data, put_account_data
from appliance.storage.database import Reads, Tx

MOST_FORMER = 20
"""Former sets of rules that are kept of one user: enough for what is still unread."""


def all_push_rules(reads: Reads) -> list[tuple[str, str]]:
    """(user id, content as JSON) of everybody who changed anything."""
    return [
        (user_id, content)
        for user_id, content in reads.read("SELECT user_id, content FROM account_data WHERE type = 'm.push_rules'")
    ]


def push_rules_of(reads: Reads, user_id: str) -> str | None:
    """What a user changed, as JSON; None for nothing."""
    return find_account_data(reads, user_id, "", "m.push_rules")


def put_push_rules(tx: Tx, user_id: str, type_: str, content: str, former: str) -> int:
    """Write a user's rules.

    Args:
        tx: the unit.
        user_id: whose.
        type_: the type of account data.
        content: the new ones as JSON.
        former: those that counted until now.

    Returns:
        the position of the change in the stream.
    """
    position = put_account_data(tx, user_id, "", type_, content)
    tx.execute("INSERT INTO former_push_rules VALUES (?,?,?)", (user_id, position, former))
    tx.execute(
        "DELETE FROM former_push_rules WHERE user_id = ?1 AND upto <="
        " (SELECT upto FROM former_push_rules WHERE user_id = ?1 ORDER BY upto DESC LIMIT 1 OFFSET ?2)",
        (user_id, MOST_FORMER),
    )
    return position


def former_push_rules(reads: Reads, user_id: str) -> list[tuple[int, str]]:
    """(position up to which they counted, content as JSON) of a user's former rules, the latest first."""
    return [
        (upto, content)
        for upto, content in reads.read(
            "SELECT upto, content FROM former_push_rules WHERE user_id = ? ORDER BY upto DESC", (user_id,)
        )
    ]
