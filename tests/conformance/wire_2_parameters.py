"""Section 2: system parameters, partial responses, serialisation, response headers."""

import json
from dataclasses import replace
from urllib.parse import quote

from tests.conformance.wire import (
    BAD_CREDENTIAL,
    BAD_REQUEST,
    COMPACT,
    JSON,
    LIST,
    NO_RAW,
    NO_RECIPIENT,
    SENT,
    TO_ONESELF,
    Ask,
    Row,
    Want,
    error,
    get,
    letter,
    message,
    no_credential,
    ok,
    post,
    refused,
    row,
    send,
    unknown,
    upload,
    violated,
    zipped,
)

OWN = LIST + "/{{own}}?format=minimal"
NAMES = [f"name{number}" for number in range(20)]
# A long answer.
MANY = post(json.dumps(dict.fromkeys(NAMES)).encode())
TOO_MANY = unknown(*NAMES)
ZIPS = ("Accept-Encoding: gzip, deflate", "User-Agent: conformance (gzip)")
INVALID_XGAFV = "Invalid query parameters. Invalid value '{}' for system query parameter : $.xgafv"
CALLBACK = "Invalid JSONP callback name: '{}'; only alphabet, number, '_', '$', '.', '[' and ']' are allowed."
NO_PRIMITIVE = (
    'Invalid JSON payload received. Unknown name "message": Cannot bind query parameter. '
    "'message' is a message type. Parameters can only be bound to primitive types."
)
NO_UINT32 = "Invalid value at 'max_results' (TYPE_UINT32), \"many\""
NO_BOOL = "Invalid value at 'include_spam_trash' (TYPE_BOOL), \"maybe\""
SCRIPT = {"content-type": ("text/javascript; charset=UTF-8",)}

# 2.1: names that never stand in the way of a send.
TOLERATED = (
    "alt=json",
    "alt=JSON",
    "alt=",
    "key=AIzaSyA",
    "quotaUser=somebody",
    "passwd=x",
    "password=x",
    "quotaUser=" + "q" * 40,
    "prettyPrint=true",
    "prettyPrint=",
    "userIp=192.0.2.1",
    "userip=192.0.2.1",
    "trace=email%3Ax",
    "pp=1",
    "strict=true",
    "uploadType=media",
    "uploadType=multipart",
    "uploadType=resumable",
    "upload_protocol=raw",
    "callback=f",
    "$.xgafv=1",
    "$.xgafv=2",
    "%24.xgafv=2",
    "$key=AIzaSyA",
    "$alt=json",
    "%24alt=json",
    "$prettyPrint=true",
    "$quotaUser=somebody",
    "fields=",
    "fields=*",
    "$fields=*",
    "alt=json&prettyPrint=true&key=AIzaSyA&quotaUser=x&$.xgafv=2&fields=*",
)
TOLERATED_HEADERS = (
    "X-Goog-Api-Key: AIzaSyA",
    "X-Goog-Quota-User: somebody",
    "X-Goog-User-Project: project",
    "X-Goog-Api-Client: gdcl/2.202.0 gl-python/3.11.7 cred-type/u",
    "X-Cloud-Trace-Context: 105445aa7843bc8bf206b12000100000/1;o=1",
    "X-Goog-Request-Reason: test",
    "X-Goog-FieldMask: *",
    "Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
)

TRUE = ("true", "t", "yes", "y", "1", "TRUE", "True", "Y", "T", "YES")
FALSE = ("false", "f", "no", "n", "0", "FALSE", "False", "N", "F", "NO")


def unknown_parameter(name: str) -> str:
    return (
        f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query parameter. '
        f"Field '{name}' could not be found in request message."
    )


def bad_mask(mask: str, path: str) -> Want:
    text = f"Error expanding 'fields' parameter. Cannot find matching fields for path '{path}'."
    return error(
        400,
        "Request contains an invalid argument.",
        {"domain": "global", "reason": "badRequest"},
        [{"@type": BAD_REQUEST, "fieldViolations": [{"field": mask, "description": text}]}],
    )


def bad_xgafv(value: str) -> Want:
    return refused(INVALID_XGAFV.format(value), "badRequest")


def masked(query: str) -> Ask:
    return post(message(), query)


def wrapped(name: bytes, body: bytes) -> Want:
    return Want(200, b"// API callback\n" + name + b"(" + body + b");", SCRIPT)


def new_style(want: Want) -> Want:
    """The error without `errors` (2.3)."""
    value = json.loads(want.body or b"")
    del value["error"]["errors"]
    return replace(want, body=(json.dumps(value, indent=2) + "\n").encode())


# Masks of a send and what they leave (2.5).
MASKS = {
    "id": {"id": "{{id}}"},
    "threadId": {"threadId": "{{id}}"},
    "labelIds": {"labelIds": ["SENT"]},
    "id,threadId": {"id": "{{id}}", "threadId": "{{id}}"},
    "threadId,id": {"id": "{{id}}", "threadId": "{{id}}"},
    "id,id": {"id": "{{id}}"},
    "id,labelIds": {"id": "{{id}}", "labelIds": ["SENT"]},
    "id,*": {"id": "{{id}}", "threadId": "{{id}}", "labelIds": ["SENT"]},
    "snippet": {},
    "raw": {},
    "payload": {},
    "payload/headers": {},
    "payload/headers/name": {},
    "payload(headers(name,value),body/size)": {},
    "payload.headers.name": {},
    "id,snippet": {"id": "{{id}}"},
    "historyId,internalDate,sizeEstimate": {},
}
BAD_MASKS = {
    "foo": "foo",
    "id,foo": "foo",
    "Id": "Id",
    "messages": "messages",
    "payload/foo": "payload.foo",
    "payload(foo)": "payload.foo",
}
BROKEN_MASKS = (
    "(",
    ")",
    "id(",
    "id)",
    "payload(headers",
    "payload/",
    "/id",
    "a b",
    "id;threadId",
)
FIRST = {"id": "{{own}}", "threadId": "{{own}}"}
ONE = {"messages": [FIRST]}
LIST_MASKS = {
    "messages": ONE,
    "messages/id": {"messages": [{"id": "{{own}}"}]},
    "messages(id)": {"messages": [{"id": "{{own}}"}]},
    "messages.id": {"messages": [{"id": "{{own}}"}]},
    "messages/threadId": {"messages": [{"threadId": "{{own}}"}]},
    "messages(id,threadId)": ONE,
    "messages/id,messages/threadId": ONE,
    "messages/*": ONE,
    "messages(*)": ONE,
    "*/id": {"messages": [{"id": "{{own}}"}]},
    "nextPageToken": {},
    "messages/snippet": {"messages": [{}]},
}

# Characters of an answer, as the name of an unknown member shows them (2.6).
WRITTEN = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "&",
    "'": "'",
    "/": "/",
    "é": "é",
    "日": "日",
    "😀": "😀",
    "\x7f": "\\u007f",
    "\x80": "\\u0080",
    "\x9f": "\\u009f",
    "\xa0": "\xa0",
    "\xad": "\\u00ad",
    "\u200b": "\\u200b",
    "\u200e": "\\u200e",
    "\u200f": "\\u200f",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
    "\u202e": "\\u202e",
    "\u2060": "\\u2060",
    "\ufeff": "\\ufeff",
    "\U000e0041": "\\udb40\\udc41",
    "\t": "\\t",
    "\n": "\\n",
    "\\": "\\\\",
    "\x01": "\\u0001",
}

PARAMETERS = [
    *(row("2.1", f"a send with {query[:40]}", post(message(), f"?{query}"), SENT) for query in TOLERATED),
    *(row("2.1", f"a send with {header[:40]}", post(message(), "", header), SENT) for header in TOLERATED_HEADERS),
    row(
        "2.1",
        "$ct stands for the Content-Type",
        post(message(), "?$ct=application/json", "Content-Type: text/plain"),
        SENT,
    ),
    row("2.1", "X-Goog-FieldMask is fields", post(message(), "", "X-Goog-FieldMask: id"), ok({"id": "{{id}}"})),
    row("2.1", "$fields is fields", masked("?$fields=id"), ok({"id": "{{id}}"})),
    row("2.1", "%24fields is fields", masked("?%24fields=id"), ok({"id": "{{id}}"})),
    row("2.1", "$prettyPrint is prettyPrint", masked("?$prettyPrint=false"), COMPACT),
    row(
        "2.1",
        "a key is no credential",
        Ask("POST", "/gmail/v1/users/me/messages/send?key=AIzaSyA"),
        Want(401, members={"error/errors/0/reason": "required"}),
    ),
    row(
        "2.1",
        "access_token in the query is off",
        Ask("POST", "/gmail/v1/users/me/messages/send?access_token={{gmail.send}}", (), message()),
        no_credential(),
        differs="**A token in the address**",
    ),
    row(
        "2.1",
        "oauth_token in the query is off",
        Ask("POST", "/gmail/v1/users/me/messages/send?oauth_token={{gmail.send}}", (), message()),
        no_credential(),
        differs="**A token in the address**",
    ),
    # 2.2
    row("2.2", "an unknown name", masked("?foo=1"), violated(("", unknown_parameter("foo")))),
    row(
        "2.2",
        "more than 100 parameters",
        masked("?" + "&".join(["key=x"] * 101)),
        Want(400, headers=JSON, members={"error/status": "INVALID_ARGUMENT"}),
        differs="**More than 100 query parameters**",
    ),
    row("2.2", "an unknown name without a value", masked("?foo"), violated(("", unknown_parameter("foo")))),
    row(
        "2.2",
        "two unknown names are one answer",
        masked("?foo=1&bar=2"),
        violated(("", unknown_parameter("foo")), ("", unknown_parameter("bar"))),
    ),
    row(
        "2.2",
        "an unknown name on an upload",
        upload(letter(), "?foo=1"),
        violated(("", unknown_parameter("foo"))),
    ),
    row("2.2", "an unknown name of a list", get(LIST + "?foo=1"), violated(("", unknown_parameter("foo")))),
    row(
        "2.2",
        "a parameter of another method",
        masked("?maxResults=1"),
        violated(("", unknown_parameter("maxResults"))),
    ),
    row(
        "2.2",
        "a name in another case",
        get(LIST + "?MaxResults=1"),
        violated(("", unknown_parameter("MaxResults"))),
    ),
    row(
        "2.2",
        "a message cannot be bound",
        masked("?message=1"),
        Want(
            400,
            members={
                "error/message": NO_PRIMITIVE,
                "error/errors/0/reason": "invalid",
            },
        ),
    ),
    row(
        "2.2",
        "an anonymous request with an unknown name is a 401",
        Ask("POST", "/gmail/v1/users/me/messages/send?foo=1"),
        no_credential(),
    ),
    row(
        "2.2",
        "a bad token with an unknown name is a 401",
        post(message(), "?foo=1", "Authorization: Bearer nonsense"),
        BAD_CREDENTIAL,
    ),
    row(
        "2.2",
        "an anonymous request with a broken body is a 401",
        Ask("POST", "/gmail/v1/users/me/messages/send", (), b"{"),
        no_credential(),
    ),
    row(
        "2.2", "uploadType on the metadata address changes nothing", post(message(), "?uploadType=multipart"), SENT
    ),
    *(row("2.2", f"prettyPrint={word} is true", masked(f"?prettyPrint={word}"), SENT) for word in TRUE),
    *(row("2.2", f"prettyPrint={word} is false", masked(f"?prettyPrint={word}"), COMPACT) for word in FALSE),
    row(
        "2.2",
        "maxResults that is no number",
        get(LIST + "?maxResults=many"),
        Want(
            400,
            members={
                "error/message": NO_UINT32,
                "error/errors/0/reason": "invalid",
                "error/errors/0/domain": None,
                "error/details/0/fieldViolations/0/field": "max_results",
            },
        ),
    ),
    row(
        "2.2",
        "includeSpamTrash that is no boolean",
        get(LIST + "?includeSpamTrash=maybe"),
        Want(
            400,
            members={
                "error/message": NO_BOOL,
                "error/errors/0/reason": "invalid",
                "error/details/0/fieldViolations/0/field": "include_spam_trash",
            },
        ),
    ),
    row(
        "2.2",
        "two ill-typed values are one answer",
        get(LIST + "?maxResults=many&includeSpamTrash=maybe"),
        Want(
            400,
            members={
                "error/message": f"{NO_UINT32}\n{NO_BOOL}",
                "error/details/0/fieldViolations/1/field": "include_spam_trash",
            },
        ),
    ),
    row(
        "2.2",
        "every repeat of a typed value is looked at",
        get(LIST + "?maxResults=many&maxResults=1"),
        Want(400, members={"error/errors/0/reason": "invalid"}),
    ),
    row("2.2", "of alt the first counts", masked("?alt=json&alt=nonsense"), SENT),
    row("2.2", "of fields the first counts", masked("?fields=id&fields=threadId"), ok({"id": "{{id}}"})),
    row("2.2", "of prettyPrint the first counts", masked("?prettyPrint=false&prettyPrint=true"), COMPACT),
    row(
        "2.2",
        "of callback the first counts",
        get(OWN + "&callback=a&callback=b"),
        Want(200, holds=(b"// API callback\na(",)),
    ),
    row("2.2", "of $.xgafv the last counts", post(b"{}", "?$.xgafv=1&$.xgafv=2"), new_style(NO_RAW)),
    row(
        "2.2",
        "of maxResults the last counts",
        get(LIST + "?maxResults=500&maxResults=1&fields=messages/id"),
        ok({"messages": [{"id": "{{id}}"}]}),
    ),
    # 2.3
    row("2.3", "without it errors are listed", post(b"{}"), NO_RAW),
    row("2.3", "1: errors are listed", post(b"{}", "?$.xgafv=1"), NO_RAW),
    row("2.3", "2: errors are not listed", post(b"{}", "?$.xgafv=2"), new_style(NO_RAW)),
    row(
        "2.3",
        "2 on an error with details",
        post(b"{}", "?$.xgafv=2").without("authorization"),
        new_style(no_credential()),
    ),
    row("2.3", "2 on an upload", upload(letter("Subject: x"), "?$.xgafv=2"), new_style(NO_RECIPIENT)),
    row("2.3", "%24.xgafv is the same", post(b"{}", "?%24.xgafv=2"), new_style(NO_RAW)),
    *(
        row("2.3", f"'{value}' is illegal", post(message(), f"?$.xgafv={quote(value)}"), bad_xgafv(value))
        for value in ("9", "", "01", "0", "3", "-1", "1.0", "one", "1 ")
    ),
    row(
        "2.3",
        "an illegal value beats a missing credential",
        Ask("POST", "/gmail/v1/users/me/messages/send?$.xgafv=9"),
        bad_xgafv("9"),
    ),
    row(
        "2.3",
        "an illegal value beats a bad credential",
        post(message(), "?$.xgafv=9", "Authorization: Bearer nonsense"),
        bad_xgafv("9"),
    ),
    row(
        "2.3",
        "an illegal last repeat beats a legal first",
        post(message(), "?$.xgafv=1&$.xgafv=9"),
        bad_xgafv("9"),
    ),
    row("2.3", "an answer without an error is the same", masked("?$.xgafv=2"), SENT),
    # 2.4
    row("2.4", "a POST takes no notice", masked("?callback=f"), SENT),
    row("2.4", "a POST takes no notice of an illegal name", masked("?callback=f()"), SENT),
    row("2.4", "an error of a POST is not wrapped", post(b"{}", "?callback=f"), NO_RAW),
    row("2.4", "a GET is wrapped", get(OWN + "&callback=f&fields=raw"), wrapped(b"f", b"{}\n")),
    row(
        "2.4",
        "an error of a GET is wrapped, with 200",
        get(LIST + "/zzz?callback=f"),
        wrapped(b"f", (refused("Invalid id value").body or b"")),
    ),
    row(
        "2.4",
        "a missing credential is wrapped, with 200",
        Ask("GET", LIST + "?callback=f"),
        replace(wrapped(b"f", no_credential("ListMessages").body or b""), headers=SCRIPT),
    ),
    *(
        row(
            "2.4",
            f"{name} is a name",
            get(OWN + f"&callback={quote(name)}&fields=raw"),
            wrapped(name.encode(), b"{}\n"),
        )
        for name in ("a", "A9", "_", "$", "a.b", "a[0]", "jQuery1_2.c$", "[", "9")
    ),
    *(
        row(
            "2.4",
            f"{name!r} is no name",
            get(LIST + f"?callback={quote(name)}"),
            wrapped(name.encode(), refused(CALLBACK.format(name), "badRequest").body or b""),
        )
        for name in ("a-b", "a b", "f()", "a;b", "a=b", "a,b", "a/b", "a:b")
    ),
    row(
        "2.4",
        "an illegal name beats a missing credential",
        Ask("GET", LIST + "?callback=a-b"),
        wrapped(b"a-b", refused(CALLBACK.format("a-b"), "badRequest").body or b""),
    ),
    row("2.4", "an empty name is none", get(OWN + "&callback=&fields=raw"), ok({})),
    # 2.5
    *(row("2.5", f"send: {mask}", masked(f"?fields={mask}"), ok(left)) for mask, left in MASKS.items()),
    *(
        row("2.5", f"send: unknown {mask}", masked(f"?fields={mask}"), bad_mask(mask, path))
        for mask, path in BAD_MASKS.items()
    ),
    *(
        row(
            "2.5",
            f"send: no mask: {mask}",
            masked(f"?fields={quote(mask)}"),
            Want(400, headers=JSON, members={"error/status": "INVALID_ARGUMENT"}),
        )
        for mask in BROKEN_MASKS
    ),
    *(
        row(
            "2.5",
            f"list: {mask}",
            get(LIST + f"?labelIds=INBOX&maxResults=1&fields={mask}"),
            Want(200, members=left),
        )
        for mask, left in LIST_MASKS.items()
    ),
    row("2.5", "a mask in per cent", masked("?fields=id%2CthreadId"), ok({"id": "{{id}}", "threadId": "{{id}}"})),
    row(
        "2.5",
        "a mask and no indentation",
        masked("?fields=id&prettyPrint=false"),
        Want(200, b'{"id":"{{id}}"}', JSON),
    ),
    row("2.5", "a mask leaves an error whole", post(b"{}", "?fields=id"), NO_RAW),
    row("2.5", "a mask on an upload", upload(letter(), "?uploadType=media&fields=id"), ok({"id": "{{id}}"})),
    row(
        "2.5",
        "an unknown mask refuses before anything is sent",
        post(b"{}", "?fields=foo"),
        bad_mask("foo", "foo"),
    ),
    row("2.5", "a mask of 10 000 names", masked("?fields=" + ",".join(["id"] * 10_000)), Want(400, headers=JSON)),
    row(
        "2.5",
        "a mask nested 1 000 deep",
        masked("?fields=" + "payload(parts(" * 500 + ")" * 1000),
        Want(400, headers=JSON),
    ),
    # 2.6
    row(
        "2.6",
        "alt=media",
        masked("?alt=media"),
        Want(400, headers=JSON, members={"error/status": "INVALID_ARGUMENT"}),
    ),
    row(
        "2.6",
        "alt=proto",
        masked("?alt=proto"),
        Want(400, headers=JSON, members={"error/status": "INVALID_ARGUMENT"}),
        differs="**`alt=proto`**",
    ),
    row(
        "2.6",
        "alt=nonsense",
        masked("?alt=nonsense"),
        Want(400, headers=JSON, members={"error/status": "INVALID_ARGUMENT"}),
    ),
    row("2.6", "alt=MEDIA is alt=media", masked("?alt=MEDIA"), Want(400, headers=JSON)),
    row(
        "2.6",
        "an unsupported form names it",
        get(LIST + "?alt=media"),
        Want(400, headers=JSON, holds=(rb'"message": "Unsupported alt type \"media\"',)),
    ),
    row("2.6", "indented by two, one line feed at the end", post(), SENT),
    row("2.6", "prettyPrint=false: no spaces, no line feed", masked("?prettyPrint=false"), COMPACT),
    row("2.6", "an error is indented whatever prettyPrint says", post(b"{}", "?prettyPrint=false"), NO_RAW),
    *(
        row(
            "2.6",
            f"U+{ord(character):04X} is written {written!r}",
            post(json.dumps({character: 1}, ensure_ascii=ord(character) < 32).encode()),
            Want(400, holds=(f'Unknown name \\"{written}\\"'.encode(),)),
        )
        for character, written in WRITTEN.items()
    ),
]


HEADERS = [
    *(
        row("2.7", f"{name} on {what}", ask, Want(code, headers={name: lines}))
        for name, lines in {
            "content-type": ("application/json; charset=UTF-8",),
            "vary": ("Origin", "X-Origin", "Referer"),
            "server": ("ESF",),
            "cache-control": ("private",),
            "x-xss-protection": ("0",),
            "x-frame-options": ("SAMEORIGIN",),
            "x-content-type-options": ("nosniff",),
            "date": ("{{date}}",),
            "etag": (),
            "x-ratelimit-limit": (),
            "set-cookie": (),
        }.items()
        for what, ask, code in (("a send", post(), 200), ("an error", post(b"{}"), 400))
    ),
    row(
        "2.7",
        "gzip when asked for and the program says gzip",
        MANY.but(*ZIPS),
        replace(TOO_MANY, headers=JSON | {"content-encoding": ("gzip",)}),
    ),
    row(
        "2.7",
        "no gzip for a program that does not say it",
        MANY.but(ZIPS[0]),
        TOO_MANY.also(content_encoding=None),
    ),
    row(
        "2.7",
        "no gzip for a program that does not accept it",
        MANY.but(ZIPS[1]),
        TOO_MANY.also(content_encoding=None),
    ),
    row(
        "2.7",
        "no gzip where its weight is nothing",
        MANY.but("Accept-Encoding: gzip;q=0", ZIPS[1]),
        TOO_MANY.also(content_encoding=None),
    ),
    row("2.7", "a gzip body of JSON", post(zipped(message()), "", "Content-Encoding: gzip"), SENT),
    row(
        "2.7",
        "a gzip body, chunked",
        post(zipped(message()), "", "Content-Encoding: gzip", "Transfer-Encoding: chunked"),
        SENT,
    ),
    row(
        "2.7",
        "a gzip body in two members",
        post(zipped(message()[:9]) + zipped(message()[9:]), "", "Content-Encoding: gzip"),
        SENT,
    ),
    row("2.7", "a gzip upload", upload(zipped(letter()), "?uploadType=media", "Content-Encoding: gzip"), SENT),
    row("2.7", "GZIP is gzip", post(zipped(message()), "", "Content-Encoding: GZIP"), SENT),
    row("2.7", "identity is no encoding", post(message(), "", "Content-Encoding: identity"), SENT),
    row(
        "2.7",
        "a gzip body cut short",
        post(zipped(message())[:-9], "", "Content-Encoding: gzip"),
        Want(400, headers=JSON),
    ),
    row(
        "2.7",
        "a gzip body with more behind it",
        post(zipped(message()) + b"x", "", "Content-Encoding: gzip"),
        Want(400, headers=JSON),
    ),
    row("2.7", "a gzip body that is none", post(message(), "", "Content-Encoding: gzip"), Want(400, headers=JSON)),
    row(
        "2.7",
        "a gzip body with a bad checksum",
        post(zipped(message())[:-8] + b"\0" * 8, "", "Content-Encoding: gzip"),
        Want(400, headers=JSON),
    ),
    row(
        "2.7",
        "an encoding that is not known",
        post(message(), "", "Content-Encoding: br"),
        Want(400, headers=JSON),
    ),
    row(
        "2.7",
        "gzip twice",
        post(zipped(zipped(message())), "", "Content-Encoding: gzip, gzip"),
        Want(400, headers=JSON),
    ),
    row(
        "2.7",
        "a gzip bomb ends at the limit",
        post(lambda: zipped(b" " * (60 << 20)), "", "Content-Encoding: gzip"),
        Want(413, headers=JSON),
    ),
    row("2.7", "an upload's answer has an id of its own", upload(), SENT.also(x_guploader_uploadid="{{upload}}")),
    row("2.7", "an answer after a send to oneself", send("To: alice@example.test"), TO_ONESELF),
]

ROWS: list[Row] = [*PARAMETERS, *HEADERS]
