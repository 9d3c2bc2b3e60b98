"""Facts about this database itself, by name."""

from sqlalchemy import Connection, select

from postroad.database.schema import fact

# The setting `relay` of the server that ran last.
RELAY = "relay"


def read(connection: Connection, name: str) -> str | None:
    """The value of a fact; `None` when it was never written."""
    found: str | None = connection.execute(select(fact.c.value).where(fact.c.name == name)).scalar_one_or_none()
    return found


def write(connection: Connection, name: str, value: str) -> None:
    """Set a fact."""
    connection.execute(fact.delete().where(fact.c.name == name))
    connection.execute(fact.insert().values(name=name, value=value))
