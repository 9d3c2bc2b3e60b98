"""A bound in time on a wait. One timer watches all waits: to arm one for each costs more than a small body."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

# How often somebody looks who has waited too long; a wait ends so much later at most.
TICK_SECONDS = 1.0


class _Watch:
    """Ends the waits of one event loop that are over their time: one timer for all, while anybody waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_later, self.time = loop.call_later, loop.time
        self._until: dict[asyncio.Task[object], Callable[[], float]] = {}
        self._armed = False

    async def wait(self, awaitable: Awaitable[T], until: Callable[[], float]) -> T:
        task = asyncio.current_task()
        assert task  # noqa: S101 - whoever awaits is one
        self._until[task] = until
        if not self._armed:
            self._arm()
        try:
            return await awaitable
        except asyncio.CancelledError:
            if task not in self._until and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            self._until.pop(task, None)

    def _arm(self) -> None:
        self._armed = True
        self._call_later(TICK_SECONDS, self._look)

    def _look(self) -> None:
        now = self.time()
        for task in [task for task, until in self._until.items() if until() <= now]:
            del self._until[task]
            task.cancel()
        self._armed = False
        if self._until:
            self._arm()


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


async def within(seconds: Callable[[], float], receive: Callable[[], Awaitable[T]]) -> tuple[T, float]:
    """What `receive` gives, and how many seconds that took. Raises `TimeoutError` past `seconds`.

    These are asked for anew at every look: what was time enough may be too much since.
    """
    loop = asyncio.get_running_loop()
    watch = _watches.get(loop) or _watches.setdefault(loop, _Watch(loop))
    began = watch.time()
    received = await watch.wait(receive(), lambda: began + seconds())
    return received, watch.time() - began
