"""Sign-in and consent in a real browser without JavaScript, at a real server, back to a real program."""

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import trustme
from playwright.sync_api import sync_playwright

from tests.conftest import program
from tests.running import POSTROAD, Server, running

ALICE, PASSWORD = "alice@example.test", "correct horse"
GMAIL = "https://www.googleapis.com/auth/gmail."
SEND, READ = f"{GMAIL}send", f"{GMAIL}readonly"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def chromium():
    """A browser for the whole file; each test has windows of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=FLAGS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Asked:
    """A server, and a client that is registered there."""

    server: Server
    client: dict[str, str]

    @property
    def url(self) -> str:
        return self.server.url

    def asks(self, back: str, scope: str = f"{SEND} {READ}", **more: str) -> str:
        """The address at which the client asks."""
        parameters = {
            "response_type": "code",
            "client_id": self.client["client_id"],
            "redirect_uri": back,
            "scope": scope,
            "state": "a b+c",
        }
        return f"{self.url}/o/oauth2/v2/auth?{urlencode(parameters | more)}"


def client(server: Server, name: str) -> Asked:
    return Asked(server, json.loads(server.command("client", "add", name))["installed"])


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """A sandbox, where accounts have no passwords; a client there has a name that fills a page."""
    with running(tmp_path_factory.mktemp("sandbox")) as server:
        yield client(server, "Incomprehensibilities" * 4)


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """A server with a certificate that only its own authority trusts, and with one account, Alice's."""
    folder = tmp_path_factory.mktemp("production")
    issued = trustme.CA().issue_cert("127.0.0.1")
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    key.chmod(0o600)
    flags = ("--relay", "capture", "--tls-cert", str(chain), "--tls-key", str(key))
    with running(folder / "data", *flags, command="serve") as server:
        words = [POSTROAD, "account", "add", ALICE, "--password-stdin", "--data", str(server.data)]
        subprocess.run(words, input=f"{PASSWORD}\n", check=True, capture_output=True, text=True, timeout=60)
        yield client(server, "Invoices")


@dataclass
class Program:
    """A program on this machine at which a browser arrives; `onward`: where it sends the browser then."""

    port: int = 0
    onward: str = ""
    arrived: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/"


@contextmanager
def listening(page: bytes = b"<p>Thank you.", onward: str = "") -> Iterator[Program]:
    found = Program(onward=onward)

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/favicon.ico":
                query = parse_qs(urlsplit(self.path).query)
                found.arrived.append({name: texts[0] for name, texts in query.items()})
            self.send_response(302 if found.onward else 200)
            self.send_header(*("Location", found.onward) if found.onward else ("Content-Type", "text/html"))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("localhost", 0), Answer) as listener:
        found.port = listener.server_port
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield found
        listener.shutdown()


@contextmanager
def window(chromium, *expected: str, **options):
    """A window of a browser that runs no scripts and has no cookies.

    Whatever it complains of that a page's policy forbids, but for what is `expected`, fails the test.
    """
    context = chromium.new_context(**({"java_script_enabled": False, "ignore_https_errors": True} | options))
    context.set_default_timeout(15_000)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    yield page
    context.close()
    assert [one.split()[0] for one in complaints if "Content Security Policy" in one] == list(expected)


def focused(page) -> str:
    """What the keyboard is at."""
    return page.locator(":focus").evaluate("one => one.value || one.textContent.trim()")


def tab_to(page, what: str) -> None:
    """Press Tab until the keyboard is there."""
    for _ in range(12):
        page.keyboard.press("Tab")
        if focused(page) == what:
            return
    raise AssertionError(f"Tab never comes to {what}")


def test_a_person_with_a_keyboard_allows_a_part_and_the_program_gets_it(chromium, production):
    """Password, consent with one scope unticked, and the code is good for the other, all by keys.

    Over HTTP/2 with other cookies beside it, the browser takes the session's with its prefix, and sends it.
    """
    with listening() as back, window(chromium) as page:
        page.context.add_cookies([{"name": f"n{one}", "value": "x", "url": production.url} for one in range(3)])
        page.goto(production.asks(back.url))
        page.keyboard.type(ALICE)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Invoices wants to use your account")
        [cookie] = [one for one in page.context.cookies() if one["name"] == "__Host-postroad"]
        tab_to(page, READ)
        page.keyboard.press("Space")
        tab_to(page, "allow")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Thank you.")
        [told] = back.arrived
        form = {"grant_type": "authorization_code", "code": told["code"], "redirect_uri": back.url}
        names = {name: production.client[name] for name in ("client_id", "client_secret")}
        tokens = page.context.request.post(f"{production.url}/token", form=form | names).json()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    assert (told["scope"], told["state"], told["iss"]) == (SEND, "a b+c", production.url)
    assert tokens["scope"] == SEND


def test_a_wrong_password_is_told_and_the_next_is_right(chromium, production):
    """The address stays filled in, the keyboard is at the password, and the alarm is read out."""
    with window(chromium) as page:
        page.goto(production.asks("http://localhost:1/", prompt="consent", login_hint=ALICE))
        page.keyboard.type("wrong horse")
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=alert]")
        assert page.input_value("#address") == ALICE
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Invoices wants to use your account")


def test_who_cancels_is_sent_back_with_that(chromium, sandbox):
    """One click chooses the account, one cancels, and the program is told."""
    with listening() as back, window(chromium) as page:
        page.goto(sandbox.asks(back.url))
        page.click(f"button:has-text('{ALICE}')")
        page.click("button:text-is('Cancel')")
        page.wait_for_selector("text=Thank you.")
        [told] = back.arrived
    assert told["error"] == "access_denied"


def test_a_program_may_send_the_browser_on(chromium, sandbox):
    """What follows the way back is the program's affair, after consent and where none is needed any more."""
    with listening() as home, listening(onward=home.url.replace("localhost", "127.0.0.1")) as back:
        for _ in range(2):
            with window(chromium) as page:
                page.goto(sandbox.asks(back.url))
                page.click("button:has-text('bob@example.test')")
                if not home.arrived:
                    page.click("button:text-is('Allow')")
                page.wait_for_selector("text=Thank you.")
        assert len(back.arrived) == len(home.arrived) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_on_a_phone(chromium, sandbox, production, scheme):
    """At 360 pixels nothing stands out to the side, in either colour scheme, however long the words are."""
    every = " ".join((SEND, READ, "openid", "email", "https://mail.google.com/", f"{GMAIL}settings.sharing"))
    with window(chromium, viewport=PHONE, color_scheme=scheme, java_script_enabled=True) as page:

        def fits(words: str) -> None:
            page.wait_for_selector(f"text={words}")
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
            assert page.evaluate("getComputedStyle(document.body).margin") == "0px"  # the style was let in

        page.goto(production.asks("http://localhost:1/", every))
        fits("Password")
        page.goto(sandbox.asks("http://localhost:1/", every))
        fits("Choose an account")
        page.click(f"button:has-text('{ALICE}')")
        fits("wants to use your account")
        page.goto(sandbox.asks(f"http://localhost:1/{'x' * 200}"))
        fits("redirect_uri_mismatch")


def test_another_site_can_neither_send_the_form_nor_frame_the_page(chromium, sandbox):
    """A page elsewhere that has a good form of Alice's gets nothing, and a frame of it stays empty."""
    with listening() as back, window(chromium, "Framing") as page:
        address = sandbox.asks(back.url)
        page.goto(address)
        page.click(f"button:has-text('{ALICE}')")
        form = page.locator("form").inner_html()
        action = f"{sandbox.url}/o/oauth2/consent"
        evil = f"<form method=post action={action}>{form}</form><iframe src='{address}'></iframe>"
        with listening(evil.encode()) as elsewhere:
            page.goto(elsewhere.url)
            assert page.frames[1].locator("form").count() == 0
            page.click("button:text-is('Allow')")
            page.wait_for_selector("text=Error 403: form_refused")
        assert back.arrived == []
