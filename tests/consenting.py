"""A browser without a window: what a person does who signs in to the sandbox as Alice and allows what is asked.

Usage: consenting.py URL
"""

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, build_opener

WHO = "alice@example.test"


@dataclass
class Form(HTMLParser):
    """The first form of a page: where it goes, what it carries, what is ticked, and its buttons."""

    action: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    _inside: bool = False

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "form" and not self.action:
            self.action, self._inside = found["action"], True
        if not self._inside or "name" not in found:
            return
        if tag == "input" and (found["type"] != "checkbox" or "checked" in found):
            self.fields.append((found["name"], found.get("value") or ""))
        if tag == "button":
            self.buttons.append((found["name"], found["value"]))

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "form"


def walk(url: str) -> str:
    """Sign in, allow, and follow the way back to the program; what it answers."""
    opener = build_opener(HTTPCookieProcessor(CookieJar()))
    with opener.open(url, timeout=30) as page:
        url, text = page.url, page.read().decode()
    for button in (("address", WHO), ("decision", "allow")):
        form = Form()
        form.feed(text)
        assert button in form.buttons, text
        with opener.open(
            urljoin(url, form.action), urlencode([*form.fields, button]).encode(), timeout=30
        ) as page:
            url, text = page.url, page.read().decode()
    return text


if __name__ == "__main__":
    walk(sys.argv[1])
