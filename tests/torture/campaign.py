"""Kill -9 of either process at random moments under load, on the same data folder; then drain and judge."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.running import Server
from tests.smtp_sink import Sink
from tests.torture.journal import Journal
from tests.torture.judge import Verdict, judge
from tests.torture.lives import (
    CONNECTIONS,
    LETTERS_EACH,
    forget,
    found,
    journalling_sink,
    kill,
    last_life,
    life,
    ready,
    send_all,
    shared,
)

# Of a server, which are three processes then.
FRONTS = 2
# A start takes about a second: some kills fall into it, while the last life's work is being recovered.
ONE_EARLY_IN, EARLY_SECONDS = 10, 1.5
# The longest pause between the event a kill waits for and the kill.
PAUSE_SECONDS = 0.02
# When an event never comes (all was sent), the kill comes all the same.
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """When to kill: so many seconds after the start, or `pause` after the nth `event` of this life.

    `victim`: the process to kill, 0 for the one that was started; where there are fewer, the last.
    """

    early: float | None
    event: str
    nth: int
    pause: float
    victim: int


def plan(seed: int, number: int) -> Plan:
    """The plan of a life: the same for the same seed."""
    chance = random.Random(f"{seed}/{number}")
    early = chance.uniform(0, EARLY_SECONDS) if not chance.randrange(ONE_EARLY_IN) else None
    event = chance.choice(("attempted", "acked", "received"))
    nth, pause = chance.randint(1, CONNECTIONS * LETTERS_EACH), chance.uniform(0, PAUSE_SECONDS)
    return Plan(early, event, nth, pause, chance.randrange(1 + FRONTS))


def campaign(folder: Path, *, kills: int, seed: int, progress: Callable[[Journal], None]) -> Verdict:
    """Kill until `kills` are done, those of an interrupted campaign in this folder included; then judge."""
    folder.mkdir(parents=True, exist_ok=True)
    data, file = folder / "data", folder / "journal"
    journal = Journal(file)
    try:
        with journalling_sink(journal) as sink:
            token = kept_token(folder, lambda: found(data, sink))
            while journal.counts["killed"] < kills:
                _one_life(data, sink, journal, token, seed)
                progress(journal)
            last_life(data, sink)
    finally:
        journal.close()
    return judge(file, data)


def kept_token(folder: Path, issue: Callable[[], str]) -> str:
    """The token that was issued when the campaign began."""
    file = folder / "token"
    if not file.exists():
        file.write_text(issue())
    return file.read_text()


def _one_life(data: Path, sink: Sink, journal: Journal, token: str, seed: int) -> None:
    planned = plan(seed, journal.life)
    with life(data, sink, "--fronts", str(FRONTS)) as server:
        if planned.early is None:
            assert ready(server), f"it did not start again: {server.log[-2000:]}"
            with at_work([server], journal, token, planned, f"canary-{seed}-{journal.life}"):
                assert server.process.poll() is None, f"it died by itself: {server.log[-2000:]}"
                victim = kill(server, planned.victim)
        else:
            time.sleep(planned.early)
            victim = kill(server, planned.victim)
    forget(sink)
    journal.note("killed", victim=victim)
    journal.life += 1


@contextlib.contextmanager
def at_work(servers: Sequence[Server], journal: Journal, token: str, planned: Plan, name: str) -> Iterator[None]:
    """The body runs at the planned moment under load; then the load is awaited. `name` begins its canaries."""
    shares = shared([f"{name}-{n}" for n in range(CONNECTIONS * LETTERS_EACH)])
    target = journal.counts[planned.event] + planned.nth
    loading = threading.Thread(target=send_all, args=(servers, journal, token, shares))
    loading.start()
    try:
        journal.wait_for(lambda: journal.counts[planned.event] >= target, PATIENCE_SECONDS)
        time.sleep(planned.pause)
        yield
    finally:
        loading.join()
