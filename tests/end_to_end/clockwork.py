"""A Postroad whose clock is told how far it is off, while it runs; and whose leases are short.

`python clockwork.py OFFSETS LEASE postroad serve ...`: OFFSETS is a file that holds milliseconds, LEASE how many
milliseconds a lease lasts. The words after them are the command itself.
"""

import sys
from pathlib import Path

from postroad import app, cli, front, serving
from postroad.queue import claims, runner, store


def main(offsets: Path, lease: int) -> None:
    """Run the command with that clock and those leases."""
    right = app.clock
    app.clock = front.clock = serving.clock = lambda: right() + int(offsets.read_text())
    claims.LEASE = store.LEASE = lease
    runner.RENEWAL_SECONDS = lease / 3000
    cli.main()


if __name__ == "__main__":
    _, file, milliseconds, *sys.argv = sys.argv
    main(Path(file), int(milliseconds))
