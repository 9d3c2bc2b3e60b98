"""Command lines cannot carry a second command; replies and extensions are read as they are meant."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.mail.reply import Reply
from postroad.smtp import grammar
from postroad.smtp.grammar import Extensions
from tests.smtp_sink import COMMAND_ON_THE_WIRE


@pytest.mark.parametrize(
    ("line", "wire"),
    [
        (grammar.ehlo("mx.example.test"), b"EHLO mx.example.test\r\n"),
        (grammar.ehlo("[IPv6:2001:db8::1]"), b"EHLO [IPv6:2001:db8::1]\r\n"),
        (grammar.helo("host_1"), b"HELO host_1\r\n"),
        (grammar.mail(None, size=None, eight_bit=False, smtputf8=False), b"MAIL FROM:<>\r\n"),
        (grammar.mail("a@b.test", size=0, eight_bit=False, smtputf8=False), b"MAIL FROM:<a@b.test> SIZE=0\r\n"),
        (
            grammar.mail("é@b.test", size=7, eight_bit=True, smtputf8=True),
            "MAIL FROM:<é@b.test> SIZE=7 BODY=8BITMIME SMTPUTF8\r\n".encode(),
        ),
        (
            grammar.mail("a@b.test", size=None, eight_bit=False, smtputf8=False, envid="0a=1"),
            b"MAIL FROM:<a@b.test> RET=HDRS ENVID=0a+3D1\r\n",
        ),
        (grammar.mail(None, size=None, eight_bit=False, smtputf8=False, envid="01"), b"MAIL FROM:<>\r\n"),
        (
            grammar.mail("a@b.test", size=None, eight_bit=False, smtputf8=False, envid="x" * 95),
            b"MAIL FROM:<a@b.test> RET=HDRS\r\n",
        ),
        (grammar.last_chunk(0), b"BDAT 0 LAST\r\n"),
        (
            grammar.rcpt("a+b@c.test", notify="FAILURE"),
            b"RCPT TO:<a+b@c.test> NOTIFY=FAILURE ORCPT=rfc822;a+2Bb@c.test\r\n",
        ),
        (
            grammar.rcpt(f"{'=' * 165}@c", notify="NEVER"),
            b"RCPT TO:<" + b"=" * 165 + b"@c> NOTIFY=NEVER\r\n",
        ),
        (grammar.rcpt("a@b.test"), b"RCPT TO:<a@b.test>\r\n"),
        (grammar.rcpt('"a b"@c.test'), b'RCPT TO:<"a b"@c.test>\r\n'),
        (grammar.rcpt(r'"a\"> b@x"@c.test'), b'RCPT TO:<"a\\"> b@x"@c.test>\r\n'),
        (grammar.rcpt("a@[IPv6:::1]"), b"RCPT TO:<a@[IPv6:::1]>\r\n"),
        (grammar.rcpt("-oQ/tmp|x%s@c.test"), b"RCPT TO:<-oQ/tmp|x%s@c.test>\r\n"),
    ],
)
def test_commands_on_the_wire(line, wire):
    """Each builder gives one command line to the octet."""
    assert line == wire


@pytest.mark.parametrize(
    "address",
    [
        "", "a", "@b.test", "a@", "a@b@c.test", "a@b.test> SIZE=1", "<a@b.test>", "a@b.test\r\nRSET", "a\n@b.test",
        "a\r@b.test", "a\0@b.test", "a\t@b.test", "a\x7f@b.test", "a\x85@b.test", "a b@c.test", "a@b .test",
        'a"b@c.test', '"a@b.test', '"a\r\nb"@c.test', '"a\\\n"@c.test', '"a"b"@c.test', "é@b.test", "a@é.test",
        f"a@{'b' * 600}.test",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(address):
    """An address that could end its path, its argument or its line raises ValueError, and is not repeated."""
    with pytest.raises(ValueError, match=r"mailbox|over 512") as refused:
        grammar.rcpt(address)
    assert len(address) < 2 or repr(address)[1:-1] not in str(refused.value)
    with pytest.raises(ValueError, match=r"mailbox|over 512"):
        grammar.mail(address, size=None, eight_bit=False, smtputf8=False)


@pytest.mark.parametrize("address", ["a\x85@b.test", "é\r\n@b.test", "\ud800@b.test", "é @b.test"])
def test_smtputf8_opens_no_gap(address):
    """With SMTPUTF8 controls, spaces and lone surrogates are refused as without it."""
    with pytest.raises(ValueError, match=r"mailbox|surrogate"):
        grammar.rcpt(address, smtputf8=True)


@pytest.mark.parametrize("hostname", ["", "a b", "a\r\nRSET", "-a", "a-", "é.test", "[a b]", "a" * 256])
def test_host_names_that_are_refused(hostname):
    """A host name that is more than one argument raises ValueError."""
    for build in (grammar.ehlo, grammar.helo):
        with pytest.raises(ValueError, match="host name"):
            build(hostname)


@pytest.mark.parametrize("size", [-1, 10**20])
def test_sizes_that_are_refused(size):
    """SIZE has at most 20 digits and no sign."""
    with pytest.raises(ValueError, match="size"):
        grammar.mail(None, size=size, eight_bit=False, smtputf8=False)


@pytest.mark.parametrize(
    ("mailbox", "parameter"),
    [
        ("one@b.test", "rfc822;one@b.test"),
        ("a+b=c@d.test", "rfc822;a+2Bb+3Dc@d.test"),
        ('"a b"@c.test', 'rfc822;"a+20b"@c.test'),
        ("grün@b.test", "utf-8;gr\\x{FC}n@b.test"),
        ("a+b=\\ü@c.test", "utf-8;a\\x{2B}b\\x{3D}\\x{5C}\\x{FC}@c.test"),
        ("用户@例子.test", "utf-8;\\x{7528}\\x{6237}@\\x{4F8B}\\x{5B50}.test"),
        ("\U0001f600@b.test", "utf-8;\\x{1F600}@b.test"),
    ],
)
def test_original_recipients(mailbox, parameter):
    """An address becomes xtext (RFC 3461 section 4); beyond ASCII, utf-8-addr-xtext (RFC 6533 section 3)."""
    assert grammar.original_recipient(mailbox) == parameter


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40))
def test_an_original_recipient_is_one_word_that_can_be_read_back(mailbox):
    """Printable ASCII without "=", in which every "+" begins an escape; decoded it is the address."""
    kind, _, encoded = grammar.original_recipient(mailbox).partition(";")
    assert re.fullmatch(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+", encoded)
    escape = {"rfc822": r"\+([0-9A-F]{2})", "utf-8": r"\\x\{([0-9A-F]+)\}"}[kind]
    assert re.sub(escape, lambda match: chr(int(match[1], 16)), encoded) == mailbox


@given(st.text(alphabet=st.sampled_from('ab@."\\<> \r\n\0\té\x85\u2028'), max_size=12), st.booleans())
def test_no_address_escapes_its_line(address, smtputf8):
    """Whatever the address, RCPT is refused or is one well-formed command line, with parameters or without."""
    try:
        line = grammar.rcpt(address, smtputf8=smtputf8)
    except ValueError:
        return
    assert COMMAND_ON_THE_WIRE.fullmatch(line)
    assert COMMAND_ON_THE_WIRE.fullmatch(grammar.rcpt(address, smtputf8=smtputf8, notify="FAILURE"))
    assert line[len("RCPT TO:<") : -len(">\r\n")].decode() == address


@pytest.mark.parametrize(
    ("line", "code", "last", "text"),
    [
        (b"250", 250, True, ""),
        (b"250 ", 250, True, ""),
        (b"250-", 250, False, ""),
        (b"299-two  blanks ", 299, False, "two  blanks "),
        (b"550 \xc3\xa9\xff\tx", 550, True, "é\ufffd\tx"),
        (b"550 a\x1b[31m\0\rb\x7f\xc2\x9b\xe2\x80\xa8", 550, True, "a\ufffd[31m\ufffd\ufffdb\ufffd\ufffd\ufffd"),
    ],
)
def test_reply_lines(line, code, last, text):
    """A reply line is a code, a mark and a text without control characters."""
    assert grammar.reply_line(line) == grammar.ReplyLine(code, last, text)


@pytest.mark.parametrize(
    "line", [b"", b"25", b"2500", b"250=x", b"250\tx", b" 250 x", b"199 x", b"600 x", b"abc x", b"2\xb20 x"]
)
def test_lines_that_are_no_reply(line):
    """Junk and codes outside 200..599 raise ValueError."""
    with pytest.raises(ValueError, match="not a reply line"):
        grammar.reply_line(line)


@pytest.mark.parametrize(
    ("code", "texts", "expected"),
    [
        (250, ["2.1.0 Ok"], Reply(250, "2.1.0", "Ok")),
        (550, ["5.1.1 no", "5.1.1 such user"], Reply(550, "5.1.1", "no\nsuch user")),
        (550, ["no", "5.1.1 such user"], Reply(550, "5.1.1", "no\nsuch user")),
        (550, ["5.1.1 no", "5.7.1 never"], Reply(550, "5.1.1", "no\n5.7.1 never")),
        (450, ["5.1.1 mixed up"], Reply(450, "", "5.1.1 mixed up")),
        (250, ["2.0.0"], Reply(250, "2.0.0", "")),
        (550, ["5.7.1234 x"], Reply(550, "", "5.7.1234 x")),
        (550, ["5.7.1: x"], Reply(550, "", "5.7.1: x")),
        (250, ["", "SIZE 5"], Reply(250, "", "\nSIZE 5")),
    ],
)
def test_enhanced_status_codes(code, texts, expected):
    """The enhanced status code is taken out of the text, unless its class contradicts the reply code."""
    assert grammar.reply(code, texts) == expected


def read_at_length(line):
    """What the grammar of lines and of replies makes of a line."""
    try:
        found = grammar.reply_line(line)
    except ValueError:
        return None
    return grammar.reply(found.code, [found.text]) if found.last else None


@pytest.mark.parametrize(
    "line",
    [
        *(b"250 ", b"250 2.0.0", b"250 2.0.0 Ok", b"550  two  blanks ", b"550 5.1.1   no ", b"550 5.1.1: no"),
        *(b"354 3.0.0 go", b"450 5.1.1 mixed up", b"299 2.1.1234 x", b"250 2.0.0 " + b"x" * 500),
    ],
)
def test_short_replies(line):
    """A printable line of up to 510 octets is a whole reply; its status is as any reply's, and it has its end."""
    octets = line + b"\r\n"
    assert grammar.short_reply(octets + b"250 more\r\n") == (read_at_length(line), len(octets))


WORDS = st.sampled_from(
    [b"250", b"354", b"55", b" ", b"-", b"2.1.5", b"5.1.1", b".1", b"\t", b"\r", b"\xff", b" " * 300]
)


@given(st.lists(WORDS, max_size=8).map(b"".join), st.sampled_from([b"\r\n", b"\n", b"\r", b""]))
def test_a_short_reply_is_what_it_is_at_length(line, end):
    """Whatever the octets, a reply that is taken in one piece is the same as from its line."""
    if found := grammar.short_reply(line + end):
        assert found == (read_at_length(line), len(line + end))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mx.test", Extensions()),
        ("PIPELINING", Extensions()),
        ("\nsize", Extensions(size=True)),
        ("mx\nSIZE 0", Extensions(size=True)),
        ("mx\nSIZE 1000 x", Extensions(size=True, size_limit=1000)),
        ("mx\nSIZE " + "9" * 21, Extensions(size=True)),
        ("mx\nSIZE -5", Extensions(size=True)),
        ("mx\n\n8bitmime\nSmtpUtf8", Extensions(eight_bit_mime=True, smtputf8=True)),
        ("mx\nSTARTTLS\nCHUNKING\nDSN\nX-ODD 1", Extensions(starttls=True, chunking=True, dsn=True)),
        ("mx\nAUTH plain XOAUTH2", Extensions(auth=frozenset({"PLAIN", "XOAUTH2"}))),
        ("mx\nAUTH", Extensions()),
        ("mx\nPIPELINING\nENHANCEDSTATUSCODES", Extensions(pipelining=True, enhanced_status_codes=True)),
    ],
)
def test_extensions(text, expected):
    """Keywords are read in any case after the first line; a senseless size limit is none."""
    assert grammar.extensions(Reply(250, "", text)) == expected
