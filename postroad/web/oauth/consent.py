"""Consent: a person reads what a client asks for, and allows all of it, some of it, or nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import Connection

from postroad import maillog
from postroad.oauth import codes, consents, scopes, server
from postroad.oauth.authorization import AuthorizationRequest
from postroad.oauth.sign_ins import SignIn
from postroad.web import pages
from postroad.web.forms import Pairs, form_of, once, pairs
from postroad.web.oauth.browser import Browser, browser_of, refuse_foreign
from postroad.web.oauth.context import OAuthContext
from postroad.web.oauth.explanations import shown
from postroad.web.oauth.onward import MAX_FORM, own_path, path_of, with_choice
from postroad.web.requests import Request
from postroad.web.responses import Response

PATH = "/o/oauth2/consent"
# Who somebody is is no choice: with it the account was chosen.
_IDENTITY = frozenset(scopes.IDENTITY.values())
_NOTHING = "Tick at least one of these, or cancel."


@dataclass(frozen=True, slots=True)
class Choices:
    """The scopes that a client asks for, in its order, as a person is shown them.

    `free` may be left out one by one; `fixed` go with the whole; `before` were allowed earlier; `others` belong to
    what this server does not have, and have no effect (gmail-wire.md 14.8).
    """

    free: tuple[str, ...]
    fixed: tuple[str, ...]
    before: tuple[str, ...]
    others: tuple[str, ...]

    def allowed(self, asked: Collection[str], ticked: Collection[str]) -> tuple[str, ...]:
        """Those of `asked` that somebody allows who ticked these; none, if nothing with an effect is left."""
        left_out = set(self.free).difference(ticked)
        allowed = tuple(scope for scope in asked if scope not in left_out)
        return allowed if set(allowed).difference(self.others) else ()


def choices(asked: Collection[str], before: Collection[str]) -> Choices:
    """How to show the scopes of a request. Of a single one there is nothing to choose but the whole."""
    others = tuple(scope for scope in asked if scope not in scopes.ABOUT)
    earlier = tuple(scope for scope in asked if scope in before and scope not in others)
    fresh = tuple(scope for scope in asked if scope not in (*others, *earlier))
    free = tuple(scope for scope in fresh if scope not in _IDENTITY)
    if len(free) < 2:
        free = ()
    return Choices(free, tuple(scope for scope in fresh if scope not in free), earlier, others)


def ask(
    context: OAuthContext,
    browser: Browser,
    request: AuthorizationRequest,
    before: Collection[str],
    onward: str,
    ticked: Collection[str] | None = None,
) -> Response:
    """The page to allow what `request` asks for, by whoever is signed in; `ticked` was tried, and is nothing."""
    shown_scopes = choices(request.scopes, before)
    return pages.page(
        "consent.html",
        code=200 if ticked is None else 400,
        leads_to=pages.sources_of(request.redirect_uri),
        headers=browser.headers,
        client=request.client.name,
        address=browser.signed_in.account.address if browser.signed_in else "",
        choices=shown_scopes,
        ticked=shown_scopes.free if ticked is None else ticked,
        about=scopes.ABOUT,
        problem="" if ticked is None else _NOTHING,
        place=_place(request.redirect_uri),
        onward=onward,
        another=path_of(with_choice(_parameters(onward))),
        token=browser.token(_purpose(onward), context.clock()),
    )


def _place(redirect_uri: str) -> str:
    """Where the person is sent afterwards, as they may know it."""
    parts = urlsplit(redirect_uri)
    return parts.netloc or f"the program that opens {parts.scheme}: addresses"


def _purpose(onward: str) -> str:
    return f"{PATH}\n{onward}"


@shown
async def answer(request: Request, _query: bytes, context: OAuthContext) -> Response:
    """What the page of `ask` posts: a code for what was ticked, or that nothing is allowed.

    The request is checked anew: it may have lain open while the client was removed.
    """
    form = await form_of(request, MAX_FORM)
    ticked = frozenset(text for name, text in form if name == "scope")
    fields = once([(name, text) for name, text in form if name != "scope"])
    browser = await browser_of(request, context)
    onward = own_path(fields.get("onward", ""))
    refuse_foreign(request, context, browser, fields.get("token", ""), _purpose(onward))
    if browser.signed_in is None:
        return pages.see_other(onward)
    asked, before = await context.database.read(
        lambda connection: read(connection, context, onward, browser.signed_in)
    )
    if fields.get("decision") != "allow":
        raise asked.refused("access_denied", "The person who was asked did not allow it.")
    allowed = choices(asked.scopes, before).allowed(asked.scopes, ticked)
    if not allowed:
        return ask(context, browser, asked, before, onward, ticked)
    return await grant(context, asked, browser.signed_in, allowed)


def read(
    connection: Connection, context: OAuthContext, onward: str, signed_in: SignIn | None
) -> tuple[AuthorizationRequest, frozenset[str]]:
    """The request in the query of `onward`, and what its client was allowed before.

    Raises `OAuthError`, `RedirectableError`, and `NotAForm` for a query that is none.
    """
    asked = server.authorization_request(connection, _parameters(onward), issuer=context.issuer)
    found = signed_in and consents.find(connection, signed_in.account.account_id, asked.client.client_id)
    return asked, found.scopes if found else frozenset()


def _parameters(onward: str) -> Pairs:
    return pairs(onward.partition("?")[2].encode())


async def grant(
    context: OAuthContext, request: AuthorizationRequest, signed_in: SignIn, allowed: tuple[str, ...]
) -> Response:
    """Back to the client, with a code for the scopes that are allowed."""
    now = context.clock()

    def unit(connection: Connection) -> str:
        given = consents.allow(connection, signed_in.account.account_id, request.client.client_id, allowed, now)
        code = codes.issue(connection, given, request, allowed, signed_in_at=signed_in.signed_in_at, now=now)
        return request.granted(code, codes.granted(given, request, allowed))

    destination = await context.database.commit(unit)
    maillog.consented(signed_in.account.address, request.client.client_id, " ".join(allowed))
    return pages.see_other(destination)
