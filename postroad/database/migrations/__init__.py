"""Steps from one schema to the next: expand first, contract a release later."""

from pathlib import Path

from sqlalchemy import Engine


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest schema, in one transaction."""
    from alembic import command  # noqa: PLC0415 - 0.2 s of import that most commands do not need
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
