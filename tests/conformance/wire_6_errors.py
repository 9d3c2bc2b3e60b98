"""Section 6: errors, their order, WWW-Authenticate."""

import json

from tests.conformance.wire import (
    ALICE,
    BAD_CREDENTIAL,
    BAD_ID,
    BAD_THREAD,
    DENIED,
    JSON,
    LIST,
    NO_ENTITY,
    NO_RAW,
    NO_RECIPIENT,
    NO_ROUTE,
    REALM,
    SEND,
    Ask,
    Row,
    Want,
    get,
    letter,
    message,
    no_credential,
    no_scope,
    post,
    refused,
    row,
    send,
    unknown,
    upload,
    violated,
)

SEND_SCOPES = (
    "https://mail.google.com/",
    "https://www.googleapis.com/auth/gmail.addons.current.action.compose",
    "https://www.googleapis.com/auth/gmail.compose",
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.send",
)
READ_SCOPES = (
    "https://mail.google.com/",
    "https://www.googleapis.com/auth/gmail.metadata",
    "https://www.googleapis.com/auth/gmail.modify",
    "https://www.googleapis.com/auth/gmail.readonly",
)
BOBS = SEND.replace("/me/", "/bob%40example.test/")
KEY_ALONE = (
    "API keys are not supported by this API. Expected OAuth2 access token or other authentication credentials "
    "that assert a principal. See https://cloud.google.com/docs/authentication"
)
NONSENSE = "Authorization: Bearer nonsense"
NO_FIELD = (
    'Invalid JSON payload received. Unknown name "{}": Cannot bind query parameter. '
    "Field '{}' could not be found in request message."
)
NO_MEMBER = "Invalid JSON payload received. Unknown name \"{}\" at 'message': Cannot find field."


def header(name: str) -> Want:
    return refused(f"Invalid {name} header")


BAD_TO = {
    "a dotless domain": "human@f",
    "no at sign": "human",
    "no domain": "human@",
    "no local part": "@example.test",
    "two at signs": "a@b@example.test",
    "a space inside": "a b@example.test",
    "an open bracket": "<a@example.test",
    "an open quote": '"a@example.test',
    "an open comment": "(a b@example.test",
    "a semicolon between": "a@example.test;b@example.test",
    "nothing between commas of garbage": "a@example.test, b",
    "an address literal": "a@[127.0.0.1]",
    "a source route": "<@a.example,@b.example:c@example.test>",
    "text behind the bracket": "<a@example.test> b",
    "two brackets": "<a@example.test><b@example.test>",
    "a dot at the end of the local part": "a.@example.test",
    "two dots": "a..b@example.test",
    "an encoded-word in the address": "=?utf-8?q?a=40evil.example=3E?=@example.test",
    "parameters": "<a@example.test> SIZE=1",
    "a group that is open": "g: a@example.test",
    "a local part of 65": "a" * 65 + "@example.test",
    "a label of 64": "a@" + "b" * 64 + ".test",
}
CATALOGUE = [
    row("6.3", "no raw", post(b"{}"), NO_RAW),
    row("6.3", "an empty body", post(b""), NO_RAW),
    row("6.3", "an empty upload", upload(b""), NO_RAW),
    row("6.3", "no To, Cc, Bcc", send("Subject: x"), NO_RECIPIENT),
    row("6.3", "an empty To", send("To:"), NO_RECIPIENT),
    row("6.3", "empty To, Cc and Bcc", send("To: ", "Cc:", "Bcc:"), NO_RECIPIENT),
    row(
        "6.3",
        "no header at all",
        post(message(b"\r\nHello.\r\n")),
        Want(400, headers=JSON, members={"error/errors/0/reason": "invalidArgument"}),
    ),
    *(row("6.3", f"a bad To: {fact}", send(f"To: {value}"), header("To")) for fact, value in BAD_TO.items()),
    *(
        row(
            "6.3",
            f"a bad {name}",
            send("To: bob@example.test" if name != "To" else "X: y", f"{name}: human@f"),
            header(name),
        )
        for name in ("Cc", "Bcc", "From")
    ),
    row("6.3", "a bad Cc beside a good To", send("To: bob@example.test", "Cc: nobody"), header("Cc")),
    row("6.3", "cc in lower case names Cc", send("To: bob@example.test", "cc: nobody"), header("Cc")),
    row("6.3", "a From of brackets", send("To: bob@example.test", "From: <<>>"), header("From")),
    row("6.3", "a From of two", send("To: bob@example.test", f"From: {ALICE}, bob@example.test"), header("From")),
    row(
        "6.3",
        "bad base64",
        post(b'{"raw":"!"}'),
        violated(("message.raw", "Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed for \"!\"")),
    ),
    row("6.3", "threadId not parseable", post(message(letter(), threadId="zzz")), BAD_THREAD),
    row("6.3", "threadId of nobody's", post(message(letter(), threadId="18f85d2eb6adb232")), NO_ENTITY),
    row("6.3", "id not parseable", get(LIST + "/zzz"), BAD_ID),
    row("6.3", "id of nobody's", get(LIST + "/18f85d2eb6adb232?format=minimal"), NO_ENTITY),
    *(
        row("6.3", f"maxResults={value}", get(LIST + f"?maxResults={value}"), refused("Invalid maxResults"))
        for value in ("0", "2147483648")
    ),
    row("6.3", "maxResults above 500 is 500", get(LIST + "?maxResults=501"), Want(200)),
    row("6.3", "no credential", Ask("POST", SEND, (), message()), no_credential()),
    row("6.3", "no credential on an upload", upload().without("authorization"), no_credential()),
    row("6.3", "no credential on a list", Ask("GET", LIST), no_credential("ListMessages")),
    row("6.3", "no credential on a message", Ask("GET", LIST + "/1"), no_credential("GetMessage")),
    row("6.3", "a bad token", post(message(), "", NONSENSE), BAD_CREDENTIAL),
    row("6.3", "a bad token on a list", get(LIST, NONSENSE).without("authorization: bearer {{"), BAD_CREDENTIAL),
    row(
        "6.3",
        "a token of a disabled account",
        post(message(), "", "Authorization: Bearer {{disabled}}"),
        BAD_CREDENTIAL,
    ),
    row(
        "6.3",
        "an API key alone",
        Ask("POST", SEND + "?key=AIzaSyA", (), message()),
        Want(
            401,
            members={
                "error/message": KEY_ALONE,
                "error/errors/0/message": "Login Required.",
                "error/errors/0/reason": "required",
                "error/status": "UNAUTHENTICATED",
                "error/details/0/reason": "CREDENTIALS_MISSING",
            },
        ),
    ),
    row(
        "6.3",
        "an API key alone, in its header",
        Ask("POST", SEND, ("X-Goog-Api-Key: AIzaSyA",), message()),
        Want(401, members={"error/errors/0/reason": "required", "error/details/0/reason": "CREDENTIALS_MISSING"}),
    ),
    row(
        "6.3",
        "a scope too small for send",
        post(message(), "", "Authorization: Bearer {{gmail.readonly}}"),
        no_scope("SendMessage", *SEND_SCOPES),
    ),
    row(
        "6.3",
        "a scope too small for a list",
        get(LIST, token="gmail.send"),
        no_scope("ListMessages", *READ_SCOPES),
    ),
    row("6.3", "somebody else's mailbox", post(message()).but(target=BOBS), DENIED),
    row(
        "6.3",
        "somebody else's mailbox, with his token",
        post(message(), "", "Authorization: Bearer {{bob}}").but(target=BOBS),
        Want(200),
    ),
    row(
        "6.3",
        "my mailbox, with his token",
        post(message(), "", "Authorization: Bearer {{bob}}").but(target=SEND.replace("/me/", f"/{ALICE}/")),
        refused("Delegation denied for bob@example.test", "forbidden", 403),
    ),
    row("6.3", "somebody else's list", get(LIST.replace("/me/", "/bob%40example.test/")), DENIED),
    row(
        "6.3",
        "a system parameter",
        post(message(), "?$.xgafv=9"),
        refused("Invalid query parameters. Invalid value '9' for system query parameter : $.xgafv", "badRequest"),
    ),
    row(
        "6.3",
        "too large is JSON, at the octet",
        post(lambda: b" " * (49_000_000 + 200_000)),
        Want(413, headers=JSON, members={"error/code": 413, "error/errors/0/domain": "global"}),
        differs="**Too large** is a 413 in Gmail's JSON shape, at the byte",
    ),
    row(
        "6.3", "500 recipients", send("To: " + ",\r\n ".join(f"r{n}@example.test" for n in range(500))), Want(200)
    ),
    row(
        "6.3",
        "501 recipients",
        send("To: " + ",\r\n ".join(f"r{n}@example.test" for n in range(501))),
        Want(
            400,
            headers=JSON,
            members={
                "error/message": "Too many recipients: 501 distinct addresses, the limit is 500",
                "error/errors/0/reason": "invalidArgument",
            },
        ),
        differs="**500 recipients a message.** Gmail: 100 by its API.",
    ),
]

# Two things wrong at once: which of them is answered (6.3, the order of checks).
ORDER = {
    "no route before an illegal parameter": (Ask("POST", "/nowhere?$.xgafv=9"), NO_ROUTE),
    "no route before a missing credential": (Ask("POST", "/nowhere"), NO_ROUTE),
    "an illegal parameter before a missing credential": (
        Ask("POST", SEND + "?$.xgafv=9"),
        Want(400, members={"error/errors/0/reason": "badRequest"}),
    ),
    "$.xgafv before callback": (
        get(LIST + "?$.xgafv=9&callback=a-b"),
        Want(200, holds=(b"Invalid query parameters.",)),
    ),
    "a credential before an unknown parameter": (Ask("POST", SEND + "?foo=1"), no_credential()),
    "a credential before a broken body": (Ask("POST", SEND, (), b"{"), no_credential()),
    "a credential before a bad media type": (
        upload(letter(), "", "Content-Type: image/png").without("authorization"),
        no_credential(),
    ),
    "a credential before the size": (
        Ask("POST", SEND, ("Authorization: Bearer nonsense",), b"x" * 1000),
        BAD_CREDENTIAL,
    ),
    "a scope before a broken body": (
        post(b"{", "", "Authorization: Bearer {{gmail.readonly}}"),
        no_scope("SendMessage", *SEND_SCOPES),
    ),
    "a scope before an unknown parameter": (
        post(b"{}", "?foo=1", "Authorization: Bearer {{gmail.readonly}}"),
        no_scope("SendMessage", *SEND_SCOPES),
    ),
    "a scope before somebody else's mailbox": (
        post(message(), "", "Authorization: Bearer {{gmail.readonly}}").but(target=BOBS),
        no_scope("SendMessage", *SEND_SCOPES),
    ),
    "a broken body before somebody else's mailbox": (
        post(b"{").but(target=BOBS),
        Want(400, members={"error/errors/0/reason": "parseError"}),
    ),
    "an unknown member before somebody else's mailbox": (post(b'{"foo":1}').but(target=BOBS), unknown("foo")),
    "bad base64 before somebody else's mailbox": (
        post(b'{"raw":"!"}').but(target=BOBS),
        Want(400, members={"error/errors/0/reason": "invalid"}),
    ),
    "somebody else's mailbox before raw": (post(b"{}").but(target=BOBS), DENIED),
    "somebody else's mailbox before recipients": (send("Subject: x").but(target=BOBS), DENIED),
    "somebody else's mailbox before the thread": (
        post(message(letter(), threadId="zzz")).but(target=BOBS),
        DENIED,
    ),
    "raw before the thread of nobody's": (post(b'{"threadId":"18f85d2eb6adb232"}'), NO_RAW),
    "recipients before the thread of nobody's": (
        post(message(letter("Subject: x"), threadId="18f85d2eb6adb232")),
        NO_RECIPIENT,
    ),
    "an unknown parameter and an unknown member together": (
        post(b'{"foo":1}', "?bar=1"),
        violated(("", NO_FIELD.format("bar", "bar")), ("message", NO_MEMBER.format("foo"))),
    ),
    "all of the query and all of the body together": (
        post(b'{"raw":"!","foo":1}', "?bar=1&qux=2"),
        violated(
            ("", NO_FIELD.format("bar", "bar")),
            ("", NO_FIELD.format("qux", "qux")),
            ("message.raw", "Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed for \"!\""),
            ("message", NO_MEMBER.format("foo")),
        ),
    ),
    "an unknown parameter alone, beside a good body": (
        post(message(), "?bar=1"),
        violated(("", NO_FIELD.format("bar", "bar"))),
    ),
    "an unknown parameter before a broken body": (
        post(b"{", "?bar=1"),
        violated(("", NO_FIELD.format("bar", "bar"))),
    ),
    "an unknown parameter and an unknown member before somebody else's mailbox": (
        post(b'{"foo":1}').but(target=BOBS + "?bar=1"),
        violated(("", NO_FIELD.format("bar", "bar")), ("message", NO_MEMBER.format("foo"))),
    ),
    "recipients before a thread not parseable": (
        post(message(letter("Subject: x"), threadId="zzz")),
        NO_RECIPIENT,
    ),
    "headers before a thread not parseable": (
        post(message(letter("To: bob@example.test", "Cc: nobody"), threadId="zzz")),
        header("Cc"),
    ),
    "raw before a thread not parseable": (post(b'{"threadId":"zzz"}'), NO_RAW),
    "a small upload: recipients before a thread not parseable": (
        upload(
            b"--b\r\nContent-Type: application/json\r\n\r\n"
            b'{"threadId":"zzz"}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n'
            b"Subject: x\r\n\r\nHello.\r\n--b--\r\n",
            "?uploadType=multipart",
            "Content-Type: multipart/related; boundary=b",
        ),
        NO_RECIPIENT,
    ),
}

SHAPE = {
    "a refusal has four members": (
        post(b"{}"),
        400,
        {
            "error/code": 400,
            "error/message": json.loads(NO_RAW.body or b"")["error"]["message"],
            "error/status": "INVALID_ARGUMENT",
            "error/details": None,
        },
    ),
    "404 is NOT_FOUND": (get(LIST + "/1?format=minimal"), 404, {"error/status": "NOT_FOUND", "error/code": 404}),
    "403 is PERMISSION_DENIED": (
        post(message()).but(target=BOBS),
        403,
        {"error/status": "PERMISSION_DENIED", "error/code": 403},
    ),
    "401 is UNAUTHENTICATED": (Ask("POST", SEND), 401, {"error/status": "UNAUTHENTICATED", "error/code": 401}),
    "a missing credential names the header": (
        Ask("POST", SEND),
        401,
        {"error/errors/0/location": "Authorization", "error/errors/0/locationType": "header"},
    ),
    "a missing credential names the method": (
        Ask("POST", SEND),
        401,
        {
            "error/details/0/metadata/method": "caribou.api.proto.MailboxService.SendMessage",
            "error/details/0/metadata/service": "gmail.googleapis.com",
        },
    ),
    "a bad credential has no details": (post(message(), "", NONSENSE), 401, {"error/details": None}),
    "an unknown member has no domain": (
        post(b'{"foo":1}'),
        400,
        {"error/errors/0/domain": None, "error/errors/0/reason": "invalid"},
    ),
}

CHALLENGES = [
    row(
        "6.4",
        "no credential: no error attribute",
        Ask("POST", SEND),
        Want(401, headers={"www-authenticate": ('Bearer realm="https://accounts.google.com/"',)}),
    ),
    row(
        "6.4",
        "a bad token",
        post(b"{}", "", NONSENSE),
        Want(
            401,
            headers={"www-authenticate": ('Bearer realm="https://accounts.google.com/", error="invalid_token"',)},
        ),
    ),
    row(
        "6.4",
        "a scope too small: all that would do",
        post(b"{}", "", "Authorization: Bearer {{gmail.labels}}"),
        Want(
            403,
            headers={
                "www-authenticate": (f'{REALM}, error="insufficient_scope", scope="{" ".join(SEND_SCOPES)}"',)
            },
        ),
    ),
    row("6.4", "no challenge on a send", post(), Want(200, headers={"www-authenticate": ()})),
    row("6.4", "no challenge on a refusal of another kind", post(b"{}"), NO_RAW.also(www_authenticate=None)),
    row(
        "6.4",
        "no challenge on a denied delegation",
        post(message()).but(target=BOBS),
        DENIED.also(www_authenticate=None),
    ),
]

ROWS: list[Row] = [
    *CATALOGUE,
    *(row("6.3", f"order: {fact}", ask, want) for fact, (ask, want) in ORDER.items()),
    *(
        row("6.1", fact, ask, Want(code, headers=JSON, members=members))
        for fact, (ask, code, members) in SHAPE.items()
    ),
    *CHALLENGES,
]
