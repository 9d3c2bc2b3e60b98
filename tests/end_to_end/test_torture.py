"""Short forms of `scripts/torture`: what was accepted survives every kill and every failing disk."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from postroad.database.engine import Database
from tests.conftest import program
from tests.torture import nodes
from tests.torture.campaign import campaign, plan
from tests.torture.journal import Journal
from tests.torture.judge import judge
from tests.torture.lives import journalling_sink, life, ready, stop
from tests.torture.sweep import ANSWERS, SOCKETS, SYNCS, WRITES, Bench

KILLS, SEED = 3, 7


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A place for runs under strace."""
    program("strace")
    return Bench(tmp_path_factory.mktemp("sweep"))


def _torture(*words: str) -> str:
    command = [sys.executable, "-m", "tests.torture.command", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_kills_at_random_moments_lose_nothing(tmp_path):
    """Under load, kill -9 loses nothing, every second copy has its mark; interrupted, a campaign goes on.

    The command gives the verdict on all of it as JSON, and a good one leaves nothing behind.
    """
    folder = tmp_path / "here"
    assert campaign(folder, kills=1, seed=SEED, progress=lambda _: None).good
    words = ("--kills", str(KILLS), "--seed", str(SEED), "--folder", str(folder), "--json")
    verdict = json.loads(_torture(*words))
    assert (verdict["good"], verdict["wrong"], verdict["kills"]) == (True, [], KILLS)
    assert verdict["acked"] > KILLS
    assert not folder.exists()


@pytest.fixture
def folder():
    """A folder that PostgreSQL's user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="postroad-test-torture-") as made:
        yield Path(made)


def test_nodes_that_die_and_a_database_that_crashes_lose_nothing(folder):
    """Under load a web node dies, then a relay node, then PostgreSQL: nothing is lost, the others go on."""
    strikes, rounds = ("web", "relay", "immediate"), []
    verdict = nodes.campaign(
        folder,
        kills=len(strikes),
        seed=SEED,
        strikes=strikes,
        progress=lambda journal: rounds.append(journal.life),
    )
    assert verdict.good, str(verdict)
    assert rounds == [1, 2, 3]  # a web node's death excuses no second copy
    assert verdict.acked.total() > len(strikes) * 10


def test_plans_follow_the_seed():
    """The same seed kills at the same moments, another at others."""
    assert [plan(1, n) for n in range(50)] == [plan(1, n) for n in range(50)]
    assert [plan(1, n) for n in range(50)] != [plan(2, n) for n in range(50)]


# A stride over the indices of `scripts/torture sweep`: a start makes the lower ones, the load the higher.
STRIDE = [(SYNCS, 4), (SOCKETS, 31), (ANSWERS, 2)]


@pytest.mark.parametrize(("calls", "number"), STRIDE)
def test_a_kill_at_a_system_call_loses_nothing(bench, calls, number):
    """Killed as either process makes this call, the server starts again and delivers all that it accepted."""
    run = bench.killed(calls, number)
    assert run.struck
    assert run.verdict.good, str(run.verdict)


def test_a_first_start_can_be_killed(bench):
    """Killed while it makes its database, the server starts on what is there."""
    run = bench.killed_at_birth(WRITES, 30)
    assert run.struck
    assert run.verdict.good, str(run.verdict)


def test_an_input_output_error_stops_acceptance_until_a_restart(bench):
    """After one EIO every send is a 503; the next life relays what was accepted, and accepts."""
    run = bench.failed(SYNCS, "EIO", 6)
    assert run.struck
    assert run.verdict.good, str(run.verdict)


def test_a_full_disk_stops_acceptance_until_there_is_room(bench):
    """While a write finds no room a send is a 503; once there is room it is a 200 again, without a restart."""
    run = bench.failed(WRITES, "ENOSPC", 25)
    assert run.struck
    assert run.verdict.good, str(run.verdict)


def test_an_input_output_error_in_a_checkpoint_stops_acceptance(bench):
    """A checkpoint's failed sync is an EIO like any other: 503 until a restart."""
    run = bench.failed_checkpoint()
    assert run.struck
    assert run.verdict.good, str(run.verdict)


def test_an_input_output_error_at_the_start_is_one_line(bench):
    """A server that cannot read or write its file says so in a line and exits 1."""
    run = bench.failed(WRITES, "EIO", 3)
    assert run.verdict.good, str(run.verdict)


def test_sigterm_at_the_ready_line_is_a_clean_stop(tmp_path):
    """A server told to stop as soon as it says it is ready stops in order."""
    journal = Journal(tmp_path / "journal")
    with journalling_sink(journal) as sink:
        # Every write takes a while, so that the signal comes before anything that follows the line.
        slow = (program("strace"), "-D", "-f", "-qq", "-e", "inject=write:delay_exit=50000", "-o", "/dev/null")
        with life(tmp_path / "data", sink, before=slow) as server:
            assert ready(server), server.log
            assert stop(server) == 0, server.log
    journal.close()


TO = "to0-canary-2-plain@sink.example"
COPY = ("received", {"canary": "canary-2-plain", "path": TO})


@pytest.fixture
def judged(tmp_path, database_url):
    """Gives the verdict on a journal of these events, beside an empty database."""
    Database(tmp_path, floor=0, url=database_url).close()

    def said_of(*events: tuple[str, dict]) -> str:
        journal = Journal(tmp_path / "journal")
        for event, facts in events:
            journal.note(event, **facts)
            journal.life += event == "killed"
        journal.close()
        return str(judge(tmp_path / "journal", tmp_path, database_url))

    return said_of


def test_the_judge_sees_what_is_wrong(judged):
    """A loss, a stranger and an unexplained copy are each told, as is a copy that no fault can excuse."""
    said = judged(
        ("attempted", {"canary": "canary-1-plain"}),
        ("acked", {"canary": "canary-1-plain", "id": "1"}),
        ("attempted", {"canary": "canary-2-plain"}),
        COPY,
        ("killed", {}),
        COPY,
        ("received", {"canary": "canary-3-plain", "path": TO}),
    )
    assert "1 kills, 1 acked: 1 lost, 1 unexpected, 1 duplicated, 1 recovered" in said
    assert "no in_doubt mark explains the second copy of canary-2-plain" in said
    assert "the author has no copy of canary-1-plain" in said
    assert "in one life" not in said


def test_the_judge_excuses_one_copy_for_a_fault(judged):
    """Two copies with no fault between them, what was answered wrongly and wire that is not SMTP are each told."""
    said = judged(
        ("attempted", {"canary": "canary-2-plain"}),
        ("killed", {}),
        COPY,
        COPY,
        ("refused", {"canary": "canary-2-plain", "code": 500}),
        ("miswired", {"what": "a bare LF"}),
    )
    assert f"('canary-2-plain', '{TO}', 2) had 2 copies in one life" in said
    assert "canary-2-plain was answered 500" in said
    assert "on the wire was a bare LF" in said


def test_the_command_has_help():
    """`scripts/torture --help`, and that of each of its kinds, says what it does."""
    assert all("Kill" in _torture(*words, "--help") for words in ([], ["nodes"], ["sweep"]))
