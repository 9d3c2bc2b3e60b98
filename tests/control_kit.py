"""What tests of orders share: a server's half, and who asks it."""

import asyncio
import contextlib

from postroad.control import answering, asking
from postroad.control.folder import lock
from postroad.database.engine import Database
from postroad.sealing import Sealing
from postroad.settings import Settings

NOW = 1_790_000_000_000
ALICE = {"address": "alice@example.test", "administrator": False}
SEALING = Sealing(b"k" * 32)


@contextlib.asynccontextmanager
async def serving(folder):
    """Lock, database, socket."""
    with lock(folder), contextlib.closing(Database(folder, floor=0)) as database:
        async with answering.listening(folder, database, lambda: NOW, SEALING):
            yield database


def command(folder, name: str, arguments: dict):
    """As a command asks, beside a server or alone."""
    return asking.ask(Settings(data=str(folder)), name, arguments, NOW)


async def ask(folder, name: str, arguments: dict):
    """As a command asks, beside the server in this same loop."""
    return await asyncio.to_thread(command, folder, name, arguments)


def add(folder) -> dict:
    """Make Alice's account."""
    return command(folder, "account add", ALICE)
