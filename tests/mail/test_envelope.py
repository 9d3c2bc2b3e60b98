"""Who receives a message, and who may share a mail transaction with whom."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.mail.envelope import Envelope, Recipients, envelopes, recipients
from postroad.mail.message import parse
from postroad.refusals import InvalidHeader, RecipientMissing, TooManyRecipients

A, B, C, D = "a@x.example", "b@x.example", "c@x.example", "d@x.example"

# (header lines, visible recipients, blind ones)
FOUND = [
    (f"To: {A}", [A], []),
    (f"Cc: {A}", [A], []),
    (f"Bcc: {A}", [], [A]),
    (f"to: {A}\ncC: {B}\nBCC: {C}", [A, B], [C]),
    (f"Bcc: {C}\nCc: {B}\nTo: {A}", [A, B], [C]),
    (f"To: {A}\nTo: {B}\nCc: {C}\nCc: {D}", [A, B, C, D], []),
    (f"Bcc: {A}\nTo: {B}\nBcc: {C}", [B], [A, C]),
    (f"To: {A}\nCc:\nBcc: ", [A], []),
    (f"To:\nCc: ,\nBcc: {A}", [], [A]),
    (f"To: undisclosed-recipients:;\nBcc: {A}", [], [A]),
    (f"To: g: {A}, {B};\nBcc: h:{C};", [A, B], [C]),
    (f"To: {A}, {A}\nCc: {A}", [A], []),
    (f"Bcc: {A}, {A}\nBcc: {A}", [], [A]),
    (f"Bcc: {A}, {B}\nTo: {A}", [A], [B]),
    (f"Bcc: {A}\nCc: {A}", [A], []),
    ("To: a@X.EXAMPLE\nBcc: a@x.example", [A], []),
    ("To: A@x.example\nBcc: a@x.example", ["A@x.example"], [A]),
    ("To: a+t@x.example, a@x.example", ["a+t@x.example", A], []),
    ("To: a.b@x.example, ab@x.example", ["a.b@x.example", "ab@x.example"], []),
    ('To: "a"@x.example, Someone <a@x.example>', [A], []),
    ("To: a@bücher.example\nBcc: a@xn--bcher-kva.example", ["a@xn--bcher-kva.example"], []),
    (f"To: {A}\nResent-To: {B}\nResent-Cc: {C}\nResent-Bcc: {D}\nX-To: {D}\nDelivered-To: {D}", [A], []),
]

# (header lines, the refusal)
NOBODY = ["Subject: x", "To:", "To: \nCc:\nBcc:", "To: undisclosed-recipients:;", "To: (nobody)", f"Reply-To: {A}"]

UNREADABLE = [
    *["x", f"{A} {B}", f"{A};{B}", f"g: {A}"],
    *["canary@localhost", "<canary@x.example", "=?u?q?canary?=@x.example"],
]

addresses = st.builds("{}@{}.example".format, st.sampled_from("abcdABCD"), st.sampled_from("xyXY"))


def found(header: str, limit: int = 500) -> Recipients:
    return recipients(parse(f"{header}\n\nTo: body@x.example\n".encode()), limit=limit)


@pytest.mark.parametrize(("header", "visible", "blind"), FOUND)
def test_recipients_are_those_of_to_cc_and_bcc(header, visible, blind):
    """To and Cc name the visible recipients, Bcc the blind ones; each address once, in order."""
    assert found(header) == Recipients(tuple(visible), tuple(blind))


@pytest.mark.parametrize("header", NOBODY)
def test_a_message_needs_a_recipient(header):
    """A message whose To, Cc and Bcc name nobody is refused in Gmail's words."""
    with pytest.raises(RecipientMissing) as refused:
        found(header)
    assert str(refused.value) == "Recipient address required"


@pytest.mark.parametrize("name", ["To", "Cc", "Bcc"])
@pytest.mark.parametrize("body", UNREADABLE)
def test_an_unreadable_list_is_refused_whole(name, body):
    """A list that cannot be read is refused by the field's name; neither text nor log line repeats an address."""
    for header in (f"{name}: {body}", f"To: {A}\n{name.lower()}: {B}\n{name.upper()}: {body}"):
        with pytest.raises(InvalidHeader) as refused:
            found(header)
        assert str(refused.value) == f"Invalid {name} header"
        assert refused.value.why.startswith(f"{name}: ")
        assert "canary" not in refused.value.why


@pytest.mark.parametrize(
    "header", ["To: {}", "Cc: {}", "Bcc: {}", "To: {}\nCc: {}\nBcc: {}", "To: {0}\nBcc: g:{0};"]
)
def test_distinct_recipients_are_counted(header):
    """The limit is of distinct addresses over all fields: repeats do not count, and one more is refused."""
    some = ", ".join(f"r{number}@x.example" for number in range(20))
    assert len(found(header.format(some, some, some), limit=20)) == 20
    with pytest.raises(TooManyRecipients) as refused:
        found(header.format(some, some, some), limit=19)
    assert str(refused.value) == "Too many recipients: 20 distinct addresses, the limit is 19"


@pytest.mark.parametrize(
    ("visible", "blind", "bcc", "paths"),
    [
        ((A, B), (), "single", [(A, B)]),
        ((A, B), (), "grouped", [(A, B)]),
        ((A, B), (C, D), "single", [(A, B), (C,), (D,)]),
        ((A, B), (C, D), "grouped", [(A, B), (C, D)]),
        ((), (C, D), "single", [(C,), (D,)]),
        ((), (C, D), "grouped", [(C, D)]),
        ((), (C,), "single", [(C,)]),
        ((), (), "single", []),
        ((), (), "grouped", []),
    ],
)
def test_blind_recipients_have_transactions_of_their_own(visible, blind, bcc, paths):
    """A blind recipient shares no mail transaction with a visible one, and by default with nobody."""
    made = envelopes("s@x.example", Recipients(visible, blind), bcc)
    assert made == tuple(Envelope("s@x.example", path, blind=path != visible) for path in paths)


@settings(max_examples=150, deadline=None)
@given(
    fields=st.lists(
        st.tuples(st.sampled_from(["To", "Cc", "Bcc", "bcc", "TO"]), st.lists(addresses, max_size=4)), max_size=5
    ),
    bcc=st.sampled_from(["single", "grouped"]),
)
def test_no_recipient_is_lost_or_invented(fields, bcc):
    """Every address written stands in exactly one envelope, and blind ones in none with visible ones."""
    named = {"to": set(), "cc": set(), "bcc": set()}
    for name, listed in fields:
        named[name.lower()] |= {
            local + "@" + domain.lower() for local, _, domain in (a.partition("@") for a in listed)
        }
    visible, every = named["to"] | named["cc"], named["to"] | named["cc"] | named["bcc"]
    if not every:
        return
    distinct = found("\n".join(f"{name}: {', '.join(listed)}" for name, listed in fields))
    assert len(distinct) == len(every)
    made = envelopes("s@x.example", distinct, bcc)
    paths = [path for envelope in made for path in envelope.forward_paths]
    assert sorted(paths) == sorted(every)
    for envelope in made:
        seen = set(envelope.forward_paths)
        assert seen <= visible or not seen & visible
        assert seen <= visible or bcc == "grouped" or len(seen) == 1
