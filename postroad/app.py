"""The wiring: settings -> database, machines, faces; what starts after what, and what stops before what."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from sqlalchemy import Connection

from postroad import control, machine, maillog, outgoing
from postroad.clock import clock
from postroad.database import facts
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.domains.signing import Signer
from postroad.mail.envelope import LOCAL
from postroad.mail.outcome import Attempt
from postroad.mail.reply import Reply
from postroad.mailbox.delivery import DISABLED, NO_MAILBOX, LocalDelivery
from postroad.oauth import accounts, assertions
from postroad.oauth.tokens import Tokens
from postroad.oauth.upstream import is_safe
from postroad.outgoing import Outgoing
from postroad.queue import store
from postroad.queue.runner import Runner
from postroad.queue.shaping import Limits
from postroad.retention import Pruner
from postroad.sandbox import prepare
from postroad.sealing import Sealing
from postroad.settings import SettingError, Settings
from postroad.submission import Policy, Route, Submission
from postroad.web.addresses import Addresses
from postroad.web.asgi import Face
from postroad.web.body_memory import BodyMemory, sharing
from postroad.web.exposition import Exposition
from postroad.web.oauth.context import OAuthContext
from postroad.web.oauth.provider import Provider
from postroad.web.proxies import Proxies
from postroad.web.quotas import Quotas

# The head of a request must be complete within this time (hardening.md 2H, H5).
HEAD_TIMEOUT_MS = 10_000
# Between requests the same time counts. A proxy (nginx and others) keeps a connection for a minute, and loses a
# request when it was closed before; heads that come slowly it keeps to itself.
PROXIED_HEAD_TIMEOUT_MS = 75_000
TIDY_SECONDS = 5.0
# New objects between two looks for cycles: about 50 messages' worth; Python's own figure is less than a message's.
OBJECTS_PER_COLLECTION = 10_000
# Sessions that one node may have beside those with a next hop at its cap.
SPARE_SLOTS = 12
# Of the file descriptors of a process, sessions may have this part: the others are for who submits mail.
DESCRIPTORS_PER_SESSION = 4
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(settings: Settings, *, sandbox: bool, ready: Callable[[str], None]) -> None:
    """Run the server until SIGTERM or SIGINT; `ready` is told the address once it answers.

    Raises `InUseError` when another process holds the data folder.
    """
    folder, url = settings.folder, settings.database
    with contextlib.nullcontext() if url else control.lock(folder):
        database = await asyncio.to_thread(Database, folder, floor=settings.free_floor, url=url)
        try:
            await _run(settings, database, sandbox=sandbox, ready=ready)
        finally:
            maillog.stopping("close the database")
            database.close()


async def _run(settings: Settings, database: Database, *, sandbox: bool, ready: Callable[[str], None]) -> None:
    """Start in order: queue, commands, HTTP; stop in the order of `_stop`."""
    address = free_address(*settings.listen_address)
    sealing = control.sealing_of(settings)
    await database.commit(lambda connection: sealing.refuse_other(_proof(connection, sealing)))
    if sandbox:
        await prepare(database, settings.folder, _url(settings, address), clock)
    house = _house(settings, database, _url(settings, address), sealing, sandbox=sandbox)
    await database.commit(lambda connection: _recover(connection, house, alone=database.alone))
    async with _hearing(settings, database, house, sealing):
        running = asyncio.create_task(house.runner.run() if settings.role != "web" else _nothing())
        tidying = asyncio.create_task(_tidy(house.outgoing))
        pruning = asyncio.create_task(house.pruner.run())
        watching = asyncio.create_task(machine.watch(clock))
        server = _server(settings, address, house.face)
        serving = asyncio.create_task(server.serve())
        await _until_answering(address, serving)
        _spare_the_collector()
        told = _heed_signals()
        ready(_url(settings, address))
        await _until_told(told, serving)
        _heed_no_more()
        tidying.cancel()
        pruning.cancel()
        watching.cancel()
        await _stop(house, server, serving, running, settings.drain_seconds)


@contextlib.asynccontextmanager
async def _hearing(
    settings: Settings, database: Database, house: "_House", sealing: Sealing
) -> AsyncIterator[None]:
    """Hear of orders where this process has the database alone, of new mail where others put it there."""
    if database.alone:
        async with control.listening(settings.folder, database, clock, lambda: sealing):
            yield
        return
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(house.runner.wake)

    with database.listening(wake):
        yield


def _spare_the_collector() -> None:
    """What is here at the start stays: the collector of cycles need not go through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION)


async def _nothing() -> None:
    """What a node that only takes mail has to send."""


@dataclass(frozen=True, slots=True)
class _House:
    """What was wired together."""

    relay: str
    runner: Runner
    outgoing: Outgoing | None
    face: Face
    pruner: Pruner


def _house(settings: Settings, database: Database, url: str, sealing: Sealing, *, sandbox: bool) -> _House:
    identifiers = Identifiers()
    way_out = outgoing.of(settings, Signer(database, sealing, clock).signed, database, clock)
    local = LocalDelivery(database, identifiers, _accounts_only if way_out else _anyone, clock)
    runner = Runner(
        database,
        identifiers,
        _attempts(local.attempt, way_out),
        settings.hostname,
        clock,
        Limits(each=settings.relay_sessions, node=_node_sessions(settings)),
    )
    directory = accounts.Directory(database)
    submission = Submission(database, identifiers, _policy(settings), _route(directory, way_out), runner.wake)
    exposition = Exposition(database, clock, settings.metrics_token, loopback=not settings.behind_proxy)
    tokens = _tokens(database, url, settings.universe_domain)
    addresses = Addresses(url, settings.host_names, "https" if settings.behind_proxy else _scheme(settings))
    face = Face(
        database,
        tokens,
        submission,
        clock,
        exposition,
        addresses,
        Quotas(settings.user_quota, settings.project_quota),
        OAuthContext(database, clock, tokens, addresses, sealing, sandbox, upstream=_provider(settings)),
        Proxies(settings.proxies),
        takes_mail=settings.role != "relay",
        token_in_query=settings.token_in_query,
    )
    pruner = Pruner(database, settings.keep_settled_days, settings.keep_messages_days, clock)
    return _House(outgoing.decided_by(settings, way_out), runner, way_out, face, pruner)


def _node_sessions(settings: Settings) -> int:
    """As many as asked for, more than with one next hop, and no more than there are descriptors for."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = max(settings.node_sessions, settings.relay_sessions + SPARE_SLOTS)
    return asked if descriptors == resource.RLIM_INFINITY else min(asked, descriptors // DESCRIPTORS_PER_SESSION)


def _tokens(database: Database, url: str, universe: str) -> Tokens:
    """Issued ones, and those that service accounts sign for this server or for Google's API, in any universe."""
    audiences = frozenset((assertions.GOOGLES_API, f"{url}/", f"https://gmail.{universe or 'googleapis.com'}/"))
    return Tokens(database, lambda connection, text, now: assertions.self_signed(connection, text, audiences, now))


def _attempts(local: Attempt, way_out: Outgoing | None) -> Callable[[str], Attempt]:
    """Which attempt serves which destination."""

    def attempt_for(destination: str) -> Attempt:
        return local if destination == LOCAL or way_out is None else way_out.attempt_for(destination)

    return attempt_for


def _policy(settings: Settings) -> Policy:
    return Policy(
        hostname=settings.hostname,
        from_policy=settings.from_policy,
        bcc_transactions=settings.bcc_transactions,
        max_size=settings.max_message_size,
        max_recipients=settings.max_recipients,
    )


def _route(directory: accounts.Directory, way_out: Outgoing | None) -> Route:
    """Accounts are local, all others go out; captured mail is local, whoever receives it."""

    async def capture(_reverse_path: str, _forward_paths: list[str]) -> Callable[[str], str]:
        return lambda _: LOCAL

    if way_out is None:
        return capture
    destination = way_out.destination

    async def out(reverse_path: str, forward_paths: list[str]) -> Callable[[str], str]:
        local = await directory.among(forward_paths)
        return lambda path: LOCAL if path in local else destination(reverse_path, path)

    return out


def _anyone(connection: Connection, address: str, now: int) -> int | Reply:
    """Capture: every address has a mailbox from the first message on."""
    return accounts.capture(connection, address, now).account_id


def _accounts_only(connection: Connection, address: str, _now: int) -> int | Reply:
    found = accounts.find(connection, accounts.key_of(address))
    if found is None or found.captured:
        return NO_MAILBOX
    return DISABLED if found.disabled else found.account_id


def _provider(settings: Settings) -> Provider | None:
    if not settings.oidc_issuer:
        return None
    if not is_safe(settings.oidc_issuer):
        raise SettingError(f"oidc_issuer: {settings.oidc_issuer!r} is not https://HOST")
    return Provider(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)


def _proof(connection: Connection, sealing: Sealing) -> str:
    """That of the key under which this database began."""
    return facts.keep(connection, facts.SEALING_PROOF, sealing.proof())


def _recover(connection: Connection, house: _House, *, alone: bool) -> None:
    """What a dead process held is due at once, if there can be no other; waiting mail follows a new way out."""
    if alone:
        store.release_all(connection, clock())
    facts.write(connection, facts.HOSTNAME, house.runner.hostname)
    facts.write(connection, facts.PUBLIC_URL, house.face.addresses.public_url)
    if facts.read(connection, facts.RELAY) == house.relay:
        return
    owners = (account for account in accounts.everyone(connection) if not account.captured)
    local = {address for owner in owners for address in owner.addresses}
    elsewhere = house.outgoing.destination if house.outgoing else lambda *_: LOCAL
    store.reroute(
        connection, lambda sender, path: LOCAL if path.lower() in local else elsewhere(sender, path), clock()
    )
    facts.write(connection, facts.RELAY, house.relay)


def _server(settings: Settings, address: tuple[str, int], face: Face) -> Server:
    return Server(
        sharing(BodyMemory(settings.body_memory), face),
        *address,
        interface=Interfaces.ASGINL,
        http1_settings=HTTP1Settings(
            header_read_timeout=PROXIED_HEAD_TIMEOUT_MS if settings.behind_proxy else HEAD_TIMEOUT_MS
        ),
        websockets=False,
        log_enabled=False,
        ssl_cert=Path(settings.tls_cert) if settings.tls_cert else None,
        ssl_key=Path(settings.tls_key) if settings.tls_key else None,
        backlog=1024,
    )


def free_address(host: str, port: int) -> tuple[str, int]:
    """The address itself, or one with a free port in the place of port 0. Raises OSError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return host, probe.getsockname()[1]


def _url(settings: Settings, address: tuple[str, int]) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return settings.public_url.rstrip("/") or f"{_scheme(settings)}://{host}:{address[1]}"


def _scheme(settings: Settings) -> str:
    return "https" if settings.tls_cert else "http"


async def _until_answering(address: tuple[str, int], serving: asyncio.Task[Any]) -> None:
    while not serving.done():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*address)
            writer.close()
            return
        await asyncio.sleep(0.01)
    await serving


def _heed_signals() -> asyncio.Event:
    """Set by SIGTERM or SIGINT; heeded before anybody is told that we are ready, so that no stop is rough."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(told.set))
    return told


def _heed_no_more() -> None:
    """We stop already. Not by the loop, which gives signals their usual meaning back when it closes."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


async def _until_told(told: asyncio.Event, serving: asyncio.Task[Any]) -> None:
    """Wait for a signal, or for the HTTP server to end by itself."""
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait((waiting, serving), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


async def _stop(
    house: _House, server: Server, serving: asyncio.Task[Any], running: asyncio.Task[None], seconds: int
) -> None:
    """Refuse new requests, end those under way, stop claiming, end attempts, give back the rest."""
    maillog.stopping("refuse new requests")
    house.face.draining = True
    server.stop()  # type: ignore[no-untyped-call]
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(serving, seconds)
    maillog.stopping("end mail transactions")
    await house.runner.stop(seconds)
    await running
    if house.outgoing:
        await house.outgoing.sessions.close()


async def _tidy(way_out: Outgoing | None) -> None:
    while way_out:
        await asyncio.sleep(TIDY_SECONDS)
        await way_out.sessions.tidy()
