"""The steps give the schema, once."""

import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from postroad.database import migrations
from postroad.database.schema import metadata
from postroad.database.sqlite import writer_of


@pytest.fixture
def engine(tmp_path):
    """The writer of an empty file."""
    engine = writer_of(tmp_path / "database")
    yield engine
    engine.dispose()


def schema(engine):
    """Every table and index as SQLite remembers it."""
    with engine.connect() as connection:
        return dict(connection.exec_driver_sql("select name, sql from sqlite_master order by name").all())


def test_the_steps_give_exactly_the_schema(engine):
    """Alembic finds nothing between the steps' tables and those of schema.py."""
    migrations.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_the_steps_write_what_the_schema_would(engine, tmp_path):
    """SQLite's own text of every table and index is the same either way: variants, conditions, row-ids."""
    migrations.upgrade(engine)
    direct = create_engine(f"sqlite:///{tmp_path / 'direct'}")
    metadata.create_all(direct)
    found = schema(engine)
    assert found.pop("alembic_version")
    found.pop("sqlite_autoindex_alembic_version_1")
    assert found == schema(direct)
    direct.dispose()


def test_the_newest_step_is_the_one_that_alembic_goes_to():
    """The numbers in the steps' names tell the head of their line."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.NEWEST


def test_what_is_up_to_date_asks_nothing_of_alembic(engine, monkeypatch):
    """The second start does without it, and so without its 0.2 seconds."""
    migrations.upgrade(engine)
    monkeypatch.setitem(sys.modules, "alembic", None)
    migrations.upgrade(engine)


def test_a_second_upgrade_is_nothing(engine):
    """What is up to date is left alone."""
    migrations.upgrade(engine)
    before = schema(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("insert into fact (name, value) values ('kept', 'yes')")
    migrations.upgrade(engine)
    assert schema(engine) == before
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select value from fact").scalar_one() == "yes"


def test_an_upgrade_that_fails_changes_nothing(engine):
    """The steps are one transaction: what stands in the way is all that is there afterwards."""
    with engine.begin() as connection:
        connection.exec_driver_sql("create table fact (other text)")
    before = schema(engine)
    with pytest.raises(OperationalError, match="fact already exists"):
        migrations.upgrade(engine)
    assert schema(engine) == before
