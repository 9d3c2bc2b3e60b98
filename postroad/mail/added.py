"""The lines a submission adds to a message that lacks them, and the one Received it always adds."""

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from postroad.mail.message import Message


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    # Made once a second rather than once a message.
    return format_datetime(datetime.fromtimestamp(second, UTC))


def lines(message: Message, *, author: str, hostname: str, queue_id: str, now: int) -> bytes:
    """Received, and From, Date, Message-ID, MIME-Version where missing, each ended by CRLF; `now` in milliseconds.

    The trace line names no client address: it would tell recipients where the author's program runs.
    """
    date, present = _date(now // 1000), message.first
    made = f"Received: by {hostname} (Postroad) with HTTP id {queue_id};\r\n {date}\r\n"
    if b"from" not in present:
        made += f"From: {author}\r\n"
    if b"date" not in present:
        made += f"Date: {date}\r\n"
    if b"message-id" not in present:
        made += f"Message-ID: <{queue_id}@{hostname}>\r\n"
    if b"mime-version" not in present:
        made += "MIME-Version: 1.0\r\n"
    return made.encode()
