"""Answers, serialised as Google does (gmail-wire.md 2.6, 2.7)."""

import re
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
# Written as \uXXXX although JSON need not: markup, and characters that show as nothing or as something else.
_ESCAPED = re.compile("[<>\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


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
    return (_ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n").encode()
