"""The settings as rows: one for each that differs from its default, as JSON.

A default that changes with a later Hearth thus reaches everybody who has not chosen otherwise.
"""

import msgspec

from appliance.settings import Settings
from appliance.storage.database import Database, Reads, Tx
from appliance.storage.errors import StorageError


def load_settings(database: Reads) -> Settings:
    """The settings as the owner left them. Rows that this Hearth does not know are passed over.

    Raises:
        StorageError: a value is not of its kind, with the setting's name.
    """
    rows = database.read("SELECT name, value FROM settings")
    known = {name: value for name, value in rows if name in Settings.__struct_fields__}
    values = {}
    for name, value in known.items():
        try:
            values[name] = msgspec.json.decode(value)
            # One by one, so that the message can name the culprit.
            msgspec.convert({name: values[name]}, Settings)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise StorageError(
                f"The stored setting {name} cannot be read ({error}). Remove its row from the table settings in the "
                "database to return to the default, or put back a backup."
            ) from error
    return msgspec.convert(values, Settings)


def write_settings(tx: Tx, settings: Settings) -> None:
    """Keep all settings, within a larger unit; the struct must not change meanwhile, so pass a copy of a living one."""
    defaults = Settings()
    for name in Settings.__struct_fields__:
        value = getattr(settings, name)
        if value == getattr(defaults, name):
            tx.execute("DELETE FROM settings WHERE name = ?", (name,))
        else:
            tx.execute(
                "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, msgspec.json.encode(value).decode()),
            )


async def save_settings(database: Database, settings: Settings) -> None:
    """Keep all settings as they are at this moment; returns once they are stored for good."""
    snapshot = msgspec.json.decode(msgspec.json.encode(settings), type=Settings)
    await database.write(lambda tx: write_settings(tx, snapshot))
