"""One life of a server, from start to whatever ends it; and the load it has to bear meanwhile."""

import asyncio
import contextlib
import http.client
import itertools
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.running import POSTROAD, Server, environment_of
from tests.smtp_sink import ALWAYS, Dribble, Session, Sink, assert_wire_invariants, running_sink
from tests.torture import letters
from tests.torture.journal import Journal
from tests.torture.judge import waiting

# The reply to the final dot takes about this long in all, so that some kills fall between the two.
SLOW_REPLY = Dribble("250 2.0.0 Ok", 0.001)
DRAIN_SECONDS = 120.0
# How much is sent between two strikes.
CONNECTIONS, LETTERS_EACH = 4, 8
# How long a client waits after a 503 before its next message.
AWAY_SECONDS = 0.1
# A life that does not end by itself is a fault of the server; nothing here waits longer than this.
STOP_SECONDS = 60.0


class Sessions(list[Session]):
    """The open sessions of a sink. When one is over, what was on its wire is checked, and it is let go of."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def append(self, session: Session) -> None:
        super().append(session)
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda _: self._end(session))

    def _end(self, session: Session) -> None:
        try:
            assert_wire_invariants(session)
        except AssertionError as wrong:
            self._journal.note("miswired", what=str(wrong)[:500])
        self[:] = [other for other in self if other is not session]


@contextlib.contextmanager
def journalling_sink(journal: Journal) -> Iterator[Sink]:
    """A sink that writes down what it takes, in the place of keeping it."""
    with running_sink({("DOT_AFTER_COMMIT", ALWAYS): SLOW_REPLY}) as sink:
        sink.take = journal.take
        sink.sessions = Sessions(journal)
        yield sink


def forget(sink: Sink, hostname: str = "") -> None:
    """Wait until the sessions of dead servers are over: those that said this name, or all."""
    deadline = time.monotonic() + STOP_SECONDS
    while any(hostname.encode() in b"".join(session.commands[:1]) for session in list(sink.sessions)):
        assert time.monotonic() < deadline, "a session outlives its server"
        time.sleep(0.002)


@contextlib.contextmanager
def life(
    data: Path, sink: Sink, *flags: str, command: str = "dev", before: Sequence[str] = ()
) -> Iterator[Server]:
    """A server, perhaps not ready yet: ask `ready`. All its processes are dead when the context ends."""
    words = [str(POSTROAD), command, "--data", str(data), "--listen", "127.0.0.1:0"]
    relay = ("--relay", f"smtp://127.0.0.1:{sink.port}")
    database = flags[flags.index("--database") + 1] if "--database" in flags else ""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "log").open("a") as log:
        process = subprocess.Popen(
            [*before, *words, *relay, *flags],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment_of(database),
        )
    try:
        yield Server(process, "", data, database)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_SECONDS)
        _await_others(process)


def _await_others(process: subprocess.Popen[str]) -> None:
    """Wait for the end of whatever this process leaves behind: each has its standard output, as a tracer has."""
    assert process.stdout
    with process.stdout as output:
        while select.select([output], [], [], STOP_SECONDS)[0]:
            if not os.read(output.fileno(), 4096):
                return
    raise AssertionError("a process outlives its server")


def ready(server: Server) -> bool:
    """Wait until it answers, or is dead."""
    line = server.process.stdout.readline() if server.process.stdout else ""
    server.url = line.split(" on ", 1)[1].split(";", 1)[0] if " on http" in line else ""
    return bool(server.url)


def drain(server: Server) -> bool:
    """Wait until nobody waits; whether the server lived to see it."""
    return none_left(server, lambda: waiting(server.data, server.database))


def none_left(server: Server, count: Callable[[], int]) -> bool:
    """Wait until `count` says 0; whether the server lived to see it."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while left := count():
        if server.process.poll() is not None:
            return False
        assert time.monotonic() < deadline, f"{left} recipients wait still\n{server.log[-2000:]}"
        time.sleep(0.02)
    return True


def kill(server: Server, number: int) -> str:
    """Kill -9 its process of this number, or its last; it ends with it, by itself. Which it was."""
    pids = server.pids
    victim = pids[min(number, len(pids) - 1)]
    os.kill(victim, signal.SIGKILL)
    name, expected = ("parent", -signal.SIGKILL) if victim == server.process.pid else ("front", 1)
    code = server.process.wait(STOP_SECONDS)
    assert code == expected, f"its {name} killed, it ended with {code}: {server.log[-2000:]}"
    return name


def stop(server: Server) -> int:
    """SIGTERM, and the exit code."""
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    return server.process.wait(STOP_SECONDS)


def found(data: Path, sink: Sink) -> str:
    """Start a new data folder; a token for all lives to come."""
    with life(data, sink) as server:
        assert ready(server), server.log
        token = server.token(expires="30d")
        assert stop(server) == 0
    return token


def last_life(data: Path, sink: Sink, *flags: str, command: str = "dev") -> None:
    """A life that sends whatever waits, and is stopped in order."""
    with life(data, sink, *flags, command=command) as server:
        assert ready(server), server.log[-2000:]
        assert drain(server), server.log[-2000:]
        assert stop(server) == 0, server.log[-2000:]
    forget(sink)


def shared(names: Sequence[str]) -> list[Sequence[str]]:
    """What each connection sends."""
    return [names[one::CONNECTIONS] for one in range(CONNECTIONS)]


def send_all(servers: Sequence[Server], journal: Journal, token: str, shares: Sequence[Sequence[str]]) -> None:
    """Send the canaries of each share over a connection of its own, until done or the server is dead.

    The servers take turns: with two of them, each second share goes to the second.
    """

    def send_some(server: Server, canaries: Sequence[str]) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(server.connect()) as kept:
            for canary in canaries:
                if send(server, journal, token, canary, kept) == 503:
                    time.sleep(AWAY_SECONDS)

    with ThreadPoolExecutor(len(shares)) as threads:
        for _ in threads.map(send_some, itertools.cycle(servers), shares):
            pass


def send(
    server: Server, journal: Journal, token: str, canary: str, kept: http.client.HTTPConnection | None = None
) -> int:
    """Send one message and write down what came of it; the code of the answer."""
    journal.note("attempted", canary=canary)
    try:
        answer = server.send(letters.of(canary).content, token, kept)
    except TimeoutError:
        journal.note("refused", canary=canary, code="with silence")
        raise
    if answer.code == 200:
        journal.note("acked", canary=canary, id=answer.json["id"])
    elif answer.code != 503:
        journal.note("refused", canary=canary, code=answer.code)
    return answer.code
