"""Two nodes that take mail and two that send it, on PostgreSQL: one dies, or PostgreSQL does, the others go on.

Whatever is struck comes back, and is struck again. What a dead relay node held is sent by the others when its
leases have run out, a minute later: in a long campaign that happens all the time. What is still held at the end
is not waited for: when all nodes are gone, nobody holds anything, and a last one may have it at once.
"""

import contextlib
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.running import POSTROAD, Server, environment_of
from tests.smtp_sink import Sink
from tests.torture.campaign import Plan, at_work, kept_token, plan
from tests.torture.cluster import Cluster, running_cluster
from tests.torture.journal import Journal
from tests.torture.judge import Verdict, judge, make_due, overdue
from tests.torture.lives import (
    AWAY_SECONDS,
    STOP_SECONDS,
    forget,
    journalling_sink,
    last_life,
    life,
    none_left,
    ready,
    send,
)

ROLES = {"web0": "web", "web1": "web", "relay0": "relay", "relay1": "relay"}
KILLS = ("web", "relay")
RESTARTS = ("fast", "immediate")
AUTHOR = "alice@example.test"
# What a dead node had in flight counts against its destination's cap until its leases have run out; this is more
# than a minute's kills leave behind, so that the next one too finds mail under way.
SESSIONS = 1000
# How soon after a restart of PostgreSQL the nodes must take mail again, by themselves.
BACK_SECONDS = 20.0


@dataclass
class Nodes:
    """The nodes by name, each in one of its lives."""

    folder: Path
    url: str
    sink: Sink
    servers: dict[str, Server] = field(default_factory=dict)
    _ends: dict[str, contextlib.ExitStack] = field(default_factory=dict)

    @property
    def webs(self) -> list[Server]:
        return [self.servers[name] for name, role in ROLES.items() if role == "web"]

    def flags(self, name: str) -> tuple[str, ...]:
        known_by = ("--hostname", hostname(name), "--relay-sessions", str(SESSIONS))
        return ("--database", self.url, "--role", ROLES[name], *known_by)

    def start(self, name: str) -> None:
        """Begin a life; it may take a second until `ready`."""
        end = self._ends[name] = contextlib.ExitStack()
        node = life(self.folder / name, self.sink, *self.flags(name), command="serve")
        self.servers[name] = end.enter_context(node)

    def kill(self, name: str) -> None:
        self._ends.pop(name).close()

    def kill_all(self) -> None:
        for name in list(self._ends):
            self.kill(name)

    def await_ready(self) -> None:
        """Wait until every node answers that has not said so yet."""
        for name, server in self.servers.items():
            assert server.url or ready(server), f"{name} did not start: {server.log[-2000:]}"

    def assert_alive(self) -> None:
        for name, server in self.servers.items():
            assert server.process.poll() is None, f"{name} died by itself: {server.log[-2000:]}"

    def stop_all(self) -> None:
        for server in self.servers.values():
            server.process.terminate()
        for name, server in self.servers.items():
            code = server.process.wait(STOP_SECONDS)
            assert code == 0, f"{name} did not stop in order: {server.log[-2000:]}"


def hostname(name: str) -> str:
    """What a node says in EHLO: the sink knows it by that."""
    return f"{name}.torture.test"


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a campaign happens, and what is written down there."""

    nodes: Nodes
    cluster: Cluster
    journal: Journal
    token: str
    seed: int


def campaign(
    folder: Path, *, kills: int, seed: int, progress: Callable[[Journal], None], strikes: Sequence[str] = KILLS
) -> Verdict:
    """Strike as `strikes` say in turn until `kills` are done, those of an interrupted campaign too; then judge."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # PostgreSQL's user has to enter
    journal = Journal(folder / "journal")
    with contextlib.closing(journal), running_cluster(folder / "postgresql") as cluster:
        url = cluster.database("postroad")
        with journalling_sink(journal) as sink, contextlib.ExitStack() as ending:
            nodes = Nodes(folder, url, sink)
            ending.callback(nodes.kill_all)
            for name in ROLES:
                nodes.start(name)
            ground = Ground(nodes, cluster, journal, kept_token(folder, lambda: _founded(url)), seed)
            while journal.counts["killed"] < kills:
                _one_round(ground, strikes[journal.counts["killed"] % len(strikes)])
                progress(journal)
            _finish(ground)
        return judge(folder / "journal", folder, url)


def _founded(url: str) -> str:
    """A new database with an account; a token for all lives to come."""
    _command("account", "add", AUTHOR, "--database", url)
    return _command("token", AUTHOR, "--scope", "gmail.send", "--expires", "30d", "--database", url)


def _command(*words: str) -> str:
    done = subprocess.run(
        [POSTROAD, *words], check=True, capture_output=True, text=True, env=environment_of(""), timeout=60
    )
    return done.stdout.strip()


def _one_round(ground: Ground, strike: str) -> None:
    """Strike under load. At the end what was struck is back, all take mail, and whatever is due is under way."""
    nodes, journal = ground.nodes, ground.journal
    number = journal.counts["killed"]
    planned = plan(ground.seed, number)
    nodes.await_ready()
    with at_work(nodes.webs, journal, ground.token, planned, f"canary-{ground.seed}-{journal.life}-{number}"):
        nodes.assert_alive()
        if strike in RESTARTS:
            _restart(ground, strike)
        else:
            _kill(ground, Random(f"{ground.seed}/{number}").choice(_of(strike)), planned)
    nodes.await_ready()
    for web in nodes.webs:
        _takes_mail(ground, web, BACK_SECONDS if strike in RESTARTS else 0)
    relay = nodes.servers["relay0"]
    assert none_left(relay, lambda: overdue(nodes.url)), relay.log[-2000:]


def _of(role: str) -> list[str]:
    return [name for name in ROLES if ROLES[name] == role]


def _kill(ground: Ground, name: str, planned: Plan) -> None:
    """Kill a node and start it anew; sometimes kill it as it starts, too.

    Only a relay node's death may make an extra copy: only that begins another life for the judge.
    """
    _end(ground.nodes, name)
    if planned.early is not None:
        ground.nodes.start(name)
        time.sleep(planned.early)
        _end(ground.nodes, name)
    ground.journal.note("killed", victim=name)
    ground.journal.life += ROLES[name] == "relay"
    ground.nodes.start(name)


def _end(nodes: Nodes, name: str) -> None:
    """Kill it, and wait until the sink has heard all that it said."""
    nodes.kill(name)
    forget(nodes.sink, hostname(name))


def _restart(ground: Ground, mode: str) -> None:
    ground.cluster.stop(mode)
    ground.cluster.start()
    ground.journal.note("killed", victim=f"PostgreSQL, {mode}")
    ground.journal.life += 1


def _takes_mail(ground: Ground, web: Server, seconds: float) -> None:
    """Nothing but a restart of PostgreSQL excuses a 503, and that only for a while."""
    deadline = time.monotonic() + seconds
    while _one_more(ground, web) != 200:
        assert time.monotonic() < deadline, f"it does not take mail: {web.log[-2000:]}"
        time.sleep(AWAY_SECONDS)


def _one_more(ground: Ground, web: Server) -> int:
    """The answer to one message more."""
    canary = f"canary-{ground.seed}-{ground.journal.counts['attempted']}-more"
    with contextlib.closing(web.connect()) as kept:
        return send(web, ground.journal, ground.token, canary, kept)


def _finish(ground: Ground) -> None:
    """All stop in order; then a last one sends what the dead ones held."""
    nodes = ground.nodes
    nodes.await_ready()
    nodes.stop_all()
    forget(nodes.sink)
    ground.journal.life += 1
    make_due(nodes.folder, nodes.url)
    last_life(nodes.folder / "relay0", nodes.sink, *nodes.flags("relay0"), command="serve")
