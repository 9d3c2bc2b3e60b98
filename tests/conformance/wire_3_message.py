"""Section 3: the Message of a request, `raw`, the resource, the answer of a send."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from tests.conformance.wire import (
    ALICE,
    BAD_ID,
    BAD_THREAD,
    DENIED,
    JSON,
    LIST,
    NO_ENTITY,
    NO_RAW,
    SENT,
    TO_ONESELF,
    Row,
    Want,
    get,
    letter,
    message,
    ok,
    post,
    refused,
    row,
    send,
    unknown,
    violated,
)

CONTENT = letter("To: bob@example.test", "Subject: ????>>>>~~~~")
STANDARD = base64.b64encode(CONTENT).decode()
SAFE = base64.urlsafe_b64encode(CONTENT).decode()
BASE64 = "Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed for \"{}\""
NO_OBJECT = "Invalid value at 'message' ({}), Starting an object on a scalar field"
NO_LIST = (
    "Invalid JSON payload received. Unknown name \"{}\" at 'message': "
    "Proto field is not repeating, cannot start list."
)
ROOT = 'Invalid JSON payload received. Unknown name "": Root element must be a message.'


def body(**members: object) -> bytes:
    return json.dumps(members).encode()


# Read past: output only in effect (3.1).
IGNORED = {
    "labelIds": ["STARRED"],
    "labelIds of a user": ["Label_1"],
    "labelIds by name": ["no such label"],
    "label_ids": ["INBOX"],
    "id": "18f85d2eb6adb232",
    "snippet": "text",
    "historyId": "12",
    "history_id": "12",
    "internalDate": "1700000000000",
    "sizeEstimate": 12,
    "payload": {"headers": [{"name": "To", "value": "carol@example.test"}]},
    "payload of parts": {"mimeType": "text/plain", "body": {"size": 1, "data": "QQ=="}},
    "classificationLabelValues": [{"labelId": "x", "fields": [{"fieldId": "y", "selection": "z"}]}],
}
NULLS = (
    "threadId",
    "labelIds",
    "id",
    "snippet",
    "historyId",
    "internalDate",
    "payload",
    "sizeEstimate",
    "classificationLabelValues",
)
TYPES = {
    "Content-Type: application/json",
    "Content-Type: application/json; charset=UTF-8",
    "Content-Type: application/json;charset=utf-8",
    "Content-Type: APPLICATION/JSON",
    "content-type: application/json",
}
ENCODED = {
    "URL-safe, padded": SAFE,
    "URL-safe, not padded": SAFE.rstrip("="),
    "standard, padded": STANDARD,
    "standard, not padded": STANDARD.rstrip("="),
    "both alphabets": SAFE[:80].replace("-", "+") + SAFE[80:],
    "lines of 76": base64.encodebytes(CONTENT).decode(),
    "spaces between": " ".join(SAFE),
}
UNDECODABLE = ("Q", "QQQQQ", "Q!==", "QQ=A", "QQ==QQ==", "=QQQ", "QQ===", "====", "Q=Q=", "QÄ==", "QQ.Q", "QQQ*")

MESSAGE = [
    *(
        row("3.1", f"{name} in a send is read past", post(message(CONTENT, **{name.split()[0]: value})), SENT)
        for name, value in IGNORED.items()
    ),
    *(row("3.1", f"{name}: null is no value", post(message(CONTENT, **{name: None})), SENT) for name in NULLS),
    row("3.1", "threadId of no characters is no value", post(message(CONTENT, threadId="")), SENT),
    row(
        "3.1",
        "payload is no source of a message",
        post(body(payload={"headers": [{"name": "To", "value": "bob@example.test"}]})),
        NO_RAW,
    ),
    row("3.1", "a label in the body does not stick", post(message(CONTENT, labelIds=["STARRED", "INBOX"])), SENT),
    row(
        "3.1",
        "more than 20 classificationLabelValues are read past",
        post(message(CONTENT, classificationLabelValues=[{"labelId": str(n)} for n in range(21)])),
        SENT,
        differs="**`classificationLabelValues`**",
    ),
    row("3.1", "an unknown member", post(message(CONTENT, foo=1)), unknown("foo")),
    row(
        "3.1",
        "several unknown members are one answer",
        post(message(CONTENT, foo=1, bar=[])),
        unknown("foo", "bar"),
    ),
    row("3.1", "an unknown member that is null", post(body(foo=None)), unknown("foo")),
    row("3.1", "an unknown member of no characters", post(body(**{"": 1})), unknown("")),
    row("3.1", "a member in another case", post(body(Raw="QQ")), unknown("Raw")),
    row("3.1", "the request's own field", post(body(message={"raw": "QQ"})), unknown("message")),
    row("3.1", "a draft's shape", post(body(draft={"message": {"raw": "QQ"}})), unknown("draft")),
    row("3.1", "raw as an object", post(body(raw={})), violated(("message", NO_OBJECT.format("raw")))),
    row(
        "3.1",
        "threadId as an object",
        post(body(threadId={"a": 1})),
        violated(("message", NO_OBJECT.format("threadId"))),
    ),
    row("3.1", "raw as a list", post(body(raw=["QQ"])), violated(("message", NO_LIST.format("raw")))),
    row("3.1", "threadId as a list", post(body(threadId=[])), violated(("message", NO_LIST.format("threadId")))),
    row(
        "3.1",
        "threadId as a number",
        post(body(threadId=123)),
        violated(("message.thread_id", "Invalid value at 'message.thread_id' (TYPE_STRING), 123")),
    ),
    row(
        "3.1",
        "threadId as a boolean",
        post(body(threadId=True)),
        violated(("message.thread_id", "Invalid value at 'message.thread_id' (TYPE_STRING), true")),
    ),
    row(
        "3.1",
        "id as a number",
        post(body(id=5)),
        violated(("message.id", "Invalid value at 'message.id' (TYPE_STRING), 5")),
    ),
    row(
        "3.1",
        "raw as a number",
        post(body(raw=1)),
        violated(("message.raw", "Invalid value at 'message.raw' (TYPE_BYTES), 1")),
    ),
    row(
        "3.1",
        "raw as a boolean",
        post(body(raw=False)),
        violated(("message.raw", "Invalid value at 'message.raw' (TYPE_BYTES), false")),
    ),
    row("3.1", "the root a list", post(b"[]"), violated(("", ROOT))),
    row("3.1", "the root a string", post(b'"x"'), violated(("", ROOT))),
    row("3.1", "the root null", post(b"null"), violated(("", ROOT))),
    row("3.1", "an empty body is an empty message", post(b""), NO_RAW),
    row(
        "3.1",
        "an empty body labelled as a form",
        post(b"", "", "Content-Type: application/x-www-form-urlencoded"),
        NO_RAW,
    ),
    row("3.1", "an empty body without a type", post(b"").without("content-type"), NO_RAW),
    row("3.1", "an empty message", post(b"{}"), NO_RAW),
    row("3.1", "a byte-order mark is skipped", post(b"\xef\xbb\xbf" + message()), SENT),
    row(
        "3.1",
        "no JSON is parseError",
        post(b"nonsense"),
        Want(
            400,
            headers=JSON,
            members={
                "error/errors/0/reason": "parseError",
                "error/errors/0/domain": "global",
                "error/details": None,
            },
        ),
    ),
    row(
        "3.1",
        "an octet that is no UTF-8 is refused",
        post(b'{"snippet":"\xff"}'),
        Want(400, members={"error/errors/0/reason": "parseError"}),
        differs="**JSON is strict.**",
    ),
    row(
        "3.1",
        "single quotes are refused",
        post(b"{'raw':'QQ'}"),
        Want(400, members={"error/errors/0/reason": "parseError"}),
        differs="**JSON is strict.**",
    ),
    row(
        "3.1",
        "bare names are refused",
        post(b'{raw:"QQ"}'),
        Want(400, members={"error/errors/0/reason": "parseError"}),
        differs="**JSON is strict.**",
    ),
    row(
        "3.1",
        "a trailing comma is refused",
        post(b'{"raw":"QQ",}'),
        Want(400, members={"error/errors/0/reason": "parseError"}),
        differs="**JSON is strict.**",
    ),
    row(
        "3.1",
        "a name that stands twice is refused",
        post(b'{"raw":"QQ","raw":"Qg"}'),
        Want(400, members={"error/errors/0/reason": "parseError"}),
        differs="**A name that stands twice in a JSON body is refused**",
    ),
    row(
        "3.1",
        "lists a hundred thousand deep",
        post(b'{"payload":' + b"[" * 100_000),
        Want(400, holds=(b"Message too deep. Max recursion depth reached",)),
    ),
    *(row("3.1", f"{line}", post(message(), "", line), SENT) for line in sorted(TYPES)),
]

RAW = [
    *(row("3.2", f"raw: {fact}", post(body(raw=text)), SENT) for fact, text in ENCODED.items()),
    *(
        row(
            "3.2",
            f"raw that is no base64: {text}",
            post(body(raw=text)),
            violated(("message.raw", BASE64.format(text))),
        )
        for text in UNDECODABLE
    ),
    row(
        "3.2",
        "a bad value in markup is escaped",
        post(body(raw="<b>")),
        Want(400, holds=(rb"failed for \"\u003cb\u003e\"",)),
    ),
    row("3.2", "line ends of LF alone", post(message(CONTENT.replace(b"\r\n", b"\n"))), SENT),
    row("3.2", "raw of no characters is none", post(body(raw="")), NO_RAW),
    row(
        "3.2",
        "escapes in raw",
        post(b'{"raw":"' + SAFE[:-2].encode() + b'\\u003d="}' if SAFE.endswith("==") else message(CONTENT)),
        SENT,
    ),
    row(
        "3.2",
        "UTF-8 in a header is kept as it is",
        send("To: bob@example.test", "Subject: Grüße"),
        SENT,
        differs="**UTF-8 in headers**",
    ),
    row(
        "3.2",
        "an encoded-word around a whole address",
        send("To: =?utf-8?q?Bob_=3Cbob=40example=2Etest=3E?="),
        Want(400, members={"error/message": "Invalid To header", "error/errors/0/reason": "invalidArgument"}),
    ),
    Row(
        "3.2",
        "raw is answered in padded base64url",
        (
            (post(message(CONTENT)), ok({"id": "{{id}}", "threadId": "{{id}}", "labelIds": ["SENT"]})),
            (get(LIST + "/{{id}}?format=raw"), Want(200, holds=(b'"raw": "',), content=(CONTENT,))),
        ),
    ),
]

RESOURCE = [
    row(
        "3.3",
        "a message in its smallest form",
        get(LIST + "/{{own}}?format=minimal"),
        Want(
            200,
            headers=JSON,
            members={
                "id": "{{own}}",
                "threadId": "{{own}}",
                "raw": None,
                "payload": None,
            },
        ),
    ),
    row("3.3", "MINIMAL is minimal", get(LIST + "/{{own}}?format=MINIMAL"), Want(200, members={"id": "{{own}}"})),
    row(
        "3.3",
        "an id in upper case comes back in lower case",
        get(LIST + "/{{upper}}?format=minimal"),
        Want(200, members={"id": "{{own}}"}),
    ),
    row(
        "3.3",
        "an id with zeros in front comes back without",
        get(LIST + "/000{{own}}?format=minimal"),
        Want(200, members={"id": "{{own}}"}),
    ),
    *(
        row("3.3", f"no id: {text}", get(LIST + f"/{text}?format=minimal"), BAD_ID)
        for text in (
            "zzz",
            "8000000000000000",
            "ffffffffffffffff",
            "18f85d2eb6adb2320",
            "-1",
            "0x10",
            "thread-f:17",
            "FMfcgzGxRdXx",
            "msg-a:r-1",
            "+1",
            "1%201",
            "%C3%A9",
            "1_0",
        )
    ),
    *(
        row("3.3", f"an id that nobody has: {text}", get(LIST + f"/{text}?format=minimal"), NO_ENTITY)
        for text in ("18f85d2eb6adb232", "1", "0", "7fffffffffffffff")
    ),
    row("3.3", "the id of another mailbox", get(LIST + "/{{bobs}}?format=minimal"), NO_ENTITY),
    row("3.3", "a thread's id is its first message's", send(), SENT),
    row("3.3", "a list without hits", get(LIST, token="nobody"), ok({"resultSizeEstimate": 0})),
    row(
        "3.3",
        "64-bit numbers are strings",
        get(LIST + "/{{own}}?format=minimal&fields=internalDate"),
        Want(200, b'{\n  "internalDate": "{{digits}}"\n}\n'),
    ),
    row(
        "3.3",
        "sizeEstimate is a number",
        get(LIST + "/{{own}}?format=minimal&fields=sizeEstimate"),
        Want(200, b'{\n  "sizeEstimate": {{digits}}\n}\n'),
    ),
    *(
        row("3.3", f"threadId that is no id: {text}", post(message(CONTENT, threadId=text)), BAD_THREAD)
        for text in ("zzz", "thread-f:17", "8000000000000000", "-1", "0x10", " 1", "FMfcgzGxRdXx", "é")
    ),
    *(
        row("3.3", f"threadId that nobody has: {text}", post(message(CONTENT, threadId=text)), NO_ENTITY)
        for text in ("18f85d2eb6adb232", "1", "0", "7fffffffffffffff")
    ),
    row("3.3", "threadId of another mailbox", post(message(CONTENT, threadId="{{bobs}}")), NO_ENTITY),
    row(
        "3.3",
        "threadId in upper case",
        post(message(CONTENT, threadId="{{upper}}")),
        ok({"id": "{{id}}", "threadId": "{{own}}", "labelIds": ["SENT"]}),
    ),
    row("3.4", "exactly id, threadId and labelIds", post(), SENT),
    row("3.4", "mail to oneself has three labels", send(f"To: {ALICE}"), TO_ONESELF),
    row("3.4", "mail to oneself by Cc", send("Cc: Alice <alice@EXAMPLE.test>"), TO_ONESELF),
    row("3.4", "mail to oneself by Bcc", send(f"Bcc: {ALICE}"), TO_ONESELF),
    row("3.4", "mail to oneself and others has three labels", send(f"To: {ALICE}, bob@example.test"), TO_ONESELF),
    row("3.4", "the status is 200", post(), SENT),
    row(
        "3.4",
        "one asks for the Message-ID afterwards",
        get(LIST + "/{{message}}?format=metadata&metadataHeaders=Message-ID"),
        Want(200, members={"payload/headers": [{"name": "Message-ID", "value": "<first@example.test>"}]}),
    ),
]

PARTS = letter(
    "To: bob@example.test",
    "Subject: Parts",
    "MIME-Version: 1.0",
    'Content-Type: multipart/mixed; boundary="m"',
    body=(
        b'--m\r\nContent-Type: multipart/alternative; boundary="a"\r\n\r\n'
        b"--a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello.\r\n"
        b"--a\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"<p>Hello=2E\r\n--a--\r\n"
        b"--m\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; filename=a.png\r\n\r\nQUJD\r\n--m--\r\n"
    ),
)
SUBJECT = {"name": "Subject", "value": "Parts"}
# What users.messages.get shows of it: a path into the resource, and the value there.
SHOWN = {
    "the root has no number": ("payload/partId", ""),
    "the root's type": ("payload/mimeType", "multipart/mixed"),
    "a name of a file is always there": ("payload/filename", ""),
    "a container has no octets": ("payload/body", {"size": 0}),
    "header values stand as they were written": (
        "payload/headers/5",
        SUBJECT,
    ),
    "parts are numbered from 0": ("payload/parts/0/partId", "0"),
    "parts of parts are numbered within": ("payload/parts/0/parts/1/partId", "0.1"),
    "a container in a container": ("payload/parts/0/body", {"size": 0}),
    "a part's type": ("payload/parts/0/parts/0/mimeType", "text/plain"),
    "a part's own headers": (
        "payload/parts/0/parts/0/headers",
        [{"name": "Content-Type", "value": "text/plain; charset=utf-8"}],
    ),
    "a part's octets in base64url": ("payload/parts/0/parts/0/body", {"size": 6, "data": "SGVsbG8u"}),
    "a part's octets are decoded": ("payload/parts/0/parts/1/body", {"size": 9, "data": "PHA-SGVsbG8u"}),
    "a file's name": ("payload/parts/1/filename", "a.png"),
    "a file's size": ("payload/parts/1/body/size", 3),
    "full has no raw": ("raw", None),
    "a file is fetched by itself": ("payload/parts/1/body/data", None),
    "text is not fetched": ("payload/parts/0/parts/0/body/attachmentId", None),
    "the beginning of its text": ("snippet", "Hello."),
}


def shown(fact: str, query: str, members: Mapping[str, Any]) -> Row:
    """A message of several parts, and what is read back of it."""
    read = get(LIST + "/{{id}}" + query), Want(200, headers=JSON, members=members)
    return Row("3.3", fact, ((post(message(PARTS)), SENT), read))


READ = [
    *(shown(f"full: {fact}", "?format=full", {path: value}) for fact, (path, value) in SHOWN.items()),
    shown("full is what is shown when nothing is said", "", {"payload/parts/1/filename": "a.png"}),
    shown("FULL is full", "?format=FULL", {"payload/partId": ""}),
    shown("metadata: no parts, no octets", "?format=metadata", {"payload/parts": None, "payload/body": None}),
    shown("metadata: all headers", "?format=metadata", {"payload/headers/5": SUBJECT}),
    shown("metadata: some headers", "?format=metadata&metadataHeaders=subject", {"payload/headers": [SUBJECT]}),
    shown("metadata: a header nobody wrote", "?format=metadata&metadataHeaders=X", {"payload/headers": None}),
    row("3.3", "a format that is none", get(LIST + "/{{own}}?format=huge"), Want(400, headers=JSON)),
]

FILE = LIST + "/{{id}}/attachments/{{token}}"
TOKEN = ok({"payload": {"parts": [{"body": {}}, {"body": {"attachmentId": "{{token}}"}}]}})
BAD_TOKEN = refused("Invalid attachment token")
ATTACHED = [
    Row(
        "3.3",
        fact,
        (
            (post(message(PARTS)), SENT),
            (get(LIST + "/{{id}}?fields=payload/parts/body/attachmentId"), TOKEN),
            (get(target), want),
        ),
    )
    for fact, (target, want) in {
        "a file's octets": (FILE, ok({"size": 3, "data": "QUJD"})),
        "the message in the address of a file is not looked at": (
            FILE.replace("{{id}}", "zzz"),
            ok({"size": 3, "data": "QUJD"}),
        ),
        "of a file what is asked for": (FILE + "?fields=size", ok({"size": 3})),
    }.items()
] + [
    row("3.3", f"no file: {text}", get(LIST + f"/{{{{own}}}}/attachments/{text}"), BAD_TOKEN)
    for text in ("x", "0", "MTIz", "%00", "ANGjdJ8" * 100, "MDE5YWI0ZDg1Nzk2MDAwMDow")
]
PROFILE = "/gmail/v1/users/me/profile"
SEND_AS = "/gmail/v1/users/me/settings/sendAs"
NOTHING = {"emailAddress": "nobody@example.test", "messagesTotal": 0, "threadsTotal": 0, "historyId": "1"}
PRIMARY = {
    "sendAsEmail": ALICE,
    "displayName": "",
    "replyToAddress": "",
    "signature": "",
    "isPrimary": True,
    "isDefault": True,
}
ABOUT_ONESELF = [
    row(
        "8.2",
        "a profile",
        get(PROFILE, token="carol"),
        Want(200, headers=JSON, members={"emailAddress": "carol@example.test"}, holds=(b'"historyId": "',)),
    ),
    row("8.2", "a profile of nothing", get(PROFILE, token="nobody"), ok(NOTHING)),
    row("8.2", "a profile by its owner's address", get(PROFILE.replace("me", "alice%40example.test")), Want(200)),
    row("8.2", "a profile of somebody else's", get(PROFILE.replace("/me/", "/bob@example.test/")), DENIED),
    row("8.1", "gmail.send has no profile", get(PROFILE, token="gmail.send"), Want(403)),
    row("7.1", "the addresses of a From", get(SEND_AS), ok({"sendAs": [PRIMARY]})),
    row("7.1", "an address of a From", get(SEND_AS + "/alice%40Example.test"), ok(PRIMARY)),
    row("7.1", "an address of somebody else's", get(SEND_AS + "/bob@example.test"), NO_ENTITY),
    row("8.1", "gmail.send has no addresses", get(SEND_AS, token="gmail.send"), Want(403)),
    row("8.1", "settings are enough for the addresses", get(SEND_AS, token="gmail.settings.basic"), Want(200)),
    row(
        "3.3",
        "the last change to a message, and its size and time",
        get(LIST + "/{{own}}?format=minimal"),
        Want(200, holds=(b'"historyId": "', b'"sizeEstimate": ', b'"internalDate": "', b'"snippet": "Hello."')),
    ),
    row(
        "8.1",
        "gmail.metadata shows nothing of the text",
        get(LIST + "/{{own}}?format=metadata", token="gmail.metadata"),
        Want(200, members={"snippet": None, "id": "{{own}}"}),
    ),
]

ROWS: list[Row] = [*MESSAGE, *RAW, *RESOURCE, *READ, *ATTACHED, *ABOUT_ONESELF]
