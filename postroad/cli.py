"""The `postroad` command: parse, call, print. Exit codes: 0 done, 1 refused or failed, 2 usage."""

import errno
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.exceptions import NoArgsIsHelpError

from postroad import output
from postroad.mail.address import BadAddress, parse_address
from postroad.oauth.scopes import UnknownScopeError, expand
from postroad.refusals import Failure, Refusal
from postroad.settings import SANDBOX, SettingError, Settings, load

F = TypeVar("F", bound=Callable[..., Any])

# Which settings are flags of every command; all of them are flags of `dev` and `serve`.
_EVERYWHERE = ("data", "database")
# What the system says of an address that cannot be listened on.
_NO_ADDRESS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, socket.EAI_NONAME)
# Orders that may begin a new data folder.
_FOUNDING = ("account add", "migrate")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def main() -> None:
    """Run the command line; a refusal or failure is one clear line on stderr."""
    try:
        cli(prog_name="postroad", standalone_mode=False)
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "postroad"
        _complain(f"{error.format_message().rstrip('.')}; see {command} --help", error.exit_code)
    except SettingError as error:
        _complain(error, 2)
    except OSError as error:
        _complain(error, 1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Failure as error:
        _complain(error, 1)
    except Refusal as error:
        _complain(error.why, 1)


def _complain(error: object, code: int) -> None:
    click.echo(f"postroad: {error}", err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="postroad")
def cli() -> None:
    """Google's users.messages.send, self-hosted.

    `postroad dev` is a sandbox that captures mail; `postroad serve` sends it.
    """


def _settings(*names: str) -> Callable[[F], F]:
    """Flags for these settings, and --config; none named means all."""

    def decorate(function: F) -> F:
        for one in reversed([one for one in fields(Settings) if not names or one.name in names]):
            function = _flag(one)(function)
        return click.option("--config", help="Settings file. Default: postroad.toml in the data folder.")(function)

    return decorate


def _flag(one: Any) -> Callable[[F], F]:
    default = one.default if one.default not in (MISSING, "") else None
    help_ = one.metadata["help"] + (f" [default: {default}]" if default is not None else "")
    return click.option(f"--{one.name.replace('_', '-')}", one.name, metavar="VALUE", help=help_)


def _split(values: dict[str, Any]) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """A command's parameters: those that are settings, and the others."""
    names = {one.name for one in fields(Settings)} | {"config"}
    return (
        {name: value for name, value in values.items() if name in names},
        {name: value for name, value in values.items() if name not in names},
    )


def _order(name: str, values: dict[str, Any]) -> Any:
    """Have an order carried out on the data folder the flags name."""
    from postroad import app, control  # noqa: PLC0415 - as in main

    flags, arguments = _split(values)
    # A command greets nobody: it need not ask the network for this machine's name.
    settings = load(flags, os.environ, {"hostname": "localhost"})
    if not (settings.database or settings.folder.exists() or name in _FOUNDING):
        raise SettingError(f"data: there is no folder {settings.data}; `postroad dev` or `account add` makes one")
    return control.ask(settings.folder, name, arguments, app.clock(), settings.database)


@cli.command()
@_settings()
def dev(**values: Any) -> None:
    """Run the sandbox: mail is captured in mailboxes here, nothing leaves this machine."""
    _serve(values, SANDBOX, sandbox=True)


@cli.command()
@_settings()
def serve(**values: Any) -> None:
    """Run the server: mail is delivered through --relay."""
    _serve(values, {}, sandbox=False)


def _serve(values: dict[str, Any], defaults: Mapping[str, Any], *, sandbox: bool) -> None:
    settings = load(values, os.environ, defaults)
    _refuse_unsafe(settings)
    import uvloop  # noqa: PLC0415 - only servers need it

    from postroad import app, logs  # noqa: PLC0415

    logs.to_stderr()
    try:
        uvloop.run(
            app.serve(settings, sandbox=sandbox, ready=lambda url: output.ready(settings, url, sandbox=sandbox))
        )
    except OSError as error:
        if error.errno not in _NO_ADDRESS:
            raise
        _complain(f"listen: {settings.listen}: {error.strerror}", 1)


def _refuse_unsafe(settings: Settings) -> None:
    """Refuse what would put bearer tokens on the network in the clear, and what cannot deliver."""
    if not settings.relay:
        raise SettingError("relay: say where mail goes, as --relay smtp://host:port, or --relay capture")
    _ = settings.smart_host
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingError("tls_cert, tls_key: give both or neither")
    if not (settings.listens_on_loopback or settings.tls_cert or settings.behind_proxy):
        raise SettingError(
            f"listen: {settings.listen} is not a loopback address and there is no TLS; "
            "give --tls-cert and --tls-key, or name the proxies that end TLS with --behind-proxy"
        )


def _seconds(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if not match:
        raise click.BadParameter(f"{text!r} is not a time as 90s, 15m, 12h or 30d")
    return int(match[1]) * _UNITS[match[2] or "s"]


def _address(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    try:
        return parse_address(text)
    except BadAddress as bad:
        raise click.BadParameter(f"{text!r}: {bad}") from None


def _scopes(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> list[str]:
    try:
        return [expand(name) for name in names]
    except UnknownScopeError as unknown:
        raise click.BadParameter(str(unknown)) from None


@cli.command()
@click.argument("address", callback=_address)
@click.option(
    "--scope",
    "-s",
    multiple=True,
    required=True,
    callback=_scopes,
    help="A scope, as gmail.send; repeatable.",
)
@click.option(
    "--expires", "seconds", default="1h", show_default=True, callback=_seconds, help="Life: 90s, 15m, 12h, 30d."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON with the expiry.")
@_settings(*_EVERYWHERE)
def token(as_json: bool, **values: Any) -> None:  # noqa: FBT001 - click's flag
    """Print a bearer token of ADDRESS."""
    issued = _order("token", values)
    click.echo(json.dumps(issued) if as_json else issued["token"])


@cli.command()
@_settings(*_EVERYWHERE)
def migrate(**values: Any) -> None:
    """Bring the database to the newest schema; nodes of the version before go on with it."""
    click.echo(f"the schema is at step {_order('migrate', values)}")


@cli.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_settings(*_EVERYWHERE)
def backup(file: Path, **values: Any) -> None:
    """Copy the SQLite database to FILE, beside a running server; FILE must not exist."""
    from postroad.database.backup import BackupError  # noqa: PLC0415 - as in main
    from postroad.database.backup import backup as copy  # noqa: PLC0415

    settings = load(_split(values)[0], os.environ, {"hostname": "localhost"})
    if settings.database:
        raise BackupError("a PostgreSQL database is backed up by pg_dump or continuous archiving, not by this")
    with output.progress("backing up") as progress:
        octets = copy(settings.folder, file, progress)
    click.echo(f"backed up to {file}, {octets} octets, checked")


@cli.group()
def account() -> None:
    """Make, list and disable accounts."""


@account.command("add")
@click.argument("address", callback=_address)
@click.option("--admin", "administrator", is_flag=True, help="An administrator.")
@_settings(*_EVERYWHERE)
def account_add(**values: Any) -> None:
    """Make the account ADDRESS."""
    made = _order("account add", values)
    click.echo(f"made the account {made['address']}")


@account.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_settings(*_EVERYWHERE)
def account_list(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """List the accounts."""
    output.accounts(_order("account list", values), as_json=as_json)


@account.command("disable")
@click.argument("address", callback=_address)
@_settings(*_EVERYWHERE)
def account_disable(**values: Any) -> None:
    """Refuse ADDRESS everywhere from now on."""
    disabled = _order("account disable", values)
    click.echo(f"disabled the account {disabled['address']}")


@account.group()
def alias() -> None:
    """Give accounts further addresses, and take them away."""


@alias.command("add")
@click.argument("address", callback=_address)
@click.argument("alias", callback=_address)
@_settings(*_EVERYWHERE)
def account_alias_add(**values: Any) -> None:
    """Let the account ADDRESS receive and send as ALIAS, too."""
    owner = _order("account alias add", values)
    click.echo(f"{owner['address']} is also {', '.join(owner['aliases'])}")


@alias.command("remove")
@click.argument("alias", callback=_address)
@_settings(*_EVERYWHERE)
def account_alias_remove(**values: Any) -> None:
    """Take ALIAS from its account."""
    owner = _order("account alias remove", values)
    click.echo(f"removed an alias of {owner['address']}")


@cli.group()
def queue() -> None:
    """Look at the queue, and tell it what to do with a message."""


@queue.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what is done.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_settings(*_EVERYWHERE)
def queue_list(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """List the messages that wait, newest first."""
    output.queue(_order("queue list", values), as_json=as_json)


@queue.command("show")
@click.argument("queue_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_settings(*_EVERYWHERE)
def queue_show(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Show one message: its recipients, and each attempt with its SMTP conversation."""
    output.entry(_order("queue show", values), as_json=as_json)


def _queue_command(function: Callable[..., Any]) -> click.Command:
    """What the commands about one message share: which, of whom, and how to print."""
    function = _settings(*_EVERYWHERE)(function)
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
    help_ = "Only this recipient. Default: all of whom it can be done."
    function = click.option("--recipient", metavar="ADDRESS", help=help_)(function)
    name = function.__name__.removeprefix("queue_")
    return queue.command(name)(click.argument("queue_id")(function))


@_queue_command
def queue_retry(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Try now what waits for its next try, and open the gate of its destination."""
    output.done("due now:", _order("queue retry", values), as_json=as_json)


@_queue_command
def queue_hold(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Try it no more until it is released; meanwhile it does not expire."""
    output.done("held:", _order("queue hold", values), as_json=as_json)


@_queue_command
def queue_release(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Try now what was held."""
    output.done("released:", _order("queue release", values), as_json=as_json)


@_queue_command
@click.option("--report", is_flag=True, help="Tell the author by a DSN. Default: nobody is told.")
def queue_cancel(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Give it up: its recipients have failed, and the author is told only with --report.

    What is being tried right now cannot be cancelled: it may be relayed already.
    """
    output.done("cancelled:", _order("queue cancel", values), as_json=as_json)
