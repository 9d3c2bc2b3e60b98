"""Answers, serialised as Google does (gmail-wire.md 2.6, 2.7)."""

import re
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON = b"application/json; charset=UTF-8"

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


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer."""

    code: int
    media_type: bytes
    body: bytes
    headers: tuple[Header, ...] = ()

    async def send(self, send: Send) -> None:
        """Send it to the client."""
        headers = ((b"content-type", self.media_type), *_ALWAYS, *self.headers)
        await send({"type": "http.response.start", "status": self.code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_response(value: Any, code: int = 200, headers: tuple[Header, ...] = ()) -> Response:
    """An answer in JSON: two-space indent, one line feed at the end."""
    return Response(code, JSON, serialise(value), headers)


def serialise(value: Any) -> bytes:
    """JSON to the byte as Google writes it: UTF-8, indented, with some characters escaped."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return (_ESCAPED.sub(_escape, text) + "\n").encode()


def _escape(match: re.Match[str]) -> str:
    """A character as its UTF-16 code units: above U+FFFF there are two."""
    return "".join(f"\\u{unit:04x}" for (unit,) in struct.iter_unpack(">H", match[0].encode("utf-16-be")))
