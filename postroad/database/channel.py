"""A socket between two processes of ours; what passes are octets, or values, pickled as both are one program."""

import pickle
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

# What the kernel may hold for one end: the rows of many small messages.
KERNEL_OCTETS = 4 << 20
_SIZE = struct.Struct("!I")


def framed(octets: bytes) -> bytes:
    """What to write for octets that are to come whole."""
    return _SIZE.pack(len(octets)) + octets


def packed(value: Any) -> bytes:
    """What to write for a value."""
    return framed(pickle.dumps(value, 5))


class Channel:
    """One end. Its methods block; any thread may send, one receives."""

    def __init__(self, end: socket.socket) -> None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_OCTETS)
        self.end = end
        self._incoming: Any = end.makefile("rb", 1 << 16)
        self._sending = threading.Lock()

    def send(self, value: Any) -> None:
        """Pass a value on. Raises OSError when the other end is gone."""
        self.write(packed(value))

    def write(self, octets: bytes) -> None:
        """Pass on what was framed. Raises as `send`."""
        with self._sending:
            self.end.sendall(octets)

    def receive(self) -> Any:
        """The next value. Raises `EOFError` or OSError when the other end is gone."""
        return pickle.loads(self.receive_octets())  # noqa: S301 - of our own

    def receive_octets(self) -> bytes:
        """The next octets that were framed. Raises as `receive`."""
        (size,) = _SIZE.unpack(self._read(_SIZE.size))
        return self._read(size)

    def _read(self, size: int) -> bytes:
        octets: bytes = self._incoming.read(size)
        if len(octets) < size:
            raise EOFError("the other process is gone")
        return octets

    def left(self) -> bytes:
        """What came behind the last value received. The end blocks no more by then."""
        octets: bytes = self._incoming.peek()
        return octets

    def close(self) -> None:
        """Let go of it."""
        self._incoming.close()
        self.end.close()


class Channels(NamedTuple):
    """One end of both channels of a database: for rows to insert, and for the statements of transactions."""

    rows: Channel
    statements: Channel

    def close(self) -> None:
        """Let go of both."""
        self.rows.close()
        self.statements.close()


def pair() -> tuple[Channels, Channels]:
    """Both ends of both."""
    rows, statements = socket.socketpair(), socket.socketpair()
    ours, theirs = (Channels(*map(Channel, ends)) for ends in zip(rows, statements, strict=True))
    return ours, theirs


class Incoming:
    """Takes what arrives as it comes, for who must not wait for it: a value that came whole is `heeded`."""

    def __init__(self, heed: Callable[[Any], None]) -> None:
        self._heed = heed
        self._octets = bytearray()

    def feed(self, octets: bytes) -> None:
        """The next octets."""
        self._octets += octets
        while len(self._octets) >= _SIZE.size:
            end = _SIZE.size + _SIZE.unpack_from(self._octets)[0]
            if len(self._octets) < end:
                return
            text = bytes(self._octets[_SIZE.size : end])
            del self._octets[:end]
            self._heed(pickle.loads(text))  # noqa: S301 - of our own
