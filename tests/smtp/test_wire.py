"""Octets over TCP arrive whole, however many at once, and are waited for until a deadline."""

import asyncio
from contextlib import suppress

import pytest

from postroad.smtp.wire import ARRIVED_OCTETS, connect

READ_OCTETS = 256 * 1024  # by asyncio at most, at once


def talk(say, hear):
    """What `hear` makes of a wire to a server that does as `say` with the connection, and closes it."""

    async def run():
        ended = asyncio.Event()

        async def serve(reader, writer):
            with suppress(OSError):
                await say(reader, writer)
                writer.close()
                await writer.wait_closed()
            ended.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            wire = await connect("127.0.0.1", server.sockets[0].getsockname()[1])
            try:
                return await asyncio.wait_for(hear(wire), 10)
            finally:
                wire.abort()
                await wire.gone.wait()
                await asyncio.wait_for(ended.wait(), 10)

    return asyncio.run(run())


def test_a_torrent_arrives_whole():
    """The socket is left alone while much is unread, and is not forgotten when that was read."""
    torrent = bytes(range(256)) * 4096

    async def say(_reader, writer):
        writer.write(torrent)
        await writer.drain()

    async def hear(wire):
        heard, most = b"", 0
        while len(heard) < len(torrent):
            octets = await wire.read(asyncio.get_running_loop().time() + 5)
            heard, most = heard + octets, max(most, len(octets))
            for _turn in range(100):  # in which more would be read
                await asyncio.sleep(0)
        with pytest.raises(ConnectionError, match="closed by the server"):
            await wire.read(asyncio.get_running_loop().time() + 5)
        return heard, most

    heard, most = talk(say, hear)
    assert heard == torrent
    assert ARRIVED_OCTETS < most <= ARRIVED_OCTETS + READ_OCTETS


def test_a_wait_ends_at_its_deadline():
    """Nothing arrives: TimeoutError, at once if the deadline is past; and the wire can be read all the same."""

    async def say(reader, writer):
        await reader.readline()
        writer.write(b"here")

    async def hear(wire):
        now = asyncio.get_running_loop().time()
        for deadline in (now - 1, now + 0.05):
            with pytest.raises(TimeoutError):
                await wire.read(deadline)
        assert asyncio.get_running_loop().time() >= now + 0.04
        wire.write(b"now\n")
        return await wire.read(now + 5)

    assert talk(say, hear) == b"here"
