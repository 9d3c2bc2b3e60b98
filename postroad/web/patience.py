"""A bound in time on a wait. One timer watches all waits: to arm one for each costs more than a small body."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

# How often somebody looks who has waited too long; a wait ends so much later at most.
TICK_SECONDS = 1.0


class _Watch:
    """Ends the waits of one event loop that are over their time: one timer for all, while anybody waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_later, self.time = loop.call_later, loop.time
        self.waits: dict[asyncio.Task[object], tuple[float, Callable[[], float]]] = {}
        self.armed = False

    def arm(self) -> None:
        self.armed = True
        self._call_later(TICK_SECONDS, self._look)

    def _look(self) -> None:
        now = self.time()
        for task in [task for task, (began, seconds) in self.waits.items() if began + seconds() <= now]:
            del self.waits[task]
            task.cancel()
        self.armed = False
        if self.waits:
            self.arm()


# Of a loop that comes after so many others, a second watch does no harm.
_watch_of = lru_cache(maxsize=8)(_Watch)


async def within(seconds: Callable[[], float], receive: Callable[[], Awaitable[T]]) -> tuple[T, float]:
    """What `receive` gives, and how many seconds that took. Raises `TimeoutError` past `seconds`.

    These are asked for anew at every look: what was time enough may be too much since.
    """
    loop = asyncio.get_running_loop()
    watch = _watch_of(loop)
    task = asyncio.current_task(loop)
    assert task  # noqa: S101 - whoever awaits is one
    began = watch.time()
    watch.waits[task] = began, seconds
    if not watch.armed:
        watch.arm()
    try:
        received = await receive()
    except asyncio.CancelledError:
        if task not in watch.waits and task.uncancel() == 0:
            raise TimeoutError from None
        raise
    finally:
        watch.waits.pop(task, None)
    return received, watch.time() - began
