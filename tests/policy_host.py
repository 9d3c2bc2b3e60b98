"""A host of MTA-STS policies: an HTTPS server on loopback that says what it is told to."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

from tests.background import in_background

POLICY = "version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n"


def answer(body: bytes | str, *, status: str = "200 OK", kind: str = "text/plain", more: str = "") -> bytes:
    """An HTTP answer."""
    octets = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(octets)}\r\n{more}\r\n"
    return head.encode() + octets


def policy(mode: str = "enforce", mx: str = "mx.a.test") -> bytes:
    """The answer that has a policy."""
    return answer(POLICY.format(mode=mode, mx=mx))


class PolicyHost:
    """Says `says` to each request: first these octets, then, if `endless`, more of the same until it is left."""

    def __init__(self, context: ssl.SSLContext, says: bytes, *, endless: bytes = b"", stall: bool = False) -> None:
        self.says = says
        self.connected = 0
        self.requests: list[bytes] = []
        self._context = context
        self._endless = endless
        self._stall = stall
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        self._tasks.add(asyncio.current_task())
        try:
            with suppress(OSError, EOFError):
                await writer.start_tls(self._context)
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await self._answer(writer)
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.transport.abort()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self.says)
        await writer.drain()
        if self._stall:
            await asyncio.Event().wait()
        while self._endless:
            writer.write(self._endless)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


@contextmanager
def running_host(context: ssl.SSLContext, says: bytes) -> Iterator[PolicyHost]:
    """A host on a thread of its own, for tests without an event loop."""
    with in_background(PolicyHost(context, says), "policy-host") as host:
        yield host
