"""The command line's way to the database: through the running server's socket, or alone under the lock.

One process writes the file (DESIGN.md section 5). Commands beside a server ask it over `control.sock` (mode
0600) in one line of JSON and take effect at once; without a server they hold the lock themselves.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection

from postroad import maillog
from postroad.database.engine import Database
from postroad.orders import ORDERS, QUESTIONS, SEALING, OrderError
from postroad.refusals import Failure, Refusal
from postroad.sealing import Sealing, key_of
from postroad.settings import Settings

LOCK = "lock"
SOCKET = "control.sock"
# An order or its answer, in octets.
MAX_LINE = 16 << 20
# The longest path of a Unix socket: sockaddr_un has 108 octets, one of them NUL.
MAX_SOCKET_PATH = 100
WAIT_SECONDS = 5.0
# What is said no to, rather than went wrong.
_REFUSED = (Failure, ValueError, LookupError, Refusal)
# Reads the key, or makes it: only for an order that needs it.
MakeSealing = Callable[[], Sealing]
Unit = Callable[[Connection], Any]


class InUseError(Failure):
    """Another process holds the data folder."""


def keyless() -> Sealing:
    """For who gives no order that seals. Raises `OrderError`."""
    raise OrderError("this order needs the key that seals secrets")


def sealing_of(settings: Settings) -> Sealing:
    """The key that the settings name. Raises `SecretKeyError`."""
    given, file = settings.secret_key, settings.secret_key_file
    return Sealing(key_of(settings.folder, text=given, file=file, shared=bool(settings.database)))


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the data folder alone. Raises `InUseError`; the system drops the lock of a process that dies."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK).open("a+") as file:
        _lock_file(file, folder)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _lock_file(file: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise InUseError(
            f"{folder} is in use by process {holder}; stop it first, or name another --data"
        ) from None


@contextlib.contextmanager
def _socket_path(folder: Path) -> Iterator[str]:
    """A path of the socket that is short enough; a long folder is reached through its descriptor."""
    path = str(folder / SOCKET)
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        yield path
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def listening(
    folder: Path, database: Database, clock: Callable[[], int], sealing: MakeSealing = keyless
) -> AsyncIterator[None]:
    """Answer orders on the socket while the context lasts."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, ValueError):
            line = await reader.readline()
            writer.write(json.dumps(await _obey(line, database, clock, sealing)).encode() + b"\n")
            await writer.drain()

    (folder / SOCKET).unlink(missing_ok=True)
    with _socket_path(folder) as path:
        mask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(answer, path, limit=MAX_LINE)
        finally:
            os.umask(mask)
    try:
        yield
    finally:
        server.close()
        (folder / SOCKET).unlink(missing_ok=True)


async def _obey(line: bytes, database: Database, clock: Callable[[], int], sealing: MakeSealing) -> dict[str, Any]:
    try:
        order = json.loads(line)
        unit = _unit(order["name"], order["arguments"], clock(), sealing)
        return {"result": await (database.read(unit) if order["name"] in QUESTIONS else database.commit(unit))}
    except _REFUSED as error:
        return {"error": _why(error)}
    except Exception as error:  # noqa: BLE001 - who asked waits for an answer, whatever went wrong
        maillog.broke_down(error)
        return {"error": f"the server could not carry that out: {error}; its log says more"}


def _unit(name: str, arguments: dict[str, Any], now: int, sealing: MakeSealing) -> Unit:
    known = QUESTIONS | ORDERS
    if name not in known:
        raise OrderError(f"this server does not know the order {name!r}; is it of the same version?")

    def unit(connection: Connection) -> Any:
        beside = {"sealing": sealing()} if name in SEALING else {}
        return known[name](connection, now=now, **arguments, **beside)

    return unit


def _why(error: Exception) -> str:
    return error.why if isinstance(error, Refusal) else str(error)


def ask(
    folder: Path,
    name: str,
    arguments: dict[str, Any],
    now: int,
    url: str = "",
    sealing: MakeSealing = keyless,
) -> Any:
    """Have an order carried out: on PostgreSQL by ourselves, else by the server if one runs.

    Raises `OrderError`, `InUseError`.
    """
    unit = _unit(name, arguments, now, sealing)
    if url:
        with contextlib.closing(Database(folder, floor=0, url=url)) as database:
            return _carry_out(database, unit)
    return _ask_beside(folder, name, arguments, unit)


def _ask_beside(folder: Path, name: str, arguments: dict[str, Any], unit: Unit) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return _ask_server(folder, name, arguments)
        except (FileNotFoundError, ConnectionError):
            pass
        try:
            return _alone(folder, unit)
        except InUseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _ask_server(folder: Path, name: str, arguments: dict[str, Any]) -> Any:
    with _socket_path(folder) as path, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps({"name": name, "arguments": arguments}).encode() + b"\n")
        with connection.makefile("rb") as lines:
            line = lines.readline()
    if not line:
        raise ConnectionResetError("the server went away")
    answer = json.loads(line)
    if "error" in answer:
        raise OrderError(answer["error"])
    return answer["result"]


def _alone(folder: Path, unit: Unit) -> Any:
    with lock(folder), contextlib.closing(Database(folder, floor=0)) as database:
        return _carry_out(database, unit)


def _carry_out(database: Database, unit: Unit) -> Any:
    try:
        return database.submit(unit).result()
    except _REFUSED as error:
        raise OrderError(_why(error)) from error
