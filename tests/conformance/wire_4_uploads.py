"""Section 4: media, multipart and resumable uploads."""

import base64
import quopri
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.conformance.wire import (
    ALICE,
    BAD_THREAD,
    COMPACT,
    DENIED,
    JSON,
    LIST,
    NO_ENTITY,
    NO_RAW,
    NO_RECIPIENT,
    SENT,
    TO_ONESELF,
    UPLOAD,
    Ask,
    Row,
    Want,
    bearer,
    get,
    letter,
    message,
    no_credential,
    ok,
    post,
    refused,
    row,
    unknown,
    upload,
    zipped,
)

KIB = 1024
CHUNK = 256 * KIB
MAX = 36_700_160
CONTENT = letter("To: bob@example.test", "Subject: Upload", "MIME-Version: 1.0", body=b".\r\nHello.\r\n")
JOINED = ok({"id": "{{id}}", "threadId": "{{message}}", "labelIds": ["SENT"]})
IN_THREAD = b'{"threadId":"{{message}}"}'


def stored(*content: bytes) -> tuple[Ask, Want]:
    """What the mailbox has of the message just sent."""
    return get(LIST + "/{{id}}?format=raw"), Want(200, content=content)


def shown(section: str, fact: str, *steps: tuple[Ask, Want]) -> Row:
    return Row(section, fact, steps)


def no_media(media_type: str) -> Want:
    return refused(
        f"Media type '{media_type}' is not supported. Valid media types: [message/rfc822]", "badRequest"
    )


# 4.1, 4.2

SIMPLE = [
    shown("4.2", "the octets are the message", (upload(CONTENT), SENT), stored(CONTENT)),
    shown(
        "4.2", "LF becomes CRLF, nothing else", (upload(CONTENT.replace(b"\r\n", b"\n")), SENT), stored(CONTENT)
    ),
    *(
        row(
            "4.2",
            f"Content-Type: {media_type}",
            upload(CONTENT, "?uploadType=media", f"Content-Type: {media_type}"),
            SENT,
        )
        for media_type in (
            "message/rfc822",
            "MESSAGE/RFC822",
            "message/rfc822; charset=utf-8",
            "message/global",
            "message/rfc2822",
            " message/rfc822 ",
        )
    ),
    *(
        row(
            "4.2",
            f"not a message: {media_type}",
            upload(CONTENT, "?uploadType=media", f"Content-Type: {media_type}"),
            no_media(media_type),
        )
        for media_type in (
            "text/plain",
            "application/octet-stream",
            "application/json",
            "multipart/mixed",
            "image/png",
        )
    ),
    row(
        "4.2",
        "text/plain with a character set",
        upload(CONTENT, "?uploadType=media", "Content-Type: text/plain; charset=utf-8"),
        Want(400, headers=JSON, holds=(b"Media type 'text/plain",)),
    ),
    row("4.2", "no Content-Type", upload(CONTENT).without("content-type"), Want(400, headers=JSON)),
    row("4.2", "alt=json beside uploadType", upload(CONTENT, "?alt=json&uploadType=media"), SENT),
    row(
        "4.2",
        "an address as userId",
        Ask(
            "POST",
            UPLOAD.replace("/me/", "/alice%40example.test/") + "?uploadType=media",
            upload().headers,
            CONTENT,
        ),
        SENT,
    ),
    row(
        "4.2",
        "somebody else's mailbox",
        Ask(
            "POST", UPLOAD.replace("/me/", "/bob%40example.test/") + "?uploadType=media", upload().headers, CONTENT
        ),
        DENIED,
    ),
    row("4.2", "no credential", upload(CONTENT).without("authorization"), no_credential()),
    row("4.2", "to oneself", upload(letter(f"To: {ALICE}")), TO_ONESELF),
    row("4.2", "no octets", upload(b""), NO_RAW),
    row("4.2", "no recipient", upload(letter("Subject: x")), NO_RECIPIENT),
    row("4.2", "a bad recipient", upload(letter("To: human@f")), refused("Invalid To header")),
    row("4.1", "without uploadType, by the body's own type", upload(CONTENT, ""), SENT),
    row("4.1", "upload_protocol=raw", upload(CONTENT, "?upload_protocol=raw"), SENT),
    row("4.1", "X-Goog-Upload-Protocol: raw", upload(CONTENT, "", "X-Goog-Upload-Protocol: raw"), SENT),
    row("4.1", "an uploadType that is none", upload(CONTENT, "?uploadType=carrier"), Want(400, headers=JSON)),
    row(
        "4.1",
        f"{MAX} octets are not too many",
        upload(lambda: CONTENT + (b"x" * 76 + b"\r\n") * ((MAX - 300) // 78)),
        SENT,
    ),
    row(
        "4.1",
        f"{MAX + 1} octets are too many",
        upload(lambda: CONTENT + b"x" * (MAX + 1 - len(CONTENT))),
        Want(413, headers=JSON, members={"error/code": 413}),
    ),
    row(
        "4.1",
        "JSON of seven million octets",
        post(lambda: message(CONTENT + (b"x" * 76 + b"\r\n") * 70_000)),
        SENT,
        differs="**JSON bodies may be as large as a full message needs.**",
    ),
    row(
        "4.1",
        "JSON to the upload address without media",
        post(b'{"raw":"QQ"}').but(target=UPLOAD),
        Want(400, headers=JSON),
    ),
]


# 4.3


@dataclass(frozen=True, slots=True)
class Multipart:
    """How a client writes multipart/related. `quoted`: its boundary in the header; `last`: what ends the body."""

    boundary: str = "b"
    quoted: bool = False
    end: bytes = b"\r\n"
    last: bytes = b"\r\n"
    json_head: tuple[str, ...] = ("Content-Type: application/json",)
    media_head: tuple[str, ...] = ("Content-Type: message/rfc822",)
    metadata: bytes = b"{}"
    media: bytes = CONTENT
    preamble: bytes = b""

    def ask(self, *headers: str, query: str = "?uploadType=multipart") -> Ask:
        parameter = f'"{self.boundary}"' if self.quoted else self.boundary
        return upload(self.body(), query, f"Content-Type: multipart/related; boundary={parameter}", *headers)

    def body(self) -> bytes:
        mark = b"--" + self.boundary.encode()
        parts = [self.part(self.json_head, self.metadata), self.part(self.media_head, self.media)]
        opened = b"".join(mark + self.end + part + self.end for part in parts)
        return self.preamble + opened + mark + b"--" + self.last

    def part(self, head: tuple[str, ...], body: bytes) -> bytes:
        return self.end.join([*(line.encode() for line in head), b"", body])


BASE64 = ("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64")
CLIENTS: Mapping[str, Ask] = {
    "Python: quoted boundary, LF, MIME-Version": Multipart(
        boundary="===============7330845974216740156==",
        quoted=True,
        end=b"\n",
        last=b"\n",
        json_head=("Content-Type: application/json", "MIME-Version: 1.0"),
        media_head=("Content-Type: message/rfc822", "MIME-Version: 1.0", "Content-Transfer-Encoding: binary"),
    ).ask(),
    "Node: chunked, lower case, no last line end": Multipart(
        boundary="8f0c2a52-6c2b-4c55-9d15-2f9a7f6c9c11",
        last=b"",
        json_head=("content-type: application/json",),
        media_head=("content-type: message/rfc822",),
    ).ask("Transfer-Encoding: chunked"),
    "Go: chunked, a long hexadecimal boundary": Multipart(boundary="a" * 60, metadata=b"{}\n").ask(
        "Transfer-Encoding: chunked", query="?alt=json&prettyPrint=false&uploadType=multipart"
    ),
    "PHP: digits, media in base64": Multipart(
        boundary="1234567890",
        json_head=("Content-Type: application/json; charset=UTF-8",),
        media_head=BASE64,
        media=base64.b64encode(CONTENT),
        last=b"",
    ).ask(),
    "Java: gzip, chunked, Content-Length in the parts": Multipart(
        boundary="__END_OF_PART__7f6c9c11__",
        json_head=(
            "Content-Length: 2",
            "Content-Type: application/json; charset=UTF-8",
            "content-transfer-encoding: binary",
        ),
        media_head=(
            f"Content-Length: {len(CONTENT)}",
            "Content-Type: message/rfc822",
            "content-transfer-encoding: binary",
        ),
    ).ask("Transfer-Encoding: chunked", "Content-Encoding: gzip"),
    "FlowCrypt: LF, both parts in base64": Multipart(
        boundary="the_boundary",
        end=b"\n",
        json_head=("Content-Type: application/json; charset=UTF-8", "Content-Transfer-Encoding: base64"),
        metadata=base64.b64encode(b"{}"),
        media_head=BASE64,
        media=base64.b64encode(CONTENT),
    ).ask(),
}


def in_gzip(ask: Ask) -> Ask:
    return ask.but(body=zipped(ask.body)) if "Content-Encoding: gzip" in ask.headers else ask


VARIED: Mapping[str, Ask] = {
    "base64 in lines": Multipart(media_head=BASE64, media=base64.encodebytes(CONTENT)).ask(),
    "BASE64": Multipart(
        media_head=(BASE64[0], "CONTENT-TRANSFER-ENCODING: BASE64"), media=base64.b64encode(CONTENT)
    ).ask(),
    "quoted-printable": Multipart(
        media_head=(BASE64[0], "Content-Transfer-Encoding: quoted-printable"),
        media=quopri.encodestring(CONTENT.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n"),
    ).ask(),
    "8bit": Multipart(media_head=(BASE64[0], "Content-Transfer-Encoding: 8bit")).ask(),
    "7bit": Multipart(media_head=(BASE64[0], "Content-Transfer-Encoding: 7bit")).ask(),
    "a preamble": Multipart(preamble=b"This is a message of many parts.\r\n").ask(),
    "an epilogue": Multipart(last=b"\r\nThis is behind it.\r\n").ask(),
    "the boundary before another parameter": upload(
        Multipart().body(),
        "?uploadType=multipart",
        'Content-Type: multipart/related; boundary=b; type="application/json"',
    ),
    "the boundary after another parameter": upload(
        Multipart().body(),
        "?uploadType=multipart",
        'Content-Type: multipart/related; type="application/json"; boundary="b"',
    ),
    "Boundary": upload(Multipart().body(), "?uploadType=multipart", "Content-Type: multipart/related; Boundary=b"),
    "Multipart/Related": upload(
        Multipart().body(), "?uploadType=multipart", "Content-Type: Multipart/Related; boundary=b"
    ),
    "upload_protocol=multipart": Multipart().ask(query="?upload_protocol=multipart"),
    "no uploadType": Multipart().ask(query=""),
    "the resumable address": Multipart().ask().but(target="/resumable" + UPLOAD + "?uploadType=multipart"),
    "a boundary of 70 characters": Multipart(boundary="b" * 70).ask(),
    "a boundary with spaces": Multipart(boundary="b b", quoted=True).ask(),
    "a boundary of punctuation": Multipart(boundary="'()+_,-./:=?", quoted=True).ask(),
    "the boundary's beginning in the content": Multipart(
        boundary="bound", media=CONTENT + b"--bou\r\n--\r\n"
    ).ask(),
    "metadata of no octets": Multipart(metadata=b"").ask(),
    "a folded part header": Multipart(media_head=("Content-Type:", " message/rfc822")).ask(),
    "an unknown part header": Multipart(
        media_head=("Content-Type: message/rfc822", "X-Own: 1", "Content-ID: <2>")
    ).ask(),
    "lower-case header names": Multipart(
        media_head=("content-type: message/rfc822", "content-transfer-encoding: binary")
    ).ask(),
}


def part_of(head: str, body: str) -> str:
    return f"--b\r\n{head}\r\n\r\n{body}\r\n"


META = part_of("Content-Type: application/json", "{}")
MEDIA = part_of("Content-Type: message/rfc822", CONTENT.decode())
MALFORMED = {
    "no boundary": (META + MEDIA + "--b--\r\n", "multipart/related"),
    "an empty boundary": (META + MEDIA + "--b--\r\n", "multipart/related; boundary="),
    "another boundary": (META + MEDIA + "--b--\r\n", "multipart/related; boundary=other"),
    "a boundary of 300 characters": ("--" + "b" * 300 + "--\r\n", "multipart/related; boundary=" + "b" * 300),
    "no octets": ("", "multipart/related; boundary=b"),
    "no parts": ("--b--\r\n", "multipart/related; boundary=b"),
    "one part": (META + "--b--\r\n", "multipart/related; boundary=b"),
    "three parts": (META + MEDIA + MEDIA + "--b--\r\n", "multipart/related; boundary=b"),
    "no end": (META + MEDIA, "multipart/related; boundary=b"),
    "cut in the media": (META + MEDIA[:40], "multipart/related; boundary=b"),
    "cut in a part's head": (META + "--b\r\nContent-Type: mess", "multipart/related; boundary=b"),
    "the media first": (MEDIA + META + "--b--\r\n", "multipart/related; boundary=b"),
    "a part without a head": ("--b\r\n{}\r\n" + MEDIA + "--b--\r\n", "multipart/related; boundary=b"),
    "media in broken base64": (
        META + part_of("\r\n".join(BASE64), "!!!!") + "--b--\r\n",
        "multipart/related; boundary=b",
    ),
    "an encoding that is not known": (
        META + part_of("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: x-uuencode", "x") + "--b--\r\n",
        "multipart/related; boundary=b",
    ),
    "ten thousand part headers": (
        META + part_of("Content-Type: message/rfc822" + "\r\nX: y" * 10_000, CONTENT.decode()) + "--b--\r\n",
        "multipart/related; boundary=b",
    ),
    "a message where parts should be": (CONTENT.decode(), "message/rfc822"),
}
NO_END = "Missing end boundary in multipart body."
NO_TYPE = "Bad content type.  Please use multipart."
SAID = {
    "a message where parts should be": NO_TYPE,
    "no parts": "Invalid multipart request with 0 mime parts.",
    "one part": "Invalid multipart request with 1 mime parts.",
    "no end": NO_END,
    "another boundary": NO_END,
    "no octets": NO_END,
    "cut in the media": NO_END,
    "cut in a part's head": NO_END,
}
MULTIPART = [
    *(
        shown("4.3", client, (in_gzip(ask), COMPACT if client.startswith("Go") else SENT), stored(CONTENT))
        for client, ask in CLIENTS.items()
    ),
    *(shown("4.3", f"multipart: {fact}", (ask, SENT), stored(CONTENT)) for fact, ask in VARIED.items()),
    *(
        row(
            "4.3",
            f"malformed: {fact}",
            upload(body.encode(), "?uploadType=multipart", f"Content-Type: {media_type}"),
            refused(SAID.get(fact, "Malformed multipart body."), "badRequest"),
        )
        for fact, (body, media_type) in MALFORMED.items()
    ),
    row(
        "4.3",
        "the metadata is no JSON",
        Multipart(metadata=b"nonsense").ask(),
        Want(400, holds=(b'"parseError"',)),
    ),
    row(
        "4.3",
        "the media is no message",
        Multipart(media_head=("Content-Type: text/plain",)).ask(),
        no_media("text/plain"),
    ),
    row("4.3", "the metadata names the thread", Multipart(metadata=IN_THREAD).ask(), JOINED),
    row(
        "4.3",
        "the metadata names the thread by its proto name",
        Multipart(metadata=b'{"thread_id":"{{message}}"}').ask(),
        JOINED,
    ),
    row("4.3", "the metadata names no thread", Multipart(metadata=b'{"threadId":"zzz"}').ask(), BAD_THREAD),
    row(
        "4.3",
        "the metadata names nobody's thread",
        Multipart(metadata=b'{"threadId":"18f85d2eb6adb232"}').ask(),
        NO_ENTITY,
    ),
    row("4.3", "the metadata has an unknown member", Multipart(metadata=b'{"foo":1}').ask(), unknown("foo")),
    shown(
        "4.3",
        "of raw and media, media wins",
        (Multipart(metadata=b'{"raw":"VG86IGNhcm9sQGV4YW1wbGUudGVzdAoK"}').ask(), SENT),
        stored(CONTENT),
    ),
    row("4.3", "media of no octets", Multipart(media=b"").ask(), NO_RAW),
    row("4.3", "no recipient", Multipart(media=letter("Subject: x")).ask(), NO_RECIPIENT),
    row("4.3", "no credential", Multipart().ask().without("authorization"), no_credential()),
]


# 4.4

RESUMABLE = "?uploadType=resumable"
SESSION = "{{url}}" + UPLOAD + "?uploadType=resumable&upload_id={{upload}}"
LARGE = CONTENT + (b"x" * 76 + b"\r\n") * 7000
assert 2 * CHUNK < len(LARGE) < 3 * CHUNK
TOTAL = len(LARGE)
EXACT = CONTENT + b"x" * (CHUNK - len(CONTENT) - 2) + b"\r\n"
OPENED = Want(
    200,
    b"",
    {
        "location": (SESSION,),
        "x-guploader-uploadid": ("{{upload}}",),
        "x-goog-upload-status": ("active",),
        "content-length": ("0",),
    },
)


def opened(body: bytes = b"", *headers: str, want: Want = OPENED, query: str = RESUMABLE) -> tuple[Ask, Want]:
    lines = ("Content-Type: application/json; charset=UTF-8",) if body else ()
    return upload(body, query).without("content-type").but(
        *lines, "X-Upload-Content-Type: message/rfc822", *headers
    ), want


def put(
    content_range: str, body: bytes = b"", want: Want = SENT, *headers: str, verb: str = "PUT"
) -> tuple[Ask, Want]:
    target = UPLOAD + "?uploadType=resumable&upload_id={{upload}}"
    lines = (f"Content-Range: {content_range}",) if content_range else ()
    return Ask(verb, target, (bearer(), *lines), body).but(*headers), want


def anonymous(step: tuple[Ask, Want]) -> tuple[Ask, Want]:
    ask, want = step
    return ask.without("authorization"), want


def incomplete(last: int | None) -> Want:
    """308, and what has come so far; never a Location (4.4)."""
    lines = (f"bytes=0-{last}",) if last is not None else ()
    return Want(308, b"", {"range": lines, "location": (), "content-length": ("0",)})


def incomplete_for_go(last: int | None) -> Want:
    lines = (f"bytes=0-{last}",) if last is not None else ()
    return Want(200, b"", {"range": lines, "x-http-status-code-override": ("308",)})


NO_308 = "X-GUploader-No-308: yes"
FIRST = put(f"bytes 0-{CHUNK - 1}/{TOTAL}", LARGE[:CHUNK], incomplete(CHUNK - 1))
SECOND = put(f"bytes {CHUNK}-{2 * CHUNK - 1}/{TOTAL}", LARGE[CHUNK : 2 * CHUNK], incomplete(2 * CHUNK - 1))
LAST = put(f"bytes {2 * CHUNK}-{TOTAL - 1}/{TOTAL}", LARGE[2 * CHUNK :], SENT)
ASK_TOTAL = f"bytes */{TOTAL}"
GONE = Want(404, headers=JSON)
STRANGE = UPLOAD + "?uploadType=resumable&upload_id=" + "A" * 43

LEGACY = [
    shown(
        "4.7",
        "the smallest whole dialogue",
        opened(IN_THREAD, f"X-Upload-Content-Length: {TOTAL}"),
        FIRST,
        put(ASK_TOTAL, b"", incomplete(CHUNK - 1)),
        put(f"bytes {CHUNK}-{TOTAL - 1}/{TOTAL}", LARGE[CHUNK:], JOINED),
        stored(LARGE),
    ),
    Row(
        "4.4",
        "the reason phrase of 308 is HTTP's own",
        (opened(), put("bytes */*", b"", replace(incomplete(None), reason="Permanent Redirect"))),
        differs="**The reason phrase of 308**",
    ),
    shown("4.4", "start, one PUT without a range", opened(), put("", CONTENT), stored(CONTENT)),
    shown(
        "4.4",
        "start, one PUT with a range",
        opened(),
        put(f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT),
        stored(CONTENT),
    ),
    shown("4.4", "start with a length", opened(b"", f"X-Upload-Content-Length: {len(CONTENT)}"), put("", CONTENT)),
    shown(
        "4.4",
        "start with an empty body and a type",
        opened(b"", "Content-Type: application/json"),
        put("", CONTENT),
    ),
    shown(
        "4.4",
        "start labelled as a form",
        opened(b"", "Content-Type: application/x-www-form-urlencoded"),
        put("", CONTENT),
    ),
    shown("4.4", "start with the body null", opened(b"null"), put("", CONTENT)),
    shown("4.4", "start with empty metadata", opened(b"{}"), put("", CONTENT)),
    shown(
        "4.4",
        "start without X-Upload-Content-Type",
        (opened(b"{}")[0].without("x-upload"), OPENED),
        put("", CONTENT),
    ),
    shown(
        "4.4",
        "start at the announced prefix",
        (
            opened()[0].but(target="/resumable" + UPLOAD + RESUMABLE),
            Want(200, b"", {"location": ("{{url}}{{any}}upload_id={{upload}}",)}),
        ),
        put("", CONTENT),
    ),
    shown(
        "4.4",
        "start with upload_protocol",
        opened(
            query="?upload_protocol=resumable",
            want=Want(200, b"", {"location": ("{{url}}{{any}}upload_id={{upload}}{{rest}}",)}),
        ),
    ),
    shown(
        "4.4",
        "start with alt=json beside",
        opened(
            query="?alt=json&uploadType=resumable",
            want=Want(200, b"", {"location": ("{{url}}{{any}}upload_id={{upload}}",)}),
        ),
        put("", CONTENT),
    ),
    shown("4.4", "the metadata names the thread", opened(IN_THREAD), put("", CONTENT, JOINED)),
    shown("4.4", "the metadata names no thread: at the start", opened(b'{"threadId":"zzz"}', want=BAD_THREAD)),
    shown("4.4", "the metadata has an unknown member: at the start", opened(b'{"foo":1}', want=unknown("foo"))),
    shown("4.4", "no credential at the start", (opened()[0].without("authorization"), no_credential())),
    shown(
        "4.4",
        "media that is no message: at the start",
        opened(b"", "X-Upload-Content-Type: image/png", want=Want(400, headers=JSON)),
    ),
    shown(
        "4.4",
        "too large: at the start",
        opened(b"", f"X-Upload-Content-Length: {MAX + 1}", want=Want(413, headers=JSON)),
    ),
    shown(
        "4.4",
        "somebody else's mailbox: at the start",
        (opened()[0].but(target=UPLOAD.replace("/me/", "/bob%40example.test/") + RESUMABLE), DENIED),
    ),
    shown(
        "4.4",
        "chunks of 256 KiB",
        opened(b"", f"X-Upload-Content-Length: {TOTAL}"),
        FIRST,
        SECOND,
        LAST,
        stored(LARGE),
    ),
    shown(
        "4.4",
        "chunks of an unknown total",
        opened(),
        put(f"bytes 0-{CHUNK - 1}/*", LARGE[:CHUNK], incomplete(CHUNK - 1)),
        put(f"bytes {CHUNK}-{TOTAL - 1}/{TOTAL}", LARGE[CHUNK:]),
        stored(LARGE),
    ),
    shown(
        "4.4", "the session URL authorises itself", opened(), anonymous(FIRST), anonymous(SECOND), anonymous(LAST)
    ),
    shown(
        "4.4",
        "another account's token does not match the session",
        opened(),
        (put("", CONTENT)[0].but("Authorization: Bearer {{bob}}"), Want(404, headers=JSON)),
    ),
    shown(
        "4.4",
        "chunked chunks",
        opened(),
        put(f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}", CONTENT, SENT, "Transfer-Encoding: chunked"),
    ),
    shown("4.4", "what has come: nothing yet", opened(), put(ASK_TOTAL, b"", incomplete(None))),
    shown("4.4", "what has come: bytes */*", opened(), FIRST, put("bytes */*", b"", incomplete(CHUNK - 1))),
    shown(
        "4.4",
        "what has come: bytes */N",
        opened(),
        FIRST,
        put(ASK_TOTAL, b"", incomplete(CHUNK - 1)),
        SECOND,
        LAST,
    ),
    shown(
        "4.4",
        "what has come: all of it, answered as the end was",
        opened(),
        FIRST,
        SECOND,
        LAST,
        put(ASK_TOTAL, b"", SENT),
    ),
    shown("4.4", "the last chunk twice is one message", opened(), FIRST, SECOND, LAST, LAST),
    shown("4.4", "a whole upload twice is one message", opened(), put("", CONTENT), put("", CONTENT)),
    shown("4.4", "a chunk twice is stored once", opened(), FIRST, FIRST, SECOND, LAST, stored(LARGE)),
    shown(
        "4.4",
        "an empty body finishes an exact multiple",
        opened(),
        put(f"bytes 0-{CHUNK - 1}/*", EXACT, incomplete(CHUNK - 1)),
        put(f"bytes */{CHUNK}", b"", SENT),
        stored(EXACT),
    ),
    shown(
        "4.4",
        "a gap is not stored",
        opened(),
        put(
            f"bytes {CHUNK}-{2 * CHUNK - 1}/{TOTAL}",
            LARGE[CHUNK : 2 * CHUNK],
            Want(308, b"", {"range": (), "location": ()}),
        ),
    ),
    shown(
        "4.4",
        "a total that shrinks below what has come",
        opened(),
        FIRST,
        put(f"bytes */{CHUNK - 1}", b"", Want(400, headers=JSON)),
    ),
    shown(
        "4.4",
        "a range that does not fit its body",
        opened(),
        put(f"bytes 0-99/{TOTAL}", LARGE[:CHUNK], Want(400, headers=JSON)),
    ),
    shown("4.4", "a range beyond its total", opened(), put("bytes 0-99/50", LARGE[:100], Want(400, headers=JSON))),
    *(
        shown("4.4", f"no range: {text}", opened(), put(text, CONTENT, Want(400, headers=JSON)))
        for text in (
            "bytes",
            "bytes 0-",
            "bytes 0-/10",
            "bytes -5/10",
            "bytes 5-2/10",
            "octets 0-9/10",
            "0-9/10",
            "bytes 0-9",
            "bytes a-b/c",
            "bytes 0-9/10, 20-29/40",
            "bytes 0-99999999999999999999999/*",
        )
    ),
    shown(
        "4.4",
        "too large: at the range",
        opened(),
        put(f"bytes 0-{CHUNK - 1}/{MAX + 1}", LARGE[:CHUNK], Want(413, headers=JSON)),
    ),
    shown("4.4", "a session that is not known", (put("", CONTENT)[0].but(target=STRANGE), GONE)),
    shown("4.4", "a refusal at the end", opened(), put("", letter("Subject: x"), NO_RECIPIENT)),
    shown(
        "4.4",
        "cancelled",
        opened(),
        FIRST,
        put("", b"", Want(499), "Content-Length: 0", verb="DELETE"),
        (SECOND[0], Want(499)),
    ),
    shown(
        "4.4",
        "Go: POST with No-308",
        opened(b"{}\n"),
        *(
            (ask.but(NO_308, verb="POST"), want)
            for ask, want in (
                put(f"bytes 0-{CHUNK - 1}/*", LARGE[:CHUNK], incomplete_for_go(CHUNK - 1)),
                put(
                    f"bytes {CHUNK}-{2 * CHUNK - 1}/*", LARGE[CHUNK : 2 * CHUNK], incomplete_for_go(2 * CHUNK - 1)
                ),
                put(f"bytes {2 * CHUNK}-{TOTAL - 1}/{TOTAL}", LARGE[2 * CHUNK :], SENT),
            )
        ),
        stored(LARGE),
    ),
    shown(
        "4.4",
        "Go: an exact multiple",
        opened(b"{}\n"),
        *(
            (ask.but(NO_308, verb="POST"), want)
            for ask, want in (
                put(f"bytes 0-{CHUNK - 1}/*", EXACT, incomplete_for_go(CHUNK - 1)),
                put(f"bytes */{CHUNK}", b"", SENT),
            )
        ),
        stored(EXACT),
    ),
    shown(
        "4.4",
        "Go: what has come",
        opened(),
        (put("bytes */*")[0].but(NO_308, verb="POST"), incomplete_for_go(None)),
    ),
    shown(
        "4.4",
        "what the start asks of the answer holds at the end",
        opened(
            query="?uploadType=resumable&fields=id", want=Want(200, b"", {"location": ("{{url}}{{session}}",)})
        ),
        (Ask("PUT", "{{session}}", (bearer(),), CONTENT), ok({"id": "{{id}}"})),
    ),
    shown(
        "4.4",
        "the start's address takes gzip, whose Content-Range counts what is inside",
        opened(),
        put(f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}", zipped(CONTENT), SENT, "Content-Encoding: gzip"),
        stored(CONTENT),
    ),
]


# 4.5

SCOTTY = "X-Goog-Upload-Protocol: resumable"
STARTED = Want(
    200,
    b"",
    {
        "x-goog-upload-status": ("active",),
        "x-goog-upload-url": ("{{url}}" + UPLOAD + "?{{any}}upload_id={{upload}}{{rest}}",),
        "x-goog-upload-control-url": ("{{control}}",),
        "x-goog-upload-chunk-granularity": (str(CHUNK),),
        "x-guploader-uploadid": ("{{upload}}",),
    },
)
FINAL = SENT.also(x_goog_upload_status="final")


def start(*headers: str, body: bytes = b"", query: str = "?", want: Want = STARTED) -> tuple[Ask, Want]:
    lines = (SCOTTY, "X-Goog-Upload-Command: start", "X-Goog-Upload-Header-Content-Type: message/rfc822")
    form = "Content-Type: application/x-www-form-urlencoded" if not body else "Content-Type: application/json"
    return upload(body, query).without("content-type").but(*lines, form, *headers), want


def command(words: str, offset: int | None = None, body: bytes = b"", want: Want = FINAL) -> tuple[Ask, Want]:
    at = () if offset is None else (f"X-Goog-Upload-Offset: {offset}",)
    target = UPLOAD + "?upload_id={{upload}}&upload_protocol=resumable"
    return Ask("POST", target, (bearer(), f"X-Goog-Upload-Command: {words}", *at), body), want


ACTIVE = Want(200, b"", {"x-goog-upload-status": ("active",)})


def received(size: int, status: str = "active") -> Want:
    return Want(200, headers={"x-goog-upload-status": (status,), "x-goog-upload-size-received": (str(size),)})


RUBY = [
    shown(
        "4.5",
        "Ruby: start, then upload and finalize at once",
        start(f"X-Goog-Upload-Header-Content-Length: {len(CONTENT)}"),
        command("upload, finalize", 0, CONTENT),
        stored(CONTENT),
    ),
    shown(
        "4.5",
        "start by the query",
        (start(query="?upload_protocol=resumable")[0].without("x-goog-upload-protocol"), STARTED),
    ),
    shown(
        "4.5",
        "start with metadata",
        start(body=IN_THREAD),
        command("upload, finalize", 0, CONTENT, JOINED.also(x_goog_upload_status="final")),
    ),
    shown(
        "4.5",
        "chunks, and the last finalizes",
        start(),
        command("upload", 0, LARGE[:CHUNK], ACTIVE),
        command("upload", CHUNK, LARGE[CHUNK : 2 * CHUNK], ACTIVE),
        command("upload, finalize", 2 * CHUNK, LARGE[2 * CHUNK :]),
        stored(LARGE),
    ),
    shown(
        "4.5", "finalize alone", start(), command("upload", 0, EXACT, ACTIVE), command("finalize"), stored(EXACT)
    ),
    shown("4.5", "commands without a space", start(), command("upload,finalize", 0, CONTENT)),
    shown("4.5", "commands in another case", start(), command("Upload, Finalize", 0, CONTENT)),
    shown("4.5", "query: nothing yet", start(), command("query", want=received(0))),
    shown(
        "4.5",
        "query: half",
        start(),
        command("upload", 0, LARGE[:CHUNK], ACTIVE),
        command("query", want=received(CHUNK)),
    ),
    shown(
        "4.5",
        "query: the end",
        start(),
        command("upload, finalize", 0, CONTENT),
        command("query", want=Want(200, headers={"x-goog-upload-status": ("final",)})),
    ),
    shown(
        "4.5",
        "cancel",
        start(),
        command("upload", 0, LARGE[:CHUNK], ACTIVE),
        command("cancel", want=Want(200, headers={"x-goog-upload-status": ("cancelled",)})),
    ),
    shown(
        "4.5",
        "query of what was cancelled",
        start(),
        command("cancel", want=Want(200, headers={"x-goog-upload-status": ("cancelled",)})),
        command("query", want=Want(200, headers={"x-goog-upload-status": ("cancelled",)})),
    ),
    shown(
        "4.5",
        "what leaves a gap is not stored",
        start(),
        command("upload", CHUNK, LARGE[:CHUNK], ACTIVE),
        command("query", want=received(0)),
    ),
    shown(
        "4.5",
        "an offset that is no number",
        start(),
        (command("upload", 0, CONTENT)[0].but("X-Goog-Upload-Offset: one"), Want(400, headers=JSON)),
    ),
    shown("4.5", "a command that is none", start(), command("dance", want=Want(400, headers=JSON))),
    shown(
        "4.5",
        "a session that is not known",
        (command("upload, finalize", 0, CONTENT)[0].but(target=STRANGE), GONE),
    ),
    shown(
        "4.5",
        "finalized twice is one message",
        start(),
        command("upload, finalize", 0, CONTENT),
        command("upload, finalize", 0, CONTENT),
    ),
    shown(
        "4.5",
        "a refusal at the end",
        start(),
        command("upload, finalize", 0, letter("Subject: x"), NO_RECIPIENT),
    ),
    shown("4.5", "one session, both dialects", start(), put("", CONTENT)),
]

ROWS: list[Row] = [*SIMPLE, *MULTIPART, *LEGACY, *RUBY]
