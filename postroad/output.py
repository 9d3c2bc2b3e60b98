"""What commands print: tables for people, JSON for scripts."""

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from postroad.settings import Settings

# Columns that are never broken over lines: they are copied into the next command.
_WHOLE = ("queue id", "accepted", "next try", "address")
_STATE_STYLES = {"relayed": "green", "failed": "red", "queued": "yellow", "held": "cyan"}


def _console() -> Console:
    """What is shown comes from other people's servers: none of it is markup."""
    return Console(highlight=False, markup=False, emoji=False)


def ready(settings: Settings, url: str, *, sandbox: bool) -> None:
    """What a server says once it answers."""
    relay = "captured in mailboxes here" if settings.relay == "capture" else f"relayed to {settings.relay}"
    click.echo(f"Postroad serves the Gmail API on {url}; mail is {relay}. Data: {settings.data}")
    if sandbox:
        data = shlex.quote(settings.data)
        click.echo(f"A token:  postroad token alice@example.test --scope gmail.send --data {data}")
    click.echo("Ctrl-C stops.")


def accounts(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """The accounts."""
    if as_json:
        click.echo(json.dumps(found))
        return
    table = _table("address", "role", "state")
    for one in found:
        role = "administrator" if one["administrator"] else "captured mailbox" if one["captured"] else "account"
        addresses = "\n".join((one["address"], *one["aliases"]))
        table.add_row(addresses, role, "disabled" if one["disabled"] else "active")
    _print(table, found, "There is no account; `postroad account add ADDRESS` makes one.")


def queue(entries: list[dict[str, Any]], *, as_json: bool) -> None:
    """Queue entries, a row for each recipient."""
    if as_json:
        click.echo(json.dumps(entries))
        return
    table = _table("queue id", "accepted", "from", "to", "state", "next try", "last reply")
    for entry in entries:
        for fate in entry["recipients"]:
            table.add_row(
                entry["queue_id"],
                moment(entry["accepted_at"]),
                entry["reverse_path"] or "<>",
                fate["forward_path"],
                _state(fate),
                _next_try(fate),
                _reply(fate["reply"]),
            )
    _print(table, entries, "Nothing waits.")


def entry(shown: dict[str, Any], *, as_json: bool) -> None:
    """One queue entry whole."""
    if as_json:
        click.echo(json.dumps(shown))
        return
    queue([shown], as_json=False)
    for number, attempt in enumerate(shown["attempts"], 1):
        click.echo(f"\n{_headline(number, attempt)}")
        for line in attempt["conversation"].splitlines():
            click.echo(f"  {line}")


@contextlib.contextmanager
def progress(words: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how far something is: the function given is told how much of how much is done."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(words, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def done(words: str, answer: dict[str, Any], *, as_json: bool) -> None:
    """To whom something was done, and to whom not."""
    if as_json:
        click.echo(json.dumps(answer))
        return
    for forward_path in answer["done"]:
        click.echo(f"{words} {forward_path}")
    for forward_path, why in answer["left"].items():
        click.echo(f"left {forward_path}: {why}")


def _headline(number: int, attempt: dict[str, Any]) -> str:
    """What an attempt came to, in one line."""
    seconds = (attempt["ended_at"] - attempt["started_at"]) / 1000
    host = f" with {attempt['host']}" if attempt["host"] else ""
    doubt = "; an earlier attempt was in doubt" if attempt["after_in_doubt"] else ""
    return f"Attempt {number}, {moment(attempt['started_at'])}, {seconds:.1f} s{host}: {attempt['outcome']}{doubt}"


def moment(milliseconds: int) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _state(fate: dict[str, Any]) -> Text:
    words = "being tried" if fate["claimed"] else fate["state"]
    return Text(words + (" (in doubt)" if fate["in_doubt"] else ""), _STATE_STYLES[fate["state"]])


def _next_try(fate: dict[str, Any]) -> str:
    return moment(fate["due_at"]) if fate["state"] == "queued" and not fate["claimed"] else ""


def _reply(reply: dict[str, Any] | None) -> str:
    if reply is None:
        return ""
    return " ".join(
        part for part in (str(reply["code"]), reply["status"], reply["text"].replace("\n", " ")) if part
    )


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    return table


def _print(table: Table, rows: list[dict[str, Any]], nothing: str) -> None:
    if rows:
        _console().print(table)
    else:
        click.echo(nothing)
