"""Many nodes on one PostgreSQL: some take mail, some send it, any of them may die."""

import asyncio
import contextlib
import re
import subprocess

import psycopg
import pytest

from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.oauth import accounts
from postroad.submission import Policy, Submission
from tests.end_to_end.test_durability import letter, send_all
from tests.running import POSTROAD, running
from tests.smtp_sink import Stall, running_sink

NOW = 1_790_000_000_000


@pytest.fixture
def url(postgres):
    """A database with Alice's account."""
    with postgres.new_database() as found:
        subprocess.run([POSTROAD, "account", "add", "alice@example.test", "--database", found], check=True)
        yield found


@pytest.fixture
def node(tmp_path, url):
    """Starts a node of a role; each has a folder of its own, for its log."""
    with contextlib.ExitStack() as stack:

        def start(name: str, role: str, port: int):
            flags = ("--database", url, "--role", role, "--relay", f"smtp://127.0.0.1:{port}")
            return stack.enter_context(running(tmp_path / name, *flags, command="serve"))

        yield start


def canaries(sink) -> list[str]:
    return sorted(re.search(rb"canary-\d+-x", one.content)[0].decode() for one in sink.messages)


def test_two_nodes_take_mail_and_two_send_it(node):
    """Mail taken by either web node is relayed once by some relay node; a node answers only for its role."""
    with running_sink() as sink:
        webs = [node(f"web{number}", "web", sink.port) for number in range(2)]
        relays = [node(f"relay{number}", "relay", sink.port) for number in range(2)]
        sent = {}
        for number, web in enumerate(webs):
            sent |= send_all(web, [f"canary-{number}{one:03}-x" for one in range(50)], connections=4)
        webs[0].drained()
        assert relays[0].request("GET", "/readyz").code == 200
        assert relays[0].send(letter("canary-0-x"), webs[0].token()).code == 404
        assert "relayed" not in webs[0].log + webs[1].log
        assert all("relayed" in relay.log for relay in relays)
        for server in (*webs, *relays):
            assert server.stop() == 0
    assert canaries(sink) == sorted(sent)


def test_what_a_dead_node_held_goes_on_elsewhere(node, url):
    """A relay node killed amid a mail transaction leaves a lease; when that has run out another node sends."""
    with running_sink({("DATA", 1): Stall()}) as sink:
        first = node("first", "all", sink.port)
        assert first.send(letter("canary-1-x"), first.token()).code == 200
        first.settled(lambda fate: fate["claimed"])
        first.kill()
        second = node("second", "all", sink.port)
        with psycopg.connect(url, autocommit=True) as connection:  # as if a lease's time had passed
            connection.execute("UPDATE recipient SET due_at = 0 WHERE lease IS NOT NULL")
        second.drained()
    assert canaries(sink) == ["canary-1-x"]


def test_a_database_that_is_away_is_a_503_and_comes_back(node, url, postgres):
    """While connections are cut and refused nothing is accepted; afterwards all is as before, no restart."""
    name = url.partition("@/")[2].partition("?")[0]
    with running_sink() as sink:
        server = node("only", "all", sink.port)
        token = server.token()
        assert server.send(letter("canary-1-x"), token).code == 200
        server.drained()
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        postgres.cut_off(name)
        away = [server.send(letter("canary-2-x"), token).code for _ in range(3)]
        assert set(away) == {503}
        postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert server.send(letter("canary-3-x"), token).code == 200
        server.drained()
    assert canaries(sink) == ["canary-1-x", "canary-3-x"]


def test_migrate_says_where_the_schema_is(url):
    """`postroad migrate` brings a database to the newest schema and says its step."""
    command = [POSTROAD, "migrate", "--database", url]
    assert (
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
        == "the schema is at step 0003\n"
    )


class Stubborn(Identifiers):
    """Gives each number twice, as two nodes might in one millisecond."""

    def next(self, now: int) -> int:
        self.turn = not getattr(self, "turn", False)
        self.number = super().next(now) if self.turn else self.number
        return self.number


def test_a_number_that_is_taken_is_replaced(tmp_path, database_url):
    """Two messages that would get one number are both accepted, under two."""
    with contextlib.closing(Database(tmp_path, floor=0, url=database_url)) as database:
        alice = database.submit(
            lambda connection: accounts.add(connection, "alice@example.test", administrator=False, now=NOW)
        ).result()

        async def local(*_):
            return lambda _: "local"

        policy = Policy("here.test", "rewrite", "single", 1 << 20, 500)
        submission = Submission(database, Stubborn(), policy, local, lambda: None)

        async def twice():
            return [await submission.submit(alice, letter(f"canary-{one}-x"), "", NOW) for one in range(2)]

        first, second = asyncio.run(twice())
    assert first.gmail_id != second.gmail_id
