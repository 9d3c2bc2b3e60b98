"""`postroad domain`: what mail is sent from, the keys that sign it, and what the DNS has to say of it."""

import sys
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

import click

from postroad import output
from postroad.cli import options
from postroad.cli.options import EVERYWHERE, order, settings

_DOMAIN = click.argument("domain")
# Those of `domains.register`, which is slow to load.
_NOTICE_DAYS = 2
_MOST_DAYS = 365


def _addresses(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> list[str]:
    try:
        return [str(ip_address(text)) for text in texts]
    except ValueError as bad:
        raise click.BadParameter(str(bad)) from None


_ADDRESS = click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="IP",
    callback=_addresses,
    help="A public address that mail leaves by; repeatable.",
)
_INCLUDE = click.option(
    "--include", default="", metavar="DOMAIN", help="Whose SPF record names the addresses: the smart host's owner."
)


@click.group()
def domain() -> None:
    """What mail is sent from: its DKIM keys, and the DNS records to publish."""


@domain.command("add")
@_DOMAIN
@_ADDRESS
@_INCLUDE
@options.as_json
@settings(*EVERYWHERE, "hostname", "secret_key_file")
def domain_add(as_json: bool, addresses: list[str], include: str, **values: Any) -> None:  # noqa: FBT001
    """Sign mail from DOMAIN, and print the DNS records to publish.

    A domain that is there stays as it is, and its records are printed again. Mail from domains below it is signed
    by its keys, too, unless they have their own.
    """
    from postroad.cli import publishing  # noqa: PLC0415 - slow to load

    told = order("domain add", values | {"fresh": publishing.fresh_keys()})
    found = publishing.Publishing.of(told, options.split(values)[0], addresses, include).records()
    name = told["domain"]
    words = f"Mail from {name} is signed. Publish in the DNS:"
    output.records(words, list(map(asdict, found)), publishing.zone(found), as_json=as_json)
    if not as_json and not (addresses or include):
        click.echo(
            "\nNo record says yet from where mail leaves: name the addresses with --address, or\n"
            "with --include whose SPF record names them."
        )
    if not as_json:
        click.echo(f"\n`postroad domain check {name}` tells whether they are there.")


@domain.command("list")
@options.as_json
@settings(*EVERYWHERE)
def domain_list(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """List the sending domains with their keys, and the domains of accounts that nobody signs for."""
    output.domains(order("domain list", values), as_json=as_json)


@domain.command("check")
@_DOMAIN
@_ADDRESS
@_INCLUDE
@options.as_json
@settings(*EVERYWHERE, "hostname", "dns")
def domain_check(as_json: bool, addresses: list[str], include: str, **values: Any) -> None:  # noqa: FBT001
    """Ask the DNS whether DOMAIN's records are there and right; exit code 1 if not.

    Without --address it takes the addresses that the DNS knows of the host's name.
    """
    from postroad.cli import publishing  # noqa: PLC0415

    told = order("domain check", values)
    found = publishing.Publishing.of(told, options.split(values)[0], addresses, include).findings()
    output.findings(found, as_json=as_json)
    if any(one["bad"] or one["state"] == "unknown" for one in found):
        sys.exit(1)


@domain.command("rotate")
@_DOMAIN
@click.option(
    "--days",
    type=click.IntRange(0, _MOST_DAYS),
    default=_NOTICE_DAYS,
    show_default=True,
    help="When the new keys sign; until then their records must be known everywhere. 0: a key was stolen.",
)
@options.as_json
@settings(*EVERYWHERE, "secret_key_file")
def domain_rotate(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Make new keys for DOMAIN, and print their records.

    Those before them sign until the new ones do, and their records must stay for another week. With --days 0 they
    are good for nothing from now on.
    """
    from postroad.cli import publishing  # noqa: PLC0415

    told = order("domain rotate", values | {"fresh": publishing.fresh_keys()})
    newest = told["keys"][-1]
    found = publishing.Publishing.of(told, options.split(values)[0]).keys_of(newest["created_at"])
    words = (
        f"The new keys of {told['domain']} sign from {output.moment(newest['signs_from'])} UTC. Publish before:"
    )
    if not values["days"]:
        words = f"The new keys of {told['domain']} sign from now on. Publish at once, and take the others out:"
    output.records(words, list(map(asdict, found)), publishing.zone(found), as_json=as_json)


@domain.command("remove")
@_DOMAIN
@settings(*EVERYWHERE)
def domain_remove(**values: Any) -> None:
    """Forget DOMAIN with its keys: its mail goes out unsigned.

    The records of its keys must stay for another week, in which their signatures count.
    """
    removed = order("domain remove", values)
    click.echo(f"removed the sending domain {removed['domain']}; the records of its keys may go in a week")
