"""`postroad service-account`: programs that sign in by a key of their own."""

from pathlib import Path
from typing import Any

import click

from postroad import output
from postroad.cli import files, options
from postroad.cli.options import EVERYWHERE, order, settings

_NAME = click.argument("name")


@click.group("service-account")
def service_account() -> None:
    """Programs that sign in by a key of their own.

    NAME is the part before the @ of its address, or the whole address.
    """


@service_account.command("add")
@_NAME
@options.scope("A scope in which it may act for any account (domain-wide delegation); repeatable.")
@files.out(required=True)
@settings(*EVERYWHERE, "public_url")
def service_account_add(out: Path, **values: Any) -> None:
    """Make the service account NAME and write its key file."""
    _with_key("service-account add", "made the service account {address}; its key", out, values)


@service_account.command("list")
@options.as_json
@settings(*EVERYWHERE)
def service_account_list(as_json: bool, **values: Any) -> None:  # noqa: FBT001 - click's flag
    """List the service accounts with their keys and delegated scopes."""
    output.service_accounts(order("service-account list", values), as_json=as_json)


@service_account.command("delegate")
@_NAME
@options.scope("A scope in which it may act for any account; repeatable. Default: none.")
@settings(*EVERYWHERE)
def service_account_delegate(**values: Any) -> None:
    """Let NAME act for any account in these scopes, and in no others."""
    owner = order("service-account delegate", values)
    scopes = ", ".join(owner["scopes"])
    click.echo(
        f"{owner['address']} may act for any account in {scopes}"
        if scopes
        else f"{owner['address']} may act for nobody"
    )


@service_account.command("remove")
@_NAME
@settings(*EVERYWHERE)
def service_account_remove(**values: Any) -> None:
    """Forget NAME with its keys and tokens."""
    click.echo(f"removed the service account {order('service-account remove', values)['address']}")


@service_account.group()
def key() -> None:
    """Give service accounts further keys, and take them away."""


@key.command("add")
@_NAME
@files.out(required=True)
@settings(*EVERYWHERE, "public_url")
def service_account_key_add(out: Path, **values: Any) -> None:
    """Give NAME another key, and write its key file."""
    _with_key("service-account key add", "another key of {address}", out, values)


@key.command("remove")
@_NAME
@click.argument("key_id")
@settings(*EVERYWHERE)
def service_account_key_remove(**values: Any) -> None:
    """Take the key KEY_ID from NAME, and end its tokens."""
    owner = order("service-account key remove", values)
    click.echo(f"removed a key of {owner['address']}")


def _with_key(name: str, words: str, out: Path, values: dict[str, Any]) -> None:
    """Give an order that needs a key: it is made here, and only its public half leaves this process."""
    from postroad.oauth.service_accounts import fresh_key  # noqa: PLC0415 - what few commands need

    with files.written(out) as write:
        made = fresh_key()
        public = {"key_id": made.public.key_id, "pem": made.public.pem}
        owner = order(name, values | {"key": public})
        write(words.format(**owner), owner["file"] | {"private_key": made.private_key})
