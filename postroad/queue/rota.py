"""Which destinations a node looks at next: what it remembers between claims, so that none walks past them all.

All of it is a guess: gates and leases in the database decide. What becomes due is seen as it does, by its due
time; whatever that misses is found by going round all that wait, a bounded piece at a time. Pure, and without a
lock: claims come one after another.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from postroad.mail.envelope import LOCAL

# Destinations looked at by one claim, at most.
LOOKS = 64
# How late something may be seen that is due: by then its commit is done, and clocks of nodes differ by less.
LATE = 2_000
# Between two pieces of a round, unless it hurries: at the start, and after more became due than can be seen.
PIECE_PAUSE = 1_000
# Destinations whose answers are remembered.
REMEMBERED = 4_096


@dataclass(slots=True)
class Rota:
    """Destinations with due mail: in turn to be looked at, or set aside because their gate is closed or full.

    `position` is the destination that the round has come to.
    """

    position: str = ""
    _ready: dict[str, None] = field(default_factory=dict)
    # Set aside, and the time of the look: what became due since is reason for another.
    _aside: dict[str, int] = field(default_factory=dict)
    _openings: list[tuple[int, str]] = field(default_factory=list)
    _opens: dict[str, int] = field(default_factory=dict)
    _full: dict[str, int] = field(default_factory=dict)
    _looked_at: int | None = None
    _before: int = 0
    _next_piece: int = 0
    _hurried: bool = True
    _once_more: bool = False
    _cut_short: bool = False
    _unsure: bool = False
    _answers: dict[str, int] = field(default_factory=dict)

    @property
    def goes_on(self) -> bool:
        """Whether there is more to look at than one claim does."""
        return self._hurried or self._cut_short

    @property
    def crowded(self) -> bool:
        """Whether there is due mail for which there was no room: only the end of an attempt makes some."""
        return bool(self._ready or self._full)

    def begin(self, now: int) -> int:
        """A claim begins; since when it is to look for what has become due.

        When the last one was undone, or the clock has gone back, what was remembered is worth nothing.
        """
        if self._unsure or (self._looked_at is not None and now < self._looked_at):
            self._forget()
        self._before = now if self._looked_at is None else self._looked_at
        self._unsure, self._looked_at = True, now
        return self._before - LATE

    def confirm(self) -> None:
        """What the last claim found is committed."""
        self._unsure = False

    def _forget(self) -> None:
        for one in (self._ready, self._aside, self._openings, self._opens, self._full):
            one.clear()
        self.position, self._hurried, self._once_more, self._looked_at = "", True, False, None

    def saw(self, due: Mapping[str, int], since: int) -> None:
        """These have mail that became due, the newest at that time, and since then they are all.

        When more than that has become due since the last look, it is time to go round.
        """
        for name, newest in due.items():
            if newest > self._aside.get(name, -1):
                self._recall(name)
        if since > self._before:
            self._once_more = self._hurried
            self.position = self.position if self._hurried else ""
            self._hurried = True

    def wants_piece(self, now: int) -> bool:
        """Whether it is time for the next piece of the round."""
        return self._hurried or now >= self._next_piece

    def went_round(self, now: int, due: Iterable[str], last: str | None) -> None:
        """A piece of the round found these due, and ended at `last`; `None` when nobody comes after it."""
        for name in due:
            self._recall(name)
        self.position, self._next_piece = last or "", now + PIECE_PAUSE
        if last is None:
            self._hurried, self._once_more = self._once_more, False

    def _recall(self, name: str) -> None:
        self._aside.pop(name, None)
        self._full.pop(name, None)
        self._ready.setdefault(name)

    def reopen(self, now: int, in_flight: Mapping[str, int]) -> None:
        """Those whose pause is over, and those that were full and are less so, are ready."""
        while self._openings and self._openings[0][0] <= now:
            opened, name = heapq.heappop(self._openings)
            if self._opens.get(name) == opened:
                del self._opens[name]
                if name in self._aside:
                    self._recall(name)
        for name in [name for name, count in self._full.items() if in_flight.get(name, 0) < count]:
            self._recall(name)

    def turn(self, may: Callable[[str], bool], *, only_here: bool) -> list[str]:
        """Whose turn it is, of those that `may` have something; deliveries here, which hold up nobody, always."""
        found = [LOCAL] if LOCAL in self._ready and may(LOCAL) else []
        for name in () if only_here else self._ready:
            if len(found) >= LOOKS:
                break
            if name != LOCAL and may(name):
                found.append(name)
        self._cut_short = len(found) >= LOOKS
        return found

    def again(self, name: str) -> None:
        """More may be due: after all others."""
        self._ready.pop(name, None)
        self._ready[name] = None

    def done(self, name: str) -> None:
        """Nothing more is due."""
        self._ready.pop(name, None)

    def full(self, name: str, now: int, in_flight: int) -> None:
        """No room, until fewer are in flight."""
        self.done(name)
        self._aside[name], self._full[name] = now, in_flight

    def shut(self, name: str, now: int, until: int) -> None:
        """Closed for so long."""
        self.done(name)
        self._aside[name] = now
        if self._opens.get(name) != until:
            self._opens[name] = until
            heapq.heappush(self._openings, (until, name))

    def answered(self, name: str, *, reached: bool | None) -> None:
        """An attempt there has ended: whether anybody answered; `None` when nobody was asked."""
        before = self._answers.pop(name, 0)
        if reached is not False:
            self._answers[name] = before + bool(reached)
        if len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]

    def answers(self, name: str) -> int:
        """How often it has answered since it last did not."""
        return self._answers.get(name, 0)
