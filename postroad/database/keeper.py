"""What the process that has an SQLite file does for those in front of it, which may only read the file.

Two channels to each. By one come rows to insert, many at once: they join the transactions of everybody else here.
By the other come the statements of a transaction, one after another, as the front's own writer gives them: its
units run there, and the connection that writes stays the one and only. `beside.py` is the other end.
"""

import pickle
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder, Encoder
from prometheus_client.core import Metric
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from postroad import metrics, refusals
from postroad.database.channel import Channel, Channels, framed
from postroad.database.commit import Committer, Raised
from postroad.database.health import SQLITE_FULL, SQLITE_IOERR, Health
from postroad.database.rows import Rows

_GONE = (EOFError, OSError)


class Insert(Struct, frozen=True, array_like=True, tag="insert"):
    """Rows to insert; the answer has this number."""

    number: int
    rows: Rows


class Count(Struct, frozen=True, array_like=True, tag="count"):
    """What was counted elsewhere is asked for; the answer has this number. To both sides."""

    number: int


class Counted(Struct, frozen=True, array_like=True, tag="counted"):
    """What was counted in the front, pickled; the question had this number."""

    number: int
    octets: bytes


class Ready(Struct, frozen=True, array_like=True, tag="ready"):
    """The front answers requests."""


class Signed(Struct, frozen=True, array_like=True, tag="signed"):
    """The signatures of a content whose rows come next, in the form it has there, made at that time."""

    form: tuple[int, int, bool]
    at: int
    fields: bytes


class Latched(Struct, frozen=True, array_like=True, tag="latched"):
    """The one who says so trusts the storage no more. To both sides."""

    cause: str


# What comes by the channel of rows. Every message is among it, and to pickle it would take four times as long.
Asked = Insert | Signed | Count | Counted | Latched | Ready
_octets = Encoder().encode
_asked = Decoder(list[Asked]).decode


def asking(one: Asked) -> Raw:
    """What asks for it, by itself or among others. Raises for a value that cannot travel."""
    return Raw(_octets(one))


def written(asked: Sequence[Raw]) -> bytes:
    """What to write to ask for all of it."""
    return framed(_octets(asked))


def read(rows: Channel) -> list[Asked]:
    """What comes next. Raises `EOFError` or OSError when the front is gone."""
    return _asked(rows.receive_octets())


@dataclass(frozen=True, slots=True)
class Statement:
    """One of the running transaction; the first begins it."""

    text: str
    parameters: Sequence[Any]
    many: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a statement found, as a cursor tells it (PEP 249)."""

    description: Sequence[Any] | None
    rowcount: int
    lastrowid: int | None
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Failed:
    """What a statement, or the end of a transaction, raised: the driver's exception by its name."""

    name: str
    text: str
    code: int = 0


COMMIT = "commit"
ROLLBACK = "rollback"


class _UndoneError(Exception):
    """The front took its transaction back."""


class _Tally:
    """Puts together what was counted in several processes; `tell` is called once it has come from all."""

    def __init__(self, processes: int, tell: Callable[[list[Metric]], None]) -> None:
        self._missing = processes
        self._tell = tell
        self._found: list[Metric] = []
        self._lock = threading.Lock()

    def add(self, counted: list[Metric]) -> None:
        """What was counted in one of them; thread-safe."""
        with self._lock:
            self._found += counted
            self._missing -= 1
            whole = not self._missing
        if whole:
            self._tell(self._found)


class Keeper:
    """Serves both channels of a front, each on a thread, until their other ends close.

    `wake` is called when there may be new mail; `signed` is told of signatures, before the rows of what they sign
    are inserted.

    `ready` is done when the front answers requests, `gone` when it has ended. `others` keep for other fronts.
    """

    def __init__(
        self,
        channels: Channels,
        committer: Committer,
        health: Health,
        wake: Callable[[], None],
        signed: Callable[[Signed], None],
    ) -> None:
        self._rows, self._statements = channels
        self._committer = committer
        self._health = health
        self._wake = wake
        self._signed = signed
        self.ready: Future[None] = Future()
        self.gone: Future[None] = Future()
        self.others: Sequence[Keeper] = ()
        self._counts = count()
        self._counting: dict[int, Callable[[list[Metric]], None]] = {}
        health.listeners.append(self._say_latched)
        for serve in (self._take_rows, self._take_statements):
            threading.Thread(target=serve, name=serve.__name__, daemon=True).start()

    def begin(self, _number: int) -> bool:
        """Whoever asked from there waits for as long as there is a front."""
        return True

    def tell(self, results: Sequence[tuple[int, Any]]) -> None:
        """Answer what was asked by number."""
        with suppress(*_GONE):
            self._rows.send([(number, _portable(result)) for number, result in results])
        self._wake()

    def ask_counted(self, told: Callable[[list[Metric]], None]) -> None:
        """Have `told` be told, on another thread, what was counted in the front."""
        number = next(self._counts)
        self._counting[number] = told
        with suppress(*_GONE):
            self._rows.send(Count(number))

    def _count(self, number: int) -> None:
        """Answer that question with what was counted in every process but the front itself."""
        tally = _Tally(1 + len(self.others), lambda found: self.tell([(number, found)]))
        for other in self.others:
            other.ask_counted(tally.add)
        tally.add(metrics.counted())

    def _say_latched(self, cause: str) -> None:
        with suppress(*_GONE):
            self._rows.send(Latched(cause))

    def _take_rows(self) -> None:
        try:
            with suppress(*_GONE):
                while True:
                    for asked in read(self._rows):
                        self._heed(asked)
        finally:
            self.gone.set_result(None)

    def _heed(self, asked: Asked) -> None:
        match asked:
            case Insert(number, rows):
                try:
                    self._committer.insert_for(number, rows, self)
                except refusals.Draining as refusal:
                    self.tell([(number, Raised(refusal))])
            case Signed():
                self._signed(asked)
            case Count(number):
                self._count(number)
            case Counted(number, octets):
                self._counting.pop(number)(pickle.loads(octets))  # noqa: S301 - of our own
            case Latched(cause):
                self._health.latch(cause)
            case Ready():
                self.ready.set_result(None)

    def _take_statements(self) -> None:
        with suppress(*_GONE):
            while True:
                self._statements.send(self._end_of(self._statements.receive()))
                self._wake()

    def _end_of(self, first: Statement | str) -> Failed | None:
        """What became of the transaction that begins so; `None` when all went as asked."""
        if isinstance(first, str):  # the end of one that could not begin
            return None
        try:
            self._committer.submit_alone(partial(self._transact, first=first)).result()
        except _UndoneError:
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, the front's unit learns of it
            return self._failed(error)
        return None

    def _transact(self, connection: Connection, first: Statement) -> None:
        """Carry statements out until the front ends the transaction; what one raises is for it to judge."""
        driver: Any = connection.connection.driver_connection
        asked: Any = first
        while isinstance(asked, Statement):
            self._statements.send(self._found(driver, asked))
            try:
                asked = self._statements.receive()
            except _GONE:
                asked = ROLLBACK
        if asked == ROLLBACK:
            raise _UndoneError

    def _found(self, driver: Any, asked: Statement) -> Found | Failed:
        try:
            cursor = driver.cursor()
            (cursor.executemany if asked.many else cursor.execute)(asked.text, asked.parameters)
            return Found(cursor.description, cursor.rowcount, cursor.lastrowid, cursor.fetchall())
        except Exception as error:  # noqa: BLE001 - the front raises it, where it asked
            return self._failed(error)

    def _failed(self, error: BaseException) -> Failed:
        if isinstance(error, refusals.StorageUnhealthy):
            code = SQLITE_FULL if self._health.trusted else SQLITE_IOERR
            return Failed("OperationalError", self._health.cause or error.why, code)
        cause = getattr(error, "orig", None) or error
        return Failed(type(cause).__name__, str(cause), getattr(cause, "sqlite_errorcode", 0))


def _portable(result: Any) -> Any:
    """A result as it can travel: of an error, what its kind needs."""
    if not isinstance(result, Raised) or isinstance(result.error, refusals.Refusal):
        return result
    if isinstance(result.error, IntegrityError):
        return Raised(IntegrityError(None, None, RuntimeError(str(result.error.orig))))
    return Raised(RuntimeError(f"{type(result.error).__name__}: {result.error}"))
