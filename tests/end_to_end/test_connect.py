"""docs/connect.md is run: each of its programs sends through a sandbox, with the libraries' own credentials."""

import functools
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import missing_judge, program
from tests.running import running

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "connect.md").read_text()
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
CONSENTING = f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT / 'tests' / 'consenting.py'))} %s &"
GEM = 'require "google/apis/gmail_v1"'
# What the page says of the address and of the data folder.
ADDRESS, DATA = "http://127.0.0.1:8587", "postroad-data"

PROGRAMS = dict(re.findall(r"^```\w+\n(?:#|//) (\w+\.\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
RUNTIMES = {".py": (sys.executable,), ".mjs": ("node",), ".sh": ("sh", "-eu"), ".rb": ("ruby",)}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A running sandbox in the folder that the programs run in."""
    with running(tmp_path_factory.mktemp("connect") / DATA) as server:
        if NODE_MODULES.is_dir():
            (server.data.parent / "node_modules").symlink_to(NODE_MODULES)
        yield server


@functools.cache
def require_library(command: str) -> None:
    """Google's library for that runtime; Python's is a dependency of the tests."""
    if command == "node" and not NODE_MODULES.is_dir():
        missing_judge("@googleapis/gmail", "run `npm ci` in tests/node")
    if (
        command == "ruby"
        and subprocess.run([program("ruby"), "-e", GEM], capture_output=True, check=False).returncode
    ):
        missing_judge("google/apis/gmail_v1", "install Debian's ruby-google-api-client")


def run(sandbox, name: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the page where it finds the sandbox's files."""
    command, *flags = RUNTIMES[Path(name).suffix]
    require_library(command)
    text = PROGRAMS[name].replace(ADDRESS, sandbox.url)
    (sandbox.data.parent / name).write_text(text)
    return subprocess.run(
        [program(command), *flags, name],
        cwd=sandbox.data.parent,
        env=os.environ | {"BROWSER": CONSENTING},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def reader(sandbox):
    """What shows a token of Bob's."""
    return {"Authorization": f"Bearer {sandbox.token('bob@example.test', 'gmail.readonly')}"}


def inbox(sandbox, reader) -> list[str]:
    """The subjects of Bob's messages."""
    base = "/gmail/v1/users/me/messages"
    listed = sandbox.request("GET", f"{base}?labelIds=INBOX", headers=reader).json.get("messages", [])
    asked = [f"{base}/{one['id']}?format=metadata&metadataHeaders=Subject" for one in listed]
    messages = [sandbox.request("GET", path, headers=reader).json for path in asked]
    return [header["value"] for message in messages for header in message["payload"]["headers"]]


def test_the_page_has_its_programs():
    """Each language that is run has its credentials."""
    assert PROGRAMS.keys() == {
        "user.py",
        "service_account.py",
        "consent.py",
        "user.mjs",
        "service_account.mjs",
        "user.sh",
        "service_account.sh",
        "user.rb",
        "service_account.rb",
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_the_page_sends(sandbox, reader, name):
    """As it stands on the page, it prints Gmail's answer, and its message arrives."""
    done = run(sandbox, name)
    assert done.returncode == 0, done.stdout + done.stderr + sandbox.log
    assert "threadId" in done.stdout, done.stdout + done.stderr
    deadline = time.monotonic() + 30
    while f"Hello from {name}" not in (subjects := inbox(sandbox, reader)):
        assert time.monotonic() < deadline, subjects
        time.sleep(0.05)
