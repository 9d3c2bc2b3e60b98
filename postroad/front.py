"""The process in front of an SQLite file: it answers HTTP, reads the file, and has its parent write.

Forked before anything else is begun, so that it shares what both have loaded. Either ends with the other: an
orphan hears that its parent's end of the channels is closed, the parent hears the same of its child.
"""

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import uvloop

from postroad import outgoing, serving
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
    """The child, as its parent has it."""

    def __init__(self, pid: int, channels: Channels) -> None:
        self._pid = pid
        self._channels = channels
        self._status: int | None = None

    def at(
        self,
        address: tuple[str, int],
        database: Database,
        wake: Callable[[], None],
        signed: Callable[[Signed], None],
    ) -> "FrontHttp":
        """What answers HTTP at that address, of this database.

        `wake` is called when there may be new mail, and `signed` before, with the signatures made for it.
        """
        return FrontHttp(self, self._channels, address, database.keep(self._channels, wake, signed))

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
        self._channels.close()


class FrontHttp:
    """HTTP as the child answers it; `ended` is done when the child has ended."""

    def __init__(self, front: Front, channels: Channels, address: tuple[str, int], keeper: Keeper) -> None:
        self.ended: asyncio.Future[Any] = asyncio.wrap_future(keeper.gone)
        self._ready = asyncio.wrap_future(keeper.ready)
        self._front = front
        with contextlib.suppress(OSError):  # it has ended already: `begin` says so
            channels.rows.send(address)

    async def begin(self) -> None:
        """Answer from now on. Raises `Failure`."""
        await asyncio.wait((self._ready, self.ended), return_when=asyncio.FIRST_COMPLETED)
        if self.ended.done():
            raise self.failure()

    async def end(self, seconds: float) -> None:
        """Have it refuse new requests, and give those under way so long to end."""
        self._front.signal(signal.SIGTERM)
        await asyncio.wait((self.ended,), timeout=seconds + GRACE_SECONDS)
        self._front.kill()  # stopped in a transaction, it would keep the database from being closed

    def failure(self) -> Failure:
        """Why it is not there any more, with nobody having told it to stop."""
        code = self._front.wait()
        if code < 0:
            return Failure(f"the process that answers HTTP was ended by {signal.Signals(-code).name}")
        return Failure(f"the process that answers HTTP ended by itself, with exit code {code}; the log says why")


@contextlib.contextmanager
def forked(settings: Settings, *, sandbox: bool) -> Iterator[Front | None]:
    """The child, which waits to be told its address; `None` where a database server lets every process write."""
    if settings.database:
        yield None
        return
    ours, theirs = pair()
    serving.spare_the_collector()  # which would write to what both share
    pid = os.fork()
    if pid == 0:
        ours.close()
        os._exit(_be_child(settings, theirs, sandbox=sandbox))
    theirs.close()
    front = Front(pid, ours)
    try:
        yield front
    finally:
        front.close()


def _be_child(settings: Settings, channels: Channels, *, sandbox: bool) -> int:
    """The life of the child; its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the parent hears it, and says when to stop
    try:
        address = channels.rows.receive()
    except (EOFError, OSError):  # the parent could not begin, and has said why
        return 0
    try:
        uvloop.run(_answer(settings, channels, address, sandbox=sandbox))
    except BaseException:  # noqa: BLE001 - this process has nobody else to tell
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()
    return 0


async def _answer(settings: Settings, channels: Channels, address: tuple[str, int], *, sandbox: bool) -> None:
    """Answer HTTP until told to stop, then what is under way. Its end leaves nothing to close: it only reads."""
    database = Database(settings.folder, floor=settings.free_floor, keeper=channels)
    handing = await database.join(channels)
    set_up = serving.SetUp(settings, address, sealing_of(settings), sandbox)
    signer = Signer(database, set_up.sealing, clock)
    way_out = outgoing.of(settings, signer.signed, database, clock)
    face = serving.face_of(set_up, database, way_out, _nothing, handing.counted, _signing(signer, handing))
    http = serving.Http(set_up, face)
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
