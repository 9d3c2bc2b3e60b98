"""The memory for bodies: never more than there is, and whoever came first gets first."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad import refusals
from postroad.web import body_memory
from postroad.web.body_memory import SMALL, BodyMemory, Share

KIB = 1024


def run(coroutine):
    return asyncio.run(coroutine)


async def started(*coroutines):
    """Tasks that have gone as far as they can."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


@given(st.lists(st.integers(1, 300 * KIB), max_size=30), st.randoms())
def test_there_is_never_more_taken_than_there_is(sizes, chance):
    """Whatever is asked for and given back, what is held stays within the memory, and everybody has a turn."""
    memory = BodyMemory(400 * KIB)
    turns = []

    async def use(number, size):
        share = Share(memory)
        await share.hold(size)
        turns.append(number)
        assert 0 <= memory.free <= memory.octets
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        share.release()

    async def all_of_them():
        await asyncio.gather(*(use(number, size) for number, size in enumerate(sizes)))

    run(all_of_them())
    assert memory.free == memory.octets
    large = [number for number in turns if sizes[number] > SMALL]
    assert large == sorted(large)


def test_a_small_body_never_waits():
    """While all memory is taken and others wait, a body of 64 KiB goes on."""

    async def crowd():
        memory = BodyMemory(100 * KIB)
        shares = [Share(memory) for _ in range(3)]
        await shares[0].hold(100 * KIB)
        (waiting,) = await started(shares[1].hold(100 * KIB))
        await shares[2].hold(SMALL)
        assert not waiting.done()
        shares[0].release()
        await waiting

    run(crowd())


def test_one_that_waits_is_not_passed():
    """What would fit does not pass what has waited longer."""

    async def crowd():
        memory = BodyMemory(300 * KIB)
        shares = [Share(memory) for _ in range(3)]
        await shares[0].hold(200 * KIB)
        large, fitting = await started(shares[1].hold(250 * KIB), shares[2].hold(100 * KIB))
        assert not large.done()
        assert not fitting.done()
        shares[0].release()
        await large
        assert not fitting.done()
        shares[1].release()
        await fitting

    run(crowd())


def test_a_body_larger_than_the_memory_has_it_alone():
    """What could never fit waits until nobody else has any, and then takes all."""

    async def crowd():
        memory = BodyMemory(100 * KIB)
        first, second = Share(memory), Share(memory)
        await first.hold(70 * KIB)
        (waiting,) = await started(second.hold(500 * KIB))
        assert not waiting.done()
        first.release()
        await waiting
        assert memory.free == 0
        second.release()
        assert memory.free == memory.octets

    run(crowd())


def test_a_share_never_waits_for_what_it_holds_itself():
    """Who has all of the memory and wants more than there is goes on."""

    async def alone():
        memory = BodyMemory(100 * KIB, patience=0.01)
        share = Share(memory)
        await share.hold(500 * KIB)
        await share.hold(500 * KIB)
        assert (share.octets, memory.free) == (100 * KIB, 0)
        await share.hold(80 * KIB)
        assert (share.octets, memory.free) == (80 * KIB, 20 * KIB)

    run(alone())


def test_a_wait_has_an_end_and_its_refusal_names_the_setting():
    """Who waits too long is refused with the setting's name, and makes way for who fits."""

    async def crowd():
        memory = BodyMemory(300 * KIB, patience=0.01)
        shares = [Share(memory) for _ in range(3)]
        await shares[0].hold(200 * KIB)
        (large,) = await started(shares[1].hold(250 * KIB))
        memory.patience = 10
        (fitting,) = await started(shares[2].hold(100 * KIB))
        with pytest.raises(refusals.MemoryTaken, match="currently unavailable") as refused:
            await large
        await fitting
        assert memory.free == 0
        return refused.value.why

    assert run(crowd()) == (
        "no room for a body of 256000 octets came free in 0.01 s;"
        " body_memory is 307200: raise it, if the machine has more"
    )


@pytest.mark.parametrize("served", [False, True])
def test_a_client_that_gives_up_leaves_nothing_behind(served):
    """A request cancelled while it waits, or in the moment its turn comes, holds nothing."""

    async def crowd():
        memory = BodyMemory(100 * KIB)
        first, second = Share(memory), Share(memory)
        await first.hold(100 * KIB)
        (waiting,) = await started(second.hold(100 * KIB))
        if served:
            first.release()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        first.release()
        assert memory.free == memory.octets

    run(crowd())


def test_a_share_is_released_however_the_request_ends():
    """An application that breaks down holds nothing afterwards."""
    memory = BodyMemory(100 * KIB)

    async def application(scope, _receive, _send):
        await scope["share"].hold(80 * KIB)
        assert memory.free == 20 * KIB
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run(body_memory.sharing(memory, application)({}, None, None))
    assert memory.free == memory.octets
