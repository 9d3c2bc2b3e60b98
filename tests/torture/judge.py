"""The verdict, in Jepsen's four words: lost, unexpected, duplicated, recovered (its checker `total-queue`).

What is counted is a pair of canary and forward-path. Every duplicate must be explained by an `in_doubt` mark.
"""

import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.torture import letters
from tests.torture.journal import entries

Pair = tuple[str, str]

DATABASE = "postroad.sqlite3"
_EXPLAINED = """
    SELECT message_id, conversation FROM attempt
    JOIN queue_entry USING (queue_id) JOIN content USING (content_id) WHERE after_in_doubt
"""
_UNFINISHED = "SELECT forward_path, state FROM recipient WHERE state <> 'relayed'"
_SENT = "SELECT gmail_id FROM message JOIN message_label USING (account_id, gmail_id) WHERE label = 'SENT'"
_TORN = """
    SELECT content_id FROM content LEFT JOIN content_chunk USING (content_id)
    GROUP BY content_id, size HAVING size <> coalesce(sum(length(octets)), 0)
"""


@dataclass
class Verdict:
    """Multisets of pairs, and whatever else must be empty."""

    kills: int = 0
    acked: Counter[Pair] = field(default_factory=Counter)
    received: Counter[Pair] = field(default_factory=Counter)
    lost: Counter[Pair] = field(default_factory=Counter)
    unexpected: Counter[Pair] = field(default_factory=Counter)
    duplicated: Counter[Pair] = field(default_factory=Counter)
    recovered: Counter[Pair] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.unexpected or self.faults)

    def __str__(self) -> str:
        words = ("lost", "unexpected", "duplicated", "recovered")
        figures = ", ".join(f"{getattr(self, word).total()} {word}" for word in words)
        explained = "" if self.good else "; NOT GOOD: " + "; ".join(self.complaints)
        return f"{self.kills} kills, {self.acked.total()} acked: {figures}{explained}"

    @property
    def complaints(self) -> list[str]:
        """What is wrong, the first few of each kind."""
        found = [f"lost {pair}" for pair in list(self.lost)[:5]]
        return found + [f"unexpected {pair}" for pair in list(self.unexpected)[:5]] + self.faults[:10]

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON: the figures, and what is wrong."""
        words = ("acked", "lost", "unexpected", "duplicated", "recovered")
        figures = {word: getattr(self, word).total() for word in words}
        return {"good": self.good, "kills": self.kills, **figures, "wrong": self.complaints}


def judge(journal: Path, data: Path, url: str = "") -> Verdict:
    """Judge drained and stopped servers by what was written down and what they have in their database.

    `url` names a PostgreSQL database; without it, it is the SQLite file in `data`.
    """
    verdict, attempted, lives, ids = Verdict(), Counter[Pair](), Counter[tuple[str, str, int]](), dict[int, str]()
    for entry in entries(journal):
        match entry["event"]:
            case "attempted":
                attempted.update(_pairs(entry["canary"]))
            case "acked":
                verdict.acked.update(_pairs(entry["canary"]))
                ids[int(entry["id"], 16)] = entry["canary"]
            case "received":
                verdict.received[entry["canary"], entry["path"]] += 1
                lives[entry["canary"], entry["path"], entry["life"]] += 1
            case "refused":
                verdict.faults.append(f"{entry['canary']} was answered {entry['code']}")
            case "miswired":
                verdict.faults.append(f"on the wire was {entry['what']}")
            case "killed":
                verdict.kills += 1
    _count(verdict, attempted)
    verdict.faults += [f"{pair} had {n} copies in one life" for pair, n in lives.items() if n > 1]
    _look(verdict, data, url, ids)
    return verdict


def _pairs(canary: str) -> list[Pair]:
    return [(canary, path) for path in letters.of(canary).paths]


def _count(verdict: Verdict, attempted: Counter[Pair]) -> None:
    once = Counter(set(verdict.received))
    verdict.lost = verdict.acked - verdict.received
    verdict.unexpected = once - attempted
    verdict.duplicated = verdict.received - once
    verdict.recovered = (once & attempted) - verdict.acked


def _look(verdict: Verdict, data: Path, url: str, ids: dict[int, str]) -> None:
    """Ask the database: duplicates explained, everyone's fate known, every author's copy there, all whole."""
    with closing(read(data, url)) as connection:
        explained: dict[str, str] = {}
        for message_id, conversation in connection.execute(_EXPLAINED):
            explained[message_id] = explained.get(message_id, "") + conversation
        unfinished = connection.execute(_UNFINISHED).fetchall()
        sent = {gmail_id for (gmail_id,) in connection.execute(_SENT)}
        torn = connection.execute(_TORN).fetchall()
        whole = "ok" if url else connection.execute("PRAGMA integrity_check").fetchone()[0]
    verdict.faults += [
        f"no in_doubt mark explains the second copy of {canary} for {path}"
        for canary, path in verdict.duplicated
        if f"RCPT TO:<{path}>" not in explained.get(letters.of(canary).message_id, "")
    ]
    verdict.faults += [f"{path} is {state}" for path, state in unfinished]
    verdict.faults += [f"the author has no copy of {canary}" for id_, canary in ids.items() if id_ not in sent]
    verdict.faults += [f"content {content_id:016x} is not as long as it says" for (content_id,) in torn]
    verdict.faults += [] if whole == "ok" else [f"integrity_check says {whole}"]


def read(data: Path, url: str = "") -> Any:
    """A connection to look through, also beside running servers."""
    if url:
        return psycopg.connect(url, autocommit=True)
    return sqlite3.connect(f"file:{data / DATABASE}?mode=ro", uri=True, timeout=10)


def waiting(data: Path, url: str = "") -> int:
    """How many recipients wait."""
    with closing(read(data, url)) as connection:
        return connection.execute("SELECT count(*) FROM recipient WHERE state = 'queued'").fetchone()[0]


def overdue(url: str) -> int:
    """How many recipients are due and wait for a node to take them, on PostgreSQL."""
    with closing(read(Path(), url)) as connection:
        due = "SELECT count(*) FROM recipient WHERE state = 'queued' AND due_at <= %s"
        return connection.execute(due, [time.time_ns() // 1_000_000]).fetchone()[0]


def make_due(data: Path, url: str = "") -> None:
    """Let everything that waits be due, while nothing runs that may send it.

    It does what the minutes until a retry, or the one until the end of a dead node's leases, would do.
    """
    _change(data, url, "recipient", "UPDATE recipient SET due_at = 0 WHERE state = 'queued'")
    open_gates(data, url)


def open_gates(data: Path, url: str = "") -> None:
    """Let every destination be tried at once, whatever failed there before; also beside a running server."""
    _change(data, url, "destination", "UPDATE destination SET failures = 0, next_try = NULL")


def _change(data: Path, url: str, table: str, statement: str) -> None:
    """Change a table that is there: a server killed early has not made any."""
    if url:
        with psycopg.connect(url) as connection:
            connection.execute(statement)
        return
    with closing(sqlite3.connect(data / DATABASE, timeout=10)) as connection, connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")  # checkpoints are the server's
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            connection.execute(statement)
