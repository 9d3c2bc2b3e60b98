"""The processes in front of an SQLite file: they answer HTTP, read the file, and have their parent write.

Forked before anything else is begun, so that they share what all have loaded. All end with each: an orphan hears
that its parent's end of the channels is closed, the parent hears the same of a child. They listen on one port, and
the kernel gives each connection to one of them (socket(7), SO_REUSEPORT).
"""

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

import uvloop

from postroad import machine, outgoing, serving
from postroad.clock import clock
from postroad.control.secret_key import sealing_of
from postroad.database.beside import Handing
from postroad.database.channel import Channels, pair
from postroad.database.engine import Database
from postroad.database.keeper import Keeper, Signed
from postroad.domains.signing import Signer, form_of
from postroad.mail.dkim import CannotSign
from postroad.mail.outcome import Content
from postroad.refusals import Failure, Refusal
from postroad.settings import Settings
from postroad.submission import MakeReady

# How long the child may take for its end beside the time that requests under way have.
GRACE_SECONDS = 5.0


class Front:
    """A child, as its parent has it."""

    def __init__(self, pid: int, channels: Channels) -> None:
        self.channels = channels
        self._pid = pid
        self._status: int | None = None

    def listen(self, address: tuple[str, int]) -> None:
        """Tell it where to answer."""
        with contextlib.suppress(OSError):  # it has ended already: `begin` says so
            self.channels.rows.send(address)

    def signal(self, number: int) -> None:
        """Send a signal, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def wait(self) -> int:
        """Its exit code once it has ended; of what a signal ended, that with a minus."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status

    def kill(self) -> int:
        """End it, if it has not ended; its exit code."""
        if self._status is None:
            self.signal(signal.SIGKILL)
        return self.wait()

    def close(self) -> None:
        """Let go of it; it ends, if it has not ended."""
        self.kill()
        self.channels.close()


class Fronts(tuple[Front, ...]):
    """The children, as their parent has them."""

    __slots__ = ()

    def at(
        self,
        address: tuple[str, int],
        database: Database,
        wake: Callable[[], None],
        signed: Callable[[Signed], None],
    ) -> "FrontsHttp":
        """What answers HTTP at that address, of this database.

        `wake` is called when there may be new mail, and `signed` before, with the signatures made for it.
        """
        keepers = database.keep([front.channels for front in self], wake, signed)
        for front in self:
            front.listen(address)
        return FrontsHttp(self, keepers)


class FrontsHttp:
    """HTTP as the children answer it; `ended` is done when one of them has ended."""

    def __init__(self, fronts: Fronts, keepers: Sequence[Keeper]) -> None:
        self._fronts = fronts
        self._ready = asyncio.gather(*(asyncio.wrap_future(keeper.ready) for keeper in keepers))
        self._gone = {
            asyncio.wrap_future(keeper.gone): front for front, keeper in zip(fronts, keepers, strict=True)
        }
        self.ended: asyncio.Future[Front] = asyncio.ensure_future(self._first_to_end())

    async def _first_to_end(self) -> Front:
        gone, _ = await asyncio.wait(self._gone, return_when=asyncio.FIRST_COMPLETED)
        return self._gone[gone.pop()]

    async def begin(self) -> None:
        """Answer from now on. Raises `Failure`."""
        await asyncio.wait((self._ready, self.ended), return_when=asyncio.FIRST_COMPLETED)
        if self.ended.done():
            raise self.failure()

    async def end(self, seconds: float) -> None:
        """Have them refuse new requests, and give those under way so long to end."""
        for front in self._fronts:
            front.signal(signal.SIGTERM)
        await asyncio.wait(self._gone, timeout=seconds + GRACE_SECONDS)
        for front in self._fronts:
            front.kill()  # stopped in a transaction, it would keep the database from being closed

    def failure(self) -> Failure:
        """Why one is not there any more, with nobody having told it to stop."""
        code = self.ended.result().wait()
        if code < 0:
            return Failure(f"a process that answers HTTP was ended by {signal.Signals(-code).name}")
        return Failure(f"a process that answers HTTP ended by itself, with exit code {code}; the log says why")


@contextlib.contextmanager
def forked(settings: Settings, *, sandbox: bool) -> Iterator[Fronts | None]:
    """The children, which wait to be told their address; `None` where a database server lets all write."""
    if settings.database:
        yield None
        return
    count = _count(settings)
    shared = replace(settings, body_memory=max(settings.body_memory // count, 1))
    serving.spare_the_collector()  # which would write to what all share
    fronts: list[Front] = []
    try:
        for _ in range(count):
            fronts.append(_fork(shared, fronts, sandbox=sandbox))
        yield Fronts(fronts)
    finally:
        for front in fronts:
            front.close()


def _count(settings: Settings) -> int:
    """How many there are: as the operator says, or else two; one alone counts quotas right."""
    usual = 1 if settings.user_quota or settings.project_quota or os.cpu_count() == 1 else 2
    return settings.fronts or usual


def _fork(settings: Settings, before: Sequence[Front], *, sandbox: bool) -> Front:
    """A child more; the first of all watches the clock for the others, too."""
    ours, theirs = pair()
    pid = os.fork()
    if pid == 0:
        for channels in (ours, *(front.channels for front in before)):  # which say by their end that we all end
            channels.close()
        os._exit(_be_child(settings, theirs, machine.OF_A_PROCESS if before else machine.KINDS, sandbox=sandbox))
    theirs.close()
    return Front(pid, ours)


def _be_child(settings: Settings, channels: Channels, watched: Collection[str], *, sandbox: bool) -> int:
    """The life of a child; its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the parent hears it, and says when to stop
    try:
        address = channels.rows.receive()
    except (EOFError, OSError):  # the parent could not begin, and has said why
        return 0
    try:
        uvloop.run(_answer(settings, channels, address, watched, sandbox=sandbox))
    except BaseException:  # noqa: BLE001 - this process has nobody else to tell
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()
    return 0


async def _answer(
    settings: Settings, channels: Channels, address: tuple[str, int], watched: Collection[str], *, sandbox: bool
) -> None:
    """Answer HTTP until told to stop, then what is under way. Its end leaves nothing to close: it only reads."""
    database = Database(settings.folder, floor=settings.free_floor, keeper=channels)
    handing = await database.join(channels)
    set_up = serving.SetUp(settings, address, sealing_of(settings), sandbox)
    signer = Signer(database, set_up.sealing, clock)
    way_out = outgoing.of(settings, signer.signed, database, clock)
    face = serving.face_of(set_up, database, way_out, _nothing, handing.counted, _signing(signer, handing))
    http = serving.Http(set_up, face, watched)
    told = serving.heed_signals()
    await http.begin()
    serving.spare_the_collector()
    handing.say_ready()
    await serving.until_told(told, http.ended)
    serving.heed_no_more()
    await http.end(settings.drain_seconds)
    sys.stderr.flush()
    os._exit(0 if told.is_set() else 1)


def _signing(signer: Signer, handing: Handing) -> MakeReady:
    """Signs here, where there is a core for it, what the keeper will relay; which else signs by itself."""

    async def sign(will_be_stored: Callable[[], Content]) -> None:
        with contextlib.suppress(CannotSign, Refusal):
            if not await signer.anybody_signs():
                return
            content, now = will_be_stored(), clock()
            if fields := await signer.signatures(content):
                handing.say_signed(Signed(form_of(content), now, fields))

    return sign


def _nothing() -> None:
    """The keeper wakes the queue, as it sees what it inserts."""
