"""(e) What a message costs while many others wait: queues filled by the package's own functions."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from sqlalchemy import Connection, update

from bench.figures import Row, interleaved, metered
from bench.foreign import CONNECTIONS
from bench.load import Sender
from bench.postroad_server import AUTHOR, RECIPIENT, Engine, Postroad, message, running_postroad
from bench.sections import Field
from postroad.database import content as contents
from postroad.database.engine import Database
from postroad.database.identifiers import Identifiers
from postroad.database.rows import Rows, together
from postroad.database.schema import recipient
from postroad.mail.envelope import Envelope
from postroad.mailbox import messages
from postroad.oauth import accounts
from postroad.queue import store

BATCH = 2000
# They wait for an hour: longer than any measurement, shorter than what the queue takes for a clock gone back.
WAIT = 3_600_000


def fill(folder: Path, url: str, entries: int, destination: str, tell: Callable[[str], None]) -> None:
    """Make a database with an account, and so many messages that wait for `destination`."""
    folder.mkdir()
    database = Database(folder, floor=0, url=url)
    try:
        identifiers, now = Identifiers(), time.time_ns() // 1_000_000
        add = partial(accounts.add, address=AUTHOR, administrator=False, now=now)
        owner = database.submit(add).result().account_id
        for begun in range(0, entries, BATCH):
            numbers = [identifiers.next(now) for _ in range(min(BATCH, entries - begun))]
            rows = together(_accepted(number, owner, destination, now) for number in numbers)
            database.submit(partial(_put_off, first=numbers[0], until=now + WAIT), rows).result()
            if begun % (BATCH * 25) == 0:
                tell(f"  filling: {begun:,} of {entries:,}")
    finally:
        database.close()


def _accepted(queue_id: int, account_id: int, destination: str, now: int) -> Rows:
    """The rows of one accepted message."""
    octets = message()
    facts = contents.Facts(
        size=len(octets),
        header_size=octets.index(b"\r\n\r\n") + 2,
        longest_line=998,
        eight_bit=False,
        utf8_header=False,
        tls_optional=False,
        message_id="<1@bench.test>",
    )
    copy = messages.Stored(account_id, queue_id, queue_id, queue_id, (), len(octets), now, messages.SENT)
    envelope = Envelope(AUTHOR, (RECIPIENT,))
    return {
        **contents.rows(queue_id, account_id, [octets], facts),
        **messages.rows(copy),
        **store.put(queue_id, account_id, queue_id, [envelope], lambda _: destination, now),
    }


def _put_off(connection: Connection, first: int, until: int) -> None:
    """Let every recipient from that entry on wait for another try."""
    new = recipient.c.queue_id >= first
    connection.execute(update(recipient).where(new).values(due_at=until, attempts=1))


def depth(field: Field) -> Iterator[Row]:
    """Accept and relay beside queues of each depth, in turn; processor time, as it is the steadier figure."""
    with ExitStack() as stack:
        filled = {
            (engine.name, queued): _filled(field, stack, engine, queued)
            for engine in field.engines
            for queued in field.extent.queued
        }
        wall: dict[str, list[float]] = {_side(*key): [] for key in filled}
        sides = {_side(*key): _cost(field, *filled[key], wall[_side(*key)]) for key in filled}
        for measure in sides.values():
            measure()
        for seconds in wall.values():
            seconds.clear()
        field.tell("(e) processor time of an accepted and relayed message, in microseconds")
        found = interleaved(field.extent.rounds, sides, field.tell)
    for engine, queued in filled:
        for what, values in (("processor", found), ("elapsed", wall)):
            yield _row(what, engine, queued, field.extent.queued[0], values)


def _side(engine: str, queued: int) -> str:
    return f"{engine}, {queued:,} queued"


def _row(what: str, engine: str, queued: int, shallow: int, found: Mapping[str, list[float]]) -> Row:
    name, values = f"{what} time beside {queued:,} queued", median(found[_side(engine, queued)])
    if queued == shallow:
        return Row(name, "us/message", values, engine=engine)
    basis, versus = median(found[_side(engine, shallow)]), f"beside {shallow:,} queued"
    return Row(name, "us/message", values, basis, versus, more_is_better=False, engine=engine)


def _filled(field: Field, stack: ExitStack, engine: Engine, queued: int) -> tuple[Postroad, Sender]:
    """A server whose queue holds so many."""
    folder = field.folder / f"depth-{engine.word}-{queued}"
    fill(folder, engine.url(folder.name), queued, f"127.0.0.1:{field.sink.port}", field.tell)
    if engine.cluster:
        engine.cluster.analyse(folder.name.replace("-", "_"))
    postroad = stack.enter_context(running_postroad(folder, field.sink.port, engine))
    return postroad, postroad.sender(message(), CONNECTIONS)


def _cost(field: Field, postroad: Postroad, load: Sender, wall: list[float]) -> Callable[[], float]:
    each, costs = field.extent.each, list[float]()

    def send() -> float:
        wall.append(field.sink.seconds_until(each, partial(load.send, each)) / each * 1e6)
        return wall[-1]

    def measure() -> float:
        metered(send, postroad.cpu_seconds, each, costs)()
        return costs[-1]

    return measure
