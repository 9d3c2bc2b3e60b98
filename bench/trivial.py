"""A server that answers every request at once: what the load generator can do when nothing holds it up."""

import multiprocessing
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def _serve(listener: socket.socket, request_size: int) -> None:
    """Count octets, not requests: every `request_size` of them get an answer."""
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    open_: dict[int, list] = {}
    with suppress(KeyboardInterrupt):
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == listener.fileno():
                    connection, _ = listener.accept()
                    poll.register(connection.fileno(), select.EPOLLIN)
                    open_[connection.fileno()] = [connection, 0]
                elif not _answer(open_[descriptor], request_size):
                    poll.unregister(descriptor)
                    open_.pop(descriptor)[0].close()


def _answer(state: list, request_size: int) -> bool:
    connection, missing = state
    octets = connection.recv(65536)
    state[1] = missing + len(octets)
    while state[1] >= request_size:
        connection.sendall(_ANSWER)
        state[1] -= request_size
    return bool(octets)


@contextmanager
def running_trivial(request_size: int) -> Iterator[int]:
    """The port of such a server, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(listener, request_size), daemon=True
        )
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.kill()
            process.join()
