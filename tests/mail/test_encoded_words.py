"""Encoded words as people read them."""

import time
from email.header import Header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.encoded_words import decoded

WORDS = {
    "": "",
    "plain": "plain",
    "=?UTF-8?Q?Gr=C3=BC=C3=9Fe_an?= alle": "Grüße an alle",
    "=?utf-8?b?R3LDvMOfZQ==?=": "Grüße",
    "=?utf-8?B?R3LDvMOfZQ?=": "Grüße",
    "=?iso-8859-1?q?Gr=FC?=\r\n =?iso-8859-1?q?=DFe?=": "Grüße",
    "=?UTF-8?Q?a?= b =?UTF-8?Q?c?=": "a b c",
    "=?utf-8*de?q?a?=": "a",
    "=?UTF-8?Q??=": "",
    "=?nonsense?Q?a?= x": "=?nonsense?Q?a?= x",
    "=?hex?Q?41?=": "=?hex?Q?41?=",
    "=?utf-8?x?a?=": "=?utf-8?x?a?=",
    "=?utf-8?q?a b?=": "=?utf-8?q?a b?=",
    "=?utf-8?b?A?=": "=?utf-8?b?A?=",
    "=?utf-8?q?=FF?=": "\N{REPLACEMENT CHARACTER}",
    r"=?unicode_escape?q?\ud800?=": "?",
}


@pytest.mark.parametrize(("text", "expected"), WORDS.items())
def test_encoded_words_are_decoded(text, expected):
    """What RFC 2047 allows is decoded, whatever else it is stays as written."""
    assert decoded(text) == expected


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80))
def test_what_the_standard_library_encodes_comes_back(text):
    """Whatever `email.header` encodes, in one word or several, is read as it was."""
    assert decoded(Header(text, "utf-8", maxlinelen=75).encode()) == text


@given(st.text(st.sampled_from("=?uUtf-8bqQB_ \t\r\naZ0\\xd+"), max_size=60))
def test_any_text_has_a_reading(text):
    """Nothing is raised, and what comes out can be encoded."""
    decoded("=?utf-7?q?" + text + "?= =?punycode?b?" + text + "?=").encode()


@pytest.mark.parametrize(
    "text", ["=?a?q?" * 40_000, "=?a?q?b?= " * 25_000, "=?utf-8?q?a" * 20_000, "=?" * 120_000]
)
def test_hostile_texts_cost_little(text):
    """A text of the size of a header section is read within a quarter of a second."""
    began = time.process_time()
    decoded(text)
    assert time.process_time() - began < 0.25
