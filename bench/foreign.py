"""The foreign programs: a private Postfix, its `smtp-source` and `smtp-sink`; all in Debian's package postfix."""

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "postfix"
PROGRAMS = ("postfix", "smtp-source", "smtp-sink")
CONNECTIONS = 32

# The services of Debian's master.cf that mail passes through, no chroot, and two doors in the place of port 25:
# one keeps what it accepts in the hold queue, one relays it.
_MASTER = """\
127.0.0.1:{holding} inet n - n - - smtpd -o smtpd_client_restrictions=static:HOLD
127.0.0.1:{relaying} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

# Nothing about durability or concurrency is changed. The one concession is to Postfix: `in_flow_delay` would hold
# back every accepted message for a second while none of them is delivered.
_MAIN = """\
compatibility_level = 3.6
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
message_size_limit = 60000000
in_flow_delay = 0
"""


class MissingError(Exception):
    """Something this machine lacks; the text says what, and how to get it."""


def require() -> None:
    """Raise `MissingError` unless the foreign programs can be run."""
    missing = [name for name in PROGRAMS if _find(name) is None]
    if missing:
        raise MissingError(f"{', '.join(missing)} not found; Debian: apt install {PACKAGE}")
    if os.geteuid():
        raise MissingError("Postfix starts only as root; run this as root, in a container for example")


def _find(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin")))


def _program(name: str) -> str:
    found = _find(name)
    if found is None:
        raise MissingError(f"{name} not found; Debian: apt install {PACKAGE}")
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Postfix:
    """A running Postfix: the port whose mail is held, and the one whose mail is relayed."""

    holding: int
    relaying: int
    folder: Path

    def cpu_seconds(self) -> float:
        """Processor time of all its processes: those that run and those that the master has buried."""
        total = 0.0
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink() == self.folder / "queue":
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
    command = [_program("postfix"), "-c", str(folder / "etc")]
    _configure(folder, postfix, sink)
    _run(*command, "start")
    try:
        _wait_for(postfix.relaying)
        yield postfix
    finally:
        _run(*command, "stop")
        shutil.rmtree(folder)


def _configure(folder: Path, postfix: Postfix, sink: int) -> None:
    folder.mkdir()
    for name in ("etc", "queue", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", pwd.getpwnam("postfix").pw_uid)
    doors = {"holding": postfix.holding, "relaying": postfix.relaying}
    (folder / "etc" / "master.cf").write_text(_MASTER.format(**doors))
    (folder / "etc" / "main.cf").write_text(_MAIN.format(folder=folder, sink=sink))


def _run(*command: str) -> None:
    """Run it in a session of its own, out of reach of Ctrl-C on the terminal."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)  # noqa: S603
    if done.returncode:
        raise MissingError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as connection:
            if connection.recv(3) == b"220":
                return
        time.sleep(0.05)
    raise MissingError(f"nobody answers on port {port}")


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
            _wait_for(sink.port)
            yield sink
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A mail server that takes connections and never greets: what is relayed to it just waits."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener.getsockname()[1]
