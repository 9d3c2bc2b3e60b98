"""`postroad account`: who may send, and what they allowed."""

import sys
from typing import Any

import click

from postroad import output
from postroad.cli import options
from postroad.cli.options import EVERYWHERE, order, settings
from postroad.refusals import Failure

_ADDRESS = click.argument("address", callback=options.address)
_PASSWORD_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, a line without its end."
)
# A longer line is no password (oauth/passwords.py); in characters.
_MAX_LINE = 4096


@click.group()
def account() -> None:
    """Who may send, and what they allowed."""


@account.command("add")
@_ADDRESS
@click.option("--admin", "administrator", is_flag=True, help="An administrator.")
@click.option("--password", "prompt", is_flag=True, help="Ask for a password. Default: none, nobody signs in.")
@_PASSWORD_STDIN
@settings(*EVERYWHERE)
def account_add(prompt: bool, password_stdin: bool, **values: Any) -> None:  # noqa: FBT001 - click's flags
    """Make the account ADDRESS."""
    if prompt or password_stdin:
        values["password_hash"] = _hash(from_stdin=password_stdin)
    made = order("account add", values)
    click.echo(f"made the account {made['address']}")


@account.command("password")
@_ADDRESS
@_PASSWORD_STDIN
@settings(*EVERYWHERE)
def account_password(password_stdin: bool, **values: Any) -> None:  # noqa: FBT001
    """Set the password by which ADDRESS signs in."""
    owner = order("account password", values | {"password_hash": _hash(from_stdin=password_stdin)})
    click.echo(f"set the password of {owner['address']}")


def _hash(*, from_stdin: bool) -> str:
    """A new password's hash, made here: the password itself goes nowhere."""
    from postroad.oauth.passwords import BadPasswordError, Passwords  # noqa: PLC0415 - what few commands need

    if from_stdin:
        password = sys.stdin.readline(_MAX_LINE).removesuffix("\n").removesuffix("\r")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    try:
        return Passwords().hash(password)
    except BadPasswordError as bad:
        raise Failure(str(bad)) from None


@account.command("list")
@options.as_json
@settings(*EVERYWHERE)
def account_list(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """List the accounts."""
    output.accounts(order("account list", values), as_json=as_json)


@account.command("disable")
@_ADDRESS
@settings(*EVERYWHERE)
def account_disable(**values: Any) -> None:
    """Refuse ADDRESS everywhere from now on."""
    click.echo(f"disabled the account {order('account disable', values)['address']}")


@account.command("enable")
@_ADDRESS
@settings(*EVERYWHERE)
def account_enable(**values: Any) -> None:
    """Let ADDRESS in again; what was allowed before holds again."""
    click.echo(f"enabled the account {order('account enable', values)['address']}")


@account.command("unlink")
@_ADDRESS
@settings(*EVERYWHERE)
def account_unlink(**values: Any) -> None:
    """Forget who ADDRESS is at the external OpenID provider: its next sign-in there may be somebody else's."""
    forgotten = order("account unlink", values)["forgotten"]
    click.echo(f"forgot {forgotten} of {values['address']}'s identities at the provider")


@account.command("grants")
@_ADDRESS
@options.as_json
@settings(*EVERYWHERE)
def account_grants(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """List which clients ADDRESS allowed what, and since when."""
    output.grants(order("account grants", values), as_json=as_json)


@account.command("revoke")
@_ADDRESS
@click.option(
    "--client", "client_id", metavar="ID", help="Only what this client was allowed. Default: everything."
)
@settings(*EVERYWHERE)
def account_revoke(**values: Any) -> None:
    """Take back what ADDRESS allowed, with all that came of it.

    Within a second no token that came of it is good. Without --client all tokens of ADDRESS end, those of
    `postroad token` too, and it is signed out everywhere.
    """
    taken = order("account revoke", values)
    what = ", ".join(taken["clients"]) or "no client had a consent"
    click.echo(
        f"revoked for {taken['address']}: {what}" + ("" if values["client_id"] else "; its tokens have ended")
    )


@account.group()
def alias() -> None:
    """Give accounts further addresses, and take them away."""


@alias.command("add")
@_ADDRESS
@click.argument("alias", callback=options.address)
@settings(*EVERYWHERE)
def account_alias_add(**values: Any) -> None:
    """Let the account ADDRESS receive and send as ALIAS, too."""
    owner = order("account alias add", values)
    click.echo(f"{owner['address']} is also {', '.join(owner['aliases'])}")


@alias.command("remove")
@click.argument("alias", callback=options.address)
@settings(*EVERYWHERE)
def account_alias_remove(**values: Any) -> None:
    """Take ALIAS from its account."""
    owner = order("account alias remove", values)
    click.echo(f"removed an alias of {owner['address']}")
