"""What tests of the queue share: mail that waits, claims of it, outcomes."""

import itertools

from sqlalchemy import select

from postroad.database import content as contents
from postroad.database.identifiers import Identifiers
from postroad.database.rows import insert
from postroad.database.schema import recipient
from postroad.mail.envelope import Envelope
from postroad.mail.outcome import Attempted
from postroad.mail.reply import Reply, ours
from postroad.queue import claims, store
from postroad.queue.settlement import settle
from postroad.queue.shaping import Limits
from postroad.queue.verdict import judge

NOW = 1_700_000_000_000
CONTENT = b"From: me@a.test\r\nTo: you@b.test\r\nSubject: hello\r\nMessage-ID: <m@a.test>\r\n\r\nbody\r\n"
OK = Reply(250, "2.0.0", "Ok")
LATER = Reply(450, "4.2.0", "greylisted")
NEVER = Reply(550, "5.1.1", "no such user")
UNREACHED = ours(451, "4.4.1", "mx.test:25: connection refused while connecting")
LEASES = itertools.count(1)
QUEUE_IDS = itertools.count(1000)
# One for all: of two that make a number in the same millisecond, both may make the same.
IDENTIFIERS = Identifiers()


def rows_of(
    queue_id, *envelopes, now=NOW, reverse_path="me@a.test", octets=CONTENT, destination=None, account_id=1
):
    """The rows of an entry, each envelope a tuple of forward-paths; by default each domain is a destination."""
    facts = contents.Facts(
        size=len(octets),
        header_size=octets.index(b"\r\n\r\n") + 2,
        longest_line=max(map(len, octets.split(b"\r\n"))),
        eight_bit=not octets.isascii(),
        utf8_header=False,
        tls_optional=False,
        message_id="<m@a.test>",
    )
    found = [Envelope(reverse_path, tuple(paths)) for paths in envelopes]
    route = destination or (lambda path: path.rpartition("@")[2])
    entry = store.put(queue_id, account_id, queue_id, found, route, now)
    return contents.rows(queue_id, account_id, [octets], facts) | dict(entry)


# Limits that no test meets unless it says so.
AMPLE = {"each": 1000, "node": 100_000, "local": 1000, "first": 1000}


def accept(connection, *envelopes, **options):
    """A new entry; its number."""
    queue_id = next(QUEUE_IDS)
    insert(connection, rows_of(queue_id, *envelopes, **options))
    return queue_id


def claim(connection, *, now=NOW, running=(), settling=(), rota=None, **limits):
    """What there is to claim, under a lease of its own; by default by one who remembers nothing."""
    at_work = {"running": running, "settling": settling}
    limits = Limits(**AMPLE | limits)
    found = claims.claim(connection, lease=next(LEASES), now=now, **at_work, limits=limits, rota=rota)
    if rota:
        rota.confirm()
    return found


def paths(claims):
    """The forward-paths of each claim."""
    return [claimed.envelope.forward_paths for claimed in claims]


def table(connection):
    """All recipients, as the database has them."""
    return connection.execute(select(recipient).order_by(recipient.c.queue_id, recipient.c.forward_path)).all()


def judged(claimed, outcomes, now=NOW, host="mx.test"):
    attempted = Attempted(host, outcomes, "> MAIL\n< 250 Ok")
    return judge(claimed, attempted, started_at=now, ended_at=now, chance=lambda: 0)


def all_alike(claimed, outcome):
    return dict.fromkeys(claimed.envelope.forward_paths, outcome)


def settled(connection, claimed, outcome, now=NOW):
    [recorded] = settle(connection, [judged(claimed, all_alike(claimed, outcome), now)], IDENTIFIERS, "here.test")
    return recorded


def marked(connection, claimed, host="mx.test", now=NOW):
    [good] = store.mark_in_doubt(connection, [store.Mark(claimed, host, now)])
    return good
