"""The vocabulary of the conformance suite: a row is a fact, the octets asked, and the octets answered.

`{{name}}` stands, wherever it is written, for what the run knows under that name: the tokens (`{{gmail.send}}`),
the server's address (`{{url}}`, `{{host}}`), ids of stored messages. In an expected answer a name that is not
known yet stands for whatever is there, in the form of `FORMS`; from then on, within the row, it is known.
"""

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SEND = "/gmail/v1/users/me/messages/send"
LIST = "/gmail/v1/users/me/messages"
UPLOAD = "/upload/gmail/v1/users/me/messages/send"
ALICE = "alice@example.test"

FORM = "Content-Type: application/x-www-form-urlencoded"

Body = bytes | Callable[[], bytes]
NAME = re.compile(rb"\{\{([a-z][a-z.]*)\}\}")
FORMS = {
    b"id": rb"[0-9a-f]{16}",
    b"other": rb"[0-9a-f]{16}",
    b"upload": rb"[A-Za-z0-9_-]{22,}",
    b"digits": rb"[0-9]+",
}
ANYTHING = rb"(?s:.*?)"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. Host, and Content-Length where none of the headers frames the body, are added.

    `body`: a function makes a large one when it is asked for.
    """

    verb: str
    target: str
    headers: tuple[str, ...] = ()
    body: Body = b""

    def octets(self, known: Mapping[bytes, bytes]) -> bytes:
        """What goes over the wire."""
        body = filled(self.body() if callable(self.body) else self.body, known)
        head = [f"{self.verb} {self.target} HTTP/1.1", *self.headers]
        names = {line.partition(":")[0].lower() for line in self.headers}
        if "host" not in names:
            head.append("Host: {{host}}")
        if "transfer-encoding" in names:
            body = chunked(body)
        elif "content-length" not in names and (body or self.verb in ("POST", "PUT", "PATCH")):
            head.append(f"Content-Length: {len(body)}")
        return filled("\r\n".join([*head, "", ""]).encode(), known) + body

    def but(self, *headers: str, **changes: Any) -> "Ask":
        """The same request with further headers, which replace those of the same name."""
        names = {line.partition(":")[0].lower() for line in headers}
        kept = tuple(line for line in self.headers if line.partition(":")[0].lower() not in names)
        return replace(self, headers=(*kept, *headers), **changes)

    def without(self, name: str) -> "Ask":
        """The same request without that header."""
        return replace(self, headers=tuple(line for line in self.headers if not line.lower().startswith(name)))


@dataclass(frozen=True, slots=True)
class Want:
    """An expected answer; what is not given is not looked at.

    `headers`: lines expected under a name, `()` for none. `members`: paths (`a/0/b`) into the JSON and the value
    there. `holds`: octets somewhere in the body. `content`, `lacks`: octets in, and not in, the decoded `raw`.
    `reason`: the status line's phrase.
    """

    code: int
    body: bytes | None = None
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)
    holds: tuple[bytes, ...] = ()
    content: tuple[bytes, ...] = ()
    lacks: tuple[bytes, ...] = ()
    reason: str | None = None

    def also(self, **headers: str | tuple[str, ...] | None) -> "Want":
        """The same answer, and these headers (`_` for `-`), `None` for none."""
        lines = {
            name.replace("_", "-"): () if value is None else (value,) if isinstance(value, str) else value
            for name, value in headers.items()
        }
        return replace(self, headers={**self.headers, **lines})


@dataclass(frozen=True, slots=True)
class Row:
    """A fact, its section of gmail-wire.md (or another document's name), and the dialogue that shows it.

    `differs`: the words with which docs/specifications.md or docs/quirks.md say that we answer otherwise than
    Gmail; the dialogue then shows what we answer. `server`: which of the servers is asked.
    """

    section: str
    fact: str
    dialogue: tuple[tuple[Ask, Want], ...]
    differs: str = ""
    server: str = "sandbox"

    @property
    def name(self) -> str:
        """What the row is called in a test report."""
        return f"{self.section} {self.fact}" + (" (differs)" if self.differs else "")

    @property
    def refused(self) -> bool:
        """Whether its first request is one that must leave nothing behind."""
        return 400 <= self.dialogue[0][1].code < 500


def row(section: str, fact: str, ask: Ask, want: Want, differs: str = "") -> Row:
    """A row of one request and its answer."""
    return Row(section, fact, ((ask, want),), differs)


def filled(template: bytes, known: Mapping[bytes, bytes]) -> bytes:
    """The template with every name replaced; a name that is not known is a mistake in the row."""
    return NAME.sub(lambda match: known[match[1]], template)


def pattern(template: bytes, known: Mapping[bytes, bytes]) -> re.Pattern[bytes]:
    """What the template matches: known names as they are, the first of each other name in its form."""
    seen: set[bytes] = set()

    def part(at: int, piece: bytes) -> bytes:
        if at % 2 == 0:
            return re.escape(piece)
        if piece in known:
            return re.escape(known[piece])
        if piece in seen:
            return b"(?P=" + piece + b")"
        seen.add(piece)
        return (
            b"(?P<" + piece + b">" + FORMS.get(piece, FORMS[b"id"] if piece.startswith(b"id") else ANYTHING) + b")"
        )

    return re.compile(b"".join(part(at, piece) for at, piece in enumerate(NAME.split(template))))


# Requests.


def bearer(token: str = "gmail.send") -> str:
    """The header that shows a token."""
    return f"Authorization: Bearer {{{{{token}}}}}"


def letter(*lines: str | bytes, body: bytes = b"Hello.\r\n") -> bytes:
    """A message of these header lines; to Bob, if they are none."""
    header = [line.encode() if isinstance(line, str) else line for line in lines or ("To: bob@example.test",)]
    return b"\r\n".join([*header, b"", body])


def raw(content: bytes) -> str:
    """A message in base64, URL-safe and padded."""
    return base64.urlsafe_b64encode(content).decode()


def message(content: bytes = letter(), **members: Any) -> bytes:
    """The JSON body of a send."""
    return json.dumps({"raw": raw(content), **members}).encode()


LETTER = letter()
MESSAGE = message()


def post(body: Body = MESSAGE, query: str = "", *headers: str) -> Ask:
    """A send as JSON."""
    return Ask("POST", SEND + query, (bearer(), "Content-Type: application/json"), body).but(*headers)


def send(*lines: str | bytes, body: bytes = b"Hello.\r\n") -> Ask:
    """A send, as JSON, of a message of these header lines."""
    return post(message(letter(*lines, body=body)))


def upload(body: Body = LETTER, query: str = "?uploadType=media", *headers: str) -> Ask:
    """A send as an upload."""
    return Ask("POST", UPLOAD + query, (bearer(), "Content-Type: message/rfc822"), body).but(*headers)


def get(target: str, *headers: str, token: str = "gmail.readonly") -> Ask:
    """A request for what is stored."""
    return Ask("GET", target, (bearer(token), *headers))


def chunked(body: bytes, size: int = 4096) -> bytes:
    """The body in chunks (RFC 9112 section 7.1)."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def zipped(body: bytes) -> bytes:
    """The body in gzip."""
    return gzip.compress(body, mtime=0)


# Answers.


def pretty(value: Any) -> bytes:
    """JSON as Gmail writes it (2.6); for text without the characters that it escapes."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


JSON = {"content-type": ("application/json; charset=UTF-8",)}
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
}
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def resource(*labels: str, of: str = "id") -> dict[str, Any]:
    """The answer of a send that began a thread (3.4)."""
    return {"id": f"{{{{{of}}}}}", "threadId": f"{{{{{of}}}}}", "labelIds": list(labels)}


def ok(value: Any) -> Want:
    """200 and this JSON, to the byte."""
    return Want(200, pretty(value), JSON)


SENT = ok(resource("SENT"))
# The same without indentation (2.6).
COMPACT = replace(SENT, body=b'{"id":"{{id}}","threadId":"{{id}}","labelIds":["SENT"]}')
TO_ONESELF = ok(resource("UNREAD", "SENT", "INBOX"))


def error(
    code: int,
    text: str,
    first: Mapping[str, str],
    details: Iterable[Mapping[str, Any]] = (),
    status: str = "",
) -> Want:
    """Gmail's error body (6.1), to the byte; `first` is `errors[0]` beside its message."""
    value = {
        "code": code,
        "message": text,
        "errors": [{"message": text} | dict(first)],
        "status": status or STATUS[code],
    }
    if found := list(details):
        value["details"] = found
    return Want(code, pretty({"error": value}), JSON)


def refused(text: str, reason: str = "invalidArgument", code: int = 400) -> Want:
    """An error without details."""
    return error(code, text, {"domain": "global", "reason": reason})


def violated(*violations: tuple[str, str]) -> Want:
    """What could not be bound: each (field, text), all in one (2.2, 3.1)."""
    texts = "\n".join(text for _, text in violations)
    fields = [({"field": name} if name else {}) | {"description": text} for name, text in violations]
    return error(400, texts, {"reason": "invalid"}, [{"@type": BAD_REQUEST, "fieldViolations": fields}])


def unknown(*names: str) -> Want:
    """Unknown members of the Message."""
    text = "Invalid JSON payload received. Unknown name \"{}\" at 'message': Cannot find field."
    return violated(*(("message", text.format(name)) for name in names))


def error_info(reason: str, rpc: str) -> dict[str, Any]:
    """The detail that names a method."""
    return {
        "@type": ERROR_INFO,
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"method": f"caribou.api.proto.MailboxService.{rpc}", "service": "gmail.googleapis.com"},
    }


EXPECTED = (
    " Expected OAuth 2 access token, login cookie or other valid authentication credential."
    " See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
AT_HEADER = {"location": "Authorization", "locationType": "header"}
REALM = 'Bearer realm="https://accounts.google.com/"'


def no_credential(rpc: str = "SendMessage") -> Want:
    """401: none shown (6.3, 6.4)."""
    return error(
        401,
        "Request is missing required authentication credential." + EXPECTED,
        {"message": "Login Required.", "domain": "global", "reason": "required"} | AT_HEADER,
        [error_info("CREDENTIALS_MISSING", rpc)],
    ).also(www_authenticate=REALM)


BAD_CREDENTIAL = error(
    401,
    "Request had invalid authentication credentials." + EXPECTED,
    {"message": "Invalid Credentials", "domain": "global", "reason": "authError"} | AT_HEADER,
).also(www_authenticate=f'{REALM}, error="invalid_token"')


def no_scope(rpc: str, *scopes: str) -> Want:
    """403: the token's scopes do not suffice; these would (6.3, 6.4)."""
    detail = error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", rpc)
    return error(
        403,
        "Request had insufficient authentication scopes.",
        {"message": "Insufficient Permission", "domain": "global", "reason": "insufficientPermissions"},
        [detail],
    ).also(www_authenticate=f'{REALM}, error="insufficient_scope", scope="{" ".join(scopes)}"')


DENIED = refused(f"Delegation denied for {ALICE}", "forbidden", 403)
NO_ROUTE = Want(404, headers={"content-type": ("text/html; charset=UTF-8",)}, holds=(b"<!DOCTYPE html>", b"404"))
NO_ENTITY = refused("Requested entity was not found.", "notFound", 404)
NO_RAW = refused("'raw' RFC822 payload message string or uploading message via /upload/* URL required")
NO_RECIPIENT = refused("Recipient address required")
BAD_THREAD = refused("Invalid thread_id value")
BAD_ID = refused("Invalid id value")
