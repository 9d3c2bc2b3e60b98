"""How each refusal looks on the wire (gmail-wire.md section 6): one table, one function that builds the body."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from postroad import refusals
from postroad.refusals import Refusal
from postroad.web.methods import Method
from postroad.web.responses import Response, json_response

_REALM = 'Bearer realm="https://accounts.google.com/"'
_SERVICE = "gmail.googleapis.com"
# What Google appends to the two 401 texts.
_EXPECTED = (
    " Expected OAuth 2 access token, login cookie or other valid authentication credential."
    " See https://developers.google.com/identity/sign-in/web/devconsole-project."
)

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "INVALID_ARGUMENT",
    413: "INVALID_ARGUMENT",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Wire:
    """A refusal on the wire. `error` is the text of `errors[0]` where it differs from the message.

    `domain` "" leaves that member out, as Google does for requests it could not parse.
    """

    code: int
    reason: str
    domain: str = "global"
    tail: str = ""
    error: str = ""
    location: bool = False
    details: "Details | None" = None


Details = Callable[[Refusal, Method | None], list[dict[str, Any]]]


def _error_info(reason: str) -> Details:
    def details(_refusal: Refusal, method: Method | None) -> list[dict[str, Any]]:
        rpc = {"method": f"caribou.api.proto.MailboxService.{method.rpc}"} if method else {}
        return [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason,
                "domain": "googleapis.com",
                "metadata": rpc | {"service": _SERVICE},
            }
        ]

    return details


def _bad_request(field: str) -> Details:
    """Names `field`, or the one that the refusal itself names."""

    def details(refusal: Refusal, _method: Method | None) -> list[dict[str, Any]]:
        named = refusal.fields.get("field", field)
        violation = ({"field": named} if named else {}) | {"description": str(refusal)}
        return [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]

    return details


_INVALID = Wire(400, "invalidArgument")
_UNAVAILABLE = Wire(503, "backendError")
_INTERNAL = Wire(500, "backendError")

_WIRE: dict[type[Refusal], Wire] = {
    refusals.CredentialMissing: Wire(
        401,
        "required",
        tail=_EXPECTED,
        error="Login Required.",
        location=True,
        details=_error_info("CREDENTIALS_MISSING"),
    ),
    refusals.CredentialInvalid: Wire(401, "authError", tail=_EXPECTED, error="Invalid Credentials", location=True),
    refusals.ScopeInsufficient: Wire(
        403,
        "insufficientPermissions",
        error="Insufficient Permission",
        details=_error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
    ),
    refusals.DelegationDenied: Wire(403, "forbidden"),
    refusals.RawMissing: _INVALID,
    refusals.RecipientMissing: _INVALID,
    refusals.InvalidHeader: _INVALID,
    refusals.InvalidMessage: _INVALID,
    refusals.TooManyRecipients: _INVALID,
    refusals.ThreadIdInvalid: _INVALID,
    refusals.IdInvalid: _INVALID,
    refusals.MaxResultsInvalid: _INVALID,
    refusals.BadBase64: Wire(400, "invalid", domain="", details=_bad_request("message.raw")),
    refusals.BadJSON: Wire(400, "parseError"),
    refusals.UnknownMember: Wire(400, "invalid", domain="", details=_bad_request("message")),
    refusals.NotAMessage: Wire(400, "invalid", domain="", details=_bad_request("")),
    refusals.WrongType: Wire(400, "invalid", domain="", details=_bad_request("message")),
    refusals.UnsupportedMediaType: Wire(400, "badRequest"),
    refusals.UnsupportedEncoding: Wire(400, "badRequest"),
    refusals.BodyTooLarge: Wire(413, "uploadTooLarge"),
    refusals.BodyTooSlow: Wire(408, "badRequest"),
    refusals.BodyCutShort: Wire(400, "badRequest"),
    refusals.NotFound: Wire(404, "notFound"),
    refusals.NotServed: Wire(400, "badRequest"),
    refusals.StorageUnhealthy: _UNAVAILABLE,
    refusals.Draining: _UNAVAILABLE,
}


def refused(refusal: Refusal, method: Method | None) -> Response:
    """The answer to a request that was refused."""
    wire = _WIRE[type(refusal)]
    error = _error(wire, str(refusal) + wire.tail)
    if wire.details:
        error["details"] = wire.details(refusal, method)
    return json_response({"error": error}, wire.code, _authenticate(refusal, method))


def broken() -> Response:
    """The answer when something failed that should not have."""
    return json_response({"error": _error(_INTERNAL, "Internal error encountered.")}, _INTERNAL.code)


def _error(wire: Wire, message: str) -> dict[str, Any]:
    return {
        "code": wire.code,
        "message": message,
        "errors": [_first_error(wire, message)],
        "status": _STATUS[wire.code],
    }


def _first_error(wire: Wire, message: str) -> dict[str, str]:
    first = {"message": wire.error or message}
    if wire.domain:
        first["domain"] = wire.domain
    first["reason"] = wire.reason
    if wire.location:
        first |= {"location": "Authorization", "locationType": "header"}
    return first


def _authenticate(refusal: Refusal, method: Method | None) -> tuple[tuple[bytes, bytes], ...]:
    """The WWW-Authenticate line of gmail-wire.md 6.4."""
    challenge = {
        refusals.CredentialMissing: _REALM,
        refusals.CredentialInvalid: f'{_REALM}, error="invalid_token"',
        refusals.ScopeInsufficient: (
            f'{_REALM}, error="insufficient_scope", scope="{" ".join(method.scopes if method else ())}"'
        ),
    }.get(type(refusal))
    return ((b"www-authenticate", challenge.encode()),) if challenge else ()


def not_found(path: str) -> Response:
    """The page Google's front end answers with when no method has this path and verb (gmail-wire.md 1.4)."""
    page = (
        "<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n"
        "<title>Error 404 (Not Found)!!1</title>\n"
        "<p><b>404.</b> <ins>That's an error.</ins>\n"
        f"<p>The requested URL <code>{escape(path)}</code> was not found on this server.\n"
    )
    return Response(404, (b"text/html; charset=UTF-8"), page.encode())
