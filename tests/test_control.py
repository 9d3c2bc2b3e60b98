"""Orders of the command line: through the running server's socket, or alone under the lock."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from postroad import control
from postroad.control import InUseError
from postroad.database.engine import Database
from postroad.domains import register
from postroad.oauth import accounts
from postroad.orders import ORDERS, QUESTIONS, OrderError
from postroad.orders.domains import fresh_keys
from postroad.sealing import Sealing
from tests.test_cli import COMMANDS

NOW = 1_790_000_000_000
ALICE = {"address": "alice@example.test", "administrator": False}


@contextlib.asynccontextmanager
async def serving(folder, sealing=control.keyless):
    """A server's half: lock, database, socket."""
    with control.lock(folder), contextlib.closing(Database(folder, floor=0)) as database:
        async with control.listening(folder, database, lambda: NOW, sealing):
            yield database


async def ask(folder, name, arguments):
    return await asyncio.to_thread(control.ask, folder, name, arguments, NOW)


async def say(folder, octets: bytes) -> bytes:
    """What the server answers to `octets`; b"" when it hangs up."""
    with control._socket_path(folder) as path:
        reader, writer = await asyncio.open_unix_connection(path)
    with contextlib.closing(writer), contextlib.suppress(ConnectionError):
        writer.write(octets)
        writer.write_eof()
        return await reader.read()
    return b""


def add(folder) -> dict:
    return control.ask(folder, "account add", ALICE, NOW)


def test_a_second_holder_is_refused_with_a_clear_line(tmp_path):
    """Who holds the folder is named, with what to do."""
    with control.lock(tmp_path):
        with pytest.raises(InUseError) as refused, control.lock(tmp_path):
            pass
        assert str(refused.value) == (
            f"{tmp_path} is in use by process {os.getpid()}; stop it first, or name another --data"
        )


def test_a_lock_is_free_again(tmp_path):
    """A folder may be held again after its holder left, whatever it wrote into the file."""
    for _ in range(2):
        with control.lock(tmp_path):
            assert (tmp_path / control.LOCK).read_text() == f"{os.getpid()}\n"


def test_a_lock_makes_the_folder_for_its_owner_alone(tmp_path):
    """A data folder that is not there is made, closed to others."""
    folder = tmp_path / "a" / "b"
    with control.lock(folder):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_an_order_without_a_server_is_carried_out_alone(tmp_path):
    """Without a server the command opens the database itself, and lets go of it."""
    assert add(tmp_path)["address"] == "alice@example.test"
    assert [one["address"] for one in control.ask(tmp_path, "account list", {}, NOW)] == ["alice@example.test"]


def test_an_order_beside_a_server_takes_effect_at_once(tmp_path):
    """A running server carries the order out, and sees what it did."""

    async def both():
        async with serving(tmp_path) as database:
            await ask(tmp_path, "account add", ALICE)
            return await database.read(accounts.everyone)

    assert [one.address for one in asyncio.run(both())] == ["alice@example.test"]


def test_the_socket_is_the_owners_alone_and_goes_with_the_server(tmp_path):
    """The socket has mode 0600; after the server nothing is left of it."""

    async def mode():
        async with serving(tmp_path):
            return (tmp_path / control.SOCKET).stat().st_mode

    found = asyncio.run(mode())
    assert stat.S_ISSOCK(found)
    assert stat.S_IMODE(found) == 0o600
    assert not (tmp_path / control.SOCKET).exists()


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
        dead.bind(str(tmp_path / control.SOCKET))
    assert add(tmp_path)

    async def served():
        async with serving(tmp_path):
            return await ask(tmp_path, "account list", {})

    assert len(asyncio.run(served())) == 1


def test_a_folder_that_stays_held_is_told(tmp_path, monkeypatch):
    """When the folder is held and nobody answers, the command gives up with a clear line."""
    monkeypatch.setattr(control, "WAIT_SECONDS", 0.0)
    with control.lock(tmp_path), pytest.raises(InUseError, match="is in use by process"):
        control.ask(tmp_path, "account list", {}, NOW)


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
    "what seals, and no key": ("domain add", {"domain": "a.test", "fresh": {}}, "this order needs the key"),
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
        control.ask(tmp_path, name, arguments, NOW)

    async def beside():
        async with serving(tmp_path):
            with pytest.raises(OrderError) as refused:
                await ask(tmp_path, name, arguments)
            return str(refused.value)

    assert str(alone.value).startswith(text)
    assert asyncio.run(beside()) == str(alone.value)


def test_what_is_ordered_of_a_server_is_sealed_with_its_key(tmp_path):
    """The keys of a domain are made where they are ordered, sealed where the server is, and open there."""
    sealing, fresh = Sealing(b"k" * 32), fresh_keys()

    async def both():
        async with serving(tmp_path, lambda: sealing) as database:
            await ask(tmp_path, "domain add", {"domain": "a.test", "fresh": fresh})
            return await database.read(lambda connection: register.signing(connection, "a.test", NOW))

    slow, quick = asyncio.run(both())
    assert [key.opened(sealing).algorithm for key in (slow, quick)] == ["rsa-sha256", "ed25519-sha256"]
    assert base64.b64decode(fresh["ed25519"]["private"]) == sealing.open(
        quick.private_key, f"DKIM key {quick.selector}._domainkey.a.test"
    )


def test_an_order_of_another_version_is_answered(tmp_path, capsys):
    """Arguments that the server does not know are told back; nobody waits for ever."""

    async def both():
        async with serving(tmp_path):
            with pytest.raises(OrderError, match="the server could not carry that out"):
                await ask(tmp_path, "account add", ALICE | {"colour": "red"})
            return await ask(tmp_path, "account list", {})

    assert asyncio.run(both()) == []
    assert "broke down" in capsys.readouterr().out


def test_an_order_on_bad_storage_is_answered(tmp_path):
    """A server whose storage failed says so to the command, with the cure."""

    async def both():
        async with serving(tmp_path) as database:
            database.health.latch("disk I/O error")
            with pytest.raises(OrderError, match="storage failed: disk I/O error; mend the disk and restart"):
                await ask(tmp_path, "account add", ALICE)

    asyncio.run(both())


MALFORMED = {
    "nothing": b"",
    "an empty line": b"\n",
    "no JSON": b"GET / HTTP/1.1\r\n\r\n",
    "no UTF-8": b"\xff\xfe\n",
    "a list": b"[]\n",
    "a word": b'"account list"\n',
    "null": b"null\n",
    "no name": b'{"arguments": {}}\n',
    "no arguments": b'{"name": "account list"}\n',
    "arguments of a wrong kind": b'{"name": "account list", "arguments": 5}\n',
    "a name that is a list": b'{"name": [], "arguments": {}}\n',
    "deeply nested": b"[" * 100_000 + b"\n",
    "a line without end": b'{"name": "account list", "arguments": {}',
    "too long a line": b"x" * 5000 + b"\n",
}


def test_malformed_lines_do_not_kill_the_server(tmp_path, monkeypatch, capsys):
    """Whatever comes through the socket, the next order is carried out."""
    monkeypatch.setattr(control, "MAX_LINE", 4096)

    async def all_of_them():
        async with serving(tmp_path):
            for octets in MALFORMED.values():
                answer = await say(tmp_path, octets)
                assert not answer or "error" in json.loads(answer)
                assert await ask(tmp_path, "account list", {}) == []

    asyncio.run(all_of_them())


def test_the_line_of_an_order_needs_no_end(tmp_path):
    """An order without its line end is carried out when the client has said all."""

    async def both():
        async with serving(tmp_path):
            return await say(tmp_path, b'{"name": "account list", "arguments": {}}')

    assert json.loads(asyncio.run(both())) == {"result": []}


def test_every_order_is_asked_for_by_its_words():
    """The orders are those of the command line."""
    words = {" ".join(words) for words in COMMANDS} - {"dev", "serve", "backup"}
    assert ORDERS.keys() | QUESTIONS.keys() == words
