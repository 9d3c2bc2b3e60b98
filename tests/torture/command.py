"""`scripts/torture`: the long forms of the harness, for people."""

import logging
import shutil
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.torture import sweep as sweeps
from tests.torture.campaign import campaign
from tests.torture.journal import Journal
from tests.torture.judge import Verdict

CONSOLE = Console(highlight=False)


@click.group(invoke_without_command=True)
@click.option("--kills", default=1000, show_default=True, type=click.IntRange(1), help="How often to kill.")
@click.option("--seed", default=1, show_default=True, help="Decides the load and when each kill comes.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where it happens. Default: by seed, in /tmp.")
@click.pass_context
def torture(context: click.Context, kills: int, seed: int, folder: Path | None) -> None:
    """Kill a loaded server again and again; then count what was lost.

    Interrupted, it goes on where it stopped when called with the same seed and folder.
    """
    if context.invoked_subcommand:
        return
    folder = folder or Path(tempfile.gettempdir()) / f"postroad-torture-{seed}"
    with _progress() as progress:
        bar = progress.add_task("kills", total=kills, said="")

        def show(journal: Journal) -> None:
            said = f"{journal.counts['acked']} acked, {journal.counts['received']} received"
            progress.update(bar, completed=journal.counts["killed"], said=said)

        verdict = campaign(folder, kills=kills, seed=seed, progress=show)
    _conclude(verdict, folder)


@torture.command()
@click.option("--quick", is_flag=True, help="Stride over the calls.")
def sweep(quick: bool) -> None:  # noqa: FBT001 - click's flag
    """Kill at the first, second, third ... system call until a run ends alive; then the same with EIO, ENOSPC."""
    folder = Path(tempfile.mkdtemp(prefix="postroad-sweep-"))
    with _progress() as progress:
        bar = progress.add_task("runs", total=None, said="")
        total = Verdict()
        for run in sweeps.everything(folder, stride=sweeps.QUICK_STRIDE if quick else 1):
            progress.update(bar, advance=1, said=f"{run.name}: {'good' if run.verdict.good else 'NOT GOOD'}")
            sweeps.add(total, run)
    _conclude(total, folder)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[said]}"), console=CONSOLE)


def _conclude(verdict: Verdict, folder: Path) -> None:
    CONSOLE.print(str(verdict), style="green" if verdict.good else "bold red", soft_wrap=True, markup=False)
    if not verdict.good:
        CONSOLE.print(f"Everything is kept in {folder}.", markup=False)
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of each write to a server that was killed
    torture()
