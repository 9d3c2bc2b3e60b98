"""Answers, serialised as Google does (gmail-wire.md 2.6, 2.7)."""

import re
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON = b"application/json; charset=UTF-8"
SCRIPT = b"text/javascript; charset=UTF-8"

# The headers on every answer of Google's front end.
_ALWAYS: tuple[Header, ...] = (
    (b"vary", b"Origin"),
    (b"vary", b"X-Origin"),
    (b"vary", b"Referer"),
    (b"server", b"ESF"),
    (b"cache-control", b"private"),
    (b"x-xss-protection", b"0"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
)
# Written as \uXXXX although JSON need not: markup, line separators, and the format characters of Unicode 4.0.
_ESCAPED = re.compile(
    "[<>\x7f-\x9f\xad\u0600-\u0603\u06dd\u070f\u17b4\u17b5\u200b-\u200f\u2028-\u202e\u2060-\u2064\u206a-\u206f"
    "\ufeff\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
_ESCAPED_ASCII = re.compile(b"[<>\x7f]")


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer."""

    code: int
    media_type: bytes
    body: bytes
    headers: tuple[Header, ...] = ()

    async def send(self, send: Send) -> None:
        """Send it to the client. Its own headers stand in the place of those that every answer has."""
        always = _ALWAYS
        if self.headers:
            own = {name for name, _ in self.headers}
            always = tuple(header for header in _ALWAYS if header[0] not in own)
        headers = ((b"content-type", self.media_type), *always, *self.headers)
        await send({"type": "http.response.start", "status": self.code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_response(
    value: Any, code: int = 200, headers: tuple[Header, ...] = (), *, pretty: bool = True
) -> Response:
    """An answer in JSON."""
    return Response(code, JSON, serialise(value, pretty=pretty), headers)


def serialise(value: Any, *, pretty: bool = True) -> bytes:
    """JSON to the byte as Google writes it: UTF-8, some characters escaped.

    Pretty is two-space indent and one line feed at the end; else there is no white space at all.
    """
    octets = msgspec.json.encode(value)
    if pretty:
        octets = msgspec.json.format(octets, indent=2) + b"\n"
    if octets.isascii() and not _ESCAPED_ASCII.search(octets):  # 36 MB in base64 above all
        return octets
    return _ESCAPED.sub(_escape, octets.decode()).encode()


def script(response: Response, function: str) -> Response:
    """JSONP: an answer as the argument of a function, always 200 (gmail-wire.md 2.4).

    The comment in front keeps the octets from being taken for anything but a script; the name is escaped, as a
    refused one is told through itself.
    """
    name = serialise(function, pretty=False)[1:-1]
    return replace(response, code=200, media_type=SCRIPT, body=b"// API callback\n%b(%b);" % (name, response.body))


def _escape(match: re.Match[str]) -> str:
    """A character as its UTF-16 code units: above U+FFFF there are two."""
    return "".join(f"\\u{unit:04x}" for (unit,) in struct.iter_unpack(">H", match[0].encode("utf-16-be")))
