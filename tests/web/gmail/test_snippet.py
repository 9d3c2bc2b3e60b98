"""Snippets: what of a message's text is shown in a list."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.mime import tree
from postroad.web.gmail import snippet

ALTERNATIVE = (
    b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>page\r\n"
    b"--b\r\n\r\nplain\r\n--b--\r\n"
)


def html(octets: bytes) -> bytes:
    return b"Content-Type: text/html; charset=utf-8\r\n\r\n" + octets


SNIPPETS = {
    "text": (b"\r\nHello,\r\n\r\n  Bob.\r\n", "Hello, Bob."),
    "no text": (b"\r\n", ""),
    "a file alone": (b'Content-Type: text/plain; name="a.txt"\r\n\r\nx', ""),
    "an image": (b"Content-Type: image/png\r\n\r\nx", ""),
    "markup in text is escaped": (b"\r\n<b> & \"a\" 'b'", "&lt;b&gt; &amp; &quot;a&quot; &#39;b&#39;"),
    "plain before HTML": (ALTERNATIVE, "plain"),
    "a page": (html(b"<p>Hello,<br>Bob<b>by</b>&amp;&nbsp;co.</p>"), "Hello, Bobby&amp; co."),
    "what nobody sees": (html(b"<head><title>t</title></head><STYLE>p{}</STYLE>a<script>x</script>b"), "ab"),
    "a style without end": (html(b"a<style>p{}"), "a"),
    "an end without style": (html(b"a</style>b"), "ab"),
    "a tag without end": (html(b"a <b"), "a &lt;b"),
    "another charset": (b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe", "Grüße"),
    "an unknown charset": ("Content-Type: text/plain; charset=punycode\r\n\r\nGrüße".encode(), "Grüße"),
    "a charset nobody has": ("Content-Type: text/plain; charset=iso-8859-99\r\n\r\nGrüße".encode(), "Grüße"),
    "long": (b"\r\n" + b"abc " * 100, ("abc " * 50).strip()),
    "cut short amid its octets": (b"\r\nGr\xc3", "Gr\ufffd"),
}


@pytest.mark.parametrize(("content", "shown"), SNIPPETS.values(), ids=SNIPPETS)
def test_a_snippet_is_the_beginning_of_the_text(content, shown):
    """Words between single spaces, at most 200 characters, escaped as Gmail does."""
    assert snippet.of(tree(content)) == shown


@given(st.binary(max_size=300), st.sampled_from([b"text/plain", b"text/html", b"multipart/mixed; boundary=b"]))
def test_any_octets_have_a_snippet(octets, media_type):
    """Whatever a message holds, its snippet is short text without markup."""
    shown = snippet.of(tree(b"Content-Type: " + media_type + b"\r\n\r\n" + octets))
    assert not set("<>\r\n\t") & set(shown)
    assert len(shown) <= 200 * len("&quot;")


@pytest.mark.parametrize("piece", [b"<style>", b"</style>", b"<", b"<b", b"<!--", b"&", b"&#", b"<a "])
def test_no_text_makes_a_snippet_slow(piece):
    """What repeats the beginning of something is as quick as any other text."""
    began = perf_counter()
    snippet.of(tree(html(piece * (snippet.LOOKED_AT // len(piece)))))
    assert perf_counter() - began < 1
