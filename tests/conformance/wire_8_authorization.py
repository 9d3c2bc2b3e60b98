"""Section 8: scopes, and how a token is shown."""

from collections.abc import Mapping

from postroad.oauth.scopes import SCOPES
from tests.conformance.wire import (
    BAD_CREDENTIAL,
    FORM,
    LIST,
    SEND,
    SENT,
    Ask,
    Row,
    Want,
    error,
    get,
    letter,
    message,
    no_credential,
    no_scope,
    post,
    pretty,
    refused,
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


def shown_by(token: str) -> Ask:
    return shown(f"Authorization: Bearer {token}")


# 6.3: what a mailbox method says to whom has none.
NO_MAILBOX = error(
    400,
    "Precondition check failed.",
    {"domain": "global", "reason": "failedPrecondition"},
    status="FAILED_PRECONDITION",
)
# 8.5: what a token endpoint's answers have.
NOT_STORED = {
    "content-type": ("application/json; charset=utf-8",),
    "cache-control": ("no-cache, no-store, max-age=0, must-revalidate",),
    "pragma": ("no-cache",),
    "expires": ("Mon, 01 Jan 1990 00:00:00 GMT",),
}
CLIENT = {"client_id": "{{client}}", "client_secret": "{{secret}}"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "{{refresh}}", "scope": SCOPES["gmail.send"]}
REFRESHED = {
    "access_token": "{{access}}",
    "expires_in": 3599,
    "scope": SCOPES["gmail.send"],
    "token_type": "Bearer",
}
TOKEN_PATHS = ("/token", "/oauth2/v4/token", "/oauth2/v3/token", "/o/oauth2/token")
REVOKE_PATHS = ("/revoke", "/o/oauth2/revoke")
INFO_PATHS = ("/tokeninfo", "/oauth2/v3/tokeninfo")
OLD_INFO_PATHS = ("/oauth2/v1/tokeninfo", "/oauth2/v2/tokeninfo")


def form(path: str, fields: Mapping[str, str], *headers: str) -> Ask:
    """A form; its values are as they stand, but for what would end one."""
    body = "&".join(f"{name}={text.replace('+', '%2B').replace('&', '%26')}" for name, text in fields.items())
    return Ask("POST", path, (FORM, *headers), body.encode())


def told(value: object) -> Want:
    """200 and this JSON, which nobody keeps."""
    return Want(200, pretty(value), NOT_STORED)


def failed(error: str, description: str, code: int = 400) -> Want:
    """An error of OAuth (8.5)."""
    return Want(code, pretty({"error": error, "error_description": description}), NOT_STORED)


INVALID_TOKEN = failed("invalid_token", "Invalid Value")
# What the token endpoint refuses: the form, and the answer.
UNGRANTED = {
    "no grant_type": (CLIENT, failed("invalid_request", "Missing required parameter: grant_type")),
    "an unknown grant_type": (
        {"grant_type": "password"} | CLIENT,
        failed("unsupported_grant_type", "Invalid grant_type: password"),
    ),
    "no client": (REFRESH, failed("invalid_request", "Could not determine client ID from request.")),
    "an unknown client": (
        REFRESH | CLIENT | {"client_id": "x"},
        failed("invalid_client", "The OAuth client was not found.", 401),
    ),
    "a wrong secret": (REFRESH | CLIENT | {"client_secret": "x"}, failed("invalid_client", "Unauthorized", 401)),
    "no refresh token": (
        REFRESH | CLIENT | {"refresh_token": ""},
        failed("invalid_request", "Missing required parameter: refresh_token"),
    ),
}

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
        "gmail.metadata does not search",
        get(LIST + "?q=x", token="gmail.metadata"),
        refused("Metadata scope does not support 'q' parameter", "forbidden", 403),
    ),
    row("8.1", "gmail.metadata may leave q empty", get(LIST + "?q=", token="gmail.metadata"), Want(200)),
    row(
        "8.1",
        "nobody searches",
        get(LIST + "?q=x"),
        refused("A search (the parameter q) is not served by this version.", "badRequest"),
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
    *(
        row("8.4", f"the token endpoint at {path}", form(path, REFRESH | CLIENT), told(REFRESHED))
        for path in TOKEN_PATHS
    ),
    *(
        row("8.5", f"the token endpoint refuses {what}", form("/token", fields), want)
        for what, (fields, want) in UNGRANTED.items()
    ),
    row(
        "8.5",
        "a client that fails by Basic is told the scheme",
        form("/token", REFRESH, "Authorization: Basic eDp5"),
        failed("invalid_client", "The OAuth client was not found.", 401).also(
            www_authenticate='Basic realm="https://accounts.google.com/"'
        ),
    ),
    row(
        "8.5",
        "the token endpoint takes no JSON",
        Ask("POST", "/token", (JSON_TYPE,), b'{"grant_type":"refresh_token"}'),
        Want(400, headers=NOT_STORED, members={"error": "invalid_request"}),
    ),
    row(
        "8.5",
        "a parameter stands once",
        Ask("POST", "/token", (FORM,), b"grant_type=refresh_token&grant_type=refresh_token"),
        Want(400, headers=NOT_STORED, members={"error": "invalid_request"}),
    ),
    *(
        row("8.4", f"{path} is asked by POST", Ask("GET", path), Want(405, headers={"allow": ("POST",)}))
        for path in (*TOKEN_PATHS, "/revoke")
    ),
    Row(
        "8.4",
        "a token that was given sends",
        (
            (form("/token", REFRESH | CLIENT), told(REFRESHED)),
            (Ask("POST", SEND, ("Authorization: Bearer {{access}}", JSON_TYPE), message()), SENT),
        ),
    ),
    *(
        Row(
            "8.4",
            f"tokeninfo at {path}: {how}",
            (
                (form("/token", REFRESH | CLIENT), told(REFRESHED)),
                (
                    ask(path),
                    Want(
                        200,
                        headers=NOT_STORED,
                        members={
                            "azp": "{{client}}",
                            "aud": "{{client}}",
                            "scope": SCOPES["gmail.send"],
                            "access_type": "offline",
                            "email": None,
                        },
                    ),
                ),
            ),
        )
        for path in INFO_PATHS
        for how, ask in {
            "by GET": lambda path: Ask("GET", f"{path}?access_token={{{{access}}}}"),
            "by a form": lambda path: form(path, {"access_token": "{{access}}"}),
            "by POST with the token in the header": lambda path: Ask(
                "POST", path, ("Authorization: Bearer {{access}}", FORM)
            ),
        }.items()
    ),
    *(
        Row(
            "8.4",
            f"tokeninfo at {path} has its older form",
            (
                (form("/token", REFRESH | CLIENT), told(REFRESHED)),
                (
                    Ask("GET", f"{path}?access_token={{{{access}}}}"),
                    Want(
                        200,
                        members={"issued_to": "{{client}}", "audience": "{{client}}", "access_type": "offline"},
                    ),
                ),
            ),
        )
        for path in OLD_INFO_PATHS
    ),
    *(
        row("8.4", f"tokeninfo at {path}: {what}", Ask("GET", f"{path}?access_token={token}"), INVALID_TOKEN)
        for path in (*INFO_PATHS, *OLD_INFO_PATHS)
        for what, token in {"nobody's token": "ya29.x", "a disabled account's": "{{disabled}}"}.items()
    ),
    row(
        "8.4",
        "tokeninfo of nothing",
        Ask("GET", "/tokeninfo"),
        failed("invalid_request", "either access_token, id_token, or token_handle required"),
    ),
    *(
        row(
            "8.4",
            f"an unknown token is not revoked at {path}",
            form(path, {"token": "ya29.x"}),
            failed("invalid_token", "Token expired or revoked"),
        )
        for path in REVOKE_PATHS
    ),
    row(
        "8.4",
        "which token to revoke must be told",
        form("/revoke", {}),
        failed("invalid_request", "Missing required parameter: token"),
    ),
    *(
        row(
            "8.4",
            f"{path} is readable for pages of any origin",
            form(path, {}, "Origin: https://app.example.test"),
            Want(400, headers=NOT_STORED | {"access-control-allow-origin": ("https://app.example.test",)}),
        )
        for path in ("/token", "/revoke", "/tokeninfo")
    ),
    *(
        row("6.3", f"a service account for nobody, {how}: {what}", ask(token), NO_MAILBOX)
        for how, token in {"by a token": "{{robot}}", "by its own signature (8.6)": "{{jwt}}"}.items()
        for what, ask in {
            "a send": shown_by,
            "an upload": lambda token: upload(letter(), "", f"Authorization: Bearer {token}"),
        }.items()
    ),
    row(
        "6.3",
        "a service account for nobody, by its own signature (8.6): a list",
        Ask("GET", LIST, ("Authorization: Bearer {{jwt}}",)),
        NO_MAILBOX,
    ),
]
