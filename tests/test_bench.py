"""The benchmark runs: no figure is judged here, only that it still measures something."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import program

ROOT = Path(__file__).parent.parent
RELAYED = {"end to end", "end to end, signed"}
COMPARED = {"accept", "accept p50", "accept p99", *RELAYED, "elapsed time beside 100 queued"}
MISSING = """
from bench import __main__, foreign
foreign.found_program = lambda name: None
raise SystemExit(__main__.main([]))
"""


@pytest.fixture
def folder():
    """A folder that Postfix's users may enter, unlike pytest's own."""
    for name in ("postfix", "smtp-source", "smtp-sink"):
        program(name)
    if os.geteuid():
        pytest.skip("Postfix starts only as root")
    made = Path(tempfile.mkdtemp(prefix="postroad-test-bench-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def bench(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "bench", "--smoke", "--folder", str(folder), *words)
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def at_work_in(folder: Path) -> set[str]:
    """The processes that stand in the folder, or hold a file of it open."""
    found = set()
    for link in (*Path("/proc").glob("[0-9]*/cwd"), *Path("/proc").glob("[0-9]*/fd/*")):
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith(str(folder)):
                found.add(link.parts[2])
    return found


def test_every_section_measures_something(folder):
    """A smoke run gives figures for every section on both engines, in JSON, and leaves nothing behind."""
    at_once = {}
    for engine in ("sqlite", "postgresql"):
        (folder / engine).mkdir(mode=0o755)
        at_once[engine] = bench(folder / engine, "--json", "--database", engine)
    for engine, name in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL, 2 nodes")):
        told, progress = at_once[engine].communicate(timeout=300)
        assert at_once[engine].returncode == 0, progress
        figures = json.loads(told)["figures"]
        measured = {one["name"]: one.get("ratio", 0) > 0 for one in figures if one["engine"] == name}
        assert {one for one, compared in measured.items() if compared} >= COMPARED
        assert "memory over idle for 36700160 octets" in measured
        assert "generator alone" in {one["name"] for one in figures}
    assert ([*folder.glob("*/*")], at_work_in(folder)) == ([], set())


def test_ctrl_c_leaves_nothing_running(folder):
    """Interrupted in the middle it says so, exits with 130, and its Postfix, sink and server are gone."""
    process = bench(folder, "--only", "accept")
    assert "(a)" in process.stderr.readline()
    assert len(at_work_in(folder)) > 3
    process.send_signal(signal.SIGINT)
    _, progress = process.communicate(timeout=60)
    assert process.returncode == 130, progress
    assert progress.endswith("nothing is left running\n")
    assert (list(folder.iterdir()), at_work_in(folder)) == ([], set())


def test_a_missing_program_is_one_clear_line():
    """Without Postfix it names Debian's package, in one line, and exits with 1."""
    done = subprocess.run(
        (sys.executable, "-c", MISSING), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "apt install postfix" in done.stderr
