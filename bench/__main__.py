"""`scripts/bench`: measures everything in one go and shows a table, or JSON."""

import argparse
import json
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from bench import depth, foreign, sections, uploads
from bench.figures import Row, table
from bench.load import UnexpectedAnswerError
from bench.postroad_server import Engine
from bench.sections import LONG, SHORT, SMOKE, Extent, Field
from tests.torture.cluster import running_cluster

SECTIONS: dict[str, Callable[[Field], Iterator[Row]]] = {
    "generator": sections.generator,
    "accept": sections.accept,
    "relay": sections.relay,
    "sign": sections.sign,
    "largest": sections.largest,
    "depth": depth.depth,
    "uploads": uploads.uploads,
}
EXPLAINED = """
Medians of interleaved rounds; a ratio over 1: Postroad is better. All on this machine's loopback, the data of
both on one file system. (a), (c): nothing is delivered; Postfix holds what it accepts, Postroad's next hop never
greets. (b): both hand to the same smtp-sink over at most 20 sessions. Postfix: its defaults, in_flow_delay = 0.
(b) signed: Postroad signs each message by RSA-2048 and Ed25519 (postroad domain add), Postfix does not.
(f): media uploads, whose next hop never greets; a ratio below 1 is what parsing, a database and its log cost.
PostgreSQL: its defaults, on this machine too; its processor time counts, its memory does not."""
# Nodes on PostgreSQL, each of both roles: one for each core of the machine these figures are for.
NODES = 2
ENGINES = {"sqlite": ("sqlite",), "postgresql": ("postgresql",), "both": ("sqlite", "postgresql")}


def arguments(words: list[str]) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Postroad beside Postfix on this machine.")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    parser.add_argument("--long", action="store_true", help="more and longer rounds, and a queue of 1 000 000")
    parser.add_argument("--smoke", action="store_true", help="a few messages, to see that it runs")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="one section; may be repeated")
    parser.add_argument("--database", choices=ENGINES, default="both", help="where Postroad keeps mail")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where data goes; not a tmpfs")  # noqa: S108 - made unique
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Measure and show; exit 1 with one line when something is missing."""
    asked = arguments(sys.argv[1:] if words is None else words)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    extent = LONG if asked.long else SMOKE if asked.smoke else SHORT
    try:
        foreign.require()
        started = time.monotonic()
        rows = measure(asked.folder, extent, asked.only or list(SECTIONS), ENGINES[asked.database])
    except (foreign.MissingError, UnexpectedAnswerError, TimeoutError, subprocess.CalledProcessError) as error:
        _tell(f"scripts/bench: {error}")
        return 1
    except KeyboardInterrupt:
        _tell("scripts/bench: interrupted; nothing is left running")
        return 130
    _show(rows, time.monotonic() - started, as_json=asked.json)
    return 0


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    """Stop, and let nothing disturb the tidying."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def measure(parent: Path, extent: Extent, names: list[str], databases: Sequence[str]) -> list[Row]:
    """The figures of these sections."""
    with (
        _folder(parent) as folder,
        ExitStack() as stack,
        foreign.running_sink(folder) as sink,
        foreign.running_postfix(folder / "postfix", sink.port) as postfix,
    ):
        engines = [_engine(database, folder, stack) for database in databases]
        field = Field(folder, extent, sink, postfix, engines, _tell)
        return [row for name in SECTIONS if name in names for row in SECTIONS[name](field)]


def _engine(database: str, folder: Path, stack: ExitStack) -> Engine:
    """SQLite, or a private PostgreSQL that stops with the stack."""
    if database == "sqlite":
        return Engine(database)
    return Engine(database, NODES, stack.enter_context(running_cluster(folder / database)))


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    """A folder for all data, which Postfix's users may enter; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="postroad-bench-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _show(rows: list[Row], seconds: float, *, as_json: bool) -> None:
    python = f"{platform.python_version()} at {Path(sys.executable).resolve()}"
    about = {"commit": _commit(), "machine": platform.platform(), "python": python, "seconds": round(seconds)}
    if as_json:
        text = json.dumps({**about, "figures": [row.plain for row in rows]}, indent=2)
    else:
        text = "\n".join([*table(rows), EXPLAINED, ", ".join(f"{name} {value}" for name, value in about.items())])
    sys.stdout.write(f"{text}\n")


def _commit() -> str:
    """What is measured."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    words = [git, "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "unknown"  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
