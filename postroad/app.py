"""The wiring: settings -> database, machines, faces; what starts after what, and what stops before what."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from postroad import maillog, outgoing, serving
from postroad.clock import clock
from postroad.control import answering
from postroad.control.folder import lock
from postroad.control.secret_key import sealing_of
from postroad.database import facts
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.database.keeper import Signed
from postroad.domains.signing import Signer
from postroad.front import Fronts
from postroad.mail.envelope import LOCAL
from postroad.mail.outcome import Attempt
from postroad.mail.reply import Reply
from postroad.mailbox.delivery import DISABLED, NO_MAILBOX, LocalDelivery
from postroad.oauth import accounts
from postroad.outgoing import Outgoing
from postroad.queue import store
from postroad.queue.runner import Runner
from postroad.queue.shaping import Limits
from postroad.retention import Pruner
from postroad.sandbox import prepare
from postroad.sealing import Sealing
from postroad.settings import Settings

TIDY_SECONDS = 5.0
# Messages claimed ahead for each session that there may be with a next hop, where no other node can want them: a
# claim costs as much as two attempts, and so is made less often.
AHEAD_PER_SESSION = 2
# Sessions that one node may have beside those with a next hop at its cap.
SPARE_SLOTS = 12
# Of the file descriptors of a process, sessions may have this part: the others are for who submits mail.
DESCRIPTORS_PER_SESSION = 4


async def serve(settings: Settings, fronts: Fronts | None, *, sandbox: bool, ready: Callable[[str], None]) -> None:
    """Run the server until SIGTERM or SIGINT; `ready` is told the address once it answers.

    HTTP is answered by `fronts`, if there are any, else by this process. Raises `InUseError` when another process
    holds the data folder, and `Failure` when what answers HTTP ends by itself.
    """
    folder, url = settings.folder, settings.database
    with contextlib.nullcontext() if url else lock(folder):
        database = await asyncio.to_thread(Database, folder, floor=settings.free_floor, url=url)
        try:
            await _run(settings, database, fronts, sandbox=sandbox, ready=ready)
        finally:
            maillog.stopping("close the database")
            database.close()


async def _run(
    settings: Settings, database: Database, fronts: Fronts | None, *, sandbox: bool, ready: Callable[[str], None]
) -> None:
    """Start in order: commands, HTTP, queue; stop HTTP, then in the order of `_stop`."""
    address, sealing = serving.free_address(*settings.listen_address), sealing_of(settings)
    set_up = serving.SetUp(settings, address, sealing, sandbox)
    await database.commit(lambda connection: sealing.refuse_other(_proof(connection, sealing)))
    if sandbox:
        await prepare(database, settings.folder, set_up.url, clock)
    house = _house(settings, database, sealing)
    await database.commit(lambda connection: _recover(connection, house, set_up.url, alone=database.alone))
    http = fronts.at(address, database, house.wake, house.signed) if fronts else _http(set_up, database, house)
    async with _hearing(settings, database, house, sealing):
        await http.begin()
        running = asyncio.create_task(house.runner.run() if settings.role != "web" else _nothing())
        others = [asyncio.create_task(work) for work in (_tidy(house.outgoing), house.pruner.run())]
        serving.spare_the_collector()
        told = serving.heed_signals()
        ready(set_up.url)
        await serving.until_told(told, http.ended)
        serving.heed_no_more()
        for task in others:
            task.cancel()
        await http.end(settings.drain_seconds)
        await _stop(house, running, settings.drain_seconds)
    if not told.is_set():
        raise http.failure()


def _http(set_up: serving.SetUp, database: Database, house: "_House") -> serving.Http:
    """What answers HTTP in this process."""
    return serving.Http(set_up, serving.face_of(set_up, database, house.outgoing, house.runner.wake))


@contextlib.asynccontextmanager
async def _hearing(
    settings: Settings, database: Database, house: "_House", sealing: Sealing
) -> AsyncIterator[None]:
    """Hear of orders where this process has the database alone, of new mail where others put it there."""
    if database.alone:
        async with answering.listening(settings.folder, database, clock, sealing):
            yield
        return
    with database.listening(house.wake):
        yield


async def _nothing() -> None:
    """What a node that only takes mail has to send."""


@dataclass(frozen=True, slots=True)
class _House:
    """What was wired together."""

    relay: str
    runner: Runner
    outgoing: Outgoing | None
    pruner: Pruner
    signer: Signer
    loop: asyncio.AbstractEventLoop

    def wake(self) -> None:
        """There may be new mail; thread-safe."""
        if not self.runner.woken:
            self.loop.call_soon_threadsafe(self.runner.wake)

    def signed(self, signed: Signed) -> None:
        """Mail that will be claimed has these signatures; thread-safe."""
        self.signer.take(signed.form, signed.at, signed.fields)


def _house(settings: Settings, database: Database, sealing: Sealing) -> _House:
    identifiers = Identifiers()
    signer = Signer(database, sealing, clock)
    way_out = outgoing.of(settings, signer.signed, database, clock)
    local = LocalDelivery(database, identifiers, _accounts_only if way_out else _anyone, clock)
    runner = Runner(
        database,
        identifiers,
        _attempts(local.attempt, way_out),
        settings.hostname,
        clock,
        Limits(
            each=settings.relay_sessions,
            node=_node_sessions(settings),
            ahead=AHEAD_PER_SESSION * settings.relay_sessions if database.alone else 0,
        ),
        lambda errand: signer.begin(errand.content),
    )
    pruner = Pruner(database, settings.keep_settled_days, settings.keep_messages_days, clock)
    decided_by = outgoing.decided_by(settings, way_out)
    return _House(decided_by, runner, way_out, pruner, signer, asyncio.get_running_loop())


def _node_sessions(settings: Settings) -> int:
    """As many as asked for, more than with one next hop, and no more than there are descriptors for."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = max(settings.node_sessions, settings.relay_sessions + SPARE_SLOTS)
    return asked if descriptors == resource.RLIM_INFINITY else min(asked, descriptors // DESCRIPTORS_PER_SESSION)


def _attempts(local: Attempt, way_out: Outgoing | None) -> Callable[[str], Attempt]:
    """Which attempt serves which destination."""

    def attempt_for(destination: str) -> Attempt:
        return local if destination == LOCAL or way_out is None else way_out.attempt_for(destination)

    return attempt_for


def _anyone(connection: Connection, address: str, now: int) -> int | Reply:
    """Capture: every address has a mailbox from the first message on."""
    return accounts.capture(connection, address, now).account_id


def _accounts_only(connection: Connection, address: str, _now: int) -> int | Reply:
    found = accounts.find(connection, accounts.key_of(address))
    if found is None or found.captured:
        return NO_MAILBOX
    return DISABLED if found.disabled else found.account_id


def _proof(connection: Connection, sealing: Sealing) -> str:
    """That of the key under which this database began."""
    return facts.keep(connection, facts.SEALING_PROOF, sealing.proof())


def _recover(connection: Connection, house: _House, url: str, *, alone: bool) -> None:
    """What a dead process held is due at once, if there can be no other; waiting mail follows a new way out."""
    if alone:
        store.release_all(connection, clock())
    facts.write(connection, facts.HOSTNAME, house.runner.hostname)
    facts.write(connection, facts.PUBLIC_URL, url)
    if facts.read(connection, facts.RELAY) == house.relay:
        return
    owners = (account for account in accounts.everyone(connection) if not account.captured)
    local = {address for owner in owners for address in owner.addresses}
    elsewhere = house.outgoing.destination if house.outgoing else lambda *_: LOCAL
    store.reroute(
        connection, lambda sender, path: LOCAL if path.lower() in local else elsewhere(sender, path), clock()
    )
    facts.write(connection, facts.RELAY, house.relay)


async def _stop(house: "_House", running: asyncio.Task[None], seconds: int) -> None:
    """Stop claiming, end attempts, give back the rest."""
    maillog.stopping("end mail transactions")
    await house.runner.stop(seconds)
    await running
    if house.outgoing:
        await house.outgoing.sessions.close()


async def _tidy(way_out: Outgoing | None) -> None:
    while way_out:
        await asyncio.sleep(TIDY_SECONDS)
        await way_out.sessions.tidy()
