"""Numbers for messages, contents, queue entries, leases and attempts: 63 bits, ascending, 16 hex digits in text.

As Gmail's: milliseconds since 1970 in the upper bits, chance in the lower 20, so that nodes rarely meet; within
a process they never do, and a clock set back does not make them descend.
"""

import random
import re
import threading

_CHANCE_BITS = 20
_LIMIT = 1 << 63
_HEXADECIMAL = re.compile("[0-9A-Fa-f]{1,64}")


class Identifiers:
    """Makes identifiers; thread-safe."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def next(self, now: int) -> int:
        """A new identifier for something made at `now` (milliseconds)."""
        fresh = now << _CHANCE_BITS | random.getrandbits(_CHANCE_BITS)
        with self._lock:
            self._last = max(self._last + 1, fresh)
            return self._last


def first_of(moment: int) -> int:
    """The least identifier of what was made at `moment` (milliseconds) or later."""
    return moment << _CHANCE_BITS


def text_of(identifier: int) -> str:
    """The identifier as Gmail writes it: 16 lower-case hexadecimal digits (gmail-wire.md 3.3)."""
    return f"{identifier:016x}"


def number_of(text: str) -> int | None:
    """The identifier written as `text`; `None` when it is not a hexadecimal number under 2^63.

    Upper case and leading zeros are as good (gmail-wire.md 3.3); signs, spaces, underscores and 0x are not.
    """
    if not _HEXADECIMAL.fullmatch(text):
        return None
    number = int(text, 16)
    return number if number < _LIMIT else None
