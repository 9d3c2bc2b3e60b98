"""The documentation says everything there is to set, to order and to ask."""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from postroad import cli, metrics
from postroad.settings import Settings
from postroad.web.methods import METHODS

DOCS = Path(__file__).parents[1] / "docs"
OPERATING = (DOCS / "operating.md").read_text().replace("\\|", "|")
SPECIFICATIONS = (DOCS / "specifications.md").read_text()


def commands(group: click.Group, *words: str):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield " ".join((*words, name))


def table(first: str) -> str:
    """The table whose first column has that heading."""
    return OPERATING.partition(f"\n| {first} |")[2].partition("\n\n")[0]


def rows(first: str) -> list[str]:
    """What is between backquotes in the first cells of a table."""
    first_cells = [line.split(" | ")[0] for line in table(first).splitlines()[2:]]
    return [name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_setting_has_its_row():
    """The table of settings is the settings, in their order."""
    assert rows("setting") == [one.name for one in fields(Settings)]


@pytest.mark.parametrize("one", fields(Settings), ids=lambda one: one.name)
def test_a_default_is_the_one_that_holds(one):
    """Where the table names a plain default, it is the setting's."""
    (row,) = re.findall(rf"^\| (?:`\w+`, )*`{one.name}`.*$", table("setting"), re.MULTILINE)
    found = re.fullmatch(r"`([^`]+)`", row.split(" | ")[1])
    if one.default and found:
        assert found[1] == str(one.default)


@pytest.mark.parametrize("command", [*commands(cli.cli)])
def test_every_command_is_named(command):
    """Alone, or among its sisters as in `postroad account add|list`."""
    *group, name = command.split()
    assert re.search(rf"postroad {''.join(f'{word} ' for word in group)}(?:[a-z-]+\|)*{name}\b", OPERATING)


@pytest.mark.parametrize("endpoint", ["/healthz", "/readyz", "/metrics"])
def test_every_endpoint_for_operators_is_named(endpoint):
    """In the table of what can be watched."""
    assert endpoint in rows("address")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.id)
def test_every_method_is_named(method):
    """What of Gmail is served is among what is followed, or in the README."""
    text = SPECIFICATIONS + (DOCS.parent / "README.md").read_text()
    assert method.id.removeprefix("gmail.users.") in text


def test_every_metric_is_named():
    """A metric has its row, under its own name or as a suffix of the one before."""
    state = metrics.State("sqlite", trusted=True, free=1, waiting={"due": 1}, oldest_seconds=1.0)
    text = metrics.exposition(state).decode()
    names = [name for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE) if name.startswith("postroad_")]
    documented = {re.sub(r"\{.*", "", cell) for cell in rows("metric")}
    documented |= {f"postroad_accepted{suffix}" for suffix in documented if suffix.startswith("_")}
    assert names
    assert set(names) <= documented
