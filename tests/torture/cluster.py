"""A PostgreSQL server that can be restarted, and syncs as it does by default; its data stay where they are."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psycopg

from tests.postgres import Postgres, programs

Mode = Literal["fast", "immediate"]


class Cluster(Postgres):
    """A running server with its data, its log and its socket in `folder`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        super().__init__(folder)
        self._programs = programs

    @property
    def data(self) -> Path:
        """Where it stands, and all its processes with it."""
        return self.folder / "data"

    def database(self, name: str) -> str:
        """The URL of a database, which is made, empty, unless it is there."""
        if name not in self._names():
            self.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def _names(self) -> set[str]:
        with psycopg.connect(self.address("postgres")) as connection:
            return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}

    def analyse(self, name: str) -> None:
        """Do what autovacuum would do in a minute after much was put into a database at once."""
        with psycopg.connect(self.address(name), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    def start(self) -> None:
        """Start it; also on what a crash has left."""
        if not self.data.exists():
            self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--data-checksums")
        options = f"-h '' -k {self.folder} -c max_connections=200"
        self._run("pg_ctl", "-o", options, "-l", self.folder / "log", "-w", "start")

    def stop(self, mode: Mode) -> None:
        """Stop it: "fast" in order, though nobody is waited for; "immediate" is a crash."""
        self._run("pg_ctl", "-m", mode, "-w", "stop")

    def _run(self, name: str, *words: str | Path) -> None:
        """Run it as nobody where we are root, as PostgreSQL refuses to be; out of reach of Ctrl-C."""
        command = [self._programs / name, "-D", self.data, *words]
        user = "nobody" if os.geteuid() == 0 else None
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, user=user, start_new_session=True
        )


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Start it on the data in `folder`, if there are any, and stop it. Its user must be able to enter there."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    with tempfile.TemporaryDirectory(prefix="postroad-postgres-") as place:
        Path(place).chmod(0o755)
        cluster = Cluster(folder, programs(Path(place)))
        try:
            cluster.start()
            yield cluster
        finally:
            if (cluster.data / "postmaster.pid").exists():
                cluster.stop("immediate")
