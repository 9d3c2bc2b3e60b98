"""Section 14, and the captures of 4.6: what real programs send."""

from tests.conformance.wire import (
    LIST,
    NO_RECIPIENT,
    SEND,
    SENT,
    UPLOAD,
    Ask,
    Row,
    Want,
    bearer,
    get,
    letter,
    message,
    ok,
    post,
    row,
    send,
    upload,
    zipped,
)

AT = SEND.replace("/me/", "/alice%40example.test/")
JSON_TYPE = "Content-Type: application/json"
GO = (
    "User-Agent: google-api-go-client/0.5",
    "X-Goog-Api-Client: gl-go/1.19.8 gdcl/20211201",
    "X-Cloud-Trace-Context: 105445aa7843bc8bf206b12000100000/1;o=1",
)
BY_CLIENT = {
    "Python": Ask(
        "POST",
        AT + "?alt=json",
        (
            bearer(),
            "accept: application/json",
            "accept-encoding: identity",
            "user-agent: (gzip)",
            "x-goog-api-client: gdcl/2.202.0 gl-python/3.11.7 cred-type/u",
            "content-type: application/json",
        ),
        message(),
    ),
    "Node": Ask(
        "POST",
        AT,
        (
            bearer(),
            "accept: */*",
            "accept-encoding: br",
            "user-agent: google-api-nodejs-client/8.0.3 (gzip)",
            "x-goog-api-client: gdcl/8.0.3 gl-node/20.20.2",
            "content-type: application/json",
            "connection: keep-alive",
        ),
        message(),
    ),
    "Go": Ask("POST", AT + "?alt=json&prettyPrint=false", (bearer(), JSON_TYPE, *GO), message() + b"\n"),
    "Ruby": Ask(
        "POST",
        AT + "?",
        (
            bearer(),
            JSON_TYPE,
            "User-Agent: google-apis-ruby/0.50 (gzip)",
            "Accept-Encoding: identity",
            "X-Goog-Api-Client: gl-ruby/3.1 gdcl/1.2",
        ),
        message(),
    ),
    "PHP": Ask(
        "POST",
        AT,
        (bearer(), "content-type: application/json; charset=UTF-8", "User-Agent: google-api-php-client/2.18"),
        message(),
    ),
    "Java": Ask(
        "POST",
        AT,
        (
            bearer(),
            "Content-Type: application/json; charset=UTF-8",
            "Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "Content-Encoding: gzip",
            "Transfer-Encoding: chunked",
            "User-Agent: Google-API-Java-Client/2.8",
        ),
        zipped(message()),
    ),
    "gmailr": Ask("POST", SEND + "?uploadType=multipart", (bearer(), JSON_TYPE), message()),
    "curl": Ask("POST", SEND, (bearer(), JSON_TYPE, "User-Agent: curl/7.88.1", "Accept: */*"), message()),
    "EmailEngine": Ask("POST", UPLOAD, (bearer(), "Content-Type: message/rfc822"), letter()),
    "a browser": Ask(
        "POST",
        SEND,
        (
            bearer(),
            JSON_TYPE,
            "Origin: https://app.example",
            "Referer: https://app.example/x",
            "Sec-Fetch-Mode: cors",
        ),
        message(),
    ),
}


def copy(*content: bytes) -> tuple[Ask, Want]:
    return get(LIST + "/{{id}}?format=raw"), Want(200, content=content)


LONG = b"QUJD" * 1000
ARRIVING = {
    "LF alone": letter("To: bob@example.test", "Subject: LF").replace(b"\r\n", b"\n"),
    "no From": letter("To: bob@example.test"),
    "From: me": letter("From: me", "To: bob@example.test"),
    "an empty From": letter("From:", "To: bob@example.test"),
    "empty Cc and Bcc": letter("To: bob@example.test", "Cc:", "Bcc: "),
    "a folded Message-ID": letter("To: bob@example.test", "Message-ID:\r\n <a.long.one@example.test>"),
    "base64 lines of 4 000 octets": letter(
        "To: bob@example.test", "Content-Type: image/png", "Content-Transfer-Encoding: base64", body=LONG + b"\r\n"
    ),
    "a header in Latin letters as UTF-8": letter("To: Jörg <joerg@example.test>", "Subject: Grüße"),
    "no body and no empty line": b"To: bob@example.test\r\n",
    "MIME-Version in the middle": letter(
        "Subject: x",
        "MIME-Version: 1.0",
        "To: bob@example.test",
        'Content-Type: text/plain; charset="us-ascii"',
        "Content-Transfer-Encoding: 7bit",
    ),
    "headers in lower case": letter("to: bob@example.test", "subject: x", "content-type: text/plain"),
    "addresses on several lines": letter("To: bob@example.test,\r\n\tcarol@example.test,\r\n dave@example.test"),
}

ROWS: list[Row] = [
    *(
        row("4.6", f"as {name} sends", ask, Want(200, headers=SENT.headers) if name == "Go" else SENT)
        for name, ask in BY_CLIENT.items()
    ),
    *(row("14", f"arriving: {fact}", post(message(content)), SENT) for fact, content in ARRIVING.items()),
    *(row("14", f"arriving as an upload: {fact}", upload(content), SENT) for fact, content in ARRIVING.items()),
    *(
        Row("14", f"a stored copy has {what}", ((send(), SENT), copy(octets)))
        for what, octets in {
            "From": b"From: alice@example.test\r\n",
            "Message-ID": b"Message-ID: <",
            "Date": b"Date: ",
        }.items()
    ),
    row("14", "a body's own type decides: message", upload(letter(), ""), SENT),
    row("14", "fields=id", post(message(), "?fields=id"), ok({"id": "{{id}}"})),
    row("14", "Accept of a browser", post(message(), "", "Accept: text/html, application/xhtml+xml;q=0.9"), SENT),
    row(
        "14",
        "connection: close is obeyed",
        post(message(), "", "Connection: close"),
        SENT.also(connection="close"),
    ),
    row("14", "a bare question mark on an upload", upload(letter(), "?"), SENT),
    row("14", "empty Cc and Bcc alone are nobody", send("Cc: ", "Bcc:"), NO_RECIPIENT),
]
