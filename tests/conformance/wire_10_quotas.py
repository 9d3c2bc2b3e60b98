"""Section 10: quota units, on servers where there is one for a minute."""

from dataclasses import replace

from tests.conformance.wire import SEND, SENT, Ask, Row, Want, bearer, message, row
from tests.conformance.wire_5_batch import batch, inner

QUOTA = "Quota exceeded for quota metric 'Total Query Cost' and limit '{}' of service 'gmail.googleapis.com' "


def exceeded(code: int, status: str, limit: str) -> Want:
    return Want(
        code,
        headers={"content-type": ("application/json; charset=UTF-8",), "x-ratelimit-limit": ()},
        members={
            "error/errors/0/reason": "rateLimitExceeded",
            "error/errors/0/domain": "usageLimits",
            "error/status": status,
            "error/details/0/reason": "RATE_LIMIT_EXCEEDED",
            "error/details/0/domain": "googleapis.com",
        },
        holds=(QUOTA.format(limit).encode(),),
    )


def by(token: str) -> Ask:
    return Ask("POST", SEND, (bearer(token), "Content-Type: application/json"), message())


SPENT = exceeded(429, "RESOURCE_EXHAUSTED", "Units per minute per user")
ALL_SPENT = exceeded(403, "PERMISSION_DENIED", "Units per minute")

# A user has a unit a minute: whoever has sent is out of units. Each row has users of its own.
USERS = [
    Row(
        "10",
        "a user who has spent his units waits, whatever his token; others do not",
        (
            (by("gmail.send"), SENT),
            (by("gmail.send"), SPENT),
            (by("mail.google.com"), SPENT),
            (by("bob"), Want(200)),
        ),
    ),
    Row(
        "10",
        "a quota says when to come back",
        ((by("nobody"), SENT), (by("nobody"), SPENT.also(retry_after="{{digits}}"))),
        differs="**What exceeds a quota is told when to come back**",
    ),
    Row(
        "6.3",
        "order: units before the body; a call that is refused for its body has spent them",
        (
            (by("dora").but(body=b"{"), Want(400, members={"error/errors/0/reason": "parseError"})),
            (by("dora").but(body=b"{"), SPENT),
        ),
        differs="**Units are charged before the body is read**",
    ),
    row(
        "10",
        "calls in a batch each count",
        batch(inner(), inner(), headers=(bearer("carol"),)),
        Want(200, holds=(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 429 Too Many Requests\r\n")),
    ),
]
# All together have a unit a minute.
PROJECT = [
    Row("10", "a project that has spent its units waits", ((by("gmail.send"), SENT), (by("bob"), ALL_SPENT))),
]

ROWS: list[Row] = [
    *(replace(one, server="user quota") for one in USERS),
    *(replace(one, server="project quota") for one in PROJECT),
]
