"""Facts about this database itself, by name."""

from sqlalchemy import Connection, select

from postroad.database import rows
from postroad.database.schema import fact

# What decided the destinations of the server that ran last: `relay`, and where `relay_by_sender` leads.
RELAY = "relay"
# The setting `hostname` of the server that started last: commands report in its name.
HOSTNAME = "hostname"
# Where clients reach the server that started last: commands write it into programs' files.
PUBLIC_URL = "public_url"

# By which the key that seals secrets is known again.
SEALING_PROOF = "sealing proof"


def read(connection: Connection, name: str) -> str | None:
    """The value of a fact; `None` when it was never written."""
    found: str | None = connection.execute(select(fact.c.value).where(fact.c.name == name)).scalar_one_or_none()
    return found


def write(connection: Connection, name: str, value: str) -> None:
    """Set a fact. Nodes that start together may write the same one: who comes second says the last word."""
    rows.write(connection, fact, {"name": name}, {"value": value})


def keep(connection: Connection, name: str, value: str) -> str:
    """The value of a fact, which is this one if it was never written: of nodes that start together all get one."""
    if (found := read(connection, name)) is not None:
        return found
    if rows.insert_unless_there(connection, fact, {"name": name, "value": value}):
        return value
    return read(connection, name) or value
