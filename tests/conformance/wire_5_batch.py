"""Section 5: batches."""

from collections.abc import Mapping

from tests.conformance.wire import (
    BAD_CREDENTIAL,
    DENIED,
    JSON,
    LIST,
    NO_ENTITY,
    NO_RAW,
    NO_RECIPIENT,
    SEND,
    SENT,
    TO_ONESELF,
    Ask,
    Row,
    Want,
    bearer,
    letter,
    message,
    no_credential,
    no_scope,
    pretty,
    row,
)

BOUNDARY = ("multipart/mixed; boundary=batch_{{boundary}}",)
FULL = bearer("mail.google.com")


def inner(
    line: str = f"POST {SEND} HTTP/1.1",
    body: bytes = message(),
    content_id: str = "",
    headers: tuple[str, ...] = ("Content-Type: application/json",),
    end: bytes = b"\r\n",
) -> bytes:
    """A part: its head, the request in it."""
    head = ["Content-Type: application/http", *([f"Content-ID: {content_id}"] if content_id else []), ""]
    request = [line, *headers, ""]
    return end.join([*(one.encode() for one in head + request), body])


def batch(
    *parts: bytes,
    headers: tuple[str, ...] = (FULL,),
    target: str = "/batch",
    boundary: str = "outer",
    quoted: bool = False,
    end: bytes = b"\r\n",
) -> Ask:
    parameter = f'"{boundary}"' if quoted else boundary
    mark = b"--" + boundary.encode()
    body = b"".join(mark + end + part + end for part in parts) + mark + b"--" + end
    return Ask("POST", target, (*headers, f"Content-Type: multipart/mixed; boundary={parameter}"), body)


def answered(*parts: bytes) -> Want:
    """The answer to the byte (5.3); each part from its Content-ID line on."""
    body = b"".join(
        b"--batch_{{boundary}}\r\nContent-Type: application/http\r\n" + part + b"\r\n" for part in parts
    )
    return Want(200, body + b"--batch_{{boundary}}--\r\n", {"content-type": BOUNDARY})


REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


def part(want: Want, content_id: str = "", names: Mapping[str, str] | None = None) -> bytes:
    """One answer in a batch; `names` renames what it leaves open, so that each part has ids of its own."""
    body = want.body or b""
    for old, new in (names or {}).items():
        body = body.replace(b"{{" + old.encode() + b"}}", b"{{" + new.encode() + b"}}")
    line = f"Content-ID: {content_id}\r\n".encode() if content_id else b""
    status = f"HTTP/1.1 {want.code} {REASONS[want.code]}\r\n".encode()
    fixed = b"Content-Type: application/json; charset=UTF-8\r\nVary: Origin\r\nVary: X-Origin\r\nVary: Referer\r\n"
    more = b"" if want.code == 200 else b"{{more}}"
    return line + b"\r\n" + status + fixed + more + b"\r\n" + body


def numbered(want: Want, number: int, content_id: str) -> bytes:
    """The nth answer, its open names its own."""
    letters = "abcdefghij"[number]
    return part(want, content_id, {"id": f"id{letters}"}).replace(
        b"{{more}}", b"{{more" + letters.encode() + b"}}"
    )


HUNDRED = tuple(
    inner(f"GET {LIST}/{{{{own}}}}?format=minimal&fields=id", b"", f"<item{n}>", ()) for n in range(100)
)
ONE_ID = part(Want(200, pretty({"id": "{{own}}"})))
AGENTS = {
    "Python: quoted boundary, LF, a Content-ID with a plus": (
        batch(
            inner(
                content_id="<5c2f2f43-6b4b-4a9e-9d0f-2f1c0d3b7a11 + 1>",
                headers=(
                    "Content-Type: application/json",
                    "MIME-Version: 1.0",
                    "accept: application/json",
                    "user-agent: (gzip)",
                    "Host: gmail.googleapis.com",
                    "content-length: 55",
                ),
                end=b"\n",
            ),
            boundary="===============7330845974216740156==",
            quoted=True,
            end=b"\n",
        ),
        "<response-5c2f2f43-6b4b-4a9e-9d0f-2f1c0d3b7a11 + 1>",
    ),
    "Ruby: Content-Id, a Host without a port": (
        batch(
            inner(
                content_id="<b1c7f7fe-6f5c-4c3a-9f50-0b6c2c8d2a77+0>",
                headers=("Content-Type: application/json", "Host: gmail.googleapis.com"),
            )
        ),
        "<response-b1c7f7fe-6f5c-4c3a-9f50-0b6c2c8d2a77+0>",
    ),
    "PHP: a bare key, and its own header": (
        batch(
            inner(
                content_id="response-key",
                headers=(
                    "content-type: application/json",
                    "X-Php-Expected-Class: Google\\Service\\Gmail\\Message",
                ),
            )
        ),
        "response-response-key",
    ),
    "Java: a number, and an absolute address": (
        batch(
            inner(
                f"POST https://gmail.googleapis.com{SEND} HTTP/1.1",
                content_id="1",
                headers=("Content-Type: application/json; charset=UTF-8", "Content-Length: 55"),
            )
        ),
        "response-1",
    ),
}
SPELLINGS = {
    "no HTTP version": inner(f"POST {SEND}"),
    "HTTP/1.0": inner(f"POST {SEND} HTTP/1.0"),
    "an absolute address of another host of Google's": inner(f"POST https://www.googleapis.com{SEND} HTTP/1.1"),
    "an absolute address of this server": inner("POST {{url}}" + SEND + " HTTP/1.1"),
    "a query": inner(f"POST {SEND}?alt=json HTTP/1.1"),
    "a bare question mark": inner(f"POST {SEND}? HTTP/1.1"),
    "no headers": inner(headers=()),
    "a blank line before the request line": inner().replace(b"\r\n\r\n", b"\r\n\r\n\r\n", 1),
    "content-id in lower case": inner().replace(
        b"Content-Type: application/http", b"content-type: application/http"
    ),
    "headers unknown to anybody": inner(headers=("Content-Type: application/json", "X-Own: 1", "Accept: */*")),
    "a Content-Length that lies": inner(headers=("Content-Type: application/json", "Content-Length: 3")),
}
UNFRAMED = {
    "no boundary": Ask("POST", "/batch", (FULL, "Content-Type: multipart/mixed"), b"--b--\r\n"),
    "another type": Ask("POST", "/batch", (FULL, "Content-Type: application/json"), b"{}"),
    "no type": Ask("POST", "/batch", (FULL,), b"--b--\r\n"),
    "no octets": Ask("POST", "/batch", (FULL, "Content-Type: multipart/mixed; boundary=b")),
    "no parts": batch(),
    "no end": batch(inner()).but(body=batch(inner()).body[:-11]),
    "a boundary of 300 characters": batch(inner(), boundary="b" * 300),
}
INSIDE = {
    "an upload": inner(
        "POST /upload/gmail/v1/users/me/messages/send?uploadType=media HTTP/1.1",
        letter(),
        headers=("Content-Type: message/rfc822",),
    ),
    "another batch": inner(
        "POST /batch HTTP/1.1", b"--b--\r\n", headers=("Content-Type: multipart/mixed; boundary=b",)
    ),
    "no request line": inner("nonsense"),
    "a part of another type": inner().replace(b"application/http", b"text/plain"),
    "a header line that is none": inner(headers=("nonsense",)),
}

NOT_INSIDE = "**A batch inside a batch, or an upload, is a 400 in its part.**"

ROWS: list[Row] = [
    *(row("5.2", fact, ask, answered(part(SENT, content_id))) for fact, (ask, content_id) in AGENTS.items()),
    *(row("5.1", f"a part with {fact}", batch(one), answered(part(SENT))) for fact, one in SPELLINGS.items()),
    *(
        row("5.1", f"the address {target}", batch(inner(), target=target), answered(part(SENT)))
        for target in ("/batch", "/batch/gmail/v1", "/batch?", "/batch/gmail/v1?alt=json")
    ),
    *(
        row(
            "5.1",
            f"under the name {host}",
            batch(inner(), headers=(FULL, f"Host: {host}"), target="/batch/gmail/v1"),
            answered(part(SENT)),
        )
        for host in ("www.googleapis.com", "gmail.googleapis.com")
    ),
    row(
        "5.1",
        "answers in the order of the requests",
        batch(inner(content_id="<a>"), inner(content_id="<b>", body=b"{}"), inner(content_id="<c>")),
        answered(
            numbered(SENT, 0, "<response-a>"),
            numbered(NO_RAW, 1, "<response-b>"),
            numbered(SENT, 2, "<response-c>"),
        ),
    ),
    row(
        "5.1",
        "each failure keeps its own status",
        batch(
            inner(body=b"{}"),
            inner(body=message(letter("Subject: x"))),
            inner(f"GET {LIST}/18f85d2eb6adb232?format=minimal HTTP/1.1", b"", headers=()),
        ),
        answered(numbered(NO_RAW, 0, ""), numbered(NO_RECIPIENT, 1, ""), numbered(NO_ENTITY, 2, "")),
    ),
    row("5.1", "the outer credential holds inside", batch(inner()), answered(part(SENT))),
    row(
        "5.1",
        "an inner credential wins",
        batch(inner(headers=("Content-Type: application/json", "Authorization: Bearer nonsense"))),
        answered(part(BAD_CREDENTIAL)),
    ),
    row(
        "5.1",
        "an inner credential alone",
        batch(inner(headers=("Content-Type: application/json", FULL)), headers=()),
        answered(part(SENT)),
    ),
    row("5.1", "no credential at all", batch(inner(), headers=()), answered(part(no_credential()))),
    row(
        "5.1",
        "an inner token of another account",
        batch(
            inner(
                headers=("Content-Type: application/json", "Authorization: Bearer {{bob}}"),
                line=f"POST {SEND.replace('/me/', '/bob%40example.test/')} HTTP/1.1",
            )
        ),
        answered(part(TO_ONESELF)),
    ),
    row(
        "5.1",
        "somebody else's mailbox",
        batch(inner(line=f"POST {SEND.replace('/me/', '/bob%40example.test/')} HTTP/1.1")),
        answered(part(DENIED)),
    ),
    row(
        "5.1",
        "a scope that does not suffice",
        batch(inner(), headers=(bearer("gmail.readonly"),)),
        answered(part(no_scope("SendMessage"))),
    ),
    row(
        "5.1",
        "outer parameters hold inside",
        batch(inner(), target="/batch?prettyPrint=false"),
        answered(part(Want(200, b'{"id":"{{id}}","threadId":"{{id}}","labelIds":["SENT"]}'))),
    ),
    row(
        "5.1",
        "an inner parameter wins",
        batch(inner(f"POST {SEND}?prettyPrint=true HTTP/1.1"), target="/batch?prettyPrint=false"),
        answered(part(SENT)),
    ),
    row(
        "5.1",
        "fields inside",
        batch(inner(f"POST {SEND}?fields=id HTTP/1.1")),
        answered(part(Want(200, pretty({"id": "{{id}}"})))),
    ),
    row(
        "5.1",
        "an unknown path is a 404 in its part",
        batch(inner("GET /nowhere HTTP/1.1", b"", headers=())),
        Want(200, holds=(b"HTTP/1.1 404 Not Found\r\n",)),
    ),
    row(
        "5.1",
        "a hundred calls",
        batch(*HUNDRED),
        answered(*(b"Content-ID: <response-item%d>\r\n" % n + ONE_ID for n in range(100))),
    ),
    row(
        "5.1",
        "a hundred and one",
        batch(*HUNDRED, HUNDRED[0]),
        Want(
            400,
            headers=JSON,
            members={"error/message": "Inner request count exceeds the limit. Received: 101, Limit: 100"},
        ),
    ),
    row(
        "5.1",
        "two hundred and fifty",
        batch(*(HUNDRED * 3)[:250]),
        Want(
            400,
            headers=JSON,
            members={"error/message": "Inner request count exceeds the limit. Received: 250, Limit: 100"},
        ),
    ),
    *(
        row(
            "5.1",
            f"refused in its part: {fact}",
            batch(one, HUNDRED[0]),
            Want(
                200,
                headers={"content-type": BOUNDARY},
                holds=(b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.1 200 OK\r\n"),
            ),
            differs=NOT_INSIDE if fact in ("an upload", "another batch") else "",
        )
        for fact, one in INSIDE.items()
    ),
    *(row("5.1", f"no batch: {fact}", ask, Want(400, headers=JSON)) for fact, ask in UNFRAMED.items()),
    row(
        "5.1",
        "the same Content-ID twice",
        batch(inner(content_id="<a>"), inner(content_id="<a>")),
        answered(numbered(SENT, 0, "<response-a>"), numbered(SENT, 1, "<response-a>")),
    ),
    row("5.1", "no Content-ID", batch(inner()), answered(part(SENT))),
    row(
        "5.1",
        "a chunked batch",
        batch(inner(), headers=(FULL, "Transfer-Encoding: chunked")),
        answered(part(SENT)),
    ),
    row(
        "5.3",
        "the answer's boundary is the last parameter, unquoted",
        batch(inner()),
        Want(200, headers={"content-type": BOUNDARY}),
    ),
    row(
        "5.3",
        "the answer varies as every answer does",
        batch(inner()),
        Want(200, headers={"vary": ("Origin", "X-Origin", "Referer")}),
    ),
    row(
        "5.1",
        "GET of the batch address",
        Ask("GET", "/batch", (FULL,)),
        Want(404, headers={"content-type": ("text/html; charset=UTF-8",)}),
    ),
    row(
        "1.2",
        "the global batch address, switched off by Google in 2020",
        batch(inner(), headers=(FULL, "Host: www.googleapis.com")),
        answered(part(SENT)),
        differs="**`/batch` is served under every name**",
    ),
]
