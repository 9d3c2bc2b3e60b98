"""The unit and the container: what they name exists, and what they promise agrees with the settings."""

import json
import re
import subprocess
import sys
import threading
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from postroad import cli, front
from postroad.settings import Settings
from tests.conftest import program

PACKAGING = Path(__file__).parents[1] / "packaging"
UNIT = PACKAGING / "postroad.service"
CONTAINER = PACKAGING / "Containerfile"
SETTINGS = {one.name for one in fields(Settings)}


def said() -> str:
    """Everything but comments, of all files."""
    text = "\n".join(file.read_text() for file in PACKAGING.iterdir())
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def value(key: str) -> str:
    (found,) = re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.MULTILINE)
    return found


def test_every_setting_they_name_exists():
    """A variable POSTROAD_X and a flag of `postroad serve` is a setting."""
    variables = set(re.findall(r"POSTROAD_([A-Z_]+)", said()))
    flags = set(re.findall(r"--([a-z-]+)", value("ExecStart")))
    assert variables
    assert {name.lower() for name in variables} <= SETTINGS
    assert {name.replace("-", "_") for name in flags} <= SETTINGS


def test_they_start_a_command_that_exists():
    """Both run `postroad serve`."""
    command = json.loads(re.findall(r"^CMD (.*)$", CONTAINER.read_text(), re.MULTILINE)[0])
    assert command == ["serve"]
    assert re.search(r"/postroad serve ", value("ExecStart"))
    assert "serve" in cli.cli.commands


def test_systemd_accepts_the_unit(tmp_path):
    """systemd-analyze finds nothing to say about it."""
    copy = tmp_path / UNIT.name
    program_there = UNIT.read_text().replace("/opt/postroad/bin/postroad", sys.executable)
    copy.write_text(program_there.replace("/etc/postroad.env", "-/etc/postroad.env"))
    judge = [program("systemd-analyze"), "verify", "--man=no", str(copy)]
    done = subprocess.run(judge, capture_output=True, text=True, timeout=60, check=False)
    about_it = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, about_it) == (0, [])


def test_a_stop_has_the_time_it_may_take():
    """A stop by systemd waits longer than requests, the front and mail transactions may take to end, in turn."""
    assert int(value("TimeoutStopSec")) > 2 * Settings(data="x").drain_seconds + front.GRACE_SECONDS


@pytest.mark.parametrize(
    "promise",
    [
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "StateDirectory=postroad",
        "Restart=on-failure",
        "CapabilityBoundingSet=",
    ],
)
def test_the_unit_gives_away_nothing(promise):
    """A user of its own, one folder it may write to, no way to more."""
    assert promise in UNIT.read_text().splitlines()


def test_the_container_names_an_image_and_no_registry():
    """The plain image alone, a user that is not root, a volume for the data."""
    lines = CONTAINER.read_text().splitlines()
    assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"python:3.12-slim"}
    assert "USER 10001" in lines
    assert "VOLUME /data" in lines
    assert "POSTROAD_DATA=/data" in CONTAINER.read_text()


@pytest.mark.parametrize("status", [200, 503])
def test_the_container_is_healthy_when_new_mail_would_be_taken(status):
    """The health check fails exactly when /readyz does."""
    joined = CONTAINER.read_text().replace("\\\n", "")
    (check,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", joined, re.MULTILINE)
    asked = []

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {"POSTROAD_LISTEN": f"0.0.0.0:{server.server_port}"}
        words = [sys.executable, *json.loads(check)[1:]]
        done = subprocess.run(words, env=environment, timeout=30, check=False, capture_output=True)
        server.shutdown()
    assert asked == ["/readyz"]
    assert (done.returncode == 0) == (status == 200)
