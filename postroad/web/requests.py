"""A request: its head as values, its body bounded in octets and in time before anything reads it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from postroad import refusals

Receive = Callable[[], Awaitable[dict[str, Any]]]

# A body may take this long, and longer as far as it keeps this pace: slower than any modem.
GRACE_SECONDS = 10.0
MIN_OCTETS_PER_SECOND = 1024
# After a refusal so much of the body is still read, so that a client in the midst of sending sees the answer.
DRAINED = 64 * 1024 * 1024


@dataclass(slots=True)
class Request:
    """One HTTP request. Header names are in lower case; of repeated ones the last counts.

    `unread`: some of the body may still be on its way. `peer` is the address at the other end, "" if unknown.
    """

    verb: str
    path: str
    raw_path: bytes
    headers: Mapping[bytes, bytes]
    receive: Receive
    unread: bool
    peer: str = ""

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case; "" when there is none."""
        return self.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    async def body(self, limit: int) -> bytearray:
        """All of the body.

        Raises `BodyTooLarge` (as soon as it is known), `BodyTooSlow`, `BodyCutShort` and `UnsupportedEncoding`.
        """
        encoding = self.headers.get(b"content-encoding", b"identity").decode("latin-1").lower()
        if encoding not in ("identity", ""):
            raise refusals.UnsupportedEncoding(encoding=encoding)
        declared = _declared(self.headers.get(b"content-length"))
        if declared > limit:
            raise refusals.BodyTooLarge(f"Content-Length is {declared}, the limit {limit}", limit=limit)
        return await self._read(limit, declared)

    async def _read(self, limit: int, declared: int) -> bytearray:
        """Read into octets set aside before, so that a large body is never in memory twice."""
        octets = bytearray(declared)
        read = 0
        async for piece in self._pieces():
            if read + len(piece) > limit:
                raise refusals.BodyTooLarge(f"the body went on past {limit} octets", limit=limit)
            octets[read : read + len(piece)] = piece
            read += len(piece)
        if read < declared:
            raise refusals.BodyCutShort(f"{read} of {declared} octets came")
        return octets

    async def _pieces(self) -> AsyncIterator[bytes]:
        """What is left of the body, as it comes. Raises `BodyTooSlow`, `BodyCutShort`."""
        read = 0
        started = asyncio.get_running_loop().time()
        while self.unread:
            event = await self._next(started + GRACE_SECONDS + read / MIN_OCTETS_PER_SECOND)
            self.unread = event.get("more_body", False)
            read += len(event["body"])
            yield event["body"]

    async def _next(self, deadline: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout_at(deadline):
                event = await self.receive()
        except TimeoutError:
            self.unread = False  # nobody waits for this client a second time
            raise refusals.BodyTooSlow from None
        if event["type"] == "http.disconnect":
            self.unread = False
            raise refusals.BodyCutShort("the client went away")
        return event

    async def drain(self) -> None:
        """Read and forget what is left of the body, within the bounds of `body`."""
        drained = 0
        with contextlib.suppress(refusals.BodyTooSlow, refusals.BodyCutShort):
            async for piece in self._pieces():
                drained += len(piece)
                if drained > DRAINED:
                    return


def _declared(content_length: bytes | None) -> int:
    """The declared length; 0 when it is not known before. The server in front has refused malformed ones."""
    return int(content_length) if content_length and content_length.isdigit() else 0


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def of(scope: Mapping[str, Any], receive: Receive) -> Request:
    """The request of an ASGI scope."""
    headers = dict(scope["headers"])
    return Request(
        verb=scope["method"],
        path=scope["path"],
        raw_path=scope.get("raw_path") or scope["path"].encode(),
        headers=headers,
        receive=receive,
        unread=_has_body(headers) or scope.get("http_version") == "2",
        peer=(scope.get("client") or ("",))[0],
    )
