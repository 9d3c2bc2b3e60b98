"""The tokens of files: what they say, and what is none."""

import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.refusals import AttachmentInvalid
from postroad.web.gmail import attachments


@given(st.integers(0, (1 << 63) - 1), st.lists(st.integers(0, 999), max_size=50))
def test_a_token_says_which_part_of_which_message(gmail_id, numbers):
    """However deep a part is, its token is read back."""
    part_id = ".".join(map(str, numbers))
    assert attachments._meant(attachments.token(gmail_id, part_id)) == (gmail_id, part_id)


def encoded(text: str) -> str:
    return pybase64.urlsafe_b64encode(text.encode()).decode()


FOREIGN = {
    "nothing": "",
    "no base64": "!",
    "not ASCII": "\u00e4",
    "no message": encoded(":0"),
    "a short number": encoded("1f:0"),
    "a number beyond 63 bits": encoded("8" + "0" * 15 + ":0"),
    "no part": encoded("0" * 16),
    "another part": encoded("0" * 16 + ":x"),
    "a line feed": encoded("0" * 16 + ":0\n"),
    "endless": "MDAw" * 100_000,
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_token_is_refused(text):
    """In Google's words, before anything is looked up."""
    with pytest.raises(AttachmentInvalid, match="Invalid attachment token"):
        attachments._meant(text)
