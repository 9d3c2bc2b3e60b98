"""The memory that bodies kept whole may take together: each is bounded by itself, a crowd is bounded here."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from postroad import refusals

# A body up to this size is not counted and never waits: Granian answers 1024 requests at once, which makes 64 MiB.
SMALL = 64 * 1024
# How long a body waits for room. Clients give up after a minute.
WAIT_SECONDS = 30.0
# While somebody waits, what holds room must come so fast that this would have filled it: the slow make way.
FILL_SECONDS = 30.0

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class BodyMemory:
    """So many octets; who asks first gets them first, so that a large body is not passed by others for ever.

    Who waits longer than `patience` seconds is refused.
    """

    def __init__(self, octets: int, patience: float = WAIT_SECONDS) -> None:
        self.octets = octets
        self.patience = patience
        self.free = octets
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for room."""
        return bool(self._waiting)

    async def take(self, octets: int) -> None:
        """Take so many of them as soon as they are free. Raises `MemoryTaken` when that takes too long."""
        if self._waiting or octets > self.free:
            await self._wait(octets)
        else:
            self.free -= octets

    def give_back(self, octets: int) -> None:
        """Octets that were taken are free again."""
        self.free += octets
        while self._waiting:
            wanted, turn = self._waiting[0]
            if not turn.done():
                if wanted > self.free:
                    return
                self.free -= wanted
                turn.set_result(None)
            self._waiting.popleft()

    async def _wait(self, octets: int) -> None:
        turn, patience = asyncio.get_running_loop().create_future(), self.patience
        self._waiting.append((octets, turn))
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as error:
            came = turn.done() and not turn.cancelled()  # in the moment in which we gave up
            turn.cancel()
            self.give_back(octets if came else 0)  # who waits behind us may have room
            if not isinstance(error, TimeoutError):
                raise
            raise refusals.MemoryTaken(
                f"no room for a body of {octets} octets came free in {patience:g} s;"
                f" body_memory is {self.octets}: raise it, if the machine has more"
            ) from None


@dataclass(slots=True)
class Share:
    """What one request holds of it."""

    memory: BodyMemory
    octets: int = field(default=0)

    @property
    def pace(self) -> float:
        """Octets a second at which its body must come: none while nobody else waits for room."""
        return self.octets / FILL_SECONDS if self.memory.wanted else 0.0

    async def hold(self, octets: int) -> None:
        """Hold room for a body of so many octets: none for a small one, all there is for one larger than that.

        Raises `MemoryTaken`.
        """
        wanted = min(octets, self.memory.octets) if octets > SMALL else 0
        if wanted > self.octets:
            await self.memory.take(wanted - self.octets)
        else:
            self.memory.give_back(self.octets - wanted)
        self.octets = wanted

    def release(self) -> None:
        """Give everything back."""
        if self.octets:
            self.memory.give_back(self.octets)
            self.octets = 0


def sharing(memory: BodyMemory, application: Application) -> Application:
    """An ASGI application whose requests find their share in the scope, and hold it until they are answered."""

    async def answer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        scope["share"] = share = Share(memory)
        try:
            await application(scope, receive, send)
        finally:
            share.release()

    return answer
