"""What was said in a session, for people: `> ` ours, `< ` the server's, `= ` what happened around it."""

from collections import deque
from collections.abc import Iterable

from postroad.mail.reply import Reply

LINES = 200
CHARACTERS = 16 * 1024


class Transcript:
    """Lines in bounded memory; of a long conversation the middle is left out, as its end tells most."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._head_size = self._tail_size = self._left_out = 0
        for line in lines:
            self._add(line)

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
        """The lines so far."""
        gap = [f"= {self._left_out} lines are left out here"] if self._left_out else []
        return (*self._head, *gap, *self._tail)

    def _add(self, line: str) -> None:
        line = line[: CHARACTERS // 16]
        if not self._tail and len(self._head) < LINES // 2 and self._head_size + len(line) <= CHARACTERS // 2:
            self._head.append(line)
            self._head_size += len(line)
            return
        self._tail.append(line)
        self._tail_size += len(line)
        while len(self._tail) >= LINES // 2 or self._tail_size > CHARACTERS // 2:
            self._tail_size -= len(self._tail.popleft())
            self._left_out += 1
