"""`postroad token` and `postroad credentials`: what a program shows to act for an account."""

import json
from pathlib import Path
from typing import Any

import click

from postroad.cli import files, options
from postroad.cli.options import EVERYWHERE, order, settings

_SCOPE = options.scope("A scope, as gmail.send; repeatable.", required=True)


@click.command()
@click.argument("address", callback=options.address)
@_SCOPE
@click.option(
    "--expires",
    "seconds",
    default="1h",
    show_default=True,
    callback=options.seconds,
    help="Life: 90s, 15m, 12h, 30d.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON with the expiry.")
@settings(*EVERYWHERE)
def token(as_json: bool, **values: Any) -> None:  # noqa: FBT001 - click's flag
    """Print a bearer token of ADDRESS."""
    issued = order("token", values)
    click.echo(json.dumps(issued) if as_json else issued["token"])


def _client(_context: click.Context, _parameter: click.Parameter, file: Path | None) -> dict[str, str] | None:
    """Number and secret of the client in a client_secret.json."""
    if file is None:
        return None
    try:
        (client,) = json.loads(file.read_text()).values()
        return {name: str(client[name]) for name in ("client_id", "client_secret")}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise click.BadParameter(f"{file} is no client_secret.json: {error!r}") from None


@click.command()
@click.argument("address", callback=options.address)
@_SCOPE
@click.option(
    "--client",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_client,
    metavar="FILE",
    help="client_secret.json of the client to use. Default: one is made for this file.",
)
@files.out(required=True)
@settings(*EVERYWHERE, "public_url")
def credentials(out: Path, **values: Any) -> None:
    """Write an authorized_user.json for ADDRESS.

    It holds a refresh token, good until it is revoked (`postroad account revoke`) or was not used for six months.
    """
    with files.written(out) as write:
        made = order("credentials", values)
        write(f"{made['address']} allows the client {made['client_id']}; its credentials", made["file"])
