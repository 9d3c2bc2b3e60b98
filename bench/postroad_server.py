"""A running Postroad with one account and a token, as the load generator wants it."""

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.foreign import cpu_seconds
from bench.load import Script, Sender, http_script
from tests.running import SEND, Server, running

AUTHOR = "alice@bench.test"
RECIPIENT = "bob@bench.example"


def message(size: int = 2048) -> bytes:
    """An ordinary message of that size, complete, so that neither server has to add much."""
    header = (
        f"From: Alice <{AUTHOR}>\r\nTo: Bob <{RECIPIENT}>\r\nSubject: A message of {size} octets\r\n"
        "Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@bench.test>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
    ).encode()
    lines = (b"The quick brown fox jumps over the lazy dog, seventy octets to a line.\r\n" * (size // 72 + 1))[
        :size
    ]
    return header + lines[: size - len(header) - 2] + b"\r\n"


def send_script(token: str, content: bytes) -> Script:
    """users.messages.send of this content, as JSON."""
    body = json.dumps({"raw": base64.urlsafe_b64encode(content).decode()}).encode()
    return http_script(SEND, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, body)


@dataclass(frozen=True)
class Postroad:
    """The server, and what a client says to it."""

    server: Server
    token: str

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server.url.rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        """Its process."""
        return self.server.process.pid

    def sender(self, content: bytes, connections: int) -> Sender:
        """A load generator over so many kept connections."""
        return Sender(self.port, send_script(self.token, content), connections)

    def cpu_seconds(self) -> float:
        """Processor time it has used."""
        return cpu_seconds(self.pid)

    def peak_memory(self) -> int:
        """The most resident memory since `forget_peak`, in octets."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0

    def forget_peak(self) -> int:
        """Let the peak begin anew (proc(5), clear_refs); the memory in use now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self.peak_memory()


@contextlib.contextmanager
def running_postroad(folder: Path, relay_port: int, *flags: str) -> Iterator[Postroad]:
    """`postroad serve` as an operator would start it, relaying to that port, with `flags` beside."""
    flags = ("--relay", f"smtp://127.0.0.1:{relay_port}", "--hostname", "postroad.test", *flags)
    with running(folder, *flags, command="serve") as server:
        if AUTHOR not in server.command("account", "list", "--json"):
            server.command("account", "add", AUTHOR)
        yield Postroad(server, server.token(AUTHOR))
