"""The load generator: many kept connections on one thread, prepared octets, no library between.

It speaks whatever a list of exchanges says, HTTP or SMTP, so that both servers are asked by the same program.
"""

import re
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice

# Longest silence of a server under load before the measurement is given up.
PATIENCE = 60.0
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


class UnexpectedAnswerError(Exception):
    """The server said something else than yes; a figure that counts it would be worthless."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Octets to send, and whether what came back is the whole answer."""

    request: bytes
    answered: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Script:
    """What a connection says once, and then for each message."""

    opening: tuple[Exchange, ...]
    message: tuple[Exchange, ...]


def http_script(path: str, headers: dict[str, str], body: bytes) -> Script:
    """One POST for each message."""
    lines = [f"POST {path} HTTP/1.1", "Host: bench", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return Script((), (Exchange("\r\n".join([*lines, "", ""]).encode() + body, _ok),))


def _ok(octets: bytes) -> bool:
    head, found, body = octets.partition(b"\r\n\r\n")
    if not found:
        return False
    length = _LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None:
        raise UnexpectedAnswerError(octets.decode("latin-1"))
    return len(body) >= int(length[1])


def smtp_script(author: str, recipient: str, content: bytes) -> Script:
    """MAIL, RCPT and DATA in one go (RFC 2920), then the content: two round trips for each message."""
    envelope = f"MAIL FROM:<{author}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()
    wire = content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    opening = (Exchange(b"", _replies(b"220")), Exchange(b"EHLO bench.test\r\n", _replies(b"250")))
    return Script(
        opening, (Exchange(envelope, _replies(b"250", b"250", b"354")), Exchange(wire, _replies(b"250")))
    )


def _replies(*codes: bytes) -> Callable[[bytes], bool]:
    """Whether so many whole replies have come; each must have its code."""

    def answered(octets: bytes) -> bool:
        if not octets.endswith(b"\n"):
            return False
        last_lines = [line for line in octets.splitlines() if line[3:4] != b"-"]
        if any(line[:3] != code for line, code in zip(last_lines, codes, strict=False)):
            raise UnexpectedAnswerError(octets.decode("latin-1"))
        return len(last_lines) >= len(codes)

    return answered


@dataclass(slots=True)
class _Session:
    """One connection and how far it has come."""

    connection: socket.socket
    began_at: float = 0.0
    _left: list[Exchange] = field(default_factory=list)
    _heard: bytes = b""

    def begin(self, exchanges: Sequence[Exchange], began_at: float) -> None:
        self.began_at = began_at
        self._left = list(reversed(exchanges))
        self._say()

    def hear(self) -> bool:
        """Read what has come; whether the last exchange has its answer."""
        octets = self.connection.recv(65536)
        if not octets:
            raise UnexpectedAnswerError(f"the server hung up after {self._heard!r}")
        self._heard = self._heard + octets if self._heard else octets
        if not self._left[-1].answered(self._heard):
            return False
        self._heard = b""
        self._left.pop()
        if self._left:
            self._say()
        return not self._left

    def _say(self) -> None:
        if request := self._left[-1].request:
            self.connection.sendall(request)


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a run. Seconds; latencies run from the moment a message was due to be sent."""

    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Messages per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """The latency that so many per cent of the messages did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


class Generator:
    """Open connections to one server, over which messages are sent as often as wanted."""

    def __init__(self, sessions: dict[int, _Session], script: Script) -> None:
        self._sessions = sessions
        self._script = script
        self._descriptors = list(sessions)

    def send(self, messages: int, rate: float | None = None) -> Load:
        """Send so many: each connection its next at once, or all together `rate` a second.

        At a fixed rate a message that finds no free connection waits, and its wait counts (no coordinated
        omission).
        """
        free, latencies, begun = list(self._sessions.values()), [], 0
        started = time.perf_counter()
        while len(latencies) < messages:
            now = time.perf_counter()
            while free and begun < messages and (rate is None or started + begun / rate <= now):
                due = now if rate is None else started + begun / rate
                free.pop().begin(self._script.message, due)
                begun += 1
            waits = rate is not None and free and begun < messages
            for session in self._stirred(max(started + begun / rate - now, 0) if waits and rate else None):
                if session.hear():
                    latencies.append(time.perf_counter() - session.began_at)
                    free.append(session)
        return Load(time.perf_counter() - started, latencies)

    def _stirred(self, until_next: float | None) -> list[_Session]:
        """Those that have something to read; select, as its timeout counts microseconds."""
        ready, _, _ = select.select(self._descriptors, (), (), PATIENCE if until_next is None else until_next)
        if not ready and until_next is None:
            raise UnexpectedAnswerError(f"no answer for {PATIENCE:.0f} seconds")
        return [self._sessions[descriptor] for descriptor in ready]


@contextmanager
def connected(ports: Sequence[int], script: Script, connections: int) -> Iterator[Generator]:
    """A generator with so many connections to a server on this machine, or to several, each past the opening."""
    with ExitStack() as stack:
        sessions = {}
        for port in islice(cycle(ports), connections):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = sessions[connection.fileno()] = _Session(connection)
            session.begin(script.opening, 0.0) if script.opening else None
            while script.opening and not session.hear():
                pass
        yield Generator(sessions, script)


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends messages to a server, or to several in equal parts, over connections that are fresh for each round.

    Kept from round to round they would be idle while the other side is measured; Postroad closes such after 10 s.
    """

    ports: Sequence[int]
    script: Script
    connections: int

    def send(self, messages: int, rate: float | None = None) -> Load:
        """Send so many; connecting is not measured."""
        with connected(self.ports, self.script, self.connections) as generator:
            return generator.send(messages, rate)
