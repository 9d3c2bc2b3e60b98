"""What commands share: flags for settings, what their parameters may be, and the order they give."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

import click

from postroad.clock import clock
from postroad.control.asking import ask
from postroad.oauth.scopes import UnknownScopeError, expand
from postroad.settings import SettingError, Settings, load

F = TypeVar("F", bound=Callable[..., Any])

# Which settings are flags of every command; all of them are flags of `dev` and `serve`.
EVERYWHERE = ("data", "database")
# Orders that may begin a new data folder.
_FOUNDING = ("account add", "migrate")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

# A command with this flag prints a table, or else JSON.
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def settings(*names: str) -> Callable[[F], F]:
    """Flags for these settings, and --config; none named means all."""

    def decorate(function: F) -> F:
        meant = [one for one in fields(Settings) if one.name in names or (not names and one.metadata["flag"])]
        for one in reversed(meant):
            function = _flag(one)(function)
        return click.option("--config", help="Settings file. Default: postroad.toml in the data folder.")(function)

    return decorate


def _flag(one: Any) -> Callable[[F], F]:
    default = one.default if one.default not in (MISSING, "") else None
    help_ = one.metadata["help"] + (f" [default: {default}]" if default is not None else "")
    return click.option(f"--{one.name.replace('_', '-')}", one.name, metavar="VALUE", help=help_)


def split(values: dict[str, Any]) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """A command's parameters: those that are settings, and the others."""
    names = {one.name for one in fields(Settings)} | {"config"}
    return (
        {name: value for name, value in values.items() if name in names},
        {name: value for name, value in values.items() if name not in names},
    )


def heeded(flags: Mapping[str, Any]) -> Settings:
    """The settings of a command. It greets nobody: it need not ask the network for this machine's name."""
    return load(flags, os.environ, {"hostname": "localhost"})


def order(name: str, values: dict[str, Any]) -> Any:
    """Have an order carried out on the data folder the flags name."""
    flags, arguments = split(values)
    found = heeded(flags)
    if "public_url" in flags:  # what is written names an address
        arguments["root_url"] = found.public_url
    if not (found.database or found.folder.exists() or name in _FOUNDING):
        raise SettingError(f"data: there is no folder {found.data}; `postroad dev` or `account add` makes one")
    return ask(found, name, arguments, clock())


def seconds(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    """A time as 90s, 15m, 12h or 30d."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if not match:
        raise click.BadParameter(f"{text!r} is not a time as 90s, 15m, 12h or 30d")
    return int(match[1]) * _UNITS[match[2] or "s"]


def address(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """A mail address in its canonical form."""
    from postroad.mail.address import BadAddress, parse_address  # noqa: PLC0415 - its patterns are slow to make

    try:
        return parse_address(text)
    except BadAddress as bad:
        raise click.BadParameter(f"{text!r}: {bad}") from None


def _scopes(_context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> list[str]:
    try:
        return [expand(name) for name in names]
    except UnknownScopeError as unknown:
        raise click.BadParameter(str(unknown)) from None


def scope(help_: str, *, required: bool = False) -> Callable[[F], F]:
    """The flag --scope."""
    return click.option("--scope", "-s", multiple=True, required=required, callback=_scopes, help=help_)
