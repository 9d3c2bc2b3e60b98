"""Settles a claim: outcomes, next try, attempt, the destination's gate and the DSN are one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, update

from postroad.database.identifiers import Identifiers
from postroad.database.rows import insert, into
from postroad.database.schema import attempt, recipient
from postroad.mail.outcome import Delayed, Failed, Outcome, Relayed
from postroad.queue import gates, reports, store
from postroad.queue.verdict import Judgement, Verdict

_ATTEMPTS = into(
    attempt,
    "attempt_id",
    "queue_id",
    "account_id",
    "started_at",
    "ended_at",
    "host",
    "outcome",
    "conversation",
    "after_in_doubt",
)
_RECORD = (
    update(recipient)
    .where(recipient.c.queue_id == bindparam("of_queue_id"), recipient.c.forward_path == bindparam("of_path"))
    .values(
        lease=None,
        state=bindparam("new_state"),
        due_at=bindparam("new_due_at"),
        attempts=recipient.c.attempts + 1,
        notices=bindparam("new_notices"),
        in_doubt_at=bindparam("new_in_doubt_at"),
        in_doubt_host=bindparam("new_in_doubt_host"),
        reply_code=bindparam("new_code"),
        reply_status=bindparam("new_status"),
        reply_text=bindparam("new_text"),
        settled_at=bindparam("new_settled_at"),
    )
)


def settle(
    connection: Connection,
    judgements: Sequence[Judgement],
    identifiers: Identifiers,
    hostname: str,
    *,
    report: bool = True,
) -> list[bool]:
    """Record each judgement; false, and nothing of it recorded, where the lease is no longer ours."""
    ours = store.still_ours(connection, [judged.claimed for judged in judgements])
    found = [judged for judged, good in zip(judgements, ours, strict=True) if good]
    if found:
        connection.execute(_RECORD, [_recorded(judged, one) for judged in found for one in judged.verdicts])
        insert(connection, {_ATTEMPTS: [_attempt(judged, identifiers.next(judged.ended_at)) for judged in found]})
        gates.note(connection, found)
    for judged in found if report else ():
        for rows in reports.about(connection, judged, identifiers, hostname):
            insert(connection, rows)
    return ours


def _recorded(judged: Judgement, verdict: Verdict) -> dict[str, object]:
    waiting, host = verdict.waiting, judged.attempted.host
    return {
        "of_queue_id": judged.claimed.queue_id,
        "of_path": waiting.forward_path,
        "new_state": verdict.state,
        "new_due_at": verdict.due_at,
        "new_notices": verdict.notices,
        "new_in_doubt_at": (waiting.in_doubt_at or judged.ended_at) if verdict.in_doubt else None,
        "new_in_doubt_host": (waiting.in_doubt_host or host) if verdict.in_doubt else None,
        "new_code": verdict.reply.code,
        "new_status": verdict.reply.status,
        "new_text": verdict.reply.text,
        "new_settled_at": None if verdict.state == store.QUEUED else judged.ended_at,
    }


def _attempt(judged: Judgement, attempt_id: int) -> tuple[object, ...]:
    claimed, attempted = judged.claimed, judged.attempted
    return (
        attempt_id,
        claimed.queue_id,
        claimed.account_id,
        judged.started_at,
        judged.ended_at,
        attempted.host,
        summary(attempted.outcomes),
        attempted.conversation,
        any(waiting.in_doubt_at is not None for waiting in claimed.recipients),
    )


_WORDS = {Relayed: "relayed", Delayed: "delayed", Failed: "failed"}


def summary(outcomes: Mapping[str, Outcome]) -> str:
    """An attempt in a few words, as `2 relayed, 1 delayed`."""
    counts = Counter(_WORDS[type(outcome)] for outcome in outcomes.values())
    return ", ".join(f"{counts[word]} {word}" for word in _WORDS.values() if counts[word])
