"""What a message answers, and which Subjects are the same."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroad.mail.threads import MAX_ANCESTORS, Ancestry, ancestry, base_subject, message_id_of, subject_of


def section(*lines: str) -> bytes:
    """A header section as it is stored: with what Postroad adds on top."""
    return "".join(f"{line}\r\n" for line in ("Received: by mx", *lines)).encode()


MESSAGE_IDS = {
    "<a@b>": "<a@b>",
    "  <a@b>\t": "<a@b>",
    "\r\n <a@b>": "<a@b>",
    "<a@b> (as I said)": "<a@b>",
    "(x)<a.b+c$d@[127.0.0.1]>": "<a.b+c$d@[127.0.0.1]>",
    "<ä@b>": "<ä@b>",
    "": "",
    "a@b": "",
    "<a b@c>": "",
    "<a@b@c>": "",
    "<@b>": "",
    "<a@>": "",
    "<a@b> <c@d>": "",
    "<a@b": "",
    "(<a@b>": "",
    "<a@b>(": "",
    "<<a@b>>": "",
    "<a\x7f@b>": "",
    "<a@" + "b" * 896 + ">": "<a@" + "b" * 896 + ">",
    "<a@" + "b" * 897 + ">": "",
}


@pytest.mark.parametrize(("body", "message_id"), MESSAGE_IDS.items())
def test_a_message_id_is_one_msg_id(body, message_id):
    """A Message-ID field holds exactly one msg-id of RFC 5322, or none that counts."""
    assert message_id_of(body) == message_id


ANCESTRIES = {
    "none": (section("Subject: x"), None),
    "in a value": (section("Subject: References: <a@b>"), None),
    "empty": (section("References: ", "In-Reply-To:"), None),
    "words alone": (section("In-Reply-To: your message of Monday"), None),
    "In-Reply-To": (section("In-Reply-To: <a@b>", "Subject: Re: x"), Ancestry(("<a@b>",), "x")),
    "any case": (section("IN-REPLY-TO: <a@b>", "SUBJECT: X"), Ancestry(("<a@b>",), "x")),
    "the nearest first": (
        section("References: <1@b> <2@b>", " <3@b>", "In-Reply-To: <3@b>"),
        Ancestry(("<3@b>", "<2@b>", "<1@b>"), ""),
    ),
    "folded": (section("References:", " <1@b>", "\t<2@b>"), Ancestry(("<2@b>", "<1@b>"), "")),
    "no space between": (section("References: <1@b><2@b>,<3@b>"), Ancestry(("<3@b>", "<2@b>", "<1@b>"), "")),
    "twice": (section("References: <1@b>", "X: y", "References: <2@b>"), Ancestry(("<2@b>", "<1@b>"), "")),
    "other fields": (section("X-References: <1@b>", "References-To: <2@b>", "Message-ID: <3@b>"), None),
    "what is no msg-id": (section("References: <a b@c> <d@e> <f@g"), Ancestry(("<d@e>",), "")),
    "many": (
        section("References: " + "\r\n ".join(f"<{number}@b>" for number in range(99))),
        Ancestry(tuple(f"<{number}@b>" for number in range(98, 98 - MAX_ANCESTORS, -1)), ""),
    ),
    "one that is too long": (section("References: <a@b> <c@" + "d" * 999 + ">"), Ancestry(("<a@b>",), "")),
}


@pytest.mark.parametrize(("header_section", "expected"), ANCESTRIES.values(), ids=ANCESTRIES)
def test_a_message_names_what_it_answers(header_section, expected):
    """References and In-Reply-To name messages, the nearest first and each once."""
    assert ancestry(header_section) == expected


SUBJECTS = {
    "Hello": "hello",
    "Re: Hello": "hello",
    "RE:Hello": "hello",
    "re : Hello": "hello",
    "Fwd: Re: FW: hello": "hello",
    "Re[2]: Hello": "hello",
    "Re: [list] Hello": "[list] hello",
    "Hello (fwd)": "hello",
    "Hello (fwd) (Fwd)": "hello",
    "  Hello \t  you ": "hello you",
    "Hello\r\n you": "hello you",
    "Regarding: x": "regarding: x",
    "Re x": "re x",
    "Re:": "",
    "": "",
    "=?UTF-8?Q?Re=3A_Gr=C3=BC=C3=9Fe?=": "grüsse",
    "Re: =?iso-8859-1?q?Gr=FC=DFe?=": "grüsse",
    "Grüße": "grüsse",
    "=?UTF-8?B?UmU6IEhp?= =?UTF-8?B?IHlvdQ==?=": "hi you",
    "=?nonsense?Q?x?=": "=?nonsense?q?x?=",
}


@pytest.mark.parametrize(("subject", "base"), SUBJECTS.items())
def test_a_subject_is_compared_without_re_and_fwd(subject, base):
    """Two Subjects are the same when they say the same, however often they were answered and however encoded."""
    assert base_subject(subject) == base
    assert subject_of(section(f"Subject: {subject}")) == base


@given(st.text(max_size=60), st.lists(st.sampled_from(["Re: ", "FWD:", "re [3] : ", "Fw:  "]), max_size=5))
@example("=?utf-8?q?=ff?=", ["Re: "])
def test_an_answer_has_the_subject_of_what_it_answers(subject, prefixes):
    """However many prefixes a Subject gets, its base stays."""
    plain = base_subject(subject)
    if "=?" not in subject:
        assert base_subject("".join(prefixes) + subject) == plain


@given(st.binary())
def test_any_octets_have_an_ancestry_or_none(octets):
    """Whatever a header section holds, nothing is raised."""
    ancestry(b"Received: x\r\nReferences: <a@b>\r\nSubject: " + octets + b"\r\n")


HOSTILE = {
    "beginnings of encoded words": b"Subject: " + b"=?a?q?" * 40_000,
    "beginnings of identifiers": b"References: " + b"<a@" * 80_000,
    "identifiers without an end": b"References: <" + b"a" * 120_000 + b"@" + b"b" * 120_000,
    "prefixes": b"Subject: " + b"re[" * 80_000,
    "trailers": b"Subject: " + b" (fwd)" * 30_000 + b"x",
    "comments": b"In-Reply-To: " + b"(" * 240_000,
}


@pytest.mark.parametrize("field", HOSTILE.values(), ids=HOSTILE)
def test_hostile_fields_cost_little(field):
    """A header section of the largest size is read within a tenth of a second."""
    header_section = b"Received: x\r\nReferences: <x@y>\r\n" + field + b"\r\n"
    began = time.process_time()
    ancestry(header_section)
    message_id_of(field.decode())
    assert time.process_time() - began < 0.1
