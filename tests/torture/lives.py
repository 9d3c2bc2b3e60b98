"""One life of a server, from start to whatever ends it; and the load it has to bear meanwhile."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.running import POSTROAD, Server
from tests.smtp_sink import ALWAYS, Dribble, Sink, assert_wire_invariants, running_sink
from tests.torture import letters
from tests.torture.journal import Journal
from tests.torture.judge import waiting

# The reply to the final dot takes about this long in all, so that some kills fall between the two.
SLOW_REPLY = Dribble("250 2.0.0 Ok", 0.001)
DRAIN_SECONDS = 120.0
# A life that does not end by itself is a fault of the server; nothing here waits longer than this.
STOP_SECONDS = 60.0


@contextlib.contextmanager
def journalling_sink(journal: Journal) -> Iterator[Sink]:
    """A sink that writes down what it takes, in the place of keeping it."""
    with running_sink({("DOT_AFTER_COMMIT", ALWAYS): SLOW_REPLY}) as sink:
        sink.take = journal.take
        yield sink


def forget(sink: Sink) -> None:
    """Wait until the sessions of a dead server are over, check what was on their wires, and let go of them."""
    deadline = time.monotonic() + STOP_SECONDS
    while sink._tasks:
        assert time.monotonic() < deadline, "a session outlives its server"
        time.sleep(0.002)
    for session in sink.sessions:
        assert_wire_invariants(session)
    sink.sessions.clear()


@contextlib.contextmanager
def life(data: Path, sink: Sink, *flags: str, before: Sequence[str] = ()) -> Iterator[Server]:
    """A server process, perhaps not ready yet: ask `ready`. It is dead when the context ends."""
    words = [str(POSTROAD), "dev", "--data", str(data), "--listen", "127.0.0.1:0"]
    relay = ("--relay", f"smtp://127.0.0.1:{sink.port}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTROAD_")}
    data.mkdir(parents=True, exist_ok=True)
    with (data / "log").open("a") as log:
        process = subprocess.Popen(
            [*before, *words, *relay, *flags], stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
    try:
        yield Server(process, "", data)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_SECONDS)
        if process.stdout:
            process.stdout.close()


def ready(server: Server) -> bool:
    """Wait until it answers, or is dead."""
    line = server.process.stdout.readline() if server.process.stdout else ""
    server.url = line.split(" on ", 1)[1].split(";", 1)[0] if " on http" in line else ""
    return bool(server.url)


def drain(server: Server) -> bool:
    """Wait until nobody waits; whether the server lived to see it."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while waiting(server.data):
        if server.process.poll() is not None:
            return False
        assert time.monotonic() < deadline, f"{waiting(server.data)} recipients wait still\n{server.log[-2000:]}"
        time.sleep(0.02)
    return True


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


def send_all(server: Server, journal: Journal, token: str, shares: Sequence[Sequence[str]]) -> None:
    """Send the canaries of each share over a connection of its own, until done or the server is dead."""

    def send_some(canaries: Sequence[str]) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(server.connect()) as kept:
            for canary in canaries:
                send(server, journal, token, canary, kept)

    with ThreadPoolExecutor(len(shares)) as threads:
        for _ in threads.map(send_some, shares):
            pass


def send(
    server: Server, journal: Journal, token: str, canary: str, kept: http.client.HTTPConnection | None = None
) -> int:
    """Send one message and write down what came of it; the code of the answer."""
    journal.note("attempted", canary=canary)
    answer = server.send(letters.of(canary).content, token, kept)
    if answer.code == 200:
        journal.note("acked", canary=canary, id=answer.json["id"])
    elif answer.code != 503:
        journal.note("refused", canary=canary, code=answer.code)
    return answer.code
