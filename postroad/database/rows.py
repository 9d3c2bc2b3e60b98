"""Rows to insert, by statement: so they are made, so they travel, and so they are bound.

The texts of statements are made once, for many rows each: to have SQLAlchemy go through every row again costs more
than all that the database does. Who makes rows says once, by `into`, which columns they have and in which order.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, LargeBinary, Table, text, update
from sqlalchemy.exc import DBAPIError

from postroad.database.schema import metadata

# Values in the order of the columns that stand, with their table, behind INSERT INTO.
Rows = dict[str, list[tuple[Any, ...]]]
NO_ROWS: Rows = {}

# Rows of one INSERT at most, which bounds how many texts of statements there are; a row with more octets than
# this goes alone, as they are copied when they are bound.
ROWS_PER_INSERT = 16
BOUND_ALONE = 32 * 1024


class _Dialect(NamedTuple):
    """How a statement begins, and how a driver wants the place of a value marked (PEP 249)."""

    insert: str
    mark: str


# When a row fails, the whole transaction is undone. So SQLite need not be able to undo the statement alone, for
# which it would copy each page that it changes; rows before the one that failed are left in until then.
_DIALECTS = {"sqlite": _Dialect("INSERT OR FAIL INTO", "?"), "postgresql": _Dialect("INSERT INTO", "%s")}
_NAME = re.compile('"(.+?)"')


def into(table: Table, *columns: str) -> str:
    """Where rows go that have these columns, in this order. Raises `KeyError` for one that there is not."""
    quoted = ", ".join(f'"{table.columns[name].name}"' for name in columns)
    return f'"{table.name}" ({quoted})'


@lru_cache(maxsize=1024)
def _octets_at(place: str) -> tuple[int, ...]:
    """Where in a row there are octets."""
    name, *columns = _NAME.findall(place)
    types = [metadata.tables[name].columns[column].type for column in columns]
    return tuple(at for at, kind in enumerate(types) if isinstance(kind, LargeBinary))


def together(many: Iterable[Rows]) -> Rows:
    """All those rows, of each statement in the order in which they came."""
    found: Rows = {}
    for rows in many:
        for place, values in rows.items():
            if place in found:
                found[place] += values
            else:
                found[place] = [*values]
    return found


def brings(rows: Rows, table: Table) -> bool:
    """Whether there are rows of that table."""
    return any(place.startswith(f'"{table.name}" ') for place in rows)


def insert(connection: Connection, rows: Rows) -> None:
    """Insert all `rows` in the running transaction, many of a table in one statement.

    Raises `DBAPIError`, `IntegrityError` above all; the transaction is not to be committed then.
    """
    dialect, execute = _DIALECTS[connection.dialect.name], executing(connection)
    for place, values in rows.items():
        for some in _shared(values, _octets_at(place)):
            execute(_statement(dialect, place, len(some[0]), len(some)), tuple(chain.from_iterable(some)))


def insert_unless_there(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row, unless there is one of its key; whether it was inserted. Of two nodes one is first.

    There is no savepoint to go back to, as SQLite forgets those when the disk is full.
    """
    values = ", ".join(f":{name}" for name in row)
    statement = text(f"INSERT INTO {into(table, *row)} VALUES ({values}) ON CONFLICT DO NOTHING")  # noqa: S608 - the schema's names
    return connection.execute(statement, dict(row)).rowcount == 1


def write(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Set a row's values, or insert it. Of two nodes that do so at once, who comes second says the last word."""
    known = update(table).where(*(table.c[name] == value for name, value in key.items())).values(values)
    if connection.execute(known).rowcount == 0 and not insert_unless_there(connection, table, {**key, **values}):
        connection.execute(known)


def _shared(values: Sequence[tuple[Any, ...]], octets_at: Sequence[int]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Those that share a statement, in order."""
    if any(len(row[at] or b"") > BOUND_ALONE for at in octets_at for row in values):
        return ((row,) for row in values)
    return (values[at : at + ROWS_PER_INSERT] for at in range(0, len(values), ROWS_PER_INSERT))


@lru_cache(maxsize=1024)
def _statement(dialect: _Dialect, place: str, columns: int, rows: int) -> str:
    row = f"({', '.join([dialect.mark] * columns)})"
    return f"{dialect.insert} {place} VALUES {', '.join([row] * rows)}"


def executing(connection: Connection) -> Callable[[str, tuple[Any, ...]], object]:
    """Executes a text with its values, and raises what SQLAlchemy would.

    Its own way costs as much as what SQLite then does. It alone hears when a server is lost.
    """
    if connection.dialect.name != "sqlite":
        return connection.exec_driver_sql
    cursor, failure = connection.connection.cursor(), connection.dialect.loaded_dbapi.Error

    def execute(statement: str, values: tuple[Any, ...]) -> None:
        try:
            cursor.execute(statement, values)
        except failure as error:
            raise DBAPIError.instance(statement, None, error, failure, hide_parameters=True) from error

    return execute
