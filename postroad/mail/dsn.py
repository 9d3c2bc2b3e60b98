"""The delivery status notification: what became of a message, for people and programs (RFC 3464, RFC 6522).

Foreign text, a remote server's above all, is made printable, shortened, and kept inside lines that we began,
so it can begin neither a header field nor a part. Knows no schedule and no envelope: the caller decides who
is told what, and when.
"""

import hashlib
import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Literal

from postroad.mail.encoded_words import decoded
from postroad.mail.reply import Reply
from postroad.mail.transmission import LINE_LIMIT, fold, longest_line, quoted_printable

_CRLF = b"\r\n"
_USUAL_LINE = 78  # RFC 5322 section 2.1.1
_TEXT_LIMIT = 900  # characters of foreign text; even as one word they fit a line

# msg-id = "<" id-left "@" id-right ">", no white space inside (RFC 5322 section 3.6.4)
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")
# Controls, line separators, and marks that change the direction of what follows.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_DETAIL = re.compile(r"[0-9](\.[0-9]{1,3}\.[0-9]{1,3})")

_FAILED = "Your message could not be delivered to the recipients below.\nWe have stopped trying."
_DELAYED = "Your message has not reached the recipients below yet.\nWe keep trying; you need not do anything."
# What an author can do, by the subject in the status code (RFC 3463 section 3).
_ADVICE = {
    "1": "Please check this address for typing mistakes.",
    "2": "This mailbox cannot take mail at present; please reach its owner in another way.",
    "3": "The receiving system could not take the message; it may be too large.",
    "4": "The receiving system could not be reached or did not answer as it should.",
    "6": "The receiving system cannot take a message of this form.",
    "7": "The receiving system refused the message by its rules; its administrator can say why.",
}
_GENERAL_ADVICE = "The recipient's administrator can explain this answer."


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one recipient (RFC 3464 section 2.3).

    `remote_mta` is the host that gave the reply, or "" when none was reached and the reply is our own;
    `will_retry_until` belongs to `delayed` alone.
    """

    forward_path: str
    action: Literal["failed", "delayed"]
    reply: Reply
    remote_mta: str
    last_attempt: datetime | None
    will_retry_until: datetime | None

    @property
    def status(self) -> str:
        """The enhanced status code in the class that fits: a reply's two codes may contradict each other."""
        transient = self.action == "delayed" or self.reply.code // 100 == 4
        detail = _DETAIL.fullmatch(self.reply.enhanced)
        return ("4" if transient else "5") + (detail[1] if detail else ".0.0")


@dataclass(frozen=True, slots=True)
class Original:
    """The message that a report is about.

    `message_id` is its field's value or ""; `subject` its field's raw value, for people alone;
    `header_section` as it was delivered, that is without Bcc.
    """

    message_id: str
    subject: str
    header_section: bytes
    arrived: datetime
    queue_id: str


def report(
    original: Original, fates: Sequence[Fate], *, reverse_path: str, hostname: str, message_id: str, now: datetime
) -> bytes:
    """Return the content of a DSN for `reverse_path`, itself to be sent from the null reverse-path."""
    parts = [
        _text_part("text/plain", _explanation(original, fates, hostname).encode(errors="replace")),
        _status_part(original, fates, hostname),
        # Exactly the given octets: quoted-printable when they are not plain ASCII in lines that pass anywhere,
        # as RFC 6522 section 4 allows, so that no report needs 8BITMIME for the sake of what it quotes.
        _text_part("text/rfc822-headers", original.header_section),
    ]
    boundary = _boundary(message_id, parts)
    failed = any(fate.action == "failed" for fate in fates)
    header = [
        _field("From", f"Mail Delivery Subsystem <mailer-daemon@{hostname}>"),
        _field("To", reverse_path),
        # The wording of Gmail's reports, which programs look for.
        _field("Subject", f"Delivery Status Notification ({'Failure' if failed else 'Delay'})"),
        _field("Date", format_datetime(now)),
        _field("Message-ID", message_id),
        *_thread_fields(original.message_id),
        _field("Auto-Submitted", "auto-replied"),  # RFC 3834 section 5
        _field("MIME-Version", "1.0"),
        _field("Content-Type", f'multipart/report; report-type=delivery-status; boundary="{boundary}"'),
    ]
    delimiter = b"\r\n--" + boundary.encode()
    body = b"".join(delimiter + _CRLF + part for part in parts)
    return b"".join(header) + body + delimiter + b"--\r\n"


def _thread_fields(message_id: str) -> list[bytes]:
    if len(message_id) > _TEXT_LIMIT or not _MESSAGE_ID.fullmatch(message_id):
        return []
    return [_field("In-Reply-To", message_id), _field("References", message_id)]


def _boundary(message_id: str, parts: Sequence[bytes]) -> str:
    """Derive a boundary that no part contains; `=_` cannot come out of any encoding (RFC 2045 section 6.7)."""
    for count in itertools.count():
        boundary = "=_" + hashlib.sha256(f"{count} {message_id}".encode(errors="replace")).hexdigest()[:32]
        if not any(boundary.encode() in part for part in parts):
            break
    return boundary


def _text_part(media_type: str, text: bytes) -> bytes:
    charset = "us-ascii" if text.isascii() else "utf-8"
    header = _field("Content-Type", f"{media_type}; charset={charset}")
    if text.isascii() and longest_line(text) <= LINE_LIMIT:
        return header + _CRLF + text
    return header + _field("Content-Transfer-Encoding", "quoted-printable") + _CRLF + quoted_printable(text)


def _status_part(original: Original, fates: Sequence[Fate], hostname: str) -> bytes:
    groups = [_message_group(original, hostname), *(_recipient_group(fate) for fate in fates)]
    fields = _CRLF.join(groups)
    if fields.isascii():
        return _field("Content-Type", "message/delivery-status") + _CRLF + fields
    # Unencoded as long as that is possible (RFC 6533 section 6); `transmission` encodes it where it is not.
    header = _field("Content-Type", "message/global-delivery-status") + _field("Content-Transfer-Encoding", "8bit")
    return header + _CRLF + fields


def _message_group(original: Original, hostname: str) -> bytes:
    """Write what concerns the message as a whole (RFC 3464 section 2.2)."""
    return b"".join(
        [
            _field("Reporting-MTA", f"dns; {hostname}"),
            _field("Arrival-Date", format_datetime(original.arrived)),
            _field("X-Postroad-Queue-ID", original.queue_id),
        ]
    )


def _recipient_group(fate: Fate) -> bytes:
    """Write what concerns one recipient (RFC 3464 section 2.3)."""
    address_type = "rfc822" if fate.forward_path.isascii() else "utf-8"  # RFC 6533 section 3
    # A reply of our own is no SMTP diagnostic (RFC 3464 section 2.3.6).
    diagnostic_type = "smtp" if fate.remote_mta else "x-postroad"
    fields = [
        _field("Final-Recipient", f"{address_type}; {fate.forward_path}"),
        _field("Action", fate.action),
        _field("Status", fate.status),
    ]
    if fate.remote_mta:
        fields.append(_field("Remote-MTA", f"dns; {_ascii(fate.remote_mta)}"))
    fields.append(_field("Diagnostic-Code", f"{diagnostic_type}; {_ascii(_one_line(str(fate.reply)))}"))
    if fate.last_attempt:
        fields.append(_field("Last-Attempt-Date", format_datetime(fate.last_attempt)))
    if fate.will_retry_until and fate.action == "delayed":
        fields.append(_field("Will-Retry-Until", format_datetime(fate.will_retry_until)))
    return b"".join(fields)


def _explanation(original: Original, fates: Sequence[Fate], hostname: str) -> str:
    """Write the part for people."""
    paragraphs = [_filled(f"This is the mail server at {hostname}.")]
    if failed := [_recipient_paragraph(fate) for fate in fates if fate.action == "failed"]:
        paragraphs += [_FAILED, *failed]
    if delayed := [_recipient_paragraph(fate) for fate in fates if fate.action == "delayed"]:
        paragraphs += [_DELAYED, *delayed]
    paragraphs.append("\n".join(["The message:", *_particulars(original)]))
    return "\n\n".join(paragraphs).replace("\n", "\r\n") + "\r\n"


def _recipient_paragraph(fate: Fate) -> str:
    speaker = f"{fate.remote_mta} said" if fate.remote_mta else "No server was reached"
    lines = [
        "    " + _printable(fate.forward_path),
        _filled(f"{speaker}: {_one_line(str(fate.reply))}", indent=8),
    ]
    if fate.action == "failed":
        lines.append(_filled(_ADVICE.get(fate.status[2], _GENERAL_ADVICE), indent=8))
    elif fate.will_retry_until:
        lines.append(_filled(f"We keep trying until {format_datetime(fate.will_retry_until)}.", indent=8))
    return "\n".join(lines)


def _particulars(original: Original) -> Iterator[str]:
    yield _filled(f"Accepted: {format_datetime(original.arrived)}", indent=4)
    if original.subject:
        yield _filled(f"Subject: {_one_line(decoded(original.subject[: 2 * _TEXT_LIMIT]))}", indent=4)
    if original.message_id:
        yield _filled(f"Message-ID: {_one_line(original.message_id)}", indent=4)
    yield _filled(f"Queue ID: {original.queue_id}", indent=4)


def _filled(text: str, indent: int = 0) -> str:
    """Fill a paragraph; foreign text stands behind words or blanks of ours, on every line."""
    return textwrap.fill(
        _printable(text),
        width=72,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _field(name: str, value: str) -> bytes:
    """Write one header field in lines of the usual length; never folded right behind the name."""
    line = f"{name}:{_printable(value)}".encode(errors="replace")
    return fold(line, _USUAL_LINE - 1).replace(b":", b": ", 1) + _CRLF


def _printable(text: str) -> str:
    return _UNSAFE.sub(" ", text)


def _one_line(text: str) -> str:
    """Return foreign text fit to stand in a line."""
    words = " ".join(_printable(text[: 2 * _TEXT_LIMIT]).split())
    return words if len(words) <= _TEXT_LIMIT else words[:_TEXT_LIMIT] + " ..."


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode("ascii")
