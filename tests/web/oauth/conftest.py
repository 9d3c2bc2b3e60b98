"""Fixtures for the pages that people see."""

import shutil

import pytest

from tests.web.oauth.visitor import House, Visitor


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder of a database with two people and a client: copied faster than made."""
    folder = tmp_path_factory.mktemp("house")
    House(folder).close()
    return folder


@pytest.fixture
def place(built, tmp_path):
    """A copy of it."""
    return shutil.copytree(built, tmp_path / "data")


@pytest.fixture
def house(place):
    """A server at which Alice and Bob have the same password."""
    opened = House(place)
    yield opened
    opened.close()


@pytest.fixture
def sandbox(place):
    """A sandbox: accounts are chosen by one click."""
    opened = House(place, sandbox=True)
    yield opened
    opened.close()


@pytest.fixture
def visitor(house):
    """Somebody at a browser in which nobody is signed in."""
    return Visitor(house)
