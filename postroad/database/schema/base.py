"""What all tables share: their names' conventions, numbers, indexes with a condition."""

from sqlalchemy import BigInteger, Index, Integer, MetaData, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# A 63-bit number; on SQLite the type has to be called INTEGER to be the row's own key.
Id = BigInteger().with_variant(Integer, "sqlite")


def where(name: str, condition: str, *columns: str, unique: bool = False) -> Index:
    """An index of the rows that meet a condition."""
    met = text(condition)
    return Index(name, *columns, unique=unique, sqlite_where=met, postgresql_where=met)
