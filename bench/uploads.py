"""(f) Eight uploads of the largest size at once, beside copying the same octets over loopback to synced files."""

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from bench.figures import Round, Row, interleaved, middle
from bench.foreign import silent_server
from bench.load import PATIENCE, UnexpectedAnswerError
from bench.postroad_server import message
from bench.sections import MEBIBYTE, Field

AT_ONCE = 8
COPY = "the same octets copied to synced files"
_UPLOAD = "/upload/gmail/v1/users/me/messages/send?uploadType=media"
_DONE = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_PIECE = 256 * 1024


def uploads(field: Field) -> Iterator[Row]:
    """Their speed, a ratio to the copy's, and the memory they cost over idle."""
    content = message(field.extent.uploaded)
    field.tell(f"(f) {AT_ONCE} uploads of {len(content)} octets at once")
    quick_stop = ("--drain-seconds", "1")
    with (
        silent_server() as silent,
        field.running("uploads", silent, *quick_stop) as postroads,
        running_copier(field.folder) as copier,
    ):
        sides: dict[str, Round] = {}
        for name, postroad in postroads.items():
            ports = [int(node.url.rsplit(":", 1)[1]) for node in postroad.nodes]
            sides[name] = partial(_speed, ports, _request(content, postroad.token))
        sides[COPY] = partial(_speed, [copier], _request(content, ""))
        idle = {name: postroad.forget_peak() for name, postroad in postroads.items()}
        found = interleaved(field.extent.rounds, sides, field.tell)
        memory = {name: (one.peak_memory() - idle[name]) / MEBIBYTE for name, one in postroads.items()}
    speeds = middle(found)
    for name in postroads:
        rounds = {side: found[side] for side in (name, COPY)}
        yield Row(
            f"{AT_ONCE} uploads at once", "MiB/s", speeds[name], speeds[COPY], COPY, rounds=rounds, engine=name
        )
        yield Row(f"memory over idle for {AT_ONCE} uploads", "MiB", memory[name], engine=name)


def _request(content: bytes, token: str) -> bytes:
    lines = [f"POST {_UPLOAD} HTTP/1.1", "Host: bench", f"Content-Length: {len(content)}"]
    lines += [f"Authorization: Bearer {token}", "Content-Type: message/rfc822", "", ""]
    return "\r\n".join(lines).encode() + content


def _speed(ports: list[int], request: bytes) -> float:
    """MiB a second, until the last answer."""
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda number: _send(ports[number % len(ports)], request), range(AT_ONCE)))
    return AT_ONCE * len(request) / MEBIBYTE / (time.perf_counter() - began)


def _send(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(request)
        answer = connection.recv(_PIECE)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise UnexpectedAnswerError(answer.decode("latin-1"))


@contextmanager
def running_copier(folder: Path) -> Iterator[int]:
    """The port of a server, in a process of its own, that writes what comes to a file, syncs it and says yes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(
            target=_copy_all, args=(listener, folder), daemon=True
        )
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.kill()
            process.join()


def _copy_all(listener: socket.socket, folder: Path) -> None:
    with suppress(KeyboardInterrupt):
        while True:
            connection, _ = listener.accept()
            file = folder / f"copy-{connection.fileno()}"
            threading.Thread(target=_copy, args=(connection, file), daemon=True).start()


def _copy(connection: socket.socket, file: Path) -> None:
    """One request; its length stands in its head, which is copied, too."""
    with connection, file.open("wb", buffering=0) as copy:
        piece = connection.recv(_PIECE)
        head, _, _ = piece.partition(b"\r\n\r\n")
        left = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]) + len(head) + 4
        while piece:
            copy.write(piece)
            left -= len(piece)
            piece = connection.recv(_PIECE) if left else b""
        os.fsync(copy.fileno())
        connection.sendall(_DONE)
