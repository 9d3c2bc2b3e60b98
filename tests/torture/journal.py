"""What was attempted, acknowledged and received, written down as it happens; survives the death of the harness.

One JSON object a line. The sink writes before it answers the final dot, the load before and after each send, so
that an interrupted campaign can be resumed and judged from this file and the database alone.
"""

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.smtp_sink import Message
from tests.torture import letters


class Journal:
    """An open journal; `life` numbers the server's lives and stands in every line."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.counts: Counter[str] = Counter()
        self.changed = threading.Condition()
        self.life = 1
        for entry in entries(file):
            self.counts[entry["event"]] += 1
            self.life = entry["life"] + 1  # a life that was interrupted is over too
        self._descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close(self) -> None:
        os.close(self._descriptor)

    def note(self, event: str, **facts: Any) -> None:
        """Write a line and wake whoever waits for it."""
        line = json.dumps({"event": event, "life": self.life, **facts})
        with self.changed:
            os.write(self._descriptor, f"{line}\n".encode())
            self.counts[event] += 1
            self.changed.notify_all()

    def take(self, message: Message) -> None:
        """What the sink does with a message, in the place of keeping it."""
        canary = letters.canary_of(message.content)
        whole = bool(canary) and letters.intact(message.content, letters.of(canary))
        for path in message.forward_paths:
            self.note("received", canary=canary if whole else f"{canary} (damaged)", path=path)

    def wait_for(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until `done()` holds; it is asked after every line."""
        with self.changed:
            return self.changed.wait_for(done, seconds)


def entries(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal; a last one that was cut short is left out."""
    if file.exists():
        with file.open() as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)
