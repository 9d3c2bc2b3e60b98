"""A browser without an engine, for the pages for people: it keeps a cookie, and sends the forms that it finds."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urlsplit

from argon2 import PasswordHasher

from postroad.database.engine import Database
from postroad.oauth import accounts, clients, passwords
from postroad.oauth.passwords import Passwords
from postroad.oauth.tokens import Tokens
from postroad.sealing import Sealing
from postroad.web import oauth, requests
from postroad.web.addresses import Addresses
from postroad.web.oauth.context import OAuthContext

ROOT = "http://127.0.0.1:8587"
NOW = 1_790_000_000_000
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ALICE, BOB = "alice@example.test", "bob@example.test"
PASSWORD = "correct horse"
GMAIL = "https://www.googleapis.com/auth/gmail."
SEND, READ, LABELS = f"{GMAIL}send", f"{GMAIL}readonly", f"{GMAIL}labels"
BACK = "http://localhost:4242/"


@dataclass
class Form:
    """A form of a page: where it goes, and what its fields hold before anybody touches them."""

    action: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    ticked: list[str] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    @property
    def hidden(self) -> dict[str, str]:
        return dict(self.fields)


class Forms(HTMLParser):
    """The forms, the links and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "form":
            self.forms.append(Form(values["action"]))
        elif tag == "a":
            self.links.append(values["href"])
        elif tag == "button" and "name" in values:
            self.forms[-1].buttons.append((values["name"], values["value"]))
        elif tag == "input" and values["type"] == "checkbox":
            self.forms[-1].ticked += [values["value"]] if "checked" in values else []
        elif tag == "input":
            self.forms[-1].fields.append((values["name"], values.get("value", "")))

    def handle_data(self, data):
        if self.get_starttag_text() != "<style>":
            self.words.append(data)


@dataclass(frozen=True)
class Page:
    """An answer; `text` is what a person reads of it."""

    code: int
    headers: Mapping[str, str]
    body: str

    @property
    def forms(self) -> list[Form]:
        return Forms(self.body).forms

    @property
    def links(self) -> list[str]:
        return Forms(self.body).links

    @property
    def text(self) -> str:
        return " ".join(" ".join(Forms(self.body).words).split())

    @property
    def location(self) -> str:
        return self.headers["location"]

    @property
    def answer(self) -> dict[str, str]:
        """What the client is told in the query of its redirect URI."""
        return {name: texts[0] for name, texts in parse_qs(urlsplit(self.location).query).items()}


class House:
    """A server's database and what its endpoints are given; `now` goes on only by hand."""

    def __init__(self, folder, *, sandbox=False, root=ROOT) -> None:
        self.now = NOW
        self.database = Database(folder, floor=0)
        self.context = OAuthContext(
            self.database,
            lambda: self.now,
            Tokens(self.database),
            Addresses(root),
            Sealing(bytes(32)),
            sandbox=sandbox,
            passwords=Passwords(CHEAP),
        )
        there = self.database.look(clients.everyone)
        if not there:
            self.do(self._people)
        self.client = there[0] if there else self.register("Invoices")

    def _people(self, connection):
        kept = CHEAP.hash(PASSWORD)
        for address in (ALICE, BOB):
            made = accounts.add(connection, address, administrator=False, now=NOW)
            passwords.put(connection, made.account_id, kept)

    def do(self, unit):
        return self.database.submit(unit).result()

    def register(self, name, kind="installed", redirect_uris=()):
        made, _ = self.do(
            lambda connection: clients.add(connection, name, kind, redirect_uris, public=False, now=NOW)
        )
        return made

    def asked(self, **parameters) -> str:
        """The address at which a client asks; `None` leaves a parameter out."""
        whole = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": BACK,
            "scope": f"{SEND} {READ}",
            "state": "a b+c&d=é",
        } | parameters
        return "/o/oauth2/v2/auth?" + urlencode({name: text for name, text in whole.items() if text is not None})

    def close(self):
        self.database.close()


@dataclass
class Visitor:
    """Somebody at a browser that asks `house`. It says of itself what a browser without `Sec-Fetch-Site` does."""

    house: House
    cookies: dict[str, str] = field(default_factory=dict)
    peer: str = "192.0.2.7"

    def get(self, path: str, **headers: str) -> Page:
        return self._ask("GET", path, b"", headers)

    def post(self, path: str, fields, **headers: str) -> Page:
        body = urlencode(fields).encode()
        kind = {"content_type": "application/x-www-form-urlencoded", "content_length": str(len(body))}
        return self._ask("POST", path, body, {"origin": "null"} | kind | headers)

    def send(self, form: Form, button: tuple[str, str] | None = None, ticked=None, **typed: str) -> Page:
        """Send a form of a page as it is, but for what was typed and ticked."""
        fields = list((form.hidden | typed).items()) + [("scope", one) for one in ticked or form.ticked]
        return self.post(form.action, [*fields, button] if button else fields)

    def signs_in(self, path: str, address: str = ALICE, password: str = PASSWORD) -> Page:
        """From a page that asks to sign in, by password or by the button, to the page after it."""
        form = self.get(path).forms[0]
        sent = self.send(form, address=address, password=password)
        assert sent.code == 303, sent.text
        return self.get(sent.location)

    def _ask(self, verb, path, body, named) -> Page:
        headers = {"host": urlsplit(ROOT).netloc} | {name.replace("_", "-"): text for name, text in named.items()}
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        address = urlsplit(path)
        scope = {
            "method": verb,
            "path": address.path,
            "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
            "client": (self.peer, 1),
        }

        async def receive():
            return {"type": "http.request", "body": body}

        request = requests.of(scope, receive)
        endpoint = oauth.endpoint_at(address.path)
        answer = asyncio.run(oauth.answer(endpoint, request, address.query.encode(), self.house.context))
        found = {name.decode(): text.decode() for name, text in answer.headers}
        self._keep(found.get("set-cookie", ""))
        return Page(answer.code, found, answer.body.decode())

    def _keep(self, line: str) -> None:
        name, _, value = line.partition(";")[0].partition("=")
        if "Max-Age=0" in line:
            self.cookies.pop(name)
        elif name:
            self.cookies[name] = value
