"""Signing in and out: by password, in the sandbox by one click on any account.

Where to go on after it is a path of this server that the form carries; nothing is kept here meanwhile.
"""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Connection

from postroad import maillog
from postroad.mail.address import BadAddress
from postroad.oauth import accounts, clients, passwords, sign_ins
from postroad.oauth.accounts import Account
from postroad.web import cookies, pages
from postroad.web.forms import form_of, once
from postroad.web.oauth.browser import Browser, browser_of, refuse_foreign
from postroad.web.oauth.context import OAuthContext
from postroad.web.oauth.explanations import shown
from postroad.web.oauth.onward import MAX_FORM, own_path
from postroad.web.requests import Request
from postroad.web.responses import Header, Response

PATH = "/o/oauth2/sign_in"
OUT_PATH = "/o/oauth2/sign_out"
# An address has 254 octets at most (RFC 5321 section 4.5.3.1.3).
MAX_ADDRESS = 254
# Accounts to choose from in the sandbox, where every recipient has one.
MOST_CHOICES = 50

_WRONG = "This address and password do not belong together. Please try again."
_BUSY = "Many people are signing in just now. Please try again in a minute."


@dataclass(frozen=True, slots=True)
class Problem:
    """Why somebody was not signed in, for the page; `retry_after` in seconds."""

    text: str
    code: int = 403
    retry_after: int = 0

    @property
    def headers(self) -> tuple[Header, ...]:
        """When to try again (RFC 9110 section 10.2.3)."""
        return ((b"retry-after", str(self.retry_after).encode()),) if self.retry_after else ()


async def ask(
    context: OAuthContext, browser: Browser, onward: str, *, hint: str = "", problem: Problem | None = None
) -> Response:
    """The page to sign in or to choose an account, with `hint` filled in; then the browser goes `onward`."""
    question = parse_qs(urlsplit(onward).query)
    client_id, redirect_uri = (question.get(name, [""])[0] for name in ("client_id", "redirect_uri"))
    client, choices = await context.database.read(
        lambda connection: (clients.find(connection, client_id), _choices(connection, context))
    )
    return pages.page(
        "sign_in.html",
        code=problem.code if problem else 200,
        leads_to=pages.sources_of(redirect_uri) if client else (),
        headers=browser.headers + (problem.headers if problem else ()),
        client=client.name if client else "",
        choices=sorted(choices, key=lambda one: one.address != hint),
        sandbox=context.sandbox,
        current=browser.signed_in.account.address if browser.signed_in else "",
        hint=hint,
        upstream=context.upstream.name if context.upstream else "",
        upstream_link=context.upstream.link(onward) if context.upstream else "",
        problem=problem.text if problem else "",
        onward=onward,
        token=browser.token(_purpose(onward), context.clock()),
        out_token=browser.token(OUT_PATH, context.clock()),
    )


def _choices(connection: Connection, context: OAuthContext) -> list[Account]:
    """In the sandbox the accounts that there are, those first that somebody made."""
    if not context.sandbox:
        return []
    active = [one for one in accounts.everyone(connection) if not one.disabled]
    return sorted(active, key=lambda one: one.captured)[:MOST_CHOICES]


def _purpose(onward: str) -> str:
    return f"{PATH}\n{onward}"


@shown
async def answer(request: Request, _query: bytes, context: OAuthContext) -> Response:
    """What the page of `ask` posts. Whoever signs in gets a new session (RFC 9700 section 4.12: by 303)."""
    form = once(await form_of(request, MAX_FORM))
    browser = await browser_of(request, context)
    onward = own_path(form.get("onward", ""))
    refuse_foreign(request, context, browser, form.get("token", ""), _purpose(onward))
    typed = form.get("address", "").strip()[:MAX_ADDRESS]
    known = _chosen if context.sandbox else _proved
    found = await known(request, context, typed, form.get("password", ""))
    if isinstance(found, Problem):
        return await ask(context, browser, onward, hint=typed, problem=found)
    now, account_id, old = context.clock(), found.account_id, browser.session
    session = await context.database.commit(
        lambda connection: sign_ins.begin(connection, account_id, now, instead_of=old)
    )
    maillog.signed_in(found.address, request.peer)
    return pages.see_other(onward, (cookies.setting(session, secure=browser.secure),))


async def _chosen(_request: Request, context: OAuthContext, typed: str, _password: str) -> Account | Problem:
    """The account of the button; the sandbox has no passwords."""
    found = await context.database.read(lambda connection: accounts.find(connection, _key(typed)))
    return found if found and not found.disabled else Problem("There is no such account any more.")


async def _proved(request: Request, context: OAuthContext, typed: str, password: str) -> Account | Problem:
    """The account whose password that is. An unknown one costs as much time, and as many tries."""
    if context.passwords.busy:
        return Problem(_BUSY, code=503, retry_after=60)
    now, peer = context.clock(), request.peer
    wait, subject, found, kept = await context.database.commit(
        lambda connection: _tried(connection, _key(typed), peer, now)
    )
    if wait:
        maillog.denied("sign_in_throttled", f"{_named(found)} from {peer}", request.path)
        return _later(wait)
    if not await context.passwords.verify(kept, password) or found is None:
        maillog.denied("sign_in_failed", f"{_named(found)} from {peer}", request.path)
        return Problem(_WRONG)
    renewed = await context.passwords.renewed(kept or "", password)
    await context.database.commit(lambda connection: _succeeded(connection, subject, peer, renewed, found, now))
    return found


def _tried(connection: Connection, key: str, peer: str, now: int) -> tuple[int, str, Account | None, str | None]:
    """A try begins: how long to wait in its place, whom it counts for, the account and what it is verified by."""
    found = accounts.find(connection, key)
    if found and found.disabled:
        found = None
    subject = found.address if found else key
    wait = sign_ins.begin_try(connection, sign_ins.subjects(subject, peer), now)
    kept = passwords.of(connection, found.account_id) if found and not wait else None
    return wait, subject, found, kept


def _succeeded(
    connection: Connection, subject: str, peer: str, renewed: str | None, found: Account, now: int
) -> None:
    sign_ins.succeed(connection, subject, peer, now)
    if renewed:
        passwords.put(connection, found.account_id, renewed)


def _key(typed: str) -> str:
    """What an account is found by; for what is no address something that finds none."""
    try:
        return accounts.key_of(typed)
    except BadAddress:
        return typed.lower()


def _named(found: Account | None) -> str:
    """For the log, which has no words that somebody typed: they may be a password in the wrong field."""
    return found.address if found else "an unknown address"


def _later(wait: int) -> Problem:
    seconds = -(-wait // 1000)
    minutes = -(-seconds // 60)
    told = f"{minutes} minutes" if minutes > 1 else f"{seconds} seconds"
    return Problem(f"Too many tries to sign in. Please try again in {told}.", code=429, retry_after=seconds)


@shown
async def answer_out(request: Request, _query: bytes, context: OAuthContext) -> Response:
    """Sign out of this browser, and go on, if the form says where to."""
    form = once(await form_of(request, MAX_FORM))
    browser = await browser_of(request, context)
    refuse_foreign(request, context, browser, form.get("token", ""), OUT_PATH)
    await context.database.commit(lambda connection: sign_ins.end(connection, browser.session))
    gone = (cookies.removing(secure=browser.secure),)
    if onward := form.get("onward"):
        return pages.see_other(own_path(onward), gone)
    return pages.page(
        "message.html",
        title="You are signed out",
        paragraphs=("You can close this page.",),
        detail="",
        headers=gone,
    )
