"""The words of SMTP: command lines out, reply lines in (RFC 5321 sections 4.1 and 4.2).

Pure, and stateless: which word may come when is `protocol`'s. What is built here cannot carry a second
command, whatever it is given; whether an address is a good one was decided in `mail.address`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from postroad.mail.reply import Reply

COMMAND_LINE_OCTETS = 512  # with CRLF, without the parameters of extensions; RFC 5321 section 4.5.3.1.4
SIZE_DIGITS = 20  # RFC 1870 section 4: size-value ::= 1*20DIGIT
# What every server that offers DSN takes (RFC 3461 section 5.4); a longer parameter is left out.
ENVID_OCTETS = 100
ORCPT_OCTETS = 500

# What the server is to report (RFC 3461 section 4.1); "" leaves that to it.
Notify = Literal["", "FAILURE", "NEVER"]

DATA = b"DATA\r\n"
NOOP = b"NOOP\r\n"
QUIT = b"QUIT\r\n"
RSET = b"RSET\r\n"
STARTTLS = b"STARTTLS\r\n"

_CONTROL = r"\x00-\x1f\x7f-\x9f"  # C0, DEL and C1 (RFC 5198 section 2)

# ehlo = "EHLO" SP ( Domain / address-literal ) CRLF
# Deviation: "_" is let through, because containers are named with it and nobody is served by a refusal.
_HOSTNAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?|\[[A-Za-z0-9.:]{1,64}\]")

# Mailbox         = Local-part "@" ( Domain / address-literal )
# Local-part      = Dot-string / Quoted-string
# Quoted-string   = DQUOTE *QcontentSMTP DQUOTE
# quoted-pairSMTP = %d92 %d32-126
# qtextSMTP       = %d32-33 / %d35-91 / %d93-126
# Deviation: refused is what could end the path, the argument or the line. RFC 6531 section 3.3 adds UTF-8.
_MAILBOX = re.compile(
    rf'(?:[^{_CONTROL} "(),:;<>@\[\\\]]+|"(?:[^{_CONTROL}"\\]|\\[ -~])*")@[^{_CONTROL} "(),;<>@\\]+'
)

# xtext = *( xchar / hexchar ) ; xchar = "!".."~" but "+" and "=" ; hexchar = "+" 2HEXDIG (RFC 3461 section 4)
_NO_XCHAR = re.compile(r"[^!-~]|[+=]")
# utf-8-addr-xtext = 1*( QCHAR / "\x{" HEXPOINT "}" ) ; QCHAR = xchar but "\" (RFC 6533 section 3)
_NO_QCHAR = re.compile(r"[^!-~]|[+=\\]")

# Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
# Reply-code = %x32-35 %x30-35 %x30-39
# textstring = 1*(%d09 / %d32-126)
# Deviation: any second digit, as the class alone decides; any octet in the text, cleaned below.
_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)

# status-code = class "." subject "." detail       (RFC 3463 section 2; RFC 2034 puts it before the text)
# class       = "2" / "4" / "5" ; subject, detail = 1*3digit
_STATUS = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ \t]+|\Z)")

# What most replies are: one line as the grammar has it, under any bound, with nothing in it to be cleaned.
_SHORT_REPLY = re.compile(
    rb"(?=[ -~]{4,510}\r\n)(([2-5])[0-9]{2}) (?:((?!3)\2\.[0-9]{1,3}\.[0-9]{1,3})(?: +|(?=\r)))?([ -~]*)\r\n"
)

_UNPRINTABLE = re.compile(rf"(?!\t)[{_CONTROL}\u2028\u2029]")


def ehlo(hostname: str) -> bytes:
    """EHLO (RFC 5321 section 4.1.1.1)."""
    return _line(f"EHLO {_checked(_HOSTNAME, hostname, 'host name')}")


def helo(hostname: str) -> bytes:
    """HELO, for servers that know nothing younger."""
    return _line(f"HELO {_checked(_HOSTNAME, hostname, 'host name')}")


def mail(
    reverse_path: str | None, *, size: int | None, eight_bit: bool, smtputf8: bool, envid: str | None = None
) -> bytes:
    """MAIL with SIZE (RFC 1870), BODY=8BITMIME (RFC 6152) and SMTPUTF8 (RFC 6531) where asked for.

    `envid`, of ASCII: failures are to be reported with the header section alone, under this name (RFC 3461).
    """
    if size is not None and not 0 <= size < 10**SIZE_DIGITS:
        raise ValueError(f"not a message size: {size}")
    parameters = "" if size is None else f" SIZE={size}"
    parameters += " BODY=8BITMIME" * eight_bit + " SMTPUTF8" * smtputf8
    if reverse_path is not None and envid is not None:
        parameters += " RET=HDRS" + _unless_long(f"ENVID={xtext(envid)}", ENVID_OCTETS)
    path = "" if reverse_path is None else _mailbox(reverse_path, smtputf8=smtputf8)
    return _line(f"MAIL FROM:<{path}>", parameters)


def rcpt(forward_path: str, *, smtputf8: bool = False, notify: Notify = "") -> bytes:
    """RCPT (RFC 5321 section 4.1.1.3); with `notify`, what to report, and of whom (RFC 3461)."""
    parameters = ""
    if notify:
        parameters = f" NOTIFY={notify}" + _unless_long(f"ORCPT={original_recipient(forward_path)}", ORCPT_OCTETS)
    return _line(f"RCPT TO:<{_mailbox(forward_path, smtputf8=smtputf8)}>", parameters)


def original_recipient(mailbox: str) -> str:
    """An address as the value of ORCPT: in ASCII whatever it is (RFC 3461 section 4.2, RFC 6533 section 3)."""
    if mailbox.isascii():
        return f"rfc822;{xtext(mailbox)}"
    return "utf-8;" + _NO_QCHAR.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", mailbox)


def xtext(text: str) -> str:
    """ASCII text as a word that can be the value of a parameter (RFC 3461 section 4)."""
    return _NO_XCHAR.sub(lambda match: f"+{ord(match[0]):02X}", text)


def _unless_long(parameter: str, octets: int) -> str:
    return f" {parameter}" if len(parameter) <= octets else ""


def last_chunk(size: int) -> bytes:
    """BDAT for content of so many octets, all of it, which follow at once (RFC 3030 section 2)."""
    return _line(f"BDAT {size} LAST")


def _mailbox(mailbox: str, *, smtputf8: bool) -> str:
    if not (smtputf8 or mailbox.isascii()):
        raise ValueError("mailbox that needs SMTPUTF8")
    return _checked(_MAILBOX, mailbox, "mailbox")


def _checked(pattern: re.Pattern[str], argument: str, kind: str) -> str:
    if not pattern.fullmatch(argument):  # which is not repeated: it may be a Bcc
        raise ValueError(f"not a {kind} that can be sent")
    return argument


def _line(command: str, parameters: str = "") -> bytes:
    line = command.encode()
    if len(line) + len(b"\r\n") > COMMAND_LINE_OCTETS:
        raise ValueError(f"command line over {COMMAND_LINE_OCTETS} octets")
    return line + parameters.encode() + b"\r\n"


@dataclass(frozen=True, slots=True)
class ReplyLine:
    """One line of a reply; `last` unless a hyphen announces more."""

    code: int
    last: bool
    text: str


def reply_line(line: bytes) -> ReplyLine:
    """Read a line without its line end; ValueError when it is no reply line."""
    match = _REPLY_LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"not a reply line: {line[:80]!r}")
    code, mark, text = match.groups(default=b"")
    return ReplyLine(int(code), mark != b"-", _printable(text))


def _printable(text: bytes) -> str:
    """Decode as UTF-8; what cannot be shown in a terminal, a log or a DSN becomes U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text.decode("utf-8", "replace"))


def short_reply(octets: bytes | bytearray) -> tuple[Reply, int] | None:
    """The reply that stands first in these octets, and its length there, if it is plain and short.

    It is what `reply_line` and `reply` make of it. `None` says nothing: it may be a reply all the same.
    """
    match = _SHORT_REPLY.match(octets)
    if match is None:
        return None
    code, _, status, text = match.groups(b"")
    return Reply(int(code), status.decode(), text.decode()), match.end()


def reply(code: int, texts: Iterable[str]) -> Reply:
    """Put the lines of one reply together and take the enhanced status code out of them."""
    texts = list(texts)
    status = next((found for text in texts if (found := _status(code, text))), "")
    if status:
        texts = [_STATUS.sub("", text, count=1) if _status(code, text) == status else text for text in texts]
    return Reply(code, status, "\n".join(texts))


def _status(code: int, text: str) -> str:
    """RFC 3463 section 2: a status whose class contradicts the reply code says nothing."""
    match = _STATUS.match(text)
    return match[1] if match and match[1][0] == str(code)[0] else ""


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a server offered in its reply to EHLO; all of it absent after HELO."""

    pipelining: bool = False  # RFC 2920
    size: bool = False  # RFC 1870
    size_limit: int | None = None  # octets; None: no fixed limit was declared
    eight_bit_mime: bool = False  # RFC 6152
    enhanced_status_codes: bool = False  # RFC 2034
    starttls: bool = False  # RFC 3207
    smtputf8: bool = False  # RFC 6531
    chunking: bool = False  # RFC 3030
    dsn: bool = False  # RFC 3461
    auth: frozenset[str] = frozenset()  # mechanisms; RFC 4954


def extensions(ehlo_reply: Reply) -> Extensions:
    """Read the extensions a server offers: one keyword a line, after the line with its name.

    ehlo-line = ehlo-keyword *( SP ehlo-param ); keywords are case-insensitive (RFC 5321 section 4.1.1.1).
    """
    lines = (line.split() for line in ehlo_reply.text.split("\n")[1:])
    offered = {words[0].upper(): words[1:] for words in lines if words}
    return Extensions(
        pipelining="PIPELINING" in offered,
        size="SIZE" in offered,
        size_limit=_size_limit(offered.get("SIZE", [])),
        eight_bit_mime="8BITMIME" in offered,
        enhanced_status_codes="ENHANCEDSTATUSCODES" in offered,
        starttls="STARTTLS" in offered,
        smtputf8="SMTPUTF8" in offered,
        chunking="CHUNKING" in offered,
        dsn="DSN" in offered,
        auth=frozenset(word.upper() for word in offered.get("AUTH", [])),
    )


def _size_limit(parameters: list[str]) -> int | None:
    """RFC 1870 section 4: no value, or zero, means that no fixed limit is declared."""
    if not parameters or not re.fullmatch(rf"[0-9]{{1,{SIZE_DIGITS}}}", parameters[0]):
        return None
    return int(parameters[0]) or None
