"""A bound on a wait: ends that wait and no other, and leaves other cancellations alone."""

import asyncio

import pytest

from postroad.web import patience
from postroad.web.patience import within


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("postroad.web.patience.TICK_SECONDS", 0.01)


def test_what_comes_in_time_is_given():
    """A wait that ends in time gives its value and how long it took."""

    async def one():
        return "a"

    value, seconds = asyncio.run(within(lambda: 10, one))
    assert value == "a"
    assert 0 <= seconds < 10


def test_each_wait_has_its_own_end():
    """Of two waits the shorter ends alone, and its task goes on."""

    async def two():
        patient = asyncio.create_task(within(lambda: 100, asyncio.Event().wait))
        with pytest.raises(TimeoutError):
            await within(lambda: 0.02, asyncio.Event().wait)
        assert asyncio.current_task().cancelling() == 0
        assert not patient.done()
        patient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await patient

    asyncio.run(two())


def test_one_who_cancels_is_not_taken_for_the_clock():
    """A task cancelled by somebody else while it waits is cancelled."""

    async def cancelled():
        task = asyncio.create_task(within(lambda: 100, asyncio.Event().wait))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())


def test_the_time_may_become_less_while_somebody_waits():
    """A wait that had time enough ends when that is taken from it."""
    left = [100.0]

    async def one():
        waiting = asyncio.create_task(within(lambda: left[0], asyncio.Event().wait))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        left[0] = 0.0
        with pytest.raises(TimeoutError):
            await waiting

    asyncio.run(one())


def test_two_watches_of_one_loop_do_not_hinder_each_other():
    """A loop whose watch was forgotten has another; whoever waits under either is ended in time."""

    async def two():
        first = asyncio.create_task(within(lambda: 0.02, asyncio.Event().wait))
        await asyncio.sleep(0)
        patience._watch_of.cache_clear()
        second = asyncio.create_task(within(lambda: 0.02, asyncio.Event().wait))
        assert [type(one) for one in await asyncio.gather(first, second, return_exceptions=True)] == [
            TimeoutError
        ] * 2

    asyncio.run(two())
