"""Steps from one schema to the next: expand first, contract a release later."""

from pathlib import Path

from sqlalchemy import Engine

# A number of ours among all users of the server's advisory locks.
ADVISORY_LOCK = 0x706F7374726F6164


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest schema, in one transaction."""
    from alembic import command  # noqa: PLC0415 - 0.2 s of import that most commands do not need
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # one node migrates, the others wait for it
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
