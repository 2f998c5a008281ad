"""What the first set-up has got to, by name; what each value means is its writer's affair."""

from appliance.storage.database import Reads, Tx


def load(database: Reads) -> dict[str, str]:
    """Everything that was kept."""
    return dict(database.read("SELECT name, value FROM setup"))


def save(tx: Tx, name: str, value: str) -> None:
    """Keep one value in place of an earlier one."""
    tx.execute(
        "INSERT INTO setup (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )
