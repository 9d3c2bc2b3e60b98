"""A request: its head as values, its body bounded in octets and in time before anything reads it."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from postroad import refusals
from postroad.web.body_memory import SMALL, Share
from postroad.web.inflating import Inflating, most
from postroad.web.patience import within

Receive = Callable[[], Awaitable[dict[str, Any]]]

# A body may take this long, and longer as far as it keeps this pace: slower than any modem. One that holds memory
# which others wait for must be quicker (`Share.pace`).
GRACE_SECONDS = 10.0
MIN_OCTETS_PER_SECOND = 1024
# After the answer so much of the body is still read, and for so long: for clients that send all before they look.
DRAINED = 64 * 1024 * 1024
DRAINED_SECONDS = 30.0
# Whether a body so encoded is compressed; RFC 9110 section 8.4.1.3 has x-gzip for gzip.
_COMPRESSED = {b"": False, b"identity": False, b"gzip": True, b"x-gzip": True}
_UNKNOWN = -1
# Host = uri-host [ ":" port ] (RFC 9110 section 7.2): the characters of an RFC 3986 host, which is never empty.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]{1,261}")


@dataclass(slots=True)
class Request:
    """One HTTP request. Header names are in lower case; of repeated ones the last counts.

    `unread`: some of the body may still be on its way. `peer` is the address at the other end, "" if unknown.
    `share`: what the body holds of the memory that all have together; `None`, if it is elsewhere already.
    """

    verb: str
    path: str
    raw_path: bytes
    headers: Mapping[bytes, bytes]
    receive: Receive
    unread: bool
    peer: str = ""
    share: Share | None = None
    _came: int = field(default=0, init=False)
    _waited: float = field(default=0.0, init=False)
    _length: int = field(default=_UNKNOWN, init=False)

    def __post_init__(self) -> None:
        """Read how long the body will be, if that is told. The server in front has refused malformed lengths."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and b"transfer-encoding" not in self.headers:
            self._length = int(declared)

    @property
    def media_type(self) -> str:
        """The Content-Type without its parameters, in lower case; "" when there is none."""
        return self.headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    async def body(self, limit: int) -> bytes | bytearray:
        """All of the body, inflated: at most `limit` octets.

        Raises what `pieces` raises, and `MemoryTaken` when there is no room for it beside the others.
        """
        if self._refuse_at_once(limit) or self._length == _UNKNOWN:
            return await self._grown(limit)
        if self._length > SMALL:
            await self._hold(self._length)
        first = await self._next()
        if len(first) == self._length:
            return first
        octets = bytearray(self._length)  # set aside before: a large one is never in memory twice
        read = len(first)
        octets[:read] = first
        while self.unread:
            piece = await self._next()
            octets[read : read + len(piece)] = piece
            read += len(piece)
        self._refuse_cut_short()
        return octets

    async def pieces(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it comes, inflated; no piece is empty, and together they are at most `limit` octets.

        Raises `BodyTooLarge` (as soon as it is known), `BodyTooSlow`, `BodyCutShort`, `BadCompression` and
        `UnsupportedEncoding`.
        """
        compressed = self._refuse_at_once(limit)
        read = 0
        async for piece in self._inflated(limit) if compressed else self._octets():
            read += len(piece)
            if read > limit:
                raise refusals.BodyTooLarge(f"the body went on past {limit} octets", limit=limit)
            yield piece
        self._refuse_cut_short()

    async def streamed(self, limit: int, held: int) -> AsyncIterator[bytes]:
        """`pieces`, for who has up to `held` octets of them in memory: room for these is held, if they are many.

        Raises what `pieces` raises, and `MemoryTaken`.
        """
        read = 0
        async for piece in self.pieces(limit):
            read += len(piece)
            if read > SMALL:
                await self._hold(held)
            yield piece

    async def drain(self) -> None:
        """Read and forget what is left of the body, at the pace of `pieces`; who is quick may pass the bound."""
        if self.share:
            self.share.release()
        time = asyncio.get_running_loop().time
        end = time() + DRAINED_SECONDS
        drained = 0
        with contextlib.suppress(refusals.BodyTooSlow, refusals.BodyCutShort):
            while octets := await self._next():
                drained += len(octets)
                if drained > DRAINED and time() > end:
                    return

    async def _grown(self, limit: int) -> bytearray:
        """A body of unknown length: once it is not small, it may be as long as the limit."""
        octets = bytearray()
        async for piece in self.pieces(limit):
            if len(octets) + len(piece) > SMALL:
                await self._hold(limit)
            octets += piece
        await self._hold(len(octets))
        return octets

    async def _hold(self, octets: int) -> None:
        if self.share:
            await self.share.hold(octets)

    def _refuse_at_once(self, limit: int) -> bool:
        """Whether the body is compressed. Raises what its head already tells."""
        transfer = self.headers.get(b"transfer-encoding", b"chunked")
        if transfer.lower() != b"chunked":  # the server in front undoes that one, and leaves others to us
            text = transfer.decode("latin-1").lower()
            raise refusals.UnsupportedEncoding(f"Transfer-Encoding: {text}", encoding=text)
        encoding = self.headers.get(b"content-encoding", b"")
        compressed = _COMPRESSED.get(encoding.lower())
        if compressed is None:
            raise refusals.UnsupportedEncoding(encoding=encoding.decode("latin-1").lower())
        if self._length > (most(limit) if compressed else limit):
            raise refusals.BodyTooLarge(f"Content-Length is {self._length}, the limit {limit}", limit=limit)
        return compressed

    def _refuse_cut_short(self) -> None:
        if self._came < self._length:
            raise refusals.BodyCutShort(f"{self._came} of {self._length} octets came")

    async def _inflated(self, limit: int) -> AsyncIterator[bytes]:
        """The body, inflated. Others have their turn between the pieces, as a few octets may make many."""
        inflating = Inflating()
        async for octets in self._octets():
            if self._came > most(limit):  # and yet it makes nothing
                raise refusals.BodyTooLarge(f"the compressed body went on past {most(limit)} octets", limit=limit)
            for piece in inflating.pieces(octets):
                if piece:
                    yield piece
                await asyncio.sleep(0)
        inflating.end()

    async def _octets(self) -> AsyncIterator[bytes]:
        while octets := await self._next():
            yield octets

    async def _next(self) -> bytes:
        """The next octets of the body as it travels, b"" at its end. Raises `BodyTooSlow`, `BodyCutShort`.

        Only the time that we wait counts against the client, not what we do in between.
        """
        while self.unread:
            try:
                event, waited = await within(self._patience, self.receive)
            except TimeoutError:
                self.unread = False  # nobody waits for this client a second time
                raise refusals.BodyTooSlow from None
            if event["type"] == "http.disconnect":
                self.unread = False
                raise refusals.BodyCutShort("the client went away")
            self._waited += waited
            octets: bytes = event["body"]
            self._came += len(octets)
            # A body of a known length needs no event that says so: that would be another turn of the loop.
            self.unread = event.get("more_body", False) and self._came != self._length
            if octets:
                return octets
        return b""

    def _patience(self) -> float:
        """Seconds for which the next octets may let us wait, as things are now."""
        pace = max(MIN_OCTETS_PER_SECOND, self.share.pace if self.share else 0)
        return GRACE_SECONDS + self._came / pace - self._waited


def names_host(scope: Mapping[str, Any]) -> bool:
    """Whether a request names the one host it is for (RFC 9112 section 3.2); in HTTP/1.0 it need not name any."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) == 1 and _HOST.fullmatch(hosts[0]):
        return True
    return scope["http_version"] in ("1", "1.0") and hosts in ([], [b""])  # Granian adds that one


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def of(scope: Mapping[str, Any], receive: Receive) -> Request:
    """The request of an ASGI scope."""
    headers = dict(scope["headers"])
    if b"cookie" in headers:  # which HTTP/2 may bring in several lines (RFC 9113 section 8.2.3)
        headers[b"cookie"] = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    return Request(  # by position, which costs half as much, as one is made for each request
        scope["method"],
        scope["path"],
        scope.get("raw_path") or scope["path"].encode(),
        headers,
        receive,
        _has_body(headers) or scope.get("http_version") == "2",
        (scope.get("client") or ("",))[0],
        scope.get("share"),
    )
