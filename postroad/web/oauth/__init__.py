"""OAuth over HTTP: a table of addresses, and how a request to one of them is answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from postroad import maillog
from postroad.oauth.errors import OAuthError
from postroad.refusals import Refusal
from postroad.web import errors
from postroad.web.oauth import (
    answers,
    authorization,
    consent,
    device,
    identity,
    provider,
    revocation,
    sign_in,
    token,
    tokeninfo,
    upstream,
)
from postroad.web.oauth.context import OAuthContext
from postroad.web.requests import Request
from postroad.web.responses import Response

Answer = Callable[[Request, bytes, OAuthContext], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of OAuth: its verbs, and what answers them, given request, query and context.

    `for_programs`: answers in JSON, which pages of any origin may read; else it is a page for people, and heeds
    cookies.
    """

    verbs: tuple[str, ...]
    answer: Answer
    for_programs: bool = True


_AUTHORIZATION = Endpoint(("GET",), authorization.answer, for_programs=False)
_TOKEN = Endpoint(("POST",), token.answer)
_REVOKE = Endpoint(("POST",), revocation.answer)
_TOKEN_INFO = Endpoint(("GET", "POST"), tokeninfo.answer)
_OLD_TOKEN_INFO = Endpoint(("GET", "POST"), tokeninfo.answer_as_before)
_USER_INFO = Endpoint(("GET", "POST"), identity.user_info)
_OLD_USER_INFO = Endpoint(("GET", "POST"), identity.user_info_as_before)
_CONFIGURATION = Endpoint(("GET",), identity.configuration)

# Google's addresses, the present one first (gmail-wire.md 8.4). One that ends in `/*` is all right beneath it.
ENDPOINTS: dict[str, Endpoint] = {
    "/o/oauth2/v2/auth": _AUTHORIZATION,
    "/o/oauth2/v2/auth/*": _AUTHORIZATION,
    "/o/oauth2/auth": _AUTHORIZATION,
    sign_in.PATH: Endpoint(("POST",), sign_in.answer, for_programs=False),
    sign_in.OUT_PATH: Endpoint(("POST",), sign_in.answer_out, for_programs=False),
    consent.PATH: Endpoint(("POST",), consent.answer, for_programs=False),
    "/token": _TOKEN,
    "/oauth2/v4/token": _TOKEN,
    "/oauth2/v3/token": _TOKEN,
    "/o/oauth2/token": _TOKEN,
    "/revoke": _REVOKE,
    # Google's older libraries revoke by GET.
    "/o/oauth2/revoke": Endpoint(("GET", "POST"), revocation.answer),
    "/tokeninfo": _TOKEN_INFO,
    "/oauth2/v3/tokeninfo": _TOKEN_INFO,
    "/oauth2/v2/tokeninfo": _OLD_TOKEN_INFO,
    "/oauth2/v1/tokeninfo": _OLD_TOKEN_INFO,
    provider.BEGIN: Endpoint(("GET",), upstream.begin, for_programs=False),
    upstream.CALLBACK: Endpoint(("GET",), upstream.answer, for_programs=False),
    "/device/code": Endpoint(("POST",), device.begin),
    "/device": Endpoint(("GET", "POST"), device.answer, for_programs=False),
    "/v1/userinfo": _USER_INFO,
    "/oauth2/v3/userinfo": _USER_INFO,
    "/oauth2/v2/userinfo": _OLD_USER_INFO,
    "/oauth2/v1/userinfo": _OLD_USER_INFO,
    "/oauth2/v3/certs": Endpoint(("GET",), identity.key_set),
    "/oauth2/v1/certs": Endpoint(("GET",), identity.certificates),
    f"{identity.CERTIFICATES_OF}*": Endpoint(("GET",), identity.certificates_of),
    "/.well-known/openid-configuration": _CONFIGURATION,
    "/.well-known/oauth-authorization-server": _CONFIGURATION,
}


def endpoint_at(path: str) -> Endpoint | None:
    """What answers there, if anything does."""
    return ENDPOINTS.get(path) or ENDPOINTS.get(path[: path.rfind("/") + 1] + "*")


async def answer(endpoint: Endpoint, request: Request, query: bytes, context: OAuthContext) -> Response:
    """The endpoint's answer; an error becomes JSON here and only here, unless the endpoint has a page for it."""
    if request.verb not in endpoint.verbs:
        return errors.verb_not_allowed(request.verb, request.path, endpoint.verbs)
    try:
        return await endpoint.answer(request, query, context)
    except OAuthError as error:
        failed = error
    except Refusal as refusal:
        failed = _as_error(refusal)
    maillog.denied(failed.error, failed.why, request.path)
    return answers.refused(failed, request)


def _as_error(refusal: Refusal) -> OAuthError:
    """A refusal in the words of OAuth; Google's libraries know which to try again (gmail-wire.md 8.5)."""
    code = errors.code_of(refusal)
    word = "temporarily_unavailable" if code >= 500 else "invalid_request"
    return OAuthError(word, str(refusal), code=code, why=refusal.why)
