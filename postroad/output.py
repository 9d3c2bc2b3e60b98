"""What commands print: tables for people, JSON for scripts."""

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
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
_FINDING_STYLES = {"good": "green", "advice": "cyan", "missing": "red", "wrong": "red", "unknown": "yellow"}
_STATE_STYLES = {"relayed": "green", "failed": "red", "queued": "yellow", "held": "cyan"}

# What is printed of an entry: its title, and names with values.
Facts = tuple[str, Sequence[tuple[str, str]]]

_GATE_STYLES = {"open": "green", "probing": "yellow", "closed": "red", "suspended": "cyan"}


def _console() -> Console:
    """What is shown comes from other people's servers: none of it is markup."""
    return Console(highlight=False, markup=False, emoji=False)


def ready(settings: Settings, url: str, *, sandbox: Sequence[str]) -> None:
    """What a server says once it answers; `sandbox`: the files of credentials it has ready, if it is one."""
    relay = "captured in mailboxes here" if settings.relay == "capture" else f"relayed to {settings.relay}"
    click.echo(f"Postroad serves the Gmail API on {url}; mail is {relay}. Data: {settings.data}")
    if sandbox:
        data = shlex.quote(settings.data)
        click.echo(f"A token:  postroad token alice@example.test --scope gmail.send --data {data}")
        click.echo(f"Google's files for alice@example.test, in {data}: {', '.join(sandbox)}")
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


def clients(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """The clients."""
    _entries("There is no client; `postroad client add NAME` registers one.", found, _client, as_json=as_json)


def _client(one: dict[str, Any]) -> Facts:
    kind = one["kind"] + (", public" if one["public"] else "")
    named = (("name", one["name"]), ("kind", kind), ("since", moment(one["created_at"])))
    return one["client_id"], (*named, ("redirect URIs", "\n".join(one["redirect_uris"])))


def service_accounts(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """The service accounts."""
    nothing = "There is no service account; `postroad service-account add NAME` makes one."
    _entries(nothing, found, _service_account, as_json=as_json)


def _service_account(one: dict[str, Any]) -> Facts:
    acts, keys = _scopes(one["scopes"]) or "nothing", "\n".join(one["keys"]) or "none"
    state = "disabled" if one["disabled"] else "active"
    return one["address"], (("state", state), ("acts for any account in", acts), ("keys", keys))


def domains(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """The sending domains, and those that mail goes out unsigned from."""
    if as_json:
        click.echo(json.dumps(found))
        return
    table = _table("domain", "key", "state", "signs from", "retires")
    for one in found:
        if not one["keys"]:
            table.add_row(one["domain"], "none", Text("unsigned", "red"))
        for number, key in enumerate(one["keys"]):
            name = "" if number else one["domain"]
            retires = _day(key["retires_at"]) if key["retires_at"] else ""
            table.add_row(name, key["selector"], key["state"], _day(key["signs_from"]), retires)
    _print(table, found, "There is no sending domain; `postroad domain add DOMAIN` makes one.")


def records(words: str, found: list[dict[str, str]], zone: str, *, as_json: bool) -> None:
    """DNS records to publish. No value is broken over lines: it is copied into the name server's."""
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(words)
    for one in found:
        click.echo(f"\n{one['type']:4} {one['name']}\n{one['value']}")
    click.echo(f"\nThe same as lines of a zone file:\n\n{zone}", nl=False)


def findings(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """What the DNS says of a domain, the cure of what is bad, and what is to be published."""
    if as_json:
        click.echo(json.dumps(found))
        return
    table = _table("state", "about", "what")
    for one in found:
        state = Text(one["state"], _FINDING_STYLES[one["state"]])
        table.add_row(state, one["about"], f"{one['name']}\n{one['text']}")
    _print(table, found, "")
    missing = [one for one in found if one["publish"]]
    if missing:
        click.echo("\nTo publish:")
    for one in missing:
        click.echo(f"\n{'PTR' if one['about'] == 'PTR' else 'TXT':4} {one['name']}\n{one['publish']}")


def grants(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """What an account allows, client by client."""
    _entries("No client has a consent.", found, _grant, as_json=as_json)


def _grant(one: dict[str, Any]) -> Facts:
    times = (("since", moment(one["created_at"])), ("changed", moment(one["changed_at"])))
    return one["client_id"], (("name", one["name"]), ("scopes", _scopes(one["scopes"])), *times)


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


def destinations(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """Where mail waits to go."""
    if as_json:
        click.echo(json.dumps(found))
        return
    table = _table("destination", "state", "waiting", "tried", "next try")
    for one in found:
        state = one["state"] + (f" ({one['failures']})" if one["failures"] else "")
        next_try = moment(one["next_try"]) if one["next_try"] is not None else ""
        counts = str(one["waiting"]), str(one["in_flight"])
        table.add_row(one["destination"], Text(state, _GATE_STYLES[one["state"]]), *counts, next_try)
    _print(table, found, "Nothing waits, and no destination is suspended.")
    for one in found:
        if one["reply"]:
            _console().print(f"\n{one['destination']} could not be reached: {_reply(one['reply'])}")


def commanded(word: str, answer: dict[str, Any], *, as_json: bool) -> None:
    """What was done to a destination, and how many recipients wait for it."""
    if as_json:
        click.echo(json.dumps(answer))
        return
    count = answer["waiting"]
    click.echo(f"{word} {answer['destination']}; {count} recipient{'' if count == 1 else 's'} waiting for it")


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


def _day(milliseconds: int) -> str:
    return moment(milliseconds)[:10]


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


def _scopes(whole: Sequence[str]) -> str:
    """Scopes by the short names that commands take."""
    return "\n".join(scope.removeprefix("https://www.googleapis.com/auth/") for scope in whole)


def _entries(
    nothing: str, found: list[dict[str, Any]], facts: Callable[[dict[str, Any]], Facts], *, as_json: bool
) -> None:
    """One entry after the other, for what is too long to stand in a table's columns."""
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo(nothing)
    for one in found:
        title, rows = facts(one)
        grid = Table.grid(padding=(0, 2), pad_edge=True)
        for label, value in rows:
            grid.add_row(label, Text(value, overflow="fold"))
        _console().print(Text(title, "bold", overflow="fold"), grid, "")


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
