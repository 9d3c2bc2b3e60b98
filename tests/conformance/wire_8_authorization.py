"""Section 8: scopes, and how a token is shown."""

from postroad.oauth.scopes import SCOPES
from tests.conformance.wire import (
    BAD_CREDENTIAL,
    LIST,
    SEND,
    SENT,
    Ask,
    Row,
    Want,
    get,
    letter,
    message,
    no_credential,
    no_scope,
    post,
    row,
    upload,
)
from tests.conformance.wire_6_errors import READ_SCOPES, SEND_SCOPES

MAY_SEND = (
    "mail.google.com",
    "gmail.addons.current.action.compose",
    "gmail.compose",
    "gmail.modify",
    "gmail.send",
)
MAY_LIST = ("mail.google.com", "gmail.metadata", "gmail.modify", "gmail.readonly")
MAY_GET = (
    "mail.google.com",
    "gmail.addons.current.message.action",
    "gmail.addons.current.message.metadata",
    "gmail.addons.current.message.readonly",
    "gmail.metadata",
    "gmail.modify",
    "gmail.readonly",
)
GET_SCOPES = tuple(SCOPES[name] for name in MAY_GET)
JSON_TYPE = "Content-Type: application/json"
TOKEN = "{{gmail.send}}"
SHOWN = {
    "Bearer": f"Authorization: Bearer {TOKEN}",
    "bearer": f"Authorization: bearer {TOKEN}",
    "BEARER": f"authorization: BEARER {TOKEN}",
    "two spaces": f"Authorization: Bearer  {TOKEN}",
}
NOT_SHOWN = {
    "Basic": "Authorization: Basic YTpi",
    "a token without a scheme": f"Authorization: {TOKEN}",
    "a scheme without a token": "Authorization: Bearer",
    "a scheme and a space": "Authorization: Bearer ",
    "OAuth": f"Authorization: OAuth {TOKEN}",
    "GoogleLogin": f"Authorization: GoogleLogin auth={TOKEN}",
    "no characters": "Authorization:",
}
NOT_KNOWN = {
    "nonsense": "nonsense",
    "another token's beginning": "ya29.",
    "a token cut short": TOKEN + "x",
    "octets beyond ASCII": "ÿÿ",
    "two tokens": f"{TOKEN} {TOKEN}",
    "a token in quotes": f'"{TOKEN}"',
    "100 000 characters short of a head's limit": "a" * 7000,
    "a JWT of nobody's": "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln",
    "an API key": "AIzaSyA",
}


def shown(line: str) -> Ask:
    return Ask("POST", SEND, (line, JSON_TYPE), message())


ROWS: list[Row] = [
    *(
        row(
            "8.2",
            f"messages.send with {name}",
            post(message(), "", f"Authorization: Bearer {{{{{name}}}}}"),
            SENT if name in MAY_SEND else no_scope("SendMessage", *SEND_SCOPES),
        )
        for name in SCOPES
    ),
    *(
        row(
            "8.2",
            f"messages.send by upload with {name}",
            upload(letter(), "", f"Authorization: Bearer {{{{{name}}}}}"),
            SENT if name in MAY_SEND else no_scope("SendMessage", *SEND_SCOPES),
        )
        for name in SCOPES
    ),
    *(
        row(
            "8.2",
            f"messages.list with {name}",
            get(LIST, token=name),
            Want(200) if name in MAY_LIST else no_scope("ListMessages", *READ_SCOPES),
        )
        for name in SCOPES
    ),
    *(
        row(
            "8.2",
            f"messages.get with {name}",
            get(LIST + "/{{own}}?format=minimal", token=name),
            Want(200) if name in MAY_GET else no_scope("GetMessage", *GET_SCOPES),
        )
        for name in SCOPES
    ),
    row(
        "8.1",
        "gmail.send cannot read what it sent",
        get(LIST + "/{{own}}?format=minimal", token="gmail.send"),
        no_scope("GetMessage", *GET_SCOPES),
    ),
    row(
        "8.1",
        "gmail.metadata does not read raw",
        get(LIST + "/{{own}}?format=raw", token="gmail.metadata"),
        Want(
            403,
            members={
                "error/message": "Metadata scope doesn't allow format RAW",
                "error/status": "PERMISSION_DENIED",
            },
        ),
    ),
    row(
        "8.1",
        "gmail.metadata does not read full",
        get(LIST + "/{{own}}?format=full", token="gmail.metadata"),
        Want(403, members={"error/message": "Metadata scope doesn't allow format FULL"}),
    ),
    row(
        "8.1",
        "nobody searches, nor does gmail.metadata",
        get(LIST + "?q=x", token="gmail.metadata"),
        Want(400, members={"error/message": "q is not served by this version."}),
        differs="a search (`q`) is refused",
    ),
    *(row("8.3", f"shown: {fact}", shown(line), SENT) for fact, line in SHOWN.items()),
    *(row("8.3", f"no credential: {fact}", shown(line), no_credential()) for fact, line in NOT_SHOWN.items()),
    *(
        row("8.3", f"a credential nobody has: {fact}", shown(f"Authorization: Bearer {text}"), BAD_CREDENTIAL)
        for fact, text in NOT_KNOWN.items()
    ),
    row(
        "8.3",
        "a token in the body is none",
        Ask("POST", SEND, ("Content-Type: application/x-www-form-urlencoded",), b"access_token={{gmail.send}}"),
        no_credential(),
    ),
    row("8.3", "a token in a cookie is none", shown(f"Cookie: access_token={TOKEN}"), no_credential()),
    row(
        "8.3",
        "a token in the query is none, even beside a header of another scheme",
        Ask("POST", SEND + f"?access_token={TOKEN}", ("Authorization: Basic YTpi",), message()),
        no_credential(),
        differs="**A token in the address**",
    ),
]
