"""Section 1: addresses, hosts, routing."""

from tests.conformance.wire import (
    BAD_ID,
    DENIED,
    LIST,
    NO_RAW,
    NO_ROUTE,
    SEND,
    SENT,
    UPLOAD,
    Ask,
    Want,
    bearer,
    get,
    letter,
    message,
    ok,
    post,
    row,
    upload,
)

LISTED = Want(200, holds=(b'"messages": [', b'"resultSizeEstimate": '))
FORM = "Content-Type: application/x-www-form-urlencoded"


def sent_by(user: str) -> Ask:
    return post().but(target=SEND.replace("/me/", f"/{user}/"))


USERS = {
    "me": ("me", SENT),
    "an address with %40": ("alice%40example.test", SENT),
    "an address with @": ("alice@example.test", SENT),
    "%6de is me": ("%6de", SENT),
    "m%65 is me": ("m%65", SENT),
    "hexadecimal digits in lower case": ("%6d%65", SENT),
    "every octet encoded": ("%61%6c%69%63%65%40%65%78%61%6d%70%6c%65%2e%74%65%73%74", SENT),
    "the domain in upper case": ("alice%40EXAMPLE.TEST", SENT),
    "somebody else": ("bob%40example.test", DENIED),
    "nobody": ("nobody-at-all%40example.test", DENIED),
    "a literal plus is no space": ("alice+alias@example.test", DENIED),
    "an encoded plus": ("alice%2Balias@example.test", DENIED),
    "an encoded solidus stays in its segment": ("me%2Fmessages", DENIED),
    "an encoded solidus alone": ("%2F", DENIED),
    "an encoded NUL": ("me%00", DENIED),
    "ME is not me": ("ME", DENIED),
    "a space at the end": ("me%20", DENIED),
    "an encoded per cent sign": ("%256de", DENIED),
    "no segment": ("", NO_ROUTE),
    "two segments": ("me/me", NO_ROUTE),
    "octets that are no UTF-8": ("%ff", NO_ROUTE),
}

NOWHERE = {
    "GET /": ("GET", "/"),
    "GET /gmail": ("GET", "/gmail"),
    "GET /gmail/v1": ("GET", "/gmail/v1"),
    "another version": ("POST", "/gmail/v2/users/me/messages/send"),
    "no version": ("POST", "/gmail/users/me/messages/send"),
    "a solidus at the end": ("POST", SEND + "/"),
    "a solidus at the end of a list": ("GET", LIST + "/"),
    "two solidi": ("POST", "/gmail/v1//users/me/messages/send"),
    "a solidus in front": ("POST", "/" + SEND),
    "another case": ("POST", "/gmail/v1/users/me/Messages/Send"),
    "an unknown collection": ("GET", "/gmail/v1/users/me/letters"),
    "one segment more": ("POST", SEND + "/now"),
    "a custom verb that is none": ("POST", SEND + ":now"),
    "a dot segment": ("POST", "/gmail/v1/users/me/messages/x/../send"),
    "an encoded dot segment": ("POST", "/gmail/v1/users/me/messages/%2e%2e/send"),
    "a parameter in a segment": ("POST", "/gmail/v1/users/me/messages;x/send"),
    "PUT on send": ("PUT", SEND),
    "PATCH on send": ("PATCH", SEND),
    "DELETE of the list": ("DELETE", LIST),
    "PUT on the list": ("PUT", LIST),
    "a verb of nobody's": ("SEND", SEND),
    "GET on an upload address": ("GET", UPLOAD),
    "upload to a method without media": ("POST", "/upload/gmail/v1/users/me/messages/abc/modify"),
    "upload without the API": ("POST", "/upload/users/me/messages/send"),
    "upload twice": ("POST", "/upload" + UPLOAD),
    "resumable alone": ("POST", "/resumable/gmail/v1/users/me/messages/send"),
    "an illegal system parameter does not matter": ("POST", "/nowhere?$.xgafv=9"),
    "a callback does not matter": ("GET", "/nowhere?callback=f"),
}

HOSTS = (
    "gmail.googleapis.com",
    "www.googleapis.com",
    "content.googleapis.com",
    "content-gmail.googleapis.com",
    "gmail.mtls.googleapis.com",
    "localhost",
    "gmail.googleapis.com:443",
)
METHOD = "resources/users/resources/messages/methods/send"
MEDIA = f"{METHOD}/mediaUpload"
PATH = "upload/gmail/v1/users/{userId}/messages/send"
CROSS = "Origin: https://app.example"

ROWS = [
    *(row("1.3", f"userId: {fact}", sent_by(user), want) for fact, (user, want) in USERS.items()),
    *(
        row(
            "1.4",
            f"404 in HTML: {fact}",
            Ask(verb, target, (bearer(),), b"{}" if verb == "POST" else b""),
            NO_ROUTE,
        )
        for fact, (verb, target) in NOWHERE.items()
    ),
    row("1.4", "404 comes before authentication", Ask("POST", "/nowhere"), NO_ROUTE),
    row("1.4", "the wrong verb comes before authentication", Ask("PUT", SEND), NO_ROUTE),
    row("1.4", "the path in the page is text, not markup", Ask("GET", "/%3Cb%3E"), Want(404, holds=(b"404",))),
    row("1.1", "the upload address", upload(), SENT),
    row(
        "1.1",
        "the announced resumable prefix",
        Ask("POST", "/resumable" + UPLOAD, upload().headers, letter()),
        SENT,
    ),
    row("1.1", "GET of send is a message of that id", get(SEND), BAD_ID),
    row("1.1", "GET of import is a message of that id", get("/gmail/v1/users/me/messages/import"), BAD_ID),
    *(row("1.2", f"the host {host}: send", post(message(), "", f"Host: {host}"), SENT) for host in HOSTS),
    *(row("1.2", f"the host {host}: upload", upload(letter(), "", f"Host: {host}"), SENT) for host in HOSTS[:3]),
    row("1.2", "an unknown host", post(message(), "", "Host: mail.example"), SENT),
    row(
        "1.3",
        "the body takes proto names",
        post(b'{"thread_id":"{{message}}","raw":"VG86IGJAYy5leGFtcGxlCgo"}'),
        Want(200, members={"threadId": "{{message}}"}),
    ),
    row(
        "1.3",
        "the body takes JSON names",
        post(b'{"threadId":"{{message}}","raw":"VG86IGJAYy5leGFtcGxlCgo"}'),
        Want(200, members={"threadId": "{{message}}"}),
    ),
    row(
        "1.3",
        "repeated query parameters repeat a value",
        get(LIST + "?labelIds=SENT&labelIds=INBOX"),
        Want(200, members={"messages/0/id": "{{own}}"}),
    ),
    row("1.4", "a chunked body", post(message(), "", "Transfer-Encoding: chunked"), SENT),
    row("1.4", "a chunked upload", upload(letter(), "", "Transfer-Encoding: chunked"), SENT),
    row("1.4", "a chunked empty body", post(b"", "", "Transfer-Encoding: chunked"), NO_RAW),
    row("1.4", "a body of no octets", post(b""), NO_RAW),
    row("1.4", "a bare question mark", post(message(), "?"), SENT),
    row(
        "1.4",
        "POST that means GET",
        Ask("POST", LIST, (bearer("gmail.readonly"), "X-HTTP-Method-Override: GET")),
        LISTED,
    ),
    row(
        "1.4",
        "POST that means GET, with a query",
        Ask("POST", LIST + "?maxResults=1", (bearer("gmail.readonly"), "X-HTTP-Method-Override: GET")),
        LISTED,
    ),
    row(
        "1.4",
        "POST that means GET, its query in the body",
        Ask("POST", LIST, (bearer("gmail.readonly"), "x-http-method-override: GET", FORM), b"maxResults=0"),
        Want(400, members={"error/message": "Invalid maxResults"}),
    ),
    row(
        "1.4",
        "POST that means PUT has no route here",
        post(message(), "", "X-HTTP-Method-Override: PUT"),
        NO_ROUTE,
    ),
    row("1.4", "GET that says POST stays GET", get(LIST, "X-HTTP-Method-Override: POST"), LISTED),
    row(
        "1.5",
        "an answer to another origin may be read by it",
        post(message(), "", CROSS),
        SENT.also(access_control_allow_origin="{{origin}}"),
    ),
    row(
        "1.5",
        "an upload's answer too",
        upload(letter(), "", CROSS),
        SENT.also(access_control_allow_origin="{{origin}}"),
    ),
    row("1.5", "an error too", post(b"{}", "", CROSS), NO_RAW.also(access_control_allow_origin="{{origin}}")),
    row(
        "1.5",
        "a missing credential too",
        Ask("POST", SEND, (CROSS,)),
        Want(401, headers={"access-control-allow-origin": ("{{origin}}",)}),
    ),
    row("1.5", "an answer to no origin names none", post(), SENT.also(access_control_allow_origin=None)),
    *(
        row(
            "1.5",
            f"a preflight of {what}",
            Ask(
                "OPTIONS",
                target,
                (
                    CROSS,
                    "Access-Control-Request-Method: POST",
                    "Access-Control-Request-Headers: authorization,content-type",
                ),
            ),
            Want(
                code,
                headers={
                    "access-control-allow-origin": ("{{origin}}",),
                    "access-control-allow-methods": ("{{before}}POST{{after}}",),
                    "access-control-allow-headers": ("{{names}}",),
                },
            ),
        )
        for what, target, code in (("send", SEND, 200), ("an upload", UPLOAD, 200))
    ),
    *(
        row(
            "1.1",
            f"discovery: {path}",
            Ask("GET", "/$discovery/rest?version=v1"),
            Want(200, members={path: value}),
        )
        for path, value in {
            "rootUrl": "{{url}}/",
            "baseUrl": "{{url}}/",
            "servicePath": "",
            "basePath": "",
            "batchPath": "batch",
            "protocol": "rest",
            "name": "gmail",
            "version": "v1",
            f"{METHOD}/id": "gmail.users.messages.send",
            f"{METHOD}/httpMethod": "POST",
            f"{METHOD}/path": "gmail/v1/users/{userId}/messages/send",
            f"{METHOD}/parameters/userId/default": "me",
            f"{METHOD}/supportsMediaUpload": True,
            f"{MEDIA}/maxSize": "36700160",
            f"{MEDIA}/accept": ["message/*"],
            f"{MEDIA}/protocols/simple/path": f"/{PATH}",
            f"{MEDIA}/protocols/resumable/path": f"/resumable/{PATH}",
            f"{MEDIA}/protocols/resumable/multipart": True,
        }.items()
    ),
    row(
        "1.2",
        "discovery at its old address",
        Ask("GET", "/discovery/v1/apis/gmail/v1/rest"),
        Want(200, members={"rootUrl": "{{url}}/", "id": "gmail:v1"}),
    ),
    row(
        "1.2",
        "discovery with the bare $ encoded",
        Ask("GET", "/%24discovery/rest?version=v1"),
        Want(200, members={"id": "gmail:v1"}),
    ),
    row(
        "1.2",
        "discovery asked under a name of Google's names it, with https",
        Ask("GET", "/$discovery/rest?version=v1", ("Host: gmail.googleapis.com",)),
        Want(200, members={"rootUrl": "https://gmail.googleapis.com/"}),
    ),
    row(
        "H7",
        "the host of a stranger is never in an address",
        Ask("GET", "/$discovery/rest?version=v1", ("Host: evil.example",)),
        Want(200, members={"rootUrl": "{{url}}/"}),
    ),
    row(
        "2.5",
        "discovery takes a mask",
        Ask("GET", "/$discovery/rest?version=v1&fields=rootUrl,name"),
        ok({"name": "gmail", "rootUrl": "{{url}}/"}),
    ),
    row(
        "2.5",
        "discovery takes a mask through its maps",
        Ask("GET", "/$discovery/rest?fields=resources/users/resources/messages/methods(send(id),*/path)&alt=JSON"),
        Want(200, members={f"{METHOD}/id": "gmail.users.messages.send", f"{METHOD}/httpMethod": None}),
    ),
    row(
        "2.5",
        "discovery refuses a mask of what is not there",
        Ask("GET", "/$discovery/rest?fields=rootUrl,foo/bar"),
        Want(
            400,
            members={
                "error/message": "Request contains an invalid argument.",
                "error/details/0/fieldViolations/0/field": "rootUrl,foo/bar",
            },
            holds=(b"Cannot find matching fields for path 'foo.bar'.",),
        ),
    ),
    row(
        "2.6",
        "discovery without indentation",
        Ask("GET", "/$discovery/rest?version=v1&prettyPrint=false&fields=rootUrl,name"),
        Want(200, b'{"name":"gmail","rootUrl":"{{url}}/"}'),
    ),
    row(
        "2.6",
        "discovery in another format",
        Ask("GET", "/$discovery/rest?version=v1&alt=media"),
        Want(400, members={"error/errors/0/reason": "badRequest"}),
    ),
    row(
        "2.4",
        "discovery as a script",
        Ask("GET", "/$discovery/rest?version=v1&callback=a.b&fields=name"),
        Want(
            200,
            b'// API callback\na.b({\n  "name": "gmail"\n}\n);',
            {"content-type": ("text/javascript; charset=UTF-8",)},
        ),
    ),
    row(
        "2.4",
        "discovery as a script of no legal name",
        Ask("GET", "/$discovery/rest?version=v1&callback=a-b"),
        Want(200, holds=(b"Invalid JSONP callback name: 'a-b'",)),
    ),
    row(
        "2.3",
        "discovery looks at $.xgafv",
        Ask("GET", "/$discovery/rest?version=v1&$.xgafv=9"),
        Want(400, members={"error/errors/0/reason": "badRequest"}),
    ),
    row(
        "2.3",
        "discovery's errors without errors",
        Ask("GET", "/$discovery/rest?version=v1&$.xgafv=2&fields=foo"),
        Want(400, members={"error/errors": None, "error/code": 400}),
    ),
]
