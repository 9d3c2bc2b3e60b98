"""The server's side: carry out what commands ask for over the socket."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from postroad import maillog
from postroad.control.folder import SOCKET, socket_path
from postroad.database.engine import Database
from postroad.orders.errors import REFUSED, why
from postroad.orders.table import QUESTIONS, unit
from postroad.sealing import Sealing

# An order, in octets.
MAX_LINE = 16 << 20


@contextlib.asynccontextmanager
async def listening(
    folder: Path, database: Database, clock: Callable[[], int], sealing: Sealing
) -> AsyncIterator[None]:
    """Answer orders on the socket while the context lasts."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, ValueError):
            line = await reader.readline()
            writer.write(json.dumps(await _obey(line, database, clock, sealing)).encode() + b"\n")
            await writer.drain()

    (folder / SOCKET).unlink(missing_ok=True)
    with socket_path(folder) as path:
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


async def _obey(line: bytes, database: Database, clock: Callable[[], int], sealing: Sealing) -> dict[str, Any]:
    try:
        order = json.loads(line)
        ordered = unit(order["name"], order["arguments"], clock(), lambda: sealing)
        only_looks = order["name"] in QUESTIONS
        return {"result": await (database.read(ordered) if only_looks else database.commit(ordered))}
    except REFUSED as error:
        return {"error": why(error)}
    except Exception as error:  # noqa: BLE001 - who asked waits for an answer, whatever went wrong
        maillog.broke_down(error)
        return {"error": f"the server could not carry that out: {error}; its log says more"}
