"""Watches the machine beneath: a clock that leaps, a process that stood still, descriptors that ran out.

They explain what the operator is going to see; without a word of them it would look like our own doing.
"""

import asyncio
import errno
import os
import resource
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from postroad import maillog

# Of which kind a fault may be: the clock is the machine's, the others may befall each process for itself.
OF_A_PROCESS = frozenset({"pause", "descriptors"})
KINDS = OF_A_PROCESS | {"clock"}
LOOK_SECONDS = 1.0
# By how much the clock must be off, and for how long nothing must have run, to be told of.
LEAP_SECONDS = 60.0
STILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The machine when looked at: milliseconds of its clock, seconds that passed, whether descriptors are left."""

    clock: int
    passed: float
    descriptors: bool


def faults(before: Moment, after: Moment) -> Iterator[tuple[str, str]]:
    """What went wrong between two looks: of which kind (a label), and in words with what to do. Pure."""
    passed = after.passed - before.passed
    leap = (after.clock - before.clock) / 1000 - passed
    if abs(leap) > LEAP_SECONDS:
        yield (
            "clock",
            f"the clock leapt by {leap:+.0f} s; see to its synchronisation, tokens and retries follow it",
        )
    if passed > LOOK_SECONDS + STILL_SECONDS:
        yield (
            "pause",
            f"nothing ran for {passed:.0f} s: a stopped process or machine, or one short of CPU or memory",
        )
    if before.descriptors and not after.descriptors:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield "descriptors", f"all {limit} file descriptors are in use; raise LimitNOFILE (ulimit -n)"


async def watch(clock: Callable[[], int], kinds: Collection[str] = KINDS) -> None:
    """Tell of each fault of these kinds once, until cancelled. `clock` tells milliseconds since 1970."""
    before = _look(clock)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        after = _look(clock)
        for kind, cause in faults(before, after):
            if kind in kinds:
                maillog.machine_failed(kind, cause)
        before = after


def _look(clock: Callable[[], int]) -> Moment:
    return Moment(clock(), time.monotonic(), _has_descriptors())


def _has_descriptors() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    return True
