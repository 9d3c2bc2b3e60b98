"""Pages for people: everything escaped, nothing let in, nothing kept."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from jinja2 import UndefinedError

from postroad.web import pages

FOLDER = Path(pages.__file__).with_name("templates")
TEMPLATES = sorted(FOLDER.glob("*.html"))


def message(title="Hello", **more):
    return pages.page("message.html", **({"title": title, "paragraphs": (), "detail": ""} | more))


def test_a_page_is_kept_out_of_frames_caches_and_referrers():
    """Each page says so in its headers, once."""
    headers = message().headers
    named = dict(headers)
    assert len(named) == len(headers)
    assert named[b"cache-control"] == b"no-store"
    assert named[b"referrer-policy"] == b"no-referrer"
    assert named[b"x-frame-options"] == b"DENY"


@pytest.mark.parametrize(
    ("leads_to", "form_action"),
    [((), "'self'"), (("http://localhost:1",), "'self' http://localhost:1")],
)
def test_the_policy_lets_nothing_in_but_the_style_of_the_page(leads_to, form_action):
    """No script, no picture, no frame, no other base; forms lead here, or where this page says."""
    [policy] = [value for name, value in message(leads_to=leads_to).headers if name == b"content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.decode().split("; "))
    assert rules.pop("style-src").startswith("'sha256-")
    assert rules == {
        "default-src": "'none'",
        "form-action": form_action,
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }


@given(some.text(max_size=50))
def test_whatever_is_shown_is_escaped(text):
    """No text makes an element or an attribute, wherever it stands."""
    empty = message(title="", paragraphs=("",), detail="x").body
    body = message(title=text, paragraphs=(text,), detail=text + "x").body
    assert body.count(b"<") == empty.count(b"<")
    assert body.count(b'"') == empty.count(b'"')


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_no_page_has_a_script_or_switches_escaping_off(template):
    """The pages work without scripts; none of them trusts a value."""
    assert re.findall(r"<script|javascript:|\|\s*safe|autoescape|style=|\son\w+=", template.read_text()) == []


def test_a_value_that_is_missing_is_an_error():
    """A page never silently shows nothing where something belongs."""
    with pytest.raises(UndefinedError):
        pages.page("message.html", title="Hello")


def colours() -> list[dict[str, str]]:
    """The colours by name: first those of the light scheme, then those of the dark one."""
    rules = re.findall(r":root {(.*?)}", (FOLDER / "style.css").read_text(), re.DOTALL)
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", rule)) for rule in rules]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("one", "other", "least"),
    [
        ("ink", "card", 7),
        ("soft", "card", 4.5),
        ("accent", "card", 4.5),
        ("on-accent", "accent", 4.5),
        ("alarm", "alarm-ground", 4.5),
        ("edge", "card", 3),
    ],
)
def test_colours_can_be_told_apart(scheme, one, other, least):
    """Text has the contrast that WCAG 2.2 asks for (1.4.3), and what a field or a button ends at, too (1.4.11)."""
    found = colours()[scheme]
    dark, light = sorted(map(luminance, (found[one], found[other])))
    assert (light + 0.05) / (dark + 0.05) >= least


@pytest.mark.parametrize(
    ("uri", "sources"),
    [
        ("https://app.example/back", ("https:",)),
        ("http://localhost:8080/", ("http:", "https:")),
        ("http://[::1]:8080/", ("http:", "https:")),
        ("com.example.app:/back", ("com.example.app:",)),
        ("https://a;script-src *", ("https:",)),
        ("; script-src *:", ()),
        ("", ()),
    ],
)
def test_a_form_may_lead_back_to_a_client_and_on_from_there(uri, sources):
    """Sources are schemes, so that nothing in a redirect URI becomes a rule of the policy."""
    assert pages.sources_of(uri) == sources


def test_who_posted_is_sent_on_to_get():
    """After a form comes 303, so that no browser posts a password again."""
    answer = pages.see_other("/next", ((b"set-cookie", b"a=b"),))
    assert answer.code == 303
    assert dict(answer.headers)[b"location"] == b"/next"
    assert dict(answer.headers)[b"cache-control"] == b"no-store"
