"""What commands print: tables for people, JSON for scripts."""

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from postroad.settings import Settings

_FINDING_STYLES = {"good": "green", "advice": "cyan", "missing": "red", "wrong": "red", "unknown": "yellow"}
_STATE_STYLES = {"relayed": "green", "failed": "red", "queued": "yellow", "held": "cyan"}

_GATE_STYLES = {"open": "green", "probing": "yellow", "closed": "red", "suspended": "cyan"}

# A text in a table, or a text and its style.
Cell = str | tuple[str, str]
# What is printed of an entry: its title, and names with values.
Facts = tuple[str, Sequence[tuple[str, str]]]


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
    nothing = "There is no account; `postroad account add ADDRESS` makes one."
    _table(("address", "role", "state"), list(map(_account, found)), nothing)


def _account(one: dict[str, Any]) -> Sequence[Cell]:
    role = "administrator" if one["administrator"] else "captured mailbox" if one["captured"] else "account"
    addresses = "\n".join((one["address"], *one["aliases"]))
    return addresses, role, "disabled" if one["disabled"] else "active"


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
    nothing = "There is no sending domain; `postroad domain add DOMAIN` makes one."
    rows = [row for one in found for row in _keys(one)]
    _table(("domain", "key", "state", "signs from", "retires"), rows, nothing)


def _keys(one: dict[str, Any]) -> Iterator[Sequence[Cell]]:
    if not one["keys"]:
        yield one["domain"], "none", ("unsigned", "red")
    for number, key in enumerate(one["keys"]):
        name = "" if number else one["domain"]
        retires = _day(key["retires_at"]) if key["retires_at"] else ""
        yield name, key["selector"], key["state"], _day(key["signs_from"]), retires


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
    _table(("state", "about", "what"), list(map(_finding, found)), "")
    missing = [one for one in found if one["publish"]]
    if missing:
        click.echo("\nTo publish:")
    for one in missing:
        click.echo(f"\n{'PTR' if one['about'] == 'PTR' else 'TXT':4} {one['name']}\n{one['publish']}")


def _finding(one: dict[str, Any]) -> Sequence[Cell]:
    state = one["state"]
    return (state, _FINDING_STYLES[state]), one["about"], f"{one['name']}\n{one['text']}"


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
    columns = ("queue id", "accepted", "from", "to", "state", "next try", "last reply")
    _table(columns, [_fate(entry, fate) for entry in entries for fate in entry["recipients"]], "Nothing waits.")


def _fate(entry: dict[str, Any], fate: dict[str, Any]) -> Sequence[Cell]:
    of_entry = entry["queue_id"], moment(entry["accepted_at"]), entry["reverse_path"] or "<>"
    return *of_entry, fate["forward_path"], _state(fate), _next_try(fate), _reply(fate["reply"])


def destinations(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """Where mail waits to go."""
    if as_json:
        click.echo(json.dumps(found))
        return
    columns = ("destination", "state", "waiting", "tried", "next try")
    replies = [
        f"{one['destination']} could not be reached: {_reply(one['reply'])}" for one in found if one["reply"]
    ]
    _table(columns, list(map(_gate, found)), "Nothing waits, and no destination is suspended.", replies)


def _gate(one: dict[str, Any]) -> Sequence[Cell]:
    state = one["state"] + (f" ({one['failures']})" if one["failures"] else "")
    next_try = moment(one["next_try"]) if one["next_try"] is not None else ""
    counts = str(one["waiting"]), str(one["in_flight"])
    return one["destination"], (state, _GATE_STYLES[one["state"]]), *counts, next_try


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


def _state(fate: dict[str, Any]) -> Cell:
    words = "being tried" if fate["claimed"] else fate["state"]
    return words + (" (in doubt)" if fate["in_doubt"] else ""), _STATE_STYLES[fate["state"]]


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
        return
    from postroad import terminal  # noqa: PLC0415 - slow to load, and only for people

    for one in found:
        terminal.entry(*facts(one))


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], nothing: str, below: Sequence[str] = ()
) -> None:
    """A table, and lines apart below it; or what is said where it would be empty."""
    if not rows:
        click.echo(nothing)
        return
    from postroad import terminal  # noqa: PLC0415 - as above

    terminal.table(columns, rows)
    for line in below:
        terminal.line(f"\n{line}")
