"""Short forms of `scripts/torture`: what was accepted survives every kill and every failing disk."""

import subprocess
import sys

import pytest

from tests.conftest import program
from tests.torture.campaign import campaign, plan
from tests.torture.journal import Journal
from tests.torture.judge import judge
from tests.torture.lives import found, journalling_sink, life, ready, stop
from tests.torture.sweep import SOCKETS, SYNCS, WRITES, Bench

KILLS, SEED = 6, 7


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A place for runs under strace."""
    program("strace")
    return Bench(tmp_path_factory.mktemp("sweep"))


def test_kills_at_random_moments_lose_nothing(tmp_path):
    """Under load, kill -9 loses nothing, every second copy has its mark; interrupted, a campaign goes on."""
    campaign(tmp_path, kills=2, seed=SEED, progress=lambda _: None)
    lives = []
    verdict = campaign(tmp_path, kills=KILLS, seed=SEED, progress=lambda journal: lives.append(journal.life))
    assert verdict.good, str(verdict)
    assert (verdict.kills, len(lives)) == (KILLS, KILLS - 2)
    assert verdict.acked.total() > KILLS


def test_plans_follow_the_seed():
    """The same seed kills at the same moments, another at others."""
    assert [plan(1, n) for n in range(50)] == [plan(1, n) for n in range(50)]
    assert [plan(1, n) for n in range(50)] != [plan(2, n) for n in range(50)]


# A stride over the indices of `scripts/torture sweep`: a start makes the lower ones, the load the higher.
STRIDE = [(SYNCS, 4), (SYNCS, 10), (WRITES, 27), (WRITES, 60), (SOCKETS, 31)]


@pytest.mark.parametrize(("calls", "number"), STRIDE)
def test_a_kill_at_a_system_call_loses_nothing(bench, calls, number):
    """Killed as it makes this call, the server starts again and delivers all that it accepted."""
    run = bench.killed(calls, number)
    assert run.struck
    assert run.verdict.good, str(run.verdict)


@pytest.mark.parametrize(("calls", "number"), [(SYNCS, 2), (WRITES, 30)])
def test_a_first_start_can_be_killed(bench, calls, number):
    """Killed while it makes its database, the server starts on what is there."""
    run = bench.killed_at_birth(calls, number)
    assert run.struck
    assert run.verdict.good, str(run.verdict)


@pytest.mark.parametrize(("calls", "number"), [(SYNCS, 6), (WRITES, 25)])
def test_an_input_output_error_stops_acceptance_until_a_restart(bench, calls, number):
    """After one EIO every send is a 503; the next life relays what was accepted, and accepts."""
    run = bench.failed(calls, "EIO", number)
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


def _judged(tmp_path, *events: tuple[str, dict]) -> str:
    """The verdict on a journal of these events, beside the database of an idle server."""
    journal = Journal(tmp_path / "journal")
    with journalling_sink(journal) as sink:
        found(tmp_path / "data", sink)
    for event, facts in events:
        journal.note(event, **facts)
        journal.life += 1
    journal.close()
    return str(judge(tmp_path / "journal", tmp_path / "data"))


def test_the_judge_sees_what_is_wrong(tmp_path):
    """A loss, a stranger and an unexplained copy are each told."""
    path = "to0-canary-2-plain@sink.example"
    copy = ("received", {"canary": "canary-2-plain", "path": path})
    said = _judged(
        tmp_path,
        ("attempted", {"canary": "canary-1-plain"}),
        ("acked", {"canary": "canary-1-plain", "id": "1"}),
        ("attempted", {"canary": "canary-2-plain"}),
        copy,
        copy,
        ("received", {"canary": "canary-3-plain", "path": path}),
    )
    assert "1 lost, 1 unexpected, 1 duplicated, 1 recovered" in said
    assert "no in_doubt mark explains the second copy of canary-2-plain" in said
    assert "the author has no copy of canary-1-plain" in said


def test_the_command_has_help():
    """`scripts/torture --help` and `sweep --help` say what they do."""
    for words in (["--help"], ["sweep", "--help"]):
        command = [sys.executable, "-m", "tests.torture.command", *words]
        shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
        assert "Kill" in shown
