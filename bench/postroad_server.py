"""A running Postroad, of one node or more, with one account and a token, as the load generator wants it."""

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.foreign import cpu_seconds, cpu_seconds_in
from bench.load import Script, Sender, http_script
from postroad.mail.address import domain_of
from tests.running import SEND, Server, running
from tests.torture.cluster import Cluster

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
class Engine:
    """Where Postroad keeps its mail, and by how many processes it is served; each takes mail and sends it."""

    word: str
    nodes: int = 1
    cluster: Cluster | None = None

    @property
    def name(self) -> str:
        """As the table says it."""
        return "SQLite" if self.cluster is None else f"PostgreSQL, {self.nodes} nodes"

    def url(self, database: str) -> str:
        """The URL of a database; "" is the SQLite file."""
        return self.cluster.database(database.replace("-", "_")) if self.cluster else ""

    def cpu_seconds(self) -> float:
        """Processor time that a server beside the nodes has used."""
        return cpu_seconds_in(self.cluster.data) if self.cluster else 0.0


@dataclass(frozen=True)
class Postroad:
    """The nodes, and what a client says to them."""

    engine: Engine
    nodes: tuple[Server, ...]
    token: str

    def sender(self, content: bytes, connections: int) -> Sender:
        """A load generator over so many kept connections."""
        ports = [int(node.url.rsplit(":", 1)[1]) for node in self.nodes]
        return Sender(ports, send_script(self.token, content), connections)

    def cpu_seconds(self) -> float:
        """Processor time the nodes have used, and PostgreSQL."""
        return sum(cpu_seconds(pid) for node in self.nodes for pid in node.pids) + self.engine.cpu_seconds()

    def peak_memory(self) -> int:
        """The most resident memory of the nodes since `forget_peak`, in octets, each at its own peak."""
        return sum(node.peak_memory() for node in self.nodes)

    def forget_peak(self) -> int:
        """Let the peak begin anew; the memory in use now."""
        return sum(node.forget_peak_memory() for node in self.nodes)


@contextlib.contextmanager
def running_postroad(
    folder: Path, relay_port: int, engine: Engine, *flags: str, signed: bool = False
) -> Iterator[Postroad]:
    """`postroad serve` as an operator would start it, relaying to that port, with `flags` beside.

    A new folder gets its account, and keys to sign its mail if it is to be `signed`; one that is there has them.
    """
    new = not folder.exists()
    flags = ("--relay", f"smtp://127.0.0.1:{relay_port}", "--hostname", "postroad.test", *flags)
    if engine.cluster:
        flags = ("--database", engine.url(folder.name), *flags)
    with contextlib.ExitStack() as stack:
        folders = [folder / str(number) for number in range(engine.nodes)] if engine.cluster else [folder]
        nodes = tuple(stack.enter_context(running(one, *flags, command="serve")) for one in folders)
        if new:
            nodes[0].command("account", "add", AUTHOR)
        if new and signed:
            nodes[0].command("domain", "add", domain_of(AUTHOR))
        yield Postroad(engine, nodes, nodes[0].token(AUTHOR))
