"""The foreign programs: a private Postfix, its `smtp-source` and `smtp-sink`; all in Debian's package postfix."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.postfix import await_greeting, found_program, free_port, started

PACKAGE = "postfix"
PROGRAMS = ("postfix", "smtp-source", "smtp-sink")
CONNECTIONS = 32

# One door keeps what it accepts in the hold queue, the other relays it.
_HOLD = "-o smtpd_client_restrictions=static:HOLD"
# Nothing about durability or concurrency is changed. The one concession is to Postfix: `in_flow_delay` would hold
# back every accepted message for a second while none of them is delivered.
_RELAYING = "relayhost = [127.0.0.1]:{sink}\nin_flow_delay = 0\n"


class MissingError(Exception):
    """Something this machine lacks; the text says what, and how to get it."""


def require() -> None:
    """Raise `MissingError` unless the foreign programs can be run."""
    missing = [name for name in PROGRAMS if found_program(name) is None]
    if missing:
        raise MissingError(f"{', '.join(missing)} not found; Debian: apt install {PACKAGE}")
    if os.geteuid():
        raise MissingError("Postfix starts only as root; run this as root, in a container for example")


def _program(name: str) -> str:
    found = found_program(name)
    if found is None:
        raise MissingError(f"{name} not found; Debian: apt install {PACKAGE}")
    return found


@dataclass(frozen=True)
class Postfix:
    """A running Postfix: the port whose mail is held, and the one whose mail is relayed."""

    holding: int
    relaying: int
    folder: Path

    def cpu_seconds(self) -> float:
        """Processor time of all its processes: those that run and those that the master has buried."""
        return cpu_seconds_in(self.folder / "queue")


def cpu_seconds_in(folder: Path) -> float:
    """Processor time of all processes that stand in this folder, and of those that they have buried."""
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == folder:
                total += cpu_seconds(process.name, and_children=True)
    return total


def cpu_seconds(pid: int | str, *, and_children: bool = False) -> float:
    """Processor time in user and kernel (proc(5), stat); with that of its buried children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if and_children else 13])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running_postfix(folder: Path, sink: int) -> Iterator[Postfix]:
    """A Postfix that relays to the sink; its queue is in `folder`, which is made and removed."""
    postfix = Postfix(free_port(), free_port(), folder)
    folder.mkdir()
    try:
        with started(folder, {postfix.holding: _HOLD, postfix.relaying: ""}, _RELAYING.format(sink=sink)):
            yield postfix
    finally:
        shutil.rmtree(folder)


def _run(*command: str) -> None:
    """Run it in a session of its own, out of reach of Ctrl-C on the terminal."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)  # noqa: S603
    if done.returncode:
        raise MissingError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def smtp_source(port: int, content: Path, messages: int, author: str, recipient: str) -> float:
    """Send by `smtp-source -d` over kept connections; how long it took."""
    sessions = str(min(CONNECTIONS, messages))
    words = ["-4", "-d", "-s", sessions, "-m", str(messages), "-f", author, "-t", recipient, "-F", str(content)]
    command = [_program("smtp-source"), *words, f"127.0.0.1:{port}"]
    started = time.perf_counter()
    _run(*command)
    return time.perf_counter() - started


@dataclass
class Sink:
    """A running `smtp-sink`, which takes every message and throws it away."""

    port: int
    _counter: Path

    @property
    def messages(self) -> int:
        """How many it has taken: the last whole count on its standard output."""
        with self._counter.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 200, 0))
            counts = re.findall(rb"mesg=([0-9]+)\s", file.read())
        return int(counts[-1]) if counts else 0

    def seconds_until(self, messages: int, send: Callable[[], object], patience: float = 300) -> float:
        """`send`, then wait until so many messages have come since; the seconds of both together."""
        wanted, started = self.messages + messages, time.perf_counter()
        send()
        while self.messages < wanted:
            if time.perf_counter() - started > patience:
                raise TimeoutError(f"{wanted - self.messages} of {messages} messages did not reach smtp-sink")
            time.sleep(0.001)
        return time.perf_counter() - started


@contextlib.contextmanager
def running_sink(folder: Path) -> Iterator[Sink]:
    """A sink on a free port; it counts into a file in `folder`."""
    sink = Sink(free_port(), folder / "sink")
    command = [_program("smtp-sink"), "-4", "-c", "-u", "nobody", f"127.0.0.1:{sink.port}", "1024"]
    with sink._counter.open("wb") as counter:  # noqa: SLF001 - its own
        process = subprocess.Popen(command, stdout=counter, stderr=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
        try:
            await_greeting(sink.port)
            yield sink
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A mail server that takes connections and never greets: what is relayed to it just waits."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener.getsockname()[1]
