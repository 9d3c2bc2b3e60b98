"""`scripts/torture`: the long forms of the harness, for people."""

import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.torture import campaign, nodes
from tests.torture import sweep as sweeps
from tests.torture.journal import Journal
from tests.torture.judge import Verdict

CONSOLE = Console(highlight=False, stderr=True)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """What every campaign asks for."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="The verdict as JSON on standard output."),
        click.option(
            "--folder", type=click.Path(path_type=Path), help="Where it happens. Default: by seed, in /tmp."
        ),
        click.option("--seed", default=1, show_default=True, help="Decides the load and when each strike comes."),
        click.option(
            "--kills", default=1000, show_default=True, type=click.IntRange(1), help="How often to strike."
        ),
    ):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@_options
@click.pass_context
def torture(context: click.Context, **asked: Any) -> None:
    """Kill a loaded server again and again; then count what was lost.

    Interrupted, it goes on where it stopped when called with the same seed and folder; so do the nodes.
    """
    if not context.invoked_subcommand:
        _long("sqlite", campaign.campaign, **asked)


@torture.command(name="nodes")
@_options
@click.option(
    "--strike",
    "strikes",
    multiple=True,
    default=nodes.KILLS,
    show_default=True,
    type=click.Choice((*nodes.KILLS, *nodes.RESTARTS)),
    help="What is struck, in turn; may be repeated.",
)
def _nodes(strikes: tuple[str, ...], **asked: Any) -> None:
    """Kill one of two web and two relay nodes on PostgreSQL, or PostgreSQL itself, while the others go on.

    "web" and "relay" are kill -9 of such a node, "fast" and "immediate" are how PostgreSQL is stopped before it
    is started again; the second is a crash.
    """
    _long("nodes", nodes.campaign, strikes=strikes, **asked)


def _long(
    name: str, run: Callable[..., Verdict], *, as_json: bool, folder: Path | None, kills: int, **asked: Any
) -> None:
    """Run a campaign with a bar, and say what came of it."""
    folder = folder or Path(tempfile.gettempdir()) / f"postroad-torture-{name}-{asked['seed']}"
    started = time.monotonic()
    with _progress() as progress:
        bar = progress.add_task("kills", total=kills, said="")

        def show(journal: Journal) -> None:
            said = f"{journal.counts['acked']} acked, {journal.counts['received']} received"
            progress.update(bar, completed=journal.counts["killed"], said=said)

        verdict = run(folder, kills=kills, progress=show, **asked)
    _conclude(verdict, folder, started, as_json=as_json)


@torture.command()
@click.option("--quick", is_flag=True, help="Stride over the calls.")
@click.option("--json", "as_json", is_flag=True, help="The verdict as JSON on standard output.")
def sweep(quick: bool, as_json: bool) -> None:  # noqa: FBT001 - click's flags
    """Kill at the first, second, third ... system call until a run ends alive; then the same with EIO, ENOSPC."""
    folder, started = Path(tempfile.mkdtemp(prefix="postroad-sweep-")), time.monotonic()
    with _progress() as progress:
        bar = progress.add_task("runs", total=None, said="")
        total = Verdict()
        for run in sweeps.everything(folder, stride=sweeps.QUICK_STRIDE if quick else 1):
            progress.update(bar, advance=1, said=f"{run.name}: {'good' if run.verdict.good else 'NOT GOOD'}")
            sweeps.add(total, run)
    _conclude(total, folder, started, as_json=as_json)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[said]}"), console=CONSOLE)


def _conclude(verdict: Verdict, folder: Path, started: float, *, as_json: bool) -> None:
    """Say it; exit 1 and keep everything unless it is good."""
    if as_json:
        click.echo(json.dumps({**verdict.plain, "seconds": round(time.monotonic() - started)}, indent=2))
    else:
        click.secho(str(verdict), fg="green" if verdict.good else "red", bold=not verdict.good)
    if not verdict.good:
        CONSOLE.print(f"Everything is kept in {folder}.", markup=False)
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each write to a server that was killed
    torture()
