"""Lines to running servers: what rows ask over, and what is known of the server at the other end."""

import contextlib
import gzip
import http.client
import json
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from postroad.control import asking
from postroad.oauth.scopes import SCOPES
from postroad.settings import Settings
from tests.conformance.answers import Answer
from tests.conformance.wire import ALICE, FORM, LIST, Ask, letter, message, post
from tests.jws_kit import Signer, compact
from tests.running import Server, running

# The servers by name, and their flags.
SERVERS = {"sandbox": (), "user quota": ("--user-quota", "1"), "project quota": ("--project-quota", "1")}
CREDENTIALS = ("authorized_user", "service_account")
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
        return asking.ask(Settings(data=str(self.server.data)), name, arguments, int(time.time() * 1000))

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
        for other in ("bob", "carol", "dora", "nobody", "disabled"):
            line.known[other.encode()] = _token(line, f"{other}@example.test", "mail.google.com")
        line.order("account disable", address="disabled@example.test")
        yield line


def _token(line: Line, address: str, scope: str) -> bytes:
    return line.order("token", address=address, scope=[scope], seconds=3600)["token"].encode()


def _authorize(line: Line) -> None:
    """Let the line know the credentials in the sandbox's files, and tokens of a service account for nobody."""
    files = {name: json.loads((line.server.data / f"{name}.json").read_text()) for name in CREDENTIALS}
    user, robot = files["authorized_user"], files["service_account"]
    line.known |= {b"client": user["client_id"].encode(), b"secret": user["client_secret"].encode()}
    line.known |= {b"refresh": user["refresh_token"].encode()}
    line.known |= {b"robot": _granted(line, _assertion(robot, scope=SCOPES["gmail.send"]))}
    line.known |= {
        b"jwt": _assertion(robot, sub=robot["client_email"], aud="https://gmail.googleapis.com/").encode()
    }


def _assertion(robot: dict[str, str], **claims: str) -> str:
    now = int(time.time())
    told = {"iss": robot["client_email"], "aud": robot["token_uri"], "iat": now, "exp": now + 3600}
    key = load_pem_private_key(robot["private_key"].encode(), None)
    return compact({"alg": "RS256", "typ": "JWT"}, told | claims, Signer(key).rs())


def _granted(line: Line, assertion: str) -> bytes:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    answer = line.ask(Ask("POST", "/token", (FORM,), urlencode(form).encode()))
    return answer.json["access_token"].encode()


def furnish(line: Line) -> None:
    """Send what is stored from the beginning, and let the line know its ids; credentials, too."""
    _authorize(line)
    for name, ask in STORED.items():
        answer = line.ask(ask)
        assert answer.code == 200, answer
        line.known[name.encode()] = answer.json["id"].encode()
    line.known[b"upper"] = line.known[b"own"].upper()
