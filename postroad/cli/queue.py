"""`postroad queue`: what waits, and what is to become of it."""

from collections.abc import Callable
from typing import Any

import click

from postroad import output
from postroad.cli import options
from postroad.cli.options import EVERYWHERE, order, settings


@click.group()
def queue() -> None:
    """Look at the queue, and tell it what to do with a message, or with a destination."""


@queue.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what is done.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
@options.as_json
@settings(*EVERYWHERE)
def queue_list(as_json: bool, **values: Any) -> None:  # noqa: FBT001 - click's flag
    """List the messages that wait, newest first."""
    output.queue(order("queue list", values), as_json=as_json)


@queue.command("show")
@click.argument("queue_id")
@options.as_json
@settings(*EVERYWHERE)
def queue_show(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Show one message: its recipients, and each attempt with its SMTP conversation."""
    output.entry(order("queue show", values), as_json=as_json)


def _queue_command(function: Callable[..., Any]) -> click.Command:
    """What the commands about one message share: which, of whom, and how to print."""
    function = options.as_json(settings(*EVERYWHERE)(function))
    help_ = "Only this recipient. Default: all of whom it can be done."
    function = click.option("--recipient", metavar="ADDRESS", help=help_)(function)
    name = function.__name__.removeprefix("queue_")
    return queue.command(name)(click.argument("queue_id")(function))


@_queue_command
def queue_retry(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Try now what waits for its next try, and open the gate of its destination."""
    output.done("due now:", order("queue retry", values), as_json=as_json)


@_queue_command
def queue_hold(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Try it no more until it is released; meanwhile it does not expire."""
    output.done("held:", order("queue hold", values), as_json=as_json)


@_queue_command
def queue_release(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Try now what was held."""
    output.done("released:", order("queue release", values), as_json=as_json)


@_queue_command
@click.option("--report", is_flag=True, help="Tell the author by a DSN. Default: nobody is told.")
def queue_cancel(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Give it up: its recipients have failed, and the author is told only with --report.

    What is being tried right now cannot be cancelled: it may be relayed already.
    """
    output.done("cancelled:", order("queue cancel", values), as_json=as_json)


@queue.command("destinations")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
@options.as_json
@settings(*EVERYWHERE)
def queue_destinations(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """List where mail waits to go, most first: domains, the smart host, or local."""
    output.destinations(order("queue destinations", values), as_json=as_json)


@queue.command("suspend")
@click.argument("destination")
@options.as_json
@settings(*EVERYWHERE)
def queue_suspend(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Have the mail for a destination wait until it is resumed; meanwhile it does not expire."""
    output.commanded("suspended", order("queue suspend", values), as_json=as_json)


@queue.command("resume")
@click.argument("destination")
@options.as_json
@settings(*EVERYWHERE)
def queue_resume(as_json: bool, **values: Any) -> None:  # noqa: FBT001
    """Let the mail for a suspended destination go, at once."""
    output.commanded("resumed", order("queue resume", values), as_json=as_json)
