"""Fixtures for the whole suite."""

import os
import shutil
from typing import NoReturn

import pytest
import trustme
from sqlalchemy import create_engine

from postroad.database import migrations
from postroad.database.postgresql import driver_url
from postroad.database.sqlite import writer_of
from tests.postgres import running_postgres

REQUIRE_ALL = "POSTROAD_REQUIRE_ALL"


def program(name: str, *places: str) -> str:
    """The path of a foreign judge; without it the test is skipped, but never where all are required (CI)."""
    found = shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin", *places)))
    return found or missing_judge(name)


def missing_judge(name: str, remedy: str = "") -> NoReturn:
    """Skip the test, or fail it where all judges are required."""
    if os.environ.get(REQUIRE_ALL):
        pytest.fail(f"{name} is required here and not installed; {remedy}".rstrip("; "))
    pytest.skip(f"{name} is not installed; {remedy}".rstrip("; "))


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server for the whole run."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def engine(database_url, tmp_path):
    """An engine that writes to an empty database with the newest schema."""
    found = writer_of(tmp_path / "database") if not database_url else create_engine(driver_url(database_url))
    migrations.upgrade(found)
    yield found
    found.dispose()


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database_url(request):
    """What `Database` takes as `url`: every test that asks for it runs on both engines."""
    if request.param == "SQLite":
        yield ""
        return
    with request.getfixturevalue("postgres").new_database() as url:
        yield url


@pytest.fixture
def change(database):
    """Calls a function in a transaction of the `database` of the tests around."""

    def call(function, *arguments, **more):
        return database.submit(lambda connection: function(connection, *arguments, **more)).result()

    return call


@pytest.fixture(scope="session")
def authority():
    """A certificate authority of our own."""
    return trustme.CA()
