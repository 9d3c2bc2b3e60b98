"""Answers in gzip, for clients that can read it (gmail-wire.md 2.7)."""

import asyncio
import re
import zlib
from collections.abc import Mapping
from dataclasses import replace

from postroad.web.responses import Response

LEAST = 1024  # octets; below, a packet is a packet
LARGE = 256 * 1024  # octets; above, the loop does not wait for it
_LEVEL = 1
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
# A coding of Accept-Encoding (RFC 9110 section 12.5.3), unless its weight is 0.
_WANTED = re.compile(
    rb"(?:^|,)[ \t]*(?:x-)?gzip[ \t]*(?:;[ \t]*q=(?!0(?:\.0{0,3})?[ \t]*(?:,|$))[^,]*)?(?:,|$)", re.IGNORECASE
)
_MAX_HEADER = 1024


async def compressed(response: Response, headers: Mapping[bytes, bytes]) -> Response:
    """The answer in gzip, if the client said twice that it can: in Accept-Encoding and in User-Agent."""
    if len(response.body) < LEAST or not _takes_gzip(headers):
        return response
    large = len(response.body) > LARGE
    body = await asyncio.to_thread(_gzipped, response.body) if large else _gzipped(response.body)
    return replace(response, body=body, headers=(*response.headers, (b"content-encoding", b"gzip")))


def _takes_gzip(headers: Mapping[bytes, bytes]) -> bool:
    accepted = headers.get(b"accept-encoding", b"")[:_MAX_HEADER]
    return b"gzip" in headers.get(b"user-agent", b"").lower() and _WANTED.search(accepted) is not None


def _gzipped(body: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP_FORMAT)
    return compressor.compress(body) + compressor.flush()
