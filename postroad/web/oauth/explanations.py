"""Errors on pages for people: what is wrong, in plain words, and what to do about it."""

from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import parse_qsl

from postroad import maillog
from postroad.oauth.errors import OAuthError, RedirectableError
from postroad.refusals import Refusal
from postroad.web import errors, pages
from postroad.web.oauth.context import OAuthContext
from postroad.web.requests import Request
from postroad.web.responses import Response

# Characters of a stranger's text that a page repeats.
_SHOWN = 300

Answer = Callable[[Request, bytes, OAuthContext], Awaitable[Response]]

_BY_THE_PROGRAM = "Whoever wrote the program can put this right; you have done nothing wrong."
_CURES = {
    "redirect_uri_mismatch": (
        "The address that the program wants you sent back to must be registered for it, character by character."
        " An administrator of this server sees what is registered with “postroad client list”, and registers the"
        " program anew with “postroad client add”."
    ),
    "invalid_client": (
        "An administrator of this server registers a program with “postroad client add”; the program has to use"
        " the client ID that this prints, or the JSON file that it writes."
    ),
    "form_refused": "Go back to the program that sent you here, and start from there again.",
}


def shown(answer: Answer) -> Answer:
    """The same endpoint, with errors on a page for a person, or told to the client by way of the browser."""

    @wraps(answer)
    async def answered(request: Request, query: bytes, context: OAuthContext) -> Response:
        try:
            return await answer(request, query, context)
        except RedirectableError as error:
            maillog.denied(error.error, error.why, request.path)
            return pages.see_other(error.redirect_to)
        except OAuthError as error:
            maillog.denied(error.error, error.why, request.path)
            return explained(error, query)
        except Refusal as refusal:
            maillog.refused(refusal, request.path)
            return _refused(refusal)

    return answered


def explained(error: OAuthError, query: bytes = b"") -> Response:
    """The page about an error that nobody else can be told: it never leads on by itself (RFC 6749 4.1.2.1)."""
    code = 400 if error.code == 401 else error.code  # nobody can sign in to make it better
    cure = _CURES.get(error.error, _BY_THE_PROGRAM)
    title = f"Error {code}: {error.error}"
    return pages.page(
        "message.html", code=code, title=title, paragraphs=(error.description, cure), detail=_detail(error, query)
    )


def _detail(error: OAuthError, query: bytes) -> str:
    """What was asked for and is not registered: as Google's page has it, for whoever mends the program."""
    if error.error != "redirect_uri_mismatch":
        return ""
    return f"redirect_uri={dict(parse_qsl(query.decode('latin-1'))).get('redirect_uri', '')[:_SHOWN]}"


def _refused(refusal: Refusal) -> Response:
    code = errors.code_of(refusal)
    cure = "Try again in a minute." if code >= 500 else _BY_THE_PROGRAM
    return pages.page("message.html", code=code, title=f"Error {code}", paragraphs=(str(refusal), cure), detail="")
