"""Reads a message that comes in pieces, as `message.parse` reads one that is there at once.

An `Intake` is all there is to know between two pieces: small, and a plain value, so that it can be stored with
what came before and read on from after a crash. Nothing is refused before the end: a message is refused for
the same reason in whatever pieces it came.
"""

from dataclasses import dataclass, replace

from postroad import refusals
from postroad.mail import message
from postroad.mail.message import MAX_HEADER_SECTION, Message
from postroad.mail.transmission import LINE_LIMIT, is_eight_bit, longest_line

_EMPTY_LINE = b"\r\n\r\n"
# What `message.parse` looks at for the empty line.
_HEAD_LIMIT = MAX_HEADER_SECTION + 2


@dataclass(frozen=True, slots=True)
class Intake:
    """A message so far. `head` is what came up to the empty line and with it, at most 256 KiB; the rest is body.

    `held`: a CR came last, of which the next octet tells whether it ends a line. `line` counts the octets of
    the line that has begun; `longest_line` stands for all up to 998, as in `transmission.longest_line`.
    """

    head: bytes = b""
    in_body: bool = False
    held: bool = False
    line: int = 0
    longest_line: int = LINE_LIMIT
    body_size: int = 0
    eight_bit: bool = False
    nul: bool = False
    bare_cr: bool = False


def take(intake: Intake, octets: bytes | bytearray) -> tuple[Intake, bytes]:
    """Read on: the message so far, and the octets of its body that these are, with CRLF line ends."""
    text = (b"\r" if intake.held else b"") + octets
    held = text.endswith(b"\r")
    if held:
        text = text[:-1]
    pairs = text.count(b"\r\n")
    noted = replace(
        intake,
        held=held,
        nul=intake.nul or b"\0" in text,
        bare_cr=intake.bare_cr or text.count(b"\r") != pairs,
    )
    if text.count(b"\n") != pairs:
        text = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return _divided(_measured(noted, text), bytes(text))


def finished(intake: Intake) -> Message:
    """The message without its body, checked, once all has come. Raises what `message.parse` does of the whole."""
    if intake.nul:
        raise refusals.InvalidMessage(problem="it holds a NUL octet")
    if intake.bare_cr or intake.held:
        raise refusals.InvalidMessage(problem="it holds a carriage return without a line feed")
    return message.parse(intake.head.removesuffix(b"\r"))  # a head over its limit was cut somewhere


def _measured(intake: Intake, text: bytes) -> Intake:
    """Note the longest line of what came, of which the first may have begun before."""
    first, last = text.find(b"\n"), text.rfind(b"\n")
    if first < 0:
        line = intake.line + len(text)
        return replace(intake, line=line, longest_line=max(intake.longest_line, line))
    longest = max(intake.longest_line, intake.line + first - 1)
    line = len(text) - last - 1
    return replace(intake, line=line, longest_line=max(longest_line(text[first + 1 : last + 1], longest), line))


def _divided(intake: Intake, text: bytes) -> tuple[Intake, bytes]:
    """Give to the head what belongs to it; the body is what is left."""
    body = text
    if not intake.in_body:
        head = intake.head + text
        end = head.find(_EMPTY_LINE, max(len(intake.head) - len(_EMPTY_LINE) + 1, 0), _HEAD_LIMIT)
        end = _HEAD_LIMIT if end < 0 else end + len(_EMPTY_LINE)
        intake = replace(intake, head=head[:end], in_body=len(head) >= end)
        body = head[end:]
    eight_bit = intake.eight_bit or is_eight_bit(body)
    return replace(intake, body_size=intake.body_size + len(body), eight_bit=eight_bit), body
