"""The lines a submission adds to a message that lacks them, and the one Received it always adds."""

from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from postroad.mail.message import Message

# Asked for once a second rather than once a message.
_date = lru_cache(maxsize=4)(format_datetime)


def lines(message: Message, *, author: str, hostname: str, queue_id: str, now: datetime) -> list[bytes]:
    """Received, and From, Date, Message-ID and MIME-Version where missing; each ends with CRLF.

    The trace line names no client address: it would tell recipients where the author's program runs.
    """
    date = _date(now)
    missing = {
        "From": author,
        "Date": date,
        "Message-ID": f"<{queue_id}@{hostname}>",
        "MIME-Version": "1.0",
    }
    received = f"Received: by {hostname} (Postroad) with HTTP id {queue_id};\r\n {date}\r\n"
    return [received.encode()] + [
        f"{name}: {value}\r\n".encode() for name, value in missing.items() if message.first(name) is None
    ]
