"""Errors on the wire, to the byte (gmail-wire.md section 6)."""

import json

import pytest

from postroad import refusals
from postroad.refusals import Refusal, Violation
from postroad.web import errors
from postroad.web.methods import GET, SEND

SENT_FIRST = """\
{
  "error": {
    "code": %d,
    "message": "%s",
    "errors": [
      {
        "message": "%s",
"""


def simple(code: int, message: str, reason: str, status: str) -> str:
    """The template of an error without details."""
    return (
        SENT_FIRST % (code, message, message)
        + f"""\
        "domain": "global",
        "reason": "{reason}"
      }}
    ],
    "status": "{status}"
  }}
}}
"""
    )


def invalid(message: str) -> str:
    return simple(400, message, "invalidArgument", "INVALID_ARGUMENT")


def violated(*violations: tuple[str, str]) -> str:
    """The template of a request that could not be bound: no domain, and each violation with its field."""
    message = r"\n".join(description for _, description in violations)
    shown = ",\n".join(
        "          {\n"
        + (f'            "field": "{field}",\n' if field else "")
        + f'            "description": "{description}"\n          }}'
        for field, description in violations
    )
    return (
        SENT_FIRST % (400, message, message)
        + f"""\
        "reason": "invalid"
      }}
    ],
    "status": "INVALID_ARGUMENT",
    "details": [
      {{
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [
{shown}
        ]
      }}
    ]
  }}
}}
"""
    )


USER_LIMIT = "'Units per minute per user'"
PROJECT_LIMIT = "'Units per minute'"


def over_quota(code: int, limit: str, status: str) -> str:
    message = f"Quota exceeded for quota metric 'Total Query Cost' and limit {limit}"
    return (
        SENT_FIRST % (code, message, message)
        + f"""\
        "domain": "usageLimits",
        "reason": "rateLimitExceeded"
      }}
    ],
    "status": "{status}",
    "details": [
      {{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {{
          "method": "caribou.api.proto.MailboxService.SendMessage",
          "service": "gmail.googleapis.com"
        }}
      }}
    ]
  }}
}}
"""
    )


CREDENTIAL_MISSING = """\
{
  "error": {
    "code": 401,
    "message": "Request is missing required authentication credential. Expected OAuth 2 access token, \
login cookie or other valid authentication credential. \
See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    "errors": [
      {
        "message": "Login Required.",
        "domain": "global",
        "reason": "required",
        "location": "Authorization",
        "locationType": "header"
      }
    ],
    "status": "UNAUTHENTICATED",
    "details": [
      {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "CREDENTIALS_MISSING",
        "domain": "googleapis.com",
        "metadata": {
          "method": "caribou.api.proto.MailboxService.SendMessage",
          "service": "gmail.googleapis.com"
        }
      }
    ]
  }
}
"""

CREDENTIAL_INVALID = """\
{
  "error": {
    "code": 401,
    "message": "Request had invalid authentication credentials. Expected OAuth 2 access token, \
login cookie or other valid authentication credential. \
See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    "errors": [
      {
        "message": "Invalid Credentials",
        "domain": "global",
        "reason": "authError",
        "location": "Authorization",
        "locationType": "header"
      }
    ],
    "status": "UNAUTHENTICATED"
  }
}
"""

SCOPE_INSUFFICIENT = """\
{
  "error": {
    "code": 403,
    "message": "Request had insufficient authentication scopes.",
    "errors": [
      {
        "message": "Insufficient Permission",
        "domain": "global",
        "reason": "insufficientPermissions"
      }
    ],
    "status": "PERMISSION_DENIED",
    "details": [
      {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "domain": "googleapis.com",
        "metadata": {
          "method": "caribou.api.proto.MailboxService.SendMessage",
          "service": "gmail.googleapis.com"
        }
      }
    ]
  }
}
"""

API_KEY_ALONE = CREDENTIAL_MISSING.replace(
    CREDENTIAL_MISSING.split('"')[7],
    "API keys are not supported by this API. Expected OAuth2 access token or other authentication credentials "
    "that assert a principal. See https://cloud.google.com/docs/authentication",
)

RAW_MISSING = "'raw' RFC822 payload message string or uploading message via /upload/* URL required"
NO_JSON = "Invalid JSON payload received. "
NO_BASE64 = "Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed for "
UNKNOWN_FOO = NO_JSON + "Unknown name \"foo\" at 'message': Cannot find field."
UNAVAILABLE = simple(503, "The service is currently unavailable.", "backendError", "UNAVAILABLE")

MASK_INVALID = """\
{
  "error": {
    "code": 400,
    "message": "Request contains an invalid argument.",
    "errors": [
      {
        "message": "Request contains an invalid argument.",
        "domain": "global",
        "reason": "badRequest"
      }
    ],
    "status": "INVALID_ARGUMENT",
    "details": [
      {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [
          {
            "field": "id,foo",
            "description": "Error expanding 'fields' parameter. Cannot find matching fields for path 'foo'."
          }
        ]
      }
    ]
  }
}
"""
NO_FOO = "Error expanding 'fields' parameter. Cannot find matching fields for path 'foo'."
ILLEGAL_XGAFV = "Invalid query parameters. Invalid value '9' for system query parameter : $.xgafv"
ILLEGAL_CALLBACK = (
    "Invalid JSONP callback name: 'a-b'; only alphabet, number, '_', '$', '.', '[' and ']' are allowed."
)


def bad(message: str) -> str:
    return simple(400, message, "badRequest", "INVALID_ARGUMENT")


GOLDEN = {
    refusals.SystemParameterInvalid(value="9", name="$.xgafv"): bad(ILLEGAL_XGAFV),
    refusals.CallbackInvalid(name="a-b"): bad(ILLEGAL_CALLBACK),
    refusals.TooManyParameters(limit=100): bad("Invalid query parameters. There are more than 100 of them."),
    refusals.FormatUnsupported(format="media"): bad(
        r"Unsupported alt type \"media\" for non byte stream request."
    ),
    refusals.FormatInvalid(format="sse"): bad(r"Invalid value \"sse\" for query parameter 'alt'"),
    refusals.MaskInvalid([Violation("id,foo", NO_FOO)]): MASK_INVALID,
    refusals.CredentialMissing(): CREDENTIAL_MISSING,
    refusals.KeyIsNoCredential(): API_KEY_ALONE,
    refusals.CredentialInvalid(): CREDENTIAL_INVALID,
    refusals.ScopeInsufficient(): SCOPE_INSUFFICIENT,
    refusals.MetadataOnly(format="FULL"): simple(
        403, "Metadata scope doesn't allow format FULL", "forbidden", "PERMISSION_DENIED"
    ),
    refusals.DelegationDenied(address="alice@example.test"): simple(
        403, "Delegation denied for alice@example.test", "forbidden", "PERMISSION_DENIED"
    ),
    refusals.RawMissing(): invalid(RAW_MISSING),
    refusals.RecipientMissing(): invalid("Recipient address required"),
    refusals.InvalidHeader(name="To"): invalid("Invalid To header"),
    refusals.InvalidHeader(name="Cc"): invalid("Invalid Cc header"),
    refusals.InvalidHeader(name="From"): invalid("Invalid From header"),
    refusals.InvalidMessage(problem="it holds a NUL octet"): invalid("Invalid message: it holds a NUL octet"),
    refusals.TooManyRecipients(count=501, limit=500): invalid(
        "Too many recipients: 501 distinct addresses, the limit is 500"
    ),
    refusals.ThreadIdInvalid(): invalid("Invalid thread_id value"),
    refusals.IdInvalid(): invalid("Invalid id value"),
    refusals.AttachmentInvalid(): invalid("Invalid attachment token"),
    refusals.MaxResultsInvalid(): invalid("Invalid maxResults"),
    refusals.FieldsInvalid(
        [Violation("message", UNKNOWN_FOO), Violation("message.raw", NO_BASE64 + '"Q!"')]
    ): violated(
        ("message", UNKNOWN_FOO.replace('"', r"\"")),
        ("message.raw", NO_BASE64 + r"\"Q!\""),
    ),
    refusals.FieldsInvalid([Violation("", "Root element must be a message.")]): violated(
        ("", "Root element must be a message.")
    ),
    refusals.BadJSON(problem="It is not UTF-8."): simple(
        400, NO_JSON + "It is not UTF-8.", "parseError", "INVALID_ARGUMENT"
    ),
    refusals.UnsupportedMediaType(media_type="text/plain"): simple(
        400,
        "Media type 'text/plain' is not supported. Valid media types: [message/rfc822]",
        "badRequest",
        "INVALID_ARGUMENT",
    ),
    refusals.UnsupportedEncoding(encoding="br"): simple(
        400, "Content-Encoding 'br' is not supported.", "badRequest", "INVALID_ARGUMENT"
    ),
    refusals.BodyTooLarge(limit=1048576): simple(
        413, "Request payload size exceeds the limit: 1048576 bytes.", "uploadTooLarge", "INVALID_ARGUMENT"
    ),
    refusals.BodyTooSlow(): simple(
        408, "The request body did not arrive in time.", "badRequest", "INVALID_ARGUMENT"
    ),
    refusals.BadCompression("the gzip stream ends early"): bad("The request body is not valid gzip."),
    refusals.MemoryTaken("body_memory: no room within 30 s"): UNAVAILABLE,
    refusals.BodyCutShort(): simple(
        400, "The request body ended before it was complete.", "badRequest", "INVALID_ARGUMENT"
    ),
    refusals.MalformedMultipart(problem="Missing end boundary in multipart body."): simple(
        400, "Missing end boundary in multipart body.", "badRequest", "INVALID_ARGUMENT"
    ),
    refusals.UploadInvalid(problem="Invalid Content-Range."): simple(
        400, "Invalid Content-Range.", "badRequest", "INVALID_ARGUMENT"
    ),
    refusals.UploadCancelled(): simple(499, "The upload was cancelled.", "cancelled", "CANCELLED"),
    refusals.TooManyUploads(): simple(
        429, "Too many concurrent requests for user", "rateLimitExceeded", "RESOURCE_EXHAUSTED"
    ),
    refusals.BatchMalformed(problem="The batch holds no request."): simple(
        400,
        "Failed to parse batch request, error: The batch holds no request.",
        "badRequest",
        "INVALID_ARGUMENT",
    ),
    refusals.TooManyCalls(count=250, limit=100): simple(
        400,
        "Inner request count exceeds the limit. Received: 250, Limit: 100",
        "badRequest",
        "INVALID_ARGUMENT",
    ),
    refusals.NotInBatch(): simple(
        400, "Operation is not implemented, or supported, or enabled.", "badRequest", "INVALID_ARGUMENT"
    ),
    refusals.AnswersTooLarge(): simple(
        403, "Response too large to return.", "responseTooLarge", "PERMISSION_DENIED"
    ),
    refusals.UserQuotaExceeded(limit=USER_LIMIT): over_quota(429, USER_LIMIT, "RESOURCE_EXHAUSTED"),
    refusals.ProjectQuotaExceeded(limit=PROJECT_LIMIT): over_quota(403, PROJECT_LIMIT, "PERMISSION_DENIED"),
    refusals.NotAForm(problem="it holds a NUL"): simple(
        400, "The request is not a form: it holds a NUL", "badRequest", "INVALID_ARGUMENT"
    ),
    refusals.MailboxMissing(): simple(
        400, "Precondition check failed.", "failedPrecondition", "FAILED_PRECONDITION"
    ),
    refusals.NotFound(): simple(404, "Requested entity was not found.", "notFound", "NOT_FOUND"),
    refusals.MetadataSearch(): simple(
        403, "Metadata scope does not support 'q' parameter", "forbidden", "PERMISSION_DENIED"
    ),
    refusals.NotServed(what="format=full"): simple(
        400, "format=full is not served by this version.", "badRequest", "INVALID_ARGUMENT"
    ),
    refusals.StorageUnhealthy("storage failed: disk I/O error"): UNAVAILABLE,
    refusals.Draining("the server is stopping"): UNAVAILABLE,
}


@pytest.mark.parametrize(
    ("refusal", "golden"), GOLDEN.items(), ids=lambda one: type(one).__name__ if isinstance(one, Refusal) else ""
)
def test_every_refusal_has_its_bytes(refusal, golden):
    """A refusal's body is Google's to the byte: order of members, two spaces, a line feed at the end."""
    response = errors.refused(refusal, SEND)
    assert response.body.decode() == golden
    assert response.code == json.loads(golden)["error"]["code"]
    assert response.media_type == b"application/json; charset=UTF-8"


def subclasses(base: type) -> set[type]:
    return {one for child in base.__subclasses__() for one in {child, *subclasses(child)}}


def test_every_refusal_has_a_row():
    """There is no refusal without a row in the table of the wire, nor without a golden body here."""
    ours = {one for one in subclasses(Refusal) if one.__module__ == refusals.__name__}
    assert errors._WIRE.keys() == ours
    assert {type(refusal) for refusal in GOLDEN} == ours


def test_every_code_has_a_status():
    """Each row's code has a name in google.rpc.Code."""
    assert {wire.code for wire in errors._WIRE.values()} | {500} == errors._STATUS.keys()


def test_a_bug_is_an_internal_error():
    """What failed that should not have is answered 500 with nothing of the cause."""
    response = errors.broken()
    assert response.code == 500
    assert response.body.decode() == simple(500, "Internal error encountered.", "backendError", "INTERNAL")


def test_errors_of_version_two_have_no_list():
    """Without its list an error is the same for the rest, a bug's too (gmail-wire.md 2.3)."""
    for plain, without in (
        (errors.refused(refusals.IdInvalid(), GET), errors.refused(refusals.IdInvalid(), GET, listed=False)),
        (errors.broken(), errors.broken(listed=False)),
    ):
        members = json.loads(plain.body)["error"]
        del members["errors"]
        assert json.loads(without.body)["error"] == members


def test_another_method_is_named_in_the_details():
    """The error details name the method that was called, by Google's name for it."""
    body = json.loads(errors.refused(refusals.ScopeInsufficient(), GET).body)
    assert body["error"]["details"][0]["metadata"]["method"] == "caribou.api.proto.MailboxService.GetMessage"


REALM = 'Bearer realm="https://accounts.google.com/"'
SEND_SCOPES = (
    "https://mail.google.com/ https://www.googleapis.com/auth/gmail.addons.current.action.compose "
    "https://www.googleapis.com/auth/gmail.compose https://www.googleapis.com/auth/gmail.modify "
    "https://www.googleapis.com/auth/gmail.send"
)
CHALLENGES = {
    refusals.CredentialMissing: REALM,
    refusals.KeyIsNoCredential: REALM,
    refusals.CredentialInvalid: f'{REALM}, error="invalid_token"',
    refusals.ScopeInsufficient: f'{REALM}, error="insufficient_scope", scope="{SEND_SCOPES}"',
}


@pytest.mark.parametrize("refusal", GOLDEN, ids=lambda one: type(one).__name__)
def test_who_may_not_is_told_how(refusal):
    """WWW-Authenticate stands on the refusals of a credential, as section 6.4 has it, and on no others."""
    challenge = CHALLENGES.get(type(refusal))
    expected = ((b"www-authenticate", challenge.encode()),) if challenge else ()
    assert errors.refused(refusal, SEND).headers == expected


def test_the_address_page_escapes_the_path():
    """The 404 page of an unknown address shows the path as text, whatever it holds."""
    response = errors.not_found('/<script>alert("1")</script>&\'ä')
    assert (response.code, response.media_type) == (404, b"text/html; charset=UTF-8")
    page = response.body.decode()
    assert "<title>Error 404 (Not Found)!!1</title>" in page
    assert "<code>/&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#x27;ä</code>" in page
    assert "<script>" not in page


def test_a_refusal_that_knows_says_when_to_come_back():
    """In seconds, which Google tells nobody; every other refusal says nothing of it."""
    refusal = refusals.UserQuotaExceeded(limit=USER_LIMIT, retry_after=7)
    assert (b"retry-after", b"7") in errors.refused(refusal, SEND).headers
    assert b"retry-after" not in dict(errors.refused(refusals.Draining(), SEND).headers)


def test_a_request_for_no_host_gets_a_page_and_ends_its_connection():
    """It looks as Google's front end tells it, and nobody goes on where the next request may be another's."""
    response = errors.malformed()
    assert (response.code, response.media_type) == (400, b"text/html; charset=UTF-8")
    assert b"<title>Error 400 (Bad Request)!!1</title>" in response.body
    assert (b"connection", b"close") in response.headers
