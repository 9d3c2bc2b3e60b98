"""The machine fails beneath a running server: no mail is lost, and the log and a metric say what was wrong."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.end_to_end import clockwork
from tests.end_to_end.crowd import bound, crowd
from tests.end_to_end.test_durability import letter
from tests.running import POSTROAD, running
from tests.smtp_sink import Dribble, running_sink

YEAR_MS = 365 * 86_400_000
LATER = "451 4.7.1 later"
MEBIBYTE = 1 << 20


class Clock:
    """The clock of the servers started with `before`; `set` lets it leap."""

    def __init__(self, folder: Path, lease_ms: int) -> None:
        self._file = folder / "offset"
        self.set(0)
        self.before = (sys.executable, clockwork.__file__, str(self._file), str(lease_ms))

    def set(self, offset_ms: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(str(offset_ms))
        new.replace(self._file)


def metric(server, name: str) -> float:
    text = server.request("GET", "/metrics").body.decode()
    return float(re.search(rf"^postroad_{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])


def logged(server, words: str, seconds: float = 10) -> None:
    """Wait until the log has these words."""
    deadline = time.monotonic() + seconds
    while words not in server.log:
        assert time.monotonic() < deadline, server.log[-3000:]
        time.sleep(0.05)


def canaries(sink) -> list[str]:
    return [re.search(rb"canary-\d+-x", one.content)[0].decode() for one in sink.messages]


def wait_until_delayed(server) -> None:
    server.settled(lambda fate: fate["attempts"] == 1 or fate["state"] != "queued")


def test_the_clock_leaps_a_year_ahead_and_back_while_mail_waits(tmp_path):
    """Mail that waits is tried once more when the clock leaps ahead, not given up; and soon when it leaps back."""
    clock = Clock(tmp_path, lease_ms=3000)
    with running_sink({("MAIL", 1): LATER, ("MAIL", 3): LATER}) as sink:
        flags = ("--relay", f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path / "data", *flags, before=clock.before) as server:
            assert server.send(letter("canary-1-x"), server.token()).code == 200
            wait_until_delayed(server)
            clock.set(YEAR_MS)
            sink.wait_for(1)
            logged(server, "the clock leapt by +3153")
            server.drained()
            assert server.send(letter("canary-2-x"), server.token()).code == 200
            wait_until_delayed(server)
            clock.set(0)
            sink.wait_for(2)
            logged(server, "the clock leapt by -3153")
            assert server.send(letter("canary-3-x"), server.token()).code == 200
            entries = server.drained()
            assert metric(server, 'machine_faults_total{what="clock"}') == 2
            assert metric(server, 'reports_total{about="failed"}') == 0
    assert canaries(sink) == ["canary-1-x", "canary-2-x", "canary-3-x"]
    assert [fate["state"] for entry in entries for fate in entry["recipients"]] == ["relayed"] * 3


@contextmanager
def stopped(server):
    """The whole process stands still, as under a debugger or on a machine that was suspended."""
    for pid in server.pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in server.pids:
            os.kill(pid, signal.SIGCONT)


def data_begun(sink) -> None:
    """Wait until somebody has said DATA."""
    deadline = time.monotonic() + 10
    while not any(b"DATA\r\n" in session.commands for session in sink.sessions):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_that_stood_still_goes_on_where_it_was(tmp_path):
    """On SQLite a server stopped for longer than its leases ends the transaction it was in: one copy, no doubt."""
    clock = Clock(tmp_path, lease_ms=1000)
    with running_sink({("DATA", 1): Dribble("354 go on", 0.1)}) as sink:
        flags = ("--relay", f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path / "data", *flags, before=clock.before) as server:
            assert server.send(letter("canary-1-x"), server.token()).code == 200
            data_begun(sink)
            with stopped(server):
                time.sleep(6.5)  # longer than a lease, and than what is told of
            (entry,) = server.drained()
            logged(server, "nothing ran for")
            assert metric(server, 'machine_faults_total{what="pause"}') == 1
            assert server.send(letter("canary-2-x"), server.token()).code == 200
            server.drained()
    assert canaries(sink) == ["canary-1-x", "canary-2-x"]
    assert [fate["state"] for fate in entry["recipients"]] == ["relayed"]


def test_another_node_takes_over_from_one_that_stood_still(tmp_path, postgres):
    """On PostgreSQL a stopped node's mail goes on elsewhere; waking up, it is fenced and sends no second copy."""
    clock = Clock(tmp_path, lease_ms=1500)
    with ExitStack() as stack:
        url = stack.enter_context(postgres.new_database())
        subprocess.run([POSTROAD, "account", "add", "alice@example.test", "--database", url], check=True)
        sink = stack.enter_context(running_sink({("DATA", 1): Dribble("354 go on", 0.1)}))
        flags = ("--database", url, "--relay", f"smtp://127.0.0.1:{sink.port}")

        def node(name: str):
            return stack.enter_context(running(tmp_path / name, *flags, command="serve", before=clock.before))

        first = node("first")
        assert first.send(letter("canary-1-x"), first.token()).code == 200
        data_begun(sink)
        with stopped(first):
            second = node("second")
            sink.wait_for(1)
        logged(first, "lost lease")
        assert metric(first, "lost_leases_total") == 1
        (entry,) = second.drained()
        shown = json.loads(second.command("queue", "show", entry["queue_id"], "--json"))
    assert canaries(sink) == ["canary-1-x"]
    assert len(shown["attempts"]) == 1


def retry_what_waits(server) -> None:
    """Do not wait the minute until the next try."""
    for entry in server.queue():
        if any(fate["state"] == "queued" and fate["attempts"] for fate in entry["recipients"]):
            server.command("queue", "retry", entry["queue_id"])


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def test_a_server_without_descriptors_recovers_by_itself(tmp_path):
    """With every descriptor in use kept connections go on and new ones wait; with some free again all is well."""
    with running_sink() as sink:
        flags = ("--relay", f"smtp://127.0.0.1:{sink.port}")
        with running(tmp_path, *flags) as server, closing(server.connect()) as kept, ExitStack() as stack:
            pid, token = server.pids[-1], server.token()
            assert server.send(letter("canary-1-x"), token, kept).code == 200
            server.drained()
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid) + 2, before[1]))
            address = urlsplit(server.url)
            for _ in range(20):
                stack.enter_context(socket.create_connection((address.hostname, address.port)))
            logged(server, "raise LimitNOFILE")
            assert server.send(letter("canary-2-x"), token, kept).code == 200
            stack.close()
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            with closing(server.connect()) as fresh:
                assert server.send(letter("canary-3-x"), token, fresh).code == 200
            assert metric(server, 'machine_faults_total{what="descriptors"}') == 1
            retry_what_waits(server)
            server.drained()
    assert sorted(canaries(sink)) == ["canary-1-x", "canary-2-x", "canary-3-x"]


@pytest.mark.parametrize("way", ["JSON", "media"])
def test_a_crowd_of_large_messages_does_not_take_all_memory(tmp_path, way):
    """Many large messages at once cost a bounded memory, small ones pass them, and every 200 survives kill -9."""
    outcome = crowd(tmp_path, way, count=16, octets=5_000_000, memory=16 * MEBIBYTE)
    assert set(outcome.codes) <= {200, 503}
    assert outcome.found == outcome.codes[200] > 0
    assert outcome.cost < bound(way, 16, 16 * MEBIBYTE)
    assert outcome.slowest_small < 10
