"""What is laid out for the width of a terminal: tables, entries, a bar. Whoever prints less need not load rich."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

# Columns that are never broken over lines: they are copied into the next command.
_WHOLE = ("queue id", "accepted", "next try", "address")


def _console() -> Console:
    """What is shown comes from other people's servers: none of it is markup."""
    return Console(highlight=False, markup=False, emoji=False)


def line(text: str) -> None:
    """A text, broken between words."""
    _console().print(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[str | tuple[str, str]]]) -> None:
    """A row below the other; a cell is a text, or a text and its style."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, str) else Text(*cell) for cell in row))
    _console().print(drawn)


def entry(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Names with values below a title, for what is too long to stand in a table's columns."""
    grid = Table.grid(padding=(0, 2), pad_edge=True)
    for label, value in facts:
        grid.add_row(label, Text(value, overflow="fold"))
    _console().print(Text(title, "bold", overflow="fold"), grid, "")


@contextlib.contextmanager
def progress(words: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far something is: the function given is told how much of how much is done."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(words, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
