"""The running server's socket: who may order, what is carried out, and what else comes through it."""

import asyncio
import base64
import contextlib
import json
import stat

import pytest

from postroad.control import answering
from postroad.control.folder import SOCKET, socket_path
from postroad.domains import register
from postroad.orders.domains import fresh_keys
from postroad.orders.errors import OrderError
from tests.control_kit import ALICE, NOW, SEALING, ask, serving


async def say(folder, octets: bytes) -> bytes:
    """What the server answers to `octets`; b"" when it hangs up."""
    with socket_path(folder) as path:
        reader, writer = await asyncio.open_unix_connection(path)
    with contextlib.closing(writer), contextlib.suppress(ConnectionError):
        writer.write(octets)
        writer.write_eof()
        return await reader.read()
    return b""


def test_the_socket_is_the_owners_alone_and_goes_with_the_server(tmp_path):
    """The socket has mode 0600; after the server nothing is left of it."""

    async def mode():
        async with serving(tmp_path):
            return (tmp_path / SOCKET).stat().st_mode

    found = asyncio.run(mode())
    assert stat.S_ISSOCK(found)
    assert stat.S_IMODE(found) == 0o600
    assert not (tmp_path / SOCKET).exists()


def test_what_is_ordered_of_a_server_is_sealed_with_its_key(tmp_path):
    """The keys of a domain are made where they are ordered, sealed where the server is, and open there."""
    fresh = fresh_keys()

    async def both():
        async with serving(tmp_path) as database:
            await ask(tmp_path, "domain add", {"domain": "a.test", "fresh": fresh})
            return await database.read(lambda connection: register.signing(connection, "a.test", NOW))

    slow, quick = asyncio.run(both())
    assert [key.opened(SEALING).algorithm for key in (slow, quick)] == ["rsa-sha256", "ed25519-sha256"]
    assert base64.b64decode(fresh["ed25519"]["private"]) == SEALING.open(
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
    monkeypatch.setattr(answering, "MAX_LINE", 4096)

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
