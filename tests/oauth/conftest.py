"""Fixtures for the authorization server without HTTP."""

import pytest
from sqlalchemy import create_engine

from postroad.database import migrations
from postroad.database.engine import Database
from postroad.database.postgresql import driver_url
from postroad.database.sqlite import writer_of
from tests.oauth_kit import World


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def shared_engine(request, tmp_path_factory):
    """A writer's engine of a database with the newest schema, for a whole file of tests."""
    if request.param == "SQLite":
        found = writer_of(tmp_path_factory.mktemp("shared") / "database")
        migrations.upgrade(found)
        yield found
        found.dispose()
        return
    with request.getfixturevalue("postgres").new_database() as url:
        found = create_engine(driver_url(url))
        yield found
        found.dispose()


@pytest.fixture
def connection(shared_engine):
    """A connection within a transaction that is undone at the end."""
    with shared_engine.connect() as opened, opened.begin() as transaction:
        yield opened
        transaction.rollback()


@pytest.fixture
def world(connection):
    """Alice's world, on both engines."""
    return World(connection)


@pytest.fixture
def nodes(tmp_path, database_url):
    """Who takes part: on SQLite one process, on PostgreSQL three nodes."""
    folders = [tmp_path / str(number) for number in range(3 if database_url else 1)]
    for folder in folders:
        folder.mkdir()
    opened = [Database(folder, floor=0, url=database_url) for folder in folders]
    yield opened
    for one in opened:
        one.close()
