"""What answers HTTP: the face with all that it needs, the server around it, and signals to stop."""

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from prometheus_client.core import Metric

from postroad import machine, maillog
from postroad.clock import clock
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.mail.envelope import LOCAL
from postroad.oauth import accounts, assertions
from postroad.oauth.tokens import Tokens
from postroad.oauth.upstream import is_safe
from postroad.outgoing import Outgoing
from postroad.refusals import Failure
from postroad.sealing import Sealing
from postroad.settings import SettingError, Settings
from postroad.submission import MakeReady, Policy, Route, Submission
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
# New objects between two looks for cycles: about 50 messages' worth; Python's own figure is less than a message's.
OBJECTS_PER_COLLECTION = 10_000
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class SetUp:
    """What the operator decided, where that is listened on, and the key that seals secrets."""

    settings: Settings
    address: tuple[str, int]
    sealing: Sealing
    sandbox: bool

    @property
    def url(self) -> str:
        """Where the server is reached from outside."""
        return url_of(self.settings, self.address)


def face_of(
    set_up: SetUp,
    database: Database,
    way_out: Outgoing | None,
    wake: Callable[[], None],
    elsewhere: Callable[[], Awaitable[Sequence[Metric]]] | None = None,
    make_ready: MakeReady | None = None,
) -> Face:
    """The face of a server so set up; `wake` stirs the queue, `elsewhere` tells what other processes counted.

    `make_ready` is given what will be relayed.
    """
    settings, url = set_up.settings, set_up.url
    directory = accounts.Directory(database)
    submission = Submission(
        database, Identifiers(), _policy(settings), _route(directory, way_out), wake, make_ready
    )
    loopback = not settings.behind_proxy
    tokens = _tokens(database, url, settings.universe_domain)
    addresses = Addresses(url, settings.host_names, "https" if settings.behind_proxy else _scheme(settings))
    return Face(
        database,
        tokens,
        submission,
        clock,
        Exposition(database, clock, settings.metrics_token, loopback, elsewhere),
        addresses,
        Quotas(settings.user_quota, settings.project_quota),
        OAuthContext(
            database, clock, tokens, addresses, set_up.sealing, set_up.sandbox, upstream=provider_of(settings)
        ),
        Proxies(settings.proxies),
        takes_mail=settings.role != "relay",
        token_in_query=settings.token_in_query,
    )


def _tokens(database: Database, url: str, universe: str) -> Tokens:
    """Issued ones, and those that service accounts sign for this server or for Google's API, in any universe."""
    audiences = frozenset((assertions.GOOGLES_API, f"{url}/", f"https://gmail.{universe or 'googleapis.com'}/"))
    return Tokens(database, lambda connection, text, now: assertions.self_signed(connection, text, audiences, now))


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


def refuse_unusable(settings: Settings) -> None:
    """Refuse what would only be noticed where HTTP is answered, before anything begins. Raises `SettingError`."""
    provider_of(settings)
    if settings.tls_cert:
        try:  # a password is asked for nowhere
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, "")
        except OSError as error:
            pair = f"{settings.tls_cert}, {settings.tls_key}"
            raise SettingError(f"tls_cert, tls_key: {pair}: {error.strerror or error}") from None


def provider_of(settings: Settings) -> Provider | None:
    """The OpenID provider that people sign in at, if one is named. Raises `SettingError`."""
    if not settings.oidc_issuer:
        return None
    if not is_safe(settings.oidc_issuer):
        raise SettingError(f"oidc_issuer: {settings.oidc_issuer!r} is not https://HOST")
    return Provider(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)


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


def url_of(settings: Settings, address: tuple[str, int]) -> str:
    """Where the server is reached from outside."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return settings.public_url.rstrip("/") or f"{_scheme(settings)}://{host}:{address[1]}"


def _scheme(settings: Settings) -> str:
    return "https" if settings.tls_cert else "http"


async def _until_answering(address: tuple[str, int], serving: asyncio.Future[Any]) -> None:
    while not serving.done():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*address)
            writer.close()
            return
        await asyncio.sleep(0.01)
    await serving


def heed_signals() -> asyncio.Event:
    """Set by SIGTERM or SIGINT; heeded before anybody is told that we are ready, so that no stop is rough."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(told.set))
    return told


def heed_no_more() -> None:
    """We stop already. Not by the loop, which gives signals their usual meaning back when it closes."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


async def until_told(told: asyncio.Event, serving: asyncio.Future[Any]) -> None:
    """Wait for a signal, or for the HTTP server to end by itself."""
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait((waiting, serving), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


class Http:
    """The server of one face, in this process; `ended` is done when it has ended.

    For faults of these kinds the machine is `watched`.
    """

    def __init__(self, set_up: SetUp, face: Face, watched: Collection[str] = machine.KINDS) -> None:
        self.ended: asyncio.Future[Any]
        self._address = set_up.address
        self._face = face
        self._watched = watched
        self._server = _server(set_up.settings, set_up.address, face)

    async def begin(self) -> None:
        """Answer from now on."""
        self._watching = asyncio.create_task(machine.watch(clock, self._watched))
        self.ended = asyncio.ensure_future(self._server.serve())
        await _until_answering(self._address, self.ended)

    async def end(self, seconds: float) -> None:
        """Refuse new requests, and give those under way so long to end."""
        maillog.stopping("refuse new requests")
        self._watching.cancel()
        self._face.draining = True
        self._server.stop()  # type: ignore[no-untyped-call]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended, seconds)

    def failure(self) -> Failure:
        """Why it is not there any more, with nobody having told it to stop."""
        return Failure("what answers HTTP ended by itself; the log says why")


def spare_the_collector() -> None:
    """What is here at the start stays: the collector of cycles need not go through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_PER_COLLECTION)
