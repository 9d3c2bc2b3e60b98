"""Orders of the command line: asked of the running server, or carried out alone under the lock."""

import asyncio
import re
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from postroad.control import asking
from postroad.control.folder import SOCKET, InUseError, lock
from postroad.oauth import accounts
from postroad.orders.errors import OrderError
from tests.control_kit import ALICE, add, ask, command, serving


def test_an_order_without_a_server_is_carried_out_alone(tmp_path):
    """Without a server the command opens the database itself, and lets go of it."""
    assert add(tmp_path)["address"] == "alice@example.test"
    assert [one["address"] for one in command(tmp_path, "account list", {})] == ["alice@example.test"]


def test_an_order_beside_a_server_takes_effect_at_once(tmp_path):
    """A running server carries the order out, and sees what it did."""

    async def both():
        async with serving(tmp_path) as database:
            await ask(tmp_path, "account add", ALICE)
            return await database.read(accounts.everyone)

    assert [one.address for one in asyncio.run(both())] == ["alice@example.test"]


def test_a_folder_with_a_long_path_is_served(tmp_path):
    """A data folder whose path no Unix socket may have is served all the same."""
    folder = tmp_path / ("long" * 50) / ("longer" * 30)
    folder.mkdir(parents=True)
    before = len(list(Path("/proc/self/fd").iterdir()))

    async def both():
        async with serving(folder):
            return await ask(folder, "account add", ALICE)

    assert asyncio.run(both())["address"] == "alice@example.test"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_socket_of_a_dead_server_is_in_nobodys_way(tmp_path):
    """A socket that nobody listens on any more is passed over, and replaced by the next server."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / SOCKET))
    assert add(tmp_path)

    async def served():
        async with serving(tmp_path):
            return await ask(tmp_path, "account list", {})

    assert len(asyncio.run(served())) == 1


def test_a_folder_that_stays_held_is_told(tmp_path, monkeypatch):
    """When the folder is held and nobody answers, the command gives up with a clear line."""
    monkeypatch.setattr(asking, "WAIT_SECONDS", 0.0)
    with lock(tmp_path), pytest.raises(InUseError, match="is in use by process"):
        command(tmp_path, "account list", {})


REFUSED = {
    "an unknown account": (
        "account disable",
        {"address": "eve@example.test"},
        "there is no account eve@example.test",
    ),
    "no address": ("account add", {"address": "eve", "administrator": False}, "no @ in the address"),
    "an unknown scope": (
        "token",
        {"address": "alice@example.test", "scope": ["gmail.sen"], "seconds": 1},
        "unknown scope 'gmail.sen'; known are ",
    ),
    "no time to live": (
        "token",
        {"address": "alice@example.test", "scope": ["gmail.send"], "seconds": 0},
        "a token lives between 1 and ",
    ),
    "no sending domain": ("domain remove", {"domain": "no.test"}, "no.test is no sending domain here; "),
    "an unknown entry": ("queue show", {"queue_id": "1f"}, "there is no queue entry 1f"),
    "an entry that is none": ("queue show", {"queue_id": "x"}, "there is no queue entry x"),
    "an unknown order": (
        "account rename",
        {},
        "this server does not know the order 'account rename'; is it of the same version?",
    ),
}


@pytest.mark.parametrize(("name", "arguments", "text"), REFUSED.values(), ids=REFUSED)
def test_a_refused_order_says_why(tmp_path, name, arguments, text):
    """An order is refused with the same words with and without a server."""
    add(tmp_path)
    with pytest.raises(OrderError) as alone:
        command(tmp_path, name, arguments)

    async def beside():
        async with serving(tmp_path):
            with pytest.raises(OrderError) as refused:
                await ask(tmp_path, name, arguments)
            return str(refused.value)

    assert str(alone.value).startswith(text)
    assert asyncio.run(beside()) == str(alone.value)


# What a server needs, and takes long to load.
SERVERS_OWN = {
    "alembic",
    "cryptography",
    "granian",
    "jinja2",
    "joserfc",
    "prometheus_client",
    "sqlalchemy",
    "structlog",
}


def test_a_command_beside_a_server_loads_nothing_of_the_server(tmp_path):
    """A command that a server answers loads nothing of what the server needs for the answer."""
    words = ("-X", "importtime", "-m", "postroad", "account", "list", "--json", "--data", str(tmp_path))
    run_it = partial(subprocess.run, (sys.executable, *words), capture_output=True, text=True, check=True)

    async def beside():
        async with serving(tmp_path):
            return await asyncio.to_thread(run_it)

    run = asyncio.run(beside())
    loaded = set(re.findall(r"\| +(\w+)[.\w]*$", run.stderr, re.MULTILINE))
    assert run.stdout == "[]\n"
    assert loaded > {"click", "postroad"}
    assert loaded & SERVERS_OWN == set()
