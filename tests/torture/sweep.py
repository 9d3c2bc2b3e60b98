"""Die, or see the disk fail, at the first, second, third ... system call, until a run ends unharmed.

The pattern is SQLite's: loop over the index of the failing call. strace injects the fault (strace(1), `inject`)
and counts the calls of each thread for itself; the first thread of either process to make its Nth call is
struck. SQLite syncs by fsync or fdatasync, as it was built; the server's sockets are written to by write, writev,
sendto or sendmsg.
"""

import contextlib
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from postroad.database.sqlite import COMMITS_PER_CHECKPOINT
from tests.running import Server
from tests.smtp_sink import Sink
from tests.torture.journal import Journal
from tests.torture.judge import DATABASE, Verdict, judge, make_due
from tests.torture.lives import drain, forget, found, journalling_sink, life, ready, send, send_all, stop

SYNCS, WRITES, SOCKETS = "fsync,fdatasync", "pwrite64", "write,writev,sendto,sendmsg"
# Only the front writes so: the head and the body of an answer.
ANSWERS = "writev"
QUICK_STRIDE = 15
# The sweep ends by itself; this is more calls than any thread of a run makes.
MOST = 1000
# What is sent in each run, over two connections: everything the queue treats differently.
SHARES = (("canary-1-plain", "canary-2-several"), ("canary-3-blind", "canary-4-big"))
# How many calls in a row find no room, and how many messages are tried until there is some again.
FULL_FOR, TRIES = 6, 30


@dataclass(frozen=True, slots=True)
class Run:
    """One run: whether the server was struck, and what was found after it."""

    name: str
    struck: bool
    verdict: Verdict


@dataclass
class Place:
    """Where one run happens. `token` is "" on an empty folder, which has no accounts yet."""

    folder: Path
    journal: Journal
    token: str
    faults: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def struck(self) -> bool:
        """An error was injected."""
        return "(INJECTED)" in self._trace

    @property
    def killed(self) -> bool:
        """A process of the server was killed."""
        return "+++ killed by SIGKILL +++" in self._trace

    @property
    def _trace(self) -> str:
        return (self.folder / "trace").read_text(errors="replace")


class Bench:
    """A folder for the runs, with a data folder and token made once: most runs begin with a copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._founded = folder / "founded"
        journal = Journal(folder / "nobody")
        with journalling_sink(journal) as sink:
            self._token = found(self._founded, sink)
        journal.close()

    def killed(self, calls: str, number: int) -> Run:
        """Kill at the nth of these calls, amid the start, the load or the stop of a server with a past."""
        return self._run(f"kill at {calls} {number}", lambda place: _killed(place, calls, number))

    def killed_at_birth(self, calls: str, number: int) -> Run:
        """Kill at the nth of these calls of a first start, on an empty folder; the second must do."""
        name = f"first start, kill at {calls} {number}"
        return self._run(name, lambda place: _killed(place, calls, number), empty=True)

    def failed(self, calls: str, error: str, number: int) -> Run:
        """Let the nth of these calls fail with EIO, or that and a few more with ENOSPC."""
        return self._run(f"{error} at {calls} {number}", lambda place: _failed(place, calls, error, number))

    def failed_checkpoint(self) -> Run:
        """Let the first sync of the database file itself fail: only a checkpoint makes one."""

        def strike(place: Place) -> bool:
            database = ("-P", str(place.data / DATABASE))
            return _failed(place, SYNCS, "EIO", 1, only=database, tries=COMMITS_PER_CHECKPOINT + TRIES)

        return self._run("EIO in a checkpoint", strike)

    def _run(self, name: str, strike: Callable[[Place], bool], *, empty: bool = False) -> Run:
        folder = self.folder / re.sub(r"\W+", "-", name)
        folder.mkdir()
        if not empty:
            shutil.copytree(self._founded, folder / "data")
        place = Place(folder, Journal(folder / "journal"), "" if empty else self._token)
        with contextlib.closing(place.journal):
            struck = strike(place)
        verdict = judge(folder / "journal", place.data)
        verdict.faults += [f"{fault}, in {folder}" for fault in place.faults]
        if verdict.good:
            shutil.rmtree(folder)
        return Run(name, struck, verdict)


def _killed(place: Place, calls: str, number: int) -> bool:
    before = _strace(place, calls, f"signal=SIGKILL:when={number}")
    with journalling_sink(place.journal) as sink:
        with life(place.data, sink, before=before) as server:
            if ready(server) and place.token:
                send_all([server], place.journal, place.token, SHARES)
                drain(server)
            code = stop(server)
        forget(sink)
        if place.killed:
            place.journal.note("killed")
        place.faults += _roughness(code, server.log, killed=place.killed)
        _go_on(place, sink)
    return place.killed


def _roughness(code: int, log: str, *, killed: bool) -> list[str]:
    """What was wrong with an end: a server is killed, or ends by itself with a line as its front was, or stops."""
    said = code == 1 and log.endswith("\npostroad: a process that answers HTTP was ended by SIGKILL\n")
    return [] if code == 0 or (killed and (said or code == -signal.SIGKILL)) else [f"it ended with {code}"]


def _failed(
    place: Place, calls: str, error: str, number: int, only: tuple[str, ...] = (), tries: int = TRIES
) -> bool:
    when = f"{number}..{number + FULL_FOR}" if error == "ENOSPC" else f"{number}"
    before = (*_strace(place, calls, f"error={error}:when={when}"), *only)
    with journalling_sink(place.journal) as sink:
        with life(place.data, sink, before=before) as server:
            codes = _codes(server, place, tries) if ready(server) else None
            code = stop(server)
        forget(sink)
        place.faults += _complaints(error, codes, code, server.log)
        if only and codes and codes[-1] == 200:
            place.faults.append("it went on as if nothing had failed")
        _go_on(place, sink)
    return place.struck


def _codes(server: Server, place: Place, tries: int) -> list[int]:
    """The answers to one message after the other."""
    with contextlib.closing(server.connect()) as kept:
        return [send(server, place.journal, place.token, f"canary-{n}-plain", kept) for n in range(tries)]


def _go_on(place: Place, sink: Sink) -> None:
    """The next life: everything is relayed, and one more message is taken."""
    place.journal.life += 1
    make_due(place.data)
    with life(place.data, sink) as server:
        assert ready(server), server.log[-2000:]
        token = place.token or server.token()
        assert send(server, place.journal, token, "canary-last-plain") == 200
        assert drain(server)
        assert stop(server) == 0
    forget(sink)


def _strace(place: Place, calls: str, fault: str) -> tuple[str, ...]:
    inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:{fault}")
    return ("strace", "-D", "-f", "-qq", *inject, "-o", str(place.folder / "trace"))


def _complaints(error: str, codes: list[int] | None, code: int, log: str) -> list[str]:
    """What was wrong with the answers around a failure, of one server's whole life."""
    if codes is None:
        plain = code == 1 and "Traceback" not in log
        return [] if plain else [f"it did not start, ended with {code}, and did not say why in a line"]
    found = [f"it answered {codes}"] if set(codes) - {200, 503} else []
    if error == "EIO" and codes != sorted(codes):
        found.append(f"it accepted after it had failed: {codes}")
    if error == "ENOSPC" and codes[-1] != 200:
        found.append(f"there was room and it did not accept: {codes}")
    return found


def swept(strike: Callable[[int], Run], stride: int, first: int = 1) -> Iterator[Run]:
    """Strike at every `stride`th call until a run is not struck."""
    for number in range(first, MOST, stride):
        run = strike(number)
        yield run
        if not run.struck:
            return


def everything(folder: Path, stride: int) -> Iterator[Run]:
    """All sweeps, one after the other."""
    bench = Bench(folder)
    for calls in (SYNCS, WRITES, SOCKETS, ANSWERS):
        yield from swept(lambda number, calls=calls: bench.killed(calls, number), stride)
    for calls in (SYNCS, WRITES):
        yield from swept(lambda number, calls=calls: bench.killed_at_birth(calls, number), stride)
    for calls in (SYNCS, WRITES):
        yield from swept(lambda number, calls=calls: bench.failed(calls, "EIO", number), stride)
    yield from swept(lambda number: bench.failed(WRITES, "ENOSPC", number), stride)
    yield bench.failed_checkpoint()


def add(total: Verdict, run: Run) -> None:
    """Add a run's figures to a total."""
    total.kills += run.verdict.kills
    for word in ("acked", "received", "lost", "unexpected", "duplicated", "recovered"):
        getattr(total, word).update(getattr(run.verdict, word))
    total.faults += run.verdict.faults
