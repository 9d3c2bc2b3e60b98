"""A browser without an engine for real servers: it keeps cookies, follows redirects and sends forms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import urlencode, urljoin, urlsplit

from tests.web.oauth.visitor import Form, Forms

MOST_REDIRECTS = 10


@dataclass(frozen=True)
class Page:
    """Where the browser ended, and what was there."""

    url: str
    code: int
    body: str

    @property
    def forms(self) -> list[Form]:
        return Forms(self.body).forms

    @property
    def text(self) -> str:
        return " ".join(" ".join(Forms(self.body).words).split())

    def link(self, text: str) -> str:
        """The first address on the page that has this in it."""
        return urljoin(self.url, next(one for one in Forms(self.body).links if text in one))


@dataclass
class Browsing:
    """Cookies are kept by origin, as two servers of a test have one host; `stops_at`: an address not asked."""

    cookies: dict[str, dict[str, str]] = field(default_factory=dict)
    stops_at: str = "nowhere:"

    def get(self, url: str) -> Page:
        return self._ask("GET", url, b"")

    def send(self, page: Page, number: int = 0, *more: tuple[str, str], **typed: str) -> Page:
        """A form of a page, with a button or a choice more."""
        form = page.forms[number]
        fields = [*(form.hidden | typed).items(), *(("scope", one) for one in form.ticked), *more]
        return self._ask("POST", urljoin(page.url, form.action), urlencode(fields).encode())

    def _ask(self, verb: str, url: str, body: bytes) -> Page:
        for _ in range(MOST_REDIRECTS):
            if url.startswith(self.stops_at):
                return Page(url, 0, "")
            code, headers, text = self._answer(verb, url, body)
            if code not in (302, 303):
                return Page(url, code, text)
            verb, url, body = "GET", urljoin(url, headers["location"]), b""
        raise AssertionError(f"it goes round in circles at {url}")

    def _answer(self, verb: str, url: str, body: bytes) -> tuple[int, Mapping[str, str], str]:
        parts = urlsplit(url)
        jar = self.cookies.setdefault(parts.netloc, {})
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else {}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        connection.request(verb, parts._replace(scheme="", netloc="", fragment="").geturl(), body, headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        for line in response.headers.get_all("set-cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            jar[name] = value
        return response.status, response.headers, text
