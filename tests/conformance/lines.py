"""Lines to running servers: what rows ask over, and what is known of the server at the other end."""

import contextlib
import gzip
import http.client
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from postroad import control
from postroad.oauth.scopes import SCOPES
from tests.conformance.answers import Answer
from tests.conformance.wire import ALICE, LIST, Ask, letter, message, post
from tests.running import Server, running

# The servers by name, and their flags.
SERVERS = {"sandbox": (), "user quota": ("--user-quota", "1"), "project quota": ("--project-quota", "1")}
# What mailboxes of the sandbox hold before the first row.
STORED = {
    "message": post(
        message(letter("To: carol@example.test", "Subject: First", "Message-ID: <first@example.test>"))
    ),
    "own": post(message(letter(f"To: {ALICE}", "Subject: Note"))),
    "bobs": post(message(), "", "Authorization: Bearer {{bob}}"),
}


@dataclass
class Line:
    """A connection to a server, opened again when the server has closed it; `known` fills templates."""

    server: Server
    known: dict[bytes, bytes] = field(default_factory=dict)
    stream: socket.socket | None = None

    def ask(self, ask: Ask, known: dict[bytes, bytes] | None = None) -> Answer:
        """Send the request's octets, and read one answer."""
        stream = self._connected()
        stream.sendall(ask.octets(known or self.known))
        response = http.client.HTTPResponse(stream, method=ask.verb)
        response.begin()
        body = response.read()
        if response.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        if response.will_close:
            self.close()
        return Answer(response.status, response.reason, response.headers, body)

    def _connected(self) -> socket.socket:
        if self.stream and select.select([self.stream], [], [], 0)[0]:
            self.close()  # the server has hung up, or said more than one answer
        if self.stream is None:
            parts = urlsplit(self.server.url)
            self.stream = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)
        return self.stream

    def close(self) -> None:
        if self.stream:
            self.stream.close()
        self.stream = None

    def order(self, name: str, **arguments: Any) -> Any:
        """Have the running server carry out a command."""
        return control.ask(self.server.data, name, arguments, int(time.time() * 1000))

    def messages(self) -> int:
        """How many messages Alice has."""
        count, page = 0, ""
        while page is not None:
            target = f"{LIST}?maxResults=500{page}"
            found = self.ask(Ask("GET", target, ("Authorization: Bearer {{gmail.readonly}}",))).json
            count += len(found.get("messages", []))
            page = f"&pageToken={found['nextPageToken']}" if "nextPageToken" in found else None
        return count


@contextlib.contextmanager
def line_to(name: str, data: Path) -> Iterator[Line]:
    """A line to a server of that name, with a token for each scope, and for others than Alice."""
    with running(data, *SERVERS[name]) as server, contextlib.closing(Line(server)) as line:
        line.known |= {b"url": server.url.encode(), b"host": urlsplit(server.url).netloc.encode()}
        line.known |= {scope.encode(): _token(line, ALICE, scope) for scope in SCOPES}
        for other in ("bob", "carol", "nobody", "disabled"):
            line.known[other.encode()] = _token(line, f"{other}@example.test", "mail.google.com")
        line.order("account disable", address="disabled@example.test")
        yield line


def _token(line: Line, address: str, scope: str) -> bytes:
    return line.order("token", address=address, scope=[scope], seconds=3600)["token"].encode()


def furnish(line: Line) -> None:
    """Send what is stored from the beginning, and let the line know its ids."""
    for name, ask in STORED.items():
        answer = line.ask(ask)
        assert answer.code == 200, answer
        line.known[name.encode()] = answer.json["id"].encode()
    line.known[b"upper"] = line.known[b"own"].upper()
