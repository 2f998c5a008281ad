"""Tables as Piccolo sees them, for cold queries: the owner's lists, and whatever is not worth SQL of its own.

They mirror what the migrations made and create nothing; a test compares them with the schema. Tables with composite
keys are missing, since Piccolo knows keys of one column only. Importing this imports Piccolo, so nothing does at start.
"""

from piccolo.columns import BigInt, Bytea, Integer, Text
from piccolo.engine.base import Engine
from piccolo.table import Table


class SettingRow(Table, tablename="settings"):
    """A setting that differs from its default; see ``storage/settings.py``."""

    name = Text(primary_key=True)
    value = Text()


class SigningKeyRow(Table, tablename="signing_keys"):
    """A signing key of the server; see ``storage/keys.py``."""

    key_id = Text(primary_key=True)
    seed = Bytea()
    created_ts = BigInt()
    ended_ts = BigInt(null=True, default=None)


class AccountRow(Table, tablename="accounts"):
    """An account; see ``storage/accounts.py``."""

    user_id = Text(primary_key=True)
    password_hash = Text(null=True, default=None)
    created_ts = BigInt()
    admin = Integer()
    guest = Integer()
    locked = Integer()
    suspended = Integer()
    deactivated = Integer()
    erased = Integer()


class RegistrationTokenRow(Table, tablename="registration_tokens"):
    """A registration token; see ``storage/registration_tokens.py``."""

    token = Text(primary_key=True)
    uses_allowed = Integer(null=True, default=None)
    uses = Integer()
    expires_ts = BigInt(null=True, default=None)
    created_ts = BigInt()


TABLES: tuple[type[Table], ...] = (SettingRow, SigningKeyRow, AccountRow, RegistrationTokenRow)


def bind(engine: Engine) -> None:  # type: ignore[type-arg]
    """Let the tables' queries go to this engine. There is one binding in a process: hearth.db's."""
    for table in TABLES:
        table._meta.db = engine
