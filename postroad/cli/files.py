"""Where commands write credentials: into a file of mode 0600 that was not there, or on standard output."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from postroad import private_files

STDOUT = Path("-")


def out(**more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flag --out."""
    help_ = "File to write, mode 0600; it must not exist. -: standard output."
    return click.option(
        "--out", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), help=help_, **more
    )


@contextlib.contextmanager
def written(file: Path) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Give a function that writes a JSON object there, and says what it is.

    The file is made first: no secret is made for a place that cannot hold it. Raises OSError.
    """
    if file == STDOUT:
        yield lambda _, value: click.echo(private_files.text(value), nl=False)
        return
    private_files.reserve(file)
    try:
        yield lambda words, value: _write(file, words, value)
    except BaseException:
        file.unlink()
        raise


def _write(file: Path, words: str, value: dict[str, Any]) -> None:
    private_files.write(file, value)
    click.echo(f"{words}: {file}")
