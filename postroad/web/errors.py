"""How each refusal looks on the wire (gmail-wire.md section 6): one table, one function that builds the body."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
_EXPECTED_OF_A_KEY = (
    " Expected OAuth2 access token or other authentication credentials that assert a principal."
    " See https://cloud.google.com/docs/authentication"
)
_PRINCIPAL = (
    " Expected OAuth2 access token or other authentication credentials that assert a principal."
    " See https://cloud.google.com/docs/authentication"
)

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "INVALID_ARGUMENT",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Wire:
    """A refusal on the wire. `error` is the text of `errors[0]` where it differs from the message.

    `domain` "" leaves that member out, as Google does for requests it could not parse. `status` "" is the code's.
    """

    code: int
    reason: str
    domain: str = "global"
    tail: str = ""
    error: str = ""
    location: bool = False
    details: "Details | None" = None
    status: str = ""


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


def _bad_request(refusal: Refusal, _method: Method | None) -> list[dict[str, Any]]:
    """One violation each; that of the root names no field."""
    violations = [
        ({"field": one.field} if one.field else {}) | {"description": one.description}
        for one in (refusal.violations if isinstance(refusal, refusals.FieldsInvalid) else ())
    ]
    return [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]


_RATE_LIMIT = _error_info("RATE_LIMIT_EXCEEDED")
_INVALID = Wire(400, "invalidArgument")
_NO_CREDENTIAL = Wire(
    401, "required", error="Login Required.", location=True, details=_error_info("CREDENTIALS_MISSING")
)
_UNAVAILABLE = Wire(503, "backendError")
_INTERNAL = Wire(500, "backendError")

_WIRE: dict[type[Refusal], Wire] = {
    refusals.CredentialMissing: replace(_NO_CREDENTIAL, tail=_EXPECTED),
    refusals.KeyIsNoCredential: replace(_NO_CREDENTIAL, tail=_PRINCIPAL),
    refusals.CredentialInvalid: Wire(401, "authError", tail=_EXPECTED, error="Invalid Credentials", location=True),
    refusals.ScopeInsufficient: Wire(
        403,
        "insufficientPermissions",
        error="Insufficient Permission",
        details=_error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
    ),
    refusals.MetadataOnly: Wire(403, "forbidden"),
    refusals.MetadataSearch: Wire(403, "forbidden"),
    refusals.DelegationDenied: Wire(403, "forbidden"),
    refusals.MailboxMissing: Wire(400, "failedPrecondition", status="FAILED_PRECONDITION"),
    refusals.RawMissing: _INVALID,
    refusals.RecipientMissing: _INVALID,
    refusals.InvalidHeader: _INVALID,
    refusals.InvalidMessage: _INVALID,
    refusals.TooManyRecipients: _INVALID,
    refusals.ThreadIdInvalid: _INVALID,
    refusals.IdInvalid: _INVALID,
    refusals.AttachmentInvalid: _INVALID,
    refusals.MaxResultsInvalid: _INVALID,
    refusals.BadJSON: Wire(400, "parseError"),
    refusals.FieldsInvalid: Wire(400, "invalid", domain="", details=_bad_request),
    refusals.MaskInvalid: Wire(400, "badRequest", details=_bad_request),
    refusals.SystemParameterInvalid: Wire(400, "badRequest"),
    refusals.CallbackInvalid: Wire(400, "badRequest"),
    refusals.TooManyParameters: Wire(400, "badRequest"),
    refusals.FormatUnsupported: Wire(400, "badRequest"),
    refusals.FormatInvalid: Wire(400, "badRequest"),
    refusals.UnsupportedMediaType: Wire(400, "badRequest"),
    refusals.UnsupportedEncoding: Wire(400, "badRequest"),
    refusals.BodyTooLarge: Wire(413, "uploadTooLarge"),
    refusals.BodyTooSlow: Wire(408, "badRequest"),
    refusals.BodyCutShort: Wire(400, "badRequest"),
    refusals.BadCompression: Wire(400, "badRequest"),
    refusals.NotAForm: Wire(400, "badRequest"),
    refusals.MalformedMultipart: Wire(400, "badRequest"),
    refusals.UploadInvalid: Wire(400, "badRequest"),
    refusals.UploadCancelled: Wire(499, "cancelled"),
    refusals.TooManyUploads: Wire(429, "rateLimitExceeded"),
    refusals.BatchMalformed: Wire(400, "badRequest"),
    refusals.TooManyCalls: Wire(400, "badRequest"),
    refusals.NotInBatch: Wire(400, "badRequest"),
    refusals.AnswersTooLarge: Wire(403, "responseTooLarge"),
    # 429 is what one user does too much, 403 what the project does (gmail-wire.md 6.2).
    refusals.UserQuotaExceeded: Wire(429, "rateLimitExceeded", domain="usageLimits", details=_RATE_LIMIT),
    refusals.ProjectQuotaExceeded: Wire(403, "rateLimitExceeded", domain="usageLimits", details=_RATE_LIMIT),
    refusals.NotFound: Wire(404, "notFound"),
    refusals.NotServed: Wire(400, "badRequest"),
    refusals.StorageUnhealthy: _UNAVAILABLE,
    refusals.MemoryTaken: _UNAVAILABLE,
    refusals.Draining: _UNAVAILABLE,
}


def refused(refusal: Refusal, method: Method | None, *, listed: bool = True) -> Response:
    """The answer to a request that was refused; `listed`: with the member `errors`."""
    wire = _WIRE[type(refusal)]
    error = _error(wire, str(refusal) + wire.tail, listed=listed)
    if wire.details:
        error["details"] = wire.details(refusal, method)
    return json_response({"error": error}, wire.code, _authenticate(refusal, method) + _retry_after(refusal))


def code_of(refusal: Refusal) -> int:
    """The HTTP status of that refusal."""
    return _WIRE[type(refusal)].code


def broken(*, listed: bool = True) -> Response:
    """The answer when something failed that should not have."""
    error = _error(_INTERNAL, "Internal error encountered.", listed=listed)
    return json_response({"error": error}, _INTERNAL.code)


def _error(wire: Wire, message: str, *, listed: bool) -> dict[str, Any]:
    errors = {"errors": [_first_error(wire, message)]} if listed else {}
    return {"code": wire.code, "message": message} | errors | {"status": wire.status or _STATUS[wire.code]}


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
        refusals.KeyIsNoCredential: _REALM,
        refusals.CredentialInvalid: f'{_REALM}, error="invalid_token"',
        refusals.ScopeInsufficient: (
            f'{_REALM}, error="insufficient_scope", scope="{" ".join(method.scopes if method else ())}"'
        ),
    }.get(type(refusal))
    return ((b"www-authenticate", challenge.encode()),) if challenge else ()


def _retry_after(refusal: Refusal) -> tuple[tuple[bytes, bytes], ...]:
    """When another try would do (RFC 9110 section 10.2.3): what Google's users ask for (gmail-wire.md 11)."""
    seconds = refusal.fields.get("retry_after")
    return ((b"retry-after", str(seconds).encode()),) if seconds is not None else ()


def not_found(path: str) -> Response:
    """The page Google's front end answers with when no method has this path and verb (gmail-wire.md 1.4)."""
    said = f"The requested URL <code>{escape(path)}</code> was not found on this server."
    return _page(404, "Not Found", said)


def verb_not_allowed(verb: str, path: str, allowed: Sequence[str]) -> Response:
    """The page for another verb than those of an address (RFC 9110 section 15.5.6)."""
    said = f"The request method <code>{escape(verb)}</code> is not one of <code>{escape(path)}</code>."
    page = _page(405, "Method Not Allowed", said)
    return replace(page, headers=((b"allow", ", ".join(allowed).encode()),))


def malformed() -> Response:
    """The page for a request that names no host, or two: nobody knows what it is for. Its connection ends."""
    page = _page(400, "Bad Request", "Your client has issued a malformed or illegal request.")
    return replace(page, headers=((b"connection", b"close"),))


def _page(code: int, reason: str, said: str) -> Response:
    page = (
        "<!DOCTYPE html>\n<html lang=en>\n<meta charset=utf-8>\n"
        f"<title>Error {code} ({reason})!!1</title>\n"
        f"<p><b>{code}.</b> <ins>That's an error.</ins>\n"
        f"<p>{said}\n"
    )
    return Response(code, (b"text/html; charset=UTF-8"), page.encode())
