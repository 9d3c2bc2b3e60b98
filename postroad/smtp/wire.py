"""Octets over TCP and TLS: asyncio's callbacks on one side, one session that reads and writes on the other.

Not asyncio's streams: they cannot tell whether something has arrived, and what arrived in plaintext they keep
across the start of TLS (the injection of RFC 3207's many implementations).
"""

import asyncio
import os
import socket
import ssl
from contextlib import suppress
from typing import Self, cast

ARRIVED_OCTETS = 64 * 1024  # unread, before the socket is left alone: more than 500 pipelined replies

# Seconds idle, seconds between probes, probes: a peer that vanished is noticed within three minutes.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}


class Wire(asyncio.Protocol):
    """The octets of one TCP or TLS connection. What was over TCP before is another wire's."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._arrived = b""
        self._end: Exception | None = None
        self._news: asyncio.Future[None] | None = None  # what a reader waits for
        self._room = asyncio.Event()
        self._room.set()
        self.gone = asyncio.Event()
        self.tls: ssl.SSLObject | None = None  # the TLS layer; None over bare TCP

    @property
    def stirred(self) -> bool:
        """Octets have arrived, or the end of them."""
        return bool(self._arrived) or self._end is not None

    async def read(self, deadline: float) -> bytes:
        """Wait for octets, until `deadline` in the time of the loop; OSError when there will be none by then."""
        if not self.stirred:
            # One future and one timer: an event under a timeout is several of each, and this is waited for most.
            self._news = self._loop.create_future()
            timer = self._loop.call_at(deadline, _time_out, self._news)
            try:
                await self._news
            finally:
                timer.cancel()
        if self._end is not None and not self._arrived:
            raise self._end
        octets, self._arrived = self._arrived, b""
        if self._end is None and len(octets) > ARRIVED_OCTETS:
            self._connected.resume_reading()
        return octets

    def _stir(self) -> None:
        if self._news and not self._news.done():
            self._news.set_result(None)

    def write(self, octets: bytes) -> None:
        """Send, if there still is somebody; whoever waits for the reply learns that there is not."""
        if self._end is None:
            self._connected.write(octets)

    async def drain(self) -> None:
        """Wait for room to write more; what has arrived in the meantime is seen first."""
        await asyncio.sleep(0)
        await self._room.wait()

    async def secured(
        self, context: ssl.SSLContext, server_hostname: str, *, handshake: float, shutdown: float
    ) -> Self:
        """A new wire over TLS on the same socket, given so many seconds for its handshake and its end."""
        wire = type(self)()
        transport = await self._loop.start_tls(
            self._connected,
            wire,
            context,
            server_hostname=server_hostname,
            ssl_handshake_timeout=handshake,
            ssl_shutdown_timeout=shutdown,
        )
        if transport is None:
            raise ConnectionError("the connection was closed")
        wire.connection_made(transport)
        return wire

    def abort(self) -> None:
        """Close at once; `gone` follows."""
        self._end = self._end or ConnectionError("the connection was closed by us")
        if self._transport is None:
            self.gone.set()
        else:
            self._transport.abort()

    @property
    def _connected(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionError("not connected")
        return self._transport

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self.tls = transport.get_extra_info("ssl_object")

    def data_received(self, data: bytes) -> None:
        """Keep what arrives, up to a bound."""
        self._arrived += data
        if self._transport and len(self._arrived) > ARRIVED_OCTETS:
            self._transport.pause_reading()
        self._stir()

    def eof_received(self) -> None:
        """Nothing more will arrive; asyncio then closes the connection."""
        self._end = self._end or ConnectionError("the connection was closed by the server")
        self._stir()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits."""
        if exc is not None and self._transport and not self._transport.get_extra_info("sslcontext"):
            self._read_last_words(self._transport)
        self._end = self._end or exc or ConnectionError("the connection was closed")
        self._stir()
        self._room.set()
        self.gone.set()

    def _read_last_words(self, transport: asyncio.Transport) -> None:
        """After a failed write asyncio reads no more, yet the refusal that explains it may have arrived."""
        descriptor: int = transport.get_extra_info("socket").fileno()  # asyncio and uvloop close it after us
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as twin:
            self._arrived += twin.recv(ARRIVED_OCTETS, socket.MSG_DONTWAIT)

    def pause_writing(self) -> None:
        """The server reads slowly."""
        self._room.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._room.set()


def _time_out(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_exception(TimeoutError())


async def connect(host: str, port: int) -> Wire:
    """Open a TCP connection; OSError or UnicodeError when it cannot be."""
    transport, wire = await asyncio.get_running_loop().create_connection(Wire, host, port)
    _tune(transport.get_extra_info("socket"))
    return wire


def _tune(plain: socket.socket) -> None:
    """Send what is written at once, and notice a peer that has vanished."""
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, amount in _KEEPALIVE.items():
        if option := getattr(socket, name, None):  # Linux has them all
            plain.setsockopt(socket.IPPROTO_TCP, option, amount)
