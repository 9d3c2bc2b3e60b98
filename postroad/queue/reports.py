"""The reports an author gets: a DSN when a recipient fails, a notice when one is late (RFC 3464).

A report goes to the account's own mailbox through the queue, with the null reverse-path, and is never
answered by another (RFC 5321 section 4.5.5).
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from sqlalchemy import Connection

from postroad.database import content as contents
from postroad.database.identifiers import Identifiers, text_of
from postroad.database.rows import Rows
from postroad.mail import dsn, transmission
from postroad.mail.envelope import LOCAL, Envelope
from postroad.mail.message import fields_of
from postroad.queue import schedule, store
from postroad.queue.verdict import Judgement, Verdict


def about(connection: Connection, judged: Judgement, identifiers: Identifiers, hostname: str) -> Iterator[Rows]:
    """The rows of every report this judgement calls for; none for mail that has the null reverse-path."""
    claimed, now = judged.claimed, judged.ended_at
    if claimed.reverse_path is None:
        return
    for fates in filter(None, (_fates(judged, _failed), _fates(judged, _delayed))):
        report_id = identifiers.next(now)
        message_id = f"<{text_of(report_id)}@{hostname}>"
        report = dsn.report(
            _original(connection, claimed),
            fates,
            reverse_path=claimed.reverse_path,
            hostname=hostname,
            message_id=message_id,
            now=_moment(now),
        )
        yield from _rows(report_id, claimed, report, message_id, now)


def called_for(judged: Judgement) -> list[str]:
    """What this judgement's reports are about: `failed`, `delayed`, both or neither."""
    if judged.claimed.reverse_path is None:
        return []
    return [
        about
        for about, wanted in (("failed", _failed), ("delayed", _delayed))
        if any(map(wanted, judged.verdicts))
    ]


def _failed(verdict: Verdict) -> bool:
    return verdict.state == store.FAILED


def _delayed(verdict: Verdict) -> bool:
    return verdict.delayed


def _fates(judged: Judgement, wanted: Callable[[Verdict], bool]) -> list[dsn.Fate]:
    return [_fate(judged, verdict) for verdict in judged.verdicts if wanted(verdict)]


def _fate(judged: Judgement, verdict: Verdict) -> dsn.Fate:
    expires_at = judged.claimed.accepted_at + schedule.GIVE_UP_AFTER
    return dsn.Fate(
        forward_path=verdict.waiting.forward_path,
        action="delayed" if verdict.delayed else "failed",
        reply=verdict.reply,
        remote_mta="" if verdict.reply.ours else _name(judged.attempted.host),
        last_attempt=_moment(judged.ended_at),
        will_retry_until=_moment(expires_at) if verdict.delayed else None,
    )


def _name(host: str) -> str:
    """The host's name without its port (RFC 3464 section 2.3.5)."""
    return host.rpartition(":")[0] or host


def _original(connection: Connection, claimed: store.Claim) -> dsn.Original:
    section = contents.header_section(connection, claimed.content_id)
    subject = next((field.text for field in fields_of(section) if field.key == b"subject"), "")
    return dsn.Original(
        message_id=claimed.message_id,
        subject=subject,
        header_section=section,
        arrived=_moment(claimed.accepted_at),
        queue_id=text_of(claimed.queue_id),
    )


def _rows(report_id: int, claimed: store.Claim, report: bytes, message_id: str, now: int) -> Iterator[Rows]:
    header_size = report.index(b"\r\n\r\n") + 2
    facts = contents.Facts(
        size=len(report),
        header_size=header_size,
        longest_line=transmission.longest_line(report, at_least=transmission.LINE_LIMIT),
        eight_bit=transmission.is_eight_bit(report),
        utf8_header=transmission.headers_need_smtputf8(report[:header_size]),
        tls_optional=False,
        message_id=message_id,
    )
    yield contents.rows(report_id, claimed.account_id, [report], facts)
    envelope = Envelope(None, (claimed.reverse_path or "",))
    yield store.put(report_id, claimed.account_id, report_id, [envelope], lambda _: LOCAL, now)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
