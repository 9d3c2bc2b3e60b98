"""`postroad client`: programs that ask people for consent."""

from pathlib import Path
from typing import Any

import click

from postroad import output
from postroad.cli import files, options
from postroad.cli.options import EVERYWHERE, order, settings


@click.group()
def client() -> None:
    """Programs that ask people for consent (OAuth clients)."""


@client.command("add")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["installed", "web"]),
    default="installed",
    show_default=True,
    help="installed: on people's machines; web: on a server.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    metavar="URI",
    help="Where a browser goes with the code; repeatable. installed: any port of localhost by default.",
)
@click.option("--public", is_flag=True, help="Without a secret; it must use PKCE.")
@files.out(default="-", show_default=True)
@settings(*EVERYWHERE, "public_url")
def client_add(out: Path, **values: Any) -> None:
    """Register the client NAME; write its client_secret.json.

    NAME is what people read who are asked for consent.
    """
    with files.written(out) as write:
        made = order("client add", values)
        write(f"registered the client {made['client_id']}; its client_secret.json", made["file"])


@client.command("list")
@options.as_json
@settings(*EVERYWHERE)
def client_list(as_json: bool, **values: Any) -> None:  # noqa: FBT001 - click's flag
    """List the clients."""
    output.clients(order("client list", values), as_json=as_json)


@client.command("remove")
@click.argument("client_id")
@settings(*EVERYWHERE)
def client_remove(**values: Any) -> None:
    """Forget a client and all that people allowed it."""
    removed = order("client remove", values)
    click.echo(f"removed the client {removed['client_id']} ({removed['name']})")
