"""`postroad dev` and `postroad serve`: run the server."""

import errno
import os
import socket
from collections.abc import Mapping
from typing import Any

import click

from postroad import output
from postroad.cli import options
from postroad.refusals import Failure
from postroad.settings import SANDBOX, SettingError, Settings, load

# What the system says of an address that cannot be listened on.
_NO_ADDRESS = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES, socket.EAI_NONAME)


@click.command()
@options.settings()
def dev(**values: Any) -> None:
    """Run the sandbox: mail is captured in mailboxes here, nothing leaves this machine."""
    _serve(values, SANDBOX, sandbox=True)


@click.command()
@options.settings()
def serve(**values: Any) -> None:
    """Run the server: mail is delivered through --relay."""
    _serve(values, {}, sandbox=False)


def _serve(values: dict[str, Any], defaults: Mapping[str, Any], *, sandbox: bool) -> None:
    settings = load(values, os.environ, defaults)
    _refuse_unsafe(settings)
    import uvloop  # noqa: PLC0415 - only servers need it

    from postroad import app, front, logs, serving  # noqa: PLC0415
    from postroad.sandbox import FILES  # noqa: PLC0415

    def ready(url: str) -> None:
        output.ready(settings, url, sandbox=FILES if sandbox else ())

    serving.refuse_unusable(settings)
    logs.to_stderr()
    try:
        with front.forked(settings, sandbox=sandbox) as fronts:
            uvloop.run(app.serve(settings, fronts, sandbox=sandbox, ready=ready))
    except OSError as error:
        if error.errno not in _NO_ADDRESS:
            raise
        raise Failure(f"listen: {settings.listen}: {error.strerror}") from None


def _refuse_unsafe(settings: Settings) -> None:
    """Refuse what would put bearer tokens on the network in the clear, and what cannot deliver."""
    if not settings.relay:
        raise SettingError(
            "relay: say where mail goes, as --relay mx, --relay smtp://host:port, or --relay capture"
        )
    _ = (
        settings.smart_hosts,
        settings.smart_hosts_by_sender,
        settings.name_server,
        settings.allowed_networks,
        settings.tls_domains,
        settings.proxies,
    )  # each may refuse
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingError("tls_cert, tls_key: give both or neither")
    if not (settings.listens_on_loopback or settings.tls_cert or settings.behind_proxy):
        raise SettingError(
            f"listen: {settings.listen} is not a loopback address and there is no TLS; "
            "give --tls-cert and --tls-key, or name the proxies that end TLS with --behind-proxy"
        )
