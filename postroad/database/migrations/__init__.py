"""Steps from one schema to the next: expand first, contract a release later."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

# A number of ours among all users of the server's advisory locks.
ADVISORY_LOCK = 0x706F7374726F6164
# The steps are one line, numbered in the names of their files.
NEWEST = max(file.stem.split("_")[1] for file in (Path(__file__).parent / "versions").glob("step_*.py"))


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest schema, in one transaction."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # one node migrates, the others wait for it
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        if not inspect(connection).has_table("alembic_version") or step(connection) != NEWEST:
            _climb(connection)


def step(connection: Connection) -> str:
    """The step at which the schema is."""
    at: str = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
    return at


def _climb(connection: Connection) -> None:
    """Have Alembic take the steps that are left; it is asked only then, as to load it takes 0.2 s."""
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
