"""Accounts: the users of this server, with what decides whether they may come in."""

from msgspec import Struct

from appliance.storage.database import Database, Reads, Tx


class Account(Struct, frozen=True, kw_only=True):
    """One user of this server.

    Args:
        user_id: the full Matrix id.
        password_hash: the encoded argon2id hash; None where no password was ever set.
        created_ts: milliseconds since 1970.
        admin: whether the user is an owner of this server.
        guest: whether the user is a guest.
        locked: whether the account is locked (client-server API, "Account locking").
        suspended: whether the account is suspended (client-server API, "Account suspension").
        deactivated: whether the account is gone for ever; its id is never given again.
        erased: whether the user asked for their messages to be hidden from newcomers.
    """

    user_id: str
    password_hash: str | None
    created_ts: int
    admin: bool = False
    guest: bool = False
    locked: bool = False
    suspended: bool = False
    deactivated: bool = False
    erased: bool = False


_COLUMNS = "user_id, password_hash, created_ts, admin, guest, locked, suspended, deactivated, erased"


def _account(row: tuple[object, ...]) -> Account:
    user_id, password_hash, created_ts, *flags = row
    admin, guest, locked, suspended, deactivated, erased = map(bool, flags)
    return Account(
        user_id=str(user_id),
        password_hash=None if password_hash is None else str(password_hash),
        created_ts=int(str(created_ts)),
        admin=admin,
        guest=guest,
        locked=locked,
        suspended=suspended,
        deactivated=deactivated,
        erased=erased,
    )


def find_account(database: Database, user_id: str) -> Account | None:
    """One account, also a deactivated one; None where the id was never given."""
    rows = database.read(f"SELECT {_COLUMNS} FROM accounts WHERE user_id = ?", (user_id,))
    return _account(rows[0]) if rows else None


def oldest_admin(database: Database) -> str | None:
    """The first owner that can still be reached; None where there is none yet."""
    rows = database.read(
        "SELECT user_id FROM accounts WHERE admin = 1 AND deactivated = 0 ORDER BY created_ts, user_id LIMIT 1"
    )
    return rows[0][0] if rows else None


async def all_accounts(database: Database) -> list[Account]:
    """Every account, deactivated ones too, by user id.

    Asked by the owner now and then: a query for Piccolo, which is loaded only then.
    """
    from appliance.storage import tables

    tables.bind(database.engine)
    columns = [getattr(tables.AccountRow, name) for name in _COLUMNS.split(", ")]
    rows = await tables.AccountRow.select(*columns).order_by(tables.AccountRow.user_id)
    return [_account(tuple(row.values())) for row in rows]


def erased_users(database: Database) -> list[str]:
    """Those who asked for their messages to be hidden from newcomers when their account ended."""
    return [row[0] for row in database.read("SELECT user_id FROM accounts WHERE erased = 1")]


def is_taken(tx: Tx, user_id: str) -> bool:
    """Whether an id was given before, within a unit."""
    return bool(tx.read("SELECT 1 FROM accounts WHERE user_id = ?", (user_id,)))


def insert_account(tx: Tx, account: Account) -> None:
    """Write a new account, whose id ``is_taken`` by nobody."""
    tx.execute(
        f"INSERT INTO accounts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            account.user_id,
            account.password_hash,
            account.created_ts,
            account.admin,
            account.guest,
            account.locked,
            account.suspended,
            account.deactivated,
            account.erased,
        ),
    )


def unused_guests(reads: Reads, before_ms: int, most: int) -> list[str]:
    """Some of the guests who were made, and last heard of, before a time, milliseconds since 1970."""
    rows = reads.read(
        "SELECT a.user_id FROM accounts a WHERE a.guest = 1 AND a.deactivated = 0 AND a.created_ts < ?1 AND NOT EXISTS"
        " (SELECT 1 FROM devices d WHERE d.user_id = a.user_id AND coalesce(d.last_seen_ts, d.created_ts) >= ?1)"
        " ORDER BY a.created_ts LIMIT ?2",
        (before_ms, most),
    )
    return [user_id for (user_id,) in rows]


def update_password(tx: Tx, user_id: str, password_hash: str) -> bool:
    """Replace the password's hash; False where there is no such account, or it is deactivated."""
    rows = tx.execute(
        "UPDATE accounts SET password_hash = ? WHERE user_id = ? AND deactivated = 0 RETURNING 1",
        (password_hash, user_id),
    )
    return bool(rows)


def replace_hash(tx: Tx, user_id: str, known: str, password_hash: str) -> None:
    """Replace the hash of an unchanged password, unless the password was changed in between."""
    tx.execute(
        "UPDATE accounts SET password_hash = ? WHERE user_id = ? AND password_hash = ?",
        (password_hash, user_id, known),
    )


def mark_restricted(tx: Tx, user_id: str, *, suspended: bool | None, locked: bool | None) -> bool:
    """Suspend or lock an account, or take that back; False where there is no such account, or it is deactivated."""
    rows = tx.execute(
        "UPDATE accounts SET suspended = coalesce(?, suspended), locked = coalesce(?, locked)"
        " WHERE user_id = ? AND deactivated = 0 RETURNING 1",
        (suspended, locked, user_id),
    )
    return bool(rows)


def mark_deactivated(tx: Tx, user_id: str, *, erased: bool) -> None:
    """End an account for ever, and drop what only served its owner: the profile, account data and filters."""
    tx.execute(
        "UPDATE accounts SET deactivated = 1, admin = 0, erased = ?,"
        " password_hash = CASE WHEN ? THEN NULL ELSE password_hash END WHERE user_id = ?",
        (erased, erased, user_id),
    )
    tx.execute("DELETE FROM profiles WHERE user_id = ?", (user_id,))
    tx.execute("DELETE FROM user_names WHERE room_nid = 0 AND user_id = ?", (user_id,))
    tx.execute("DELETE FROM account_data WHERE user_id = ?", (user_id,))
    tx.execute("DELETE FROM filters WHERE user_id = ?", (user_id,))
    tx.execute("DELETE FROM openid_tokens WHERE user_id = ?", (user_id,))
    tx.execute("DELETE FROM login_tokens WHERE user_id = ?", (user_id,))
    tx.execute("DELETE FROM thread_subscriptions WHERE user_id = ?", (user_id,))
    tx.execute("DELETE FROM untold_profiles WHERE user_id = ?", (user_id,))
