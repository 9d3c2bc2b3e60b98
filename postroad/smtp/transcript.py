"""What was said in a session, for people: `> ` ours, `< ` the server's, `= ` what happened around it."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from postroad.mail.reply import Reply

LINES = 200
CHARACTERS = 16 * 1024
_LINE_CHARACTERS = CHARACTERS // 16
_HEAD_LINES = LINES // 2
_TAIL_LINES = LINES - _HEAD_LINES - 1  # one tells how many are left out


class Transcript:
    """Lines in bounded memory; of a long conversation the middle is left out, as its end tells most."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._lines = list(lines)  # as another transcript has them
        self._left_out = 0  # after the first of them that may be the head

    def sent(self, line: bytes) -> None:
        """Note a command line of ours."""
        self._add("> " + line.decode("utf-8", "replace").rstrip("\r\n"))

    def received(self, reply: Reply) -> None:
        """Note a reply."""
        *lines, last = reply.text.split("\n")
        status = f"{reply.status} " if reply.status else ""
        for line in lines:
            self._add(f"< {reply.code}-{status}{line}")
        self._add(f"< {reply.code} {status}{last}".rstrip())

    def note(self, text: str) -> None:
        """Note what happened around the conversation."""
        self._add("= " + text)

    def lines(self) -> tuple[str, ...]:
        """The lines so far: of a long conversation as many from either end as fit into half of the bounds."""
        head = _fitting(self._lines[:_HEAD_LINES])
        if head == len(self._lines):
            return tuple(self._lines)
        rest = self._lines[head:]
        tail = len(rest) - _fitting(rest[: -_TAIL_LINES - 1 : -1])
        left_out = self._left_out + tail
        gap = [f"= {left_out} lines are left out here"] if left_out else []
        return (*self._lines[:head], *gap, *rest[tail:])

    def _add(self, line: str) -> None:
        self._lines.append(line[:_LINE_CHARACTERS])
        if len(self._lines) > 2 * LINES:
            middle = slice(_HEAD_LINES, -_TAIL_LINES)
            self._left_out += len(self._lines[middle])
            del self._lines[middle]


def _fitting(lines: list[str]) -> int:
    """How many of these lines, from the first, fit into half of the characters."""
    return bisect_right(list(accumulate(map(len, lines))), CHARACTERS // 2)
