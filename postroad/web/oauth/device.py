"""Devices without a browser (RFC 8628): they ask for codes here, and a person allows them on a page."""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection

from postroad import maillog
from postroad.oauth import clients, consents, device, device_codes, scopes
from postroad.oauth.clients import Client
from postroad.oauth.device import PATH, DeviceRequest
from postroad.oauth.device_codes import DeviceCode
from postroad.oauth.framework import single_valued
from postroad.oauth.sign_ins import SignIn
from postroad.web import pages
from postroad.web.forms import form_of, pairs
from postroad.web.oauth import consent, sign_in
from postroad.web.oauth.answers import given
from postroad.web.oauth.browser import Browser, browser_of, refuse_foreign
from postroad.web.oauth.context import OAuthContext
from postroad.web.oauth.explanations import shown
from postroad.web.requests import Request
from postroad.web.responses import Response

# Characters of a code that somebody typed; more are no code.
MAX_TYPED = 40
_UNKNOWN = "Nothing waits for this code. Look at your device: it may show a newer one."
_THROTTLED = "Too many wrong codes. Please wait a while, and have your device show a new one."
_NOTHING = "Tick at least one of these, or cancel."
_DECIDED = "Somebody has decided about this code already, or its half hour is over."


async def begin(request: Request, _query: bytes, context: OAuthContext) -> Response:
    """The codes for a device. Raises `OAuthError`, and what reading a form raises."""
    form, now = await form_of(request), context.clock()
    authorization = request.headers.get(b"authorization", b"").decode("latin-1")
    asked = DeviceRequest(form, authorization, context.root(request))
    return given(await context.database.commit(lambda connection: device.begin(connection, asked, now)))


@shown
async def answer(request: Request, query: bytes, context: OAuthContext) -> Response:
    """The page on which a person types the code, and what it posts: the code, then the decision about it."""
    browser = await browser_of(request, context)
    if request.verb == "GET":
        return await _entrance(context, browser, single_valued(pairs(query)).get("user_code", "")[:MAX_TYPED])
    form = await form_of(request)
    fields = single_valued([(name, text) for name, text in form if name != "scope"])
    typed, decision = fields.get("user_code", "")[:MAX_TYPED], fields.get("decision", "")
    refuse_foreign(request, context, browser, fields.get("token", ""), _purpose(typed) if decision else PATH)
    if browser.signed_in is None:
        return pages.see_other(_onward(typed))
    found = await _typed(context, browser.signed_in, typed)
    if not isinstance(found, DeviceCode):
        maillog.denied("user_code_refused", f"{browser.signed_in.account.address} typed none that waits", PATH)
        return _ask_for_code(context, browser, typed, _THROTTLED if found else _UNKNOWN, 429 if found else 400)
    ticked = frozenset(text for name, text in form if name == "scope")
    return await _heard(context, browser, browser.signed_in, found, (decision, ticked))


async def _heard(
    context: OAuthContext, browser: Browser, signed_in: SignIn, found: DeviceCode, said: tuple[str, frozenset[str]]
) -> Response:
    """What to do about a code that waits: ask, or do what was said, with what was ticked."""
    decision, ticked = said
    client, before = await context.database.read(lambda connection: _asker(connection, found, signed_in))
    if not decision:
        return _ask(context, browser, found, client, before)
    allowed = consent.choices(found.scopes, before).allowed(found.scopes, ticked) if decision == "allow" else ()
    if decision == "allow" and not allowed:
        return _ask(context, browser, found, client, before, ticked)
    return await _decide(context, signed_in, found, client, allowed)


async def _entrance(context: OAuthContext, browser: Browser, typed: str) -> Response:
    """The page for the code, which its address may have brought along; before it, to sign in."""
    if browser.signed_in is None:
        return await sign_in.ask(context, browser, _onward(typed))
    return _ask_for_code(context, browser, typed)


def _onward(typed: str) -> str:
    return f"{PATH}?{urlencode({'user_code': typed})}" if typed else PATH


def _purpose(typed: str) -> str:
    """Of the form that decides: it is about one code."""
    return f"{PATH}\n{device_codes.plain(typed)}"


async def _typed(context: OAuthContext, signed_in: SignIn, typed: str) -> DeviceCode | int | None:
    now, account_id = context.clock(), signed_in.account.account_id
    return await context.database.commit(
        lambda connection: device_codes.typed_by(connection, account_id, typed, now)
    )


def _asker(connection: Connection, found: DeviceCode, signed_in: SignIn) -> tuple[Client | None, frozenset[str]]:
    """The client that asks by this code, and what this account allowed it before."""
    before = consents.find(connection, signed_in.account.account_id, found.client_id)
    return clients.find(connection, found.client_id), before.scopes if before else frozenset()


def _ask_for_code(
    context: OAuthContext, browser: Browser, typed: str = "", problem: str = "", code: int = 200
) -> Response:
    return pages.page(
        "device.html",
        code=code,
        headers=browser.headers,
        **_who(browser),
        typed=typed,
        problem=problem,
        token=browser.token(PATH, context.clock()),
    )


def _ask(
    context: OAuthContext,
    browser: Browser,
    found: DeviceCode,
    client: Client | None,
    before: Collection[str],
    ticked: Collection[str] | None = None,
) -> Response:
    """The page to allow what the device asks for; `ticked` was tried, and is nothing."""
    choices = consent.choices(found.scopes, before)
    return pages.page(
        "device_consent.html",
        code=200 if ticked is None else 400,
        headers=browser.headers,
        **_who(browser),
        client=client.name if client else "",
        user_code=device_codes.shown(found.user_code),
        choices=choices,
        ticked=choices.free if ticked is None else ticked,
        about=scopes.ABOUT,
        problem="" if ticked is None else _NOTHING,
        token=browser.token(_purpose(found.user_code), context.clock()),
    )


def _who(browser: Browser) -> dict[str, Any]:
    return {"address": browser.signed_in.account.address if browser.signed_in else "", "path": PATH}


async def _decide(
    context: OAuthContext, signed_in: SignIn, found: DeviceCode, client: Client | None, allowed: tuple[str, ...]
) -> Response:
    """What the person said is done; the device hears of it when it asks next."""
    now, account_id = context.clock(), signed_in.account.account_id

    def unit(connection: Connection) -> bool:
        if not allowed:
            return device_codes.deny(connection, found)
        given = consents.allow(connection, account_id, found.client_id, allowed, now)
        return device_codes.allow(connection, found, given, allowed)

    if not await context.database.commit(unit):
        return pages.page("message.html", code=400, title="Too late", paragraphs=(_DECIDED,), detail="")
    if allowed:
        maillog.consented(signed_in.account.address, found.client_id, " ".join(allowed))
    name = client.name if client else found.client_id
    title = "Your device is connected" if allowed else "Nothing is allowed"
    told = f"{name} goes on by itself within some seconds." if allowed else f"{name} is told so."
    return pages.page("message.html", title=title, paragraphs=(told, "You can close this page."), detail="")
