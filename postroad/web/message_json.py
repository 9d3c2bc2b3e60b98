"""The Message of a request body: strict JSON, bounded by its octets, answered with Google's texts.

A 49 MB body is not copied: `raw` stays a view of it until it is decoded (gmail-wire.md section 3).
"""

import codecs
import re
from binascii import Error as NotBase64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
import pybase64

from postroad import refusals
from postroad.refusals import Violation

# The fields of the resource (gmail-wire.md 3.3) and their kinds; the parser also takes the proto name.
_FIELDS: dict[str, Literal["string", "bytes", "message", "number"]] = {
    "id": "string",
    "threadId": "string",
    "labelIds": "message",
    "snippet": "string",
    "historyId": "number",
    "internalDate": "number",
    "payload": "message",
    "sizeEstimate": "number",
    "raw": "bytes",
    "classificationLabelValues": "message",
}
_PROTO_NAMES = {name: re.sub("([A-Z])", r"_\1", name).lower() for name in _FIELDS}
_TYPES = {"string": "TYPE_STRING", "bytes": "TYPE_BYTES"}
_SPELLINGS = {proto: name for name, proto in _PROTO_NAMES.items()} | {name: name for name in _FIELDS}
# Decodes each known member to a view of its text, skips the unknown ones, and checks all of it to be JSON.
_values = msgspec.json.Decoder(
    msgspec.defstruct("_Values", [(spelling, msgspec.Raw, msgspec.Raw()) for spelling in _SPELLINGS])
)
# Possessive: a plain repetition would remember every step of a 49 MB name, at 140 octets each.
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_KEY = re.compile(rb"[\s,]*+(" + _STRING + rb")\s*+:\s*+")
_TOKEN = re.compile(_STRING + rb'|[\[\]{}]|[^\s,:"\[\]{}]++')
_NESTING = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOTHING = msgspec.Raw()
_BOM = b"\xef\xbb\xbf"
_SLICE = 1 << 20  # octets worked on at once
_SHOWN = 64  # characters of a bad name or value that an error repeats
MAX_VIOLATIONS = 20  # what is wrong beyond them is not told

# A Message of `raw` alone, up to its characters and behind them.
_HEAD = re.compile(rb'[ \t\r\n]*+\{[ \t\r\n]*+"raw"[ \t\r\n]*+:[ \t\r\n]*+"')
_TAIL = re.compile(rb'"[ \t\r\n]*+\}[ \t\r\n]*+')

_URL_SAFE = b"-_"
_STANDARD = bytes.maketrans(_URL_SAFE, b"+/")
_PLUS, _SLASH = b"+/"
_WHITE_SPACE = b" \t\r\n"
_LAST_QUANTUM = re.compile(rb"(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?|[A-Za-z0-9+/]{4})?")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a send reads of a Message: the octets of `raw`, and the id of its thread as written; "" is none."""

    raw: bytes | bytearray
    thread: str = ""


class _Misfit(Exception):  # noqa: N818 - a member that does not fit; all of them make one refusal
    """A member that a Message cannot hold; `str()` is the text of the answer, `why` that of the log."""

    def __init__(self, description: str, why: str, field: str = "message") -> None:
        super().__init__(description)
        self.why = why
        self.violation = Violation(field, description)


def read(body: bytes | bytearray) -> Sent:
    """Read a Message. An empty body is an empty Message; null and "" are no value, as everywhere in proto3.

    Raises `BadJSON`, or `FieldsInvalid` with every member that does not fit, in their order.
    """
    return _plain(body) or _read(body)


def _plain(body: bytes | bytearray) -> Sent | None:
    """What nearly all programs send: `raw` alone, in one alphabet without white space. `None` for anything else.

    Base64 holds neither quotation marks nor escapes: what decodes is all of a string, and around it is JSON.
    """
    head, end = _HEAD.match(body), body.rfind(b'"')
    if len(body) > _SLICE or not head or end < head.end() or not _TAIL.fullmatch(body, end):
        return None
    characters = body[head.end() : end]
    if not characters.endswith(b"="):
        characters += b"=" * (-len(characters) % 4)
    alphabet = None if _PLUS in characters or _SLASH in characters else _URL_SAFE
    try:
        return Sent(pybase64.b64decode(characters, alphabet, validate=True))
    except NotBase64:
        return None


def _read(body: bytes | bytearray) -> Sent:
    """Any Message. Raises what `read` raises."""
    _refuse_other_text(body)
    raw: bytes | bytearray = b""
    thread = ""
    misfits: list[_Misfit] = []
    for name, value in _members(body) if body else ():
        try:
            _refuse_misfit(name, value)
            if name == "raw":
                raw = _decoded(_characters(value))
            elif name == "threadId":
                thread = msgspec.json.decode(value, type=str)
        except _Misfit as misfit:
            misfits.append(misfit)
            if len(misfits) == MAX_VIOLATIONS:
                break
    if misfits:
        raise refusals.FieldsInvalid([one.violation for one in misfits], "; ".join(one.why for one in misfits))
    return Sent(raw, thread)


def _refuse_other_text(body: bytes | bytearray) -> None:
    """Refuse what is not UTF-8 (RFC 8259 section 8.1): the decoder does not look into what it skips."""
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(body), _SLICE):
            decoder.decode(body[at : at + _SLICE], final=at + _SLICE >= len(body))
    except UnicodeDecodeError:
        raise refusals.BadJSON(problem="It is not UTF-8.") from None


def _members(body: bytes | bytearray) -> Iterator[tuple[str, msgspec.Raw]]:
    """The members of the object in order by their JSON names, each value as it stands, known nulls left out.

    The decoder keeps the last of two values with one name where another reader takes the first: such a text is
    refused. Known to be valid JSON, it is walked by its own values: a key, then exactly the value decoded for it;
    an unknown one, which the decoder skips, has no value here.
    """
    start = len(_BOM) if body.startswith(_BOM) else 0
    values = _parsed(memoryview(body)[start:])
    seen: set[str] = set()
    at = body.index(b"{", start) + 1
    while match := _KEY.match(body, at):
        spelling = msgspec.json.decode(match[1])
        name = _SPELLINGS.get(spelling)
        if name is None:
            at = _end_of_value(body, match.end())
            yield spelling[:_SHOWN], _NOTHING
            continue
        value: msgspec.Raw = getattr(values, spelling)
        at = match.end() + len(memoryview(value))
        if name in seen or not body.startswith(value, match.end()) or body[at] not in b" \t\r\n,}":
            raise refusals.BadJSON(problem=f'The name "{name}" stands twice.')
        seen.add(name)
        if bytes(memoryview(value)[:4]) != b"null":
            yield name, value


def _end_of_value(body: bytes | bytearray, start: int) -> int:
    """Where the value that begins at `start` ends, in what is known to be JSON."""
    depth = 0
    for token in _TOKEN.finditer(body, start):
        depth += _NESTING.get(body[token.start()], 0)
        if not depth:
            return token.end()
    return len(body)


def _parsed(view: memoryview) -> object:
    """The values of the known members. Raises `FieldsInvalid` for another root than an object, `BadJSON`."""
    try:
        return _values.decode(view)
    except msgspec.ValidationError:
        text = 'Invalid JSON payload received. Unknown name "": Root element must be a message.'
        raise refusals.FieldsInvalid([Violation("", text)], "the JSON body is no object") from None
    except msgspec.DecodeError as error:
        # Without its type, the parser's complaint reads as Google's do: "JSON is malformed: ...".
        raise refusals.BadJSON(problem=f"{error}.") from None
    except RecursionError:
        raise refusals.BadJSON(problem="Message too deep. Max recursion depth reached.") from None


def _refuse_misfit(name: str, value: msgspec.Raw) -> None:
    """Refuse unknown members, and what a field cannot hold; of output-only fields only scalars are looked at."""
    kind = _FIELDS.get(name)
    first = bytes(memoryview(value)[:1])
    unknown = f"Invalid JSON payload received. Unknown name \"{name}\" at 'message': "
    if kind is None:
        raise _Misfit(f"{unknown}Cannot find field.", f"a Message has no member {name!r}")
    if kind == "message":
        return
    if first == b"{":
        raise _Misfit(
            f"Invalid value at 'message' ({name}), Starting an object on a scalar field", f"{name} is an object"
        )
    if first == b"[":
        raise _Misfit(f"{unknown}Proto field is not repeating, cannot start list.", f"{name} is a list")
    if first != b'"' and kind in _TYPES:
        field = f"message.{_PROTO_NAMES[name]}"
        shown = bytes(memoryview(value)[:_SHOWN]).decode()
        raise _Misfit(f"Invalid value at '{field}' ({_TYPES[kind]}), {shown}", f"{name} is no string", field)


def _characters(value: msgspec.Raw) -> memoryview | bytes:
    """The characters of a string value: a view of the body, unless escapes have to be resolved."""
    inside = memoryview(value)[1:-1]
    if re.search(rb"\\", inside):
        return msgspec.json.decode(value, type=str).encode()
    return inside


def _decoded(characters: memoryview | bytes) -> bytearray:
    """Decode base64 in either alphabet, padded or not; white space between is nothing (gmail-wire.md 3.2).

    What follows the padding, a padding of the wrong length, and any other character are refused: a decoder that
    skips them cuts messages short.
    """
    decoded = bytearray()
    held = b""  # the last quantum so far, which alone may be short or padded
    try:
        for at in range(0, len(characters), _SLICE):
            text = held + bytes(characters[at : at + _SLICE]).translate(_STANDARD, _WHITE_SPACE)
            whole = max(len(text) - 1, 0) // 4 * 4
            decoded += _octets(text[:whole])
            held = text[whole:]
        if not _LAST_QUANTUM.fullmatch(held):
            raise NotBase64  # noqa: TRY301 - one way out for all that is wrong
        decoded += _octets(held.rstrip(b"="))
    except NotBase64:
        raise _Misfit(
            f"Invalid value at 'message.raw' (TYPE_BYTES), Base64 decoding failed for {_quoted(characters)}",
            "raw is not base64",
            "message.raw",
        ) from None
    return decoded


def _octets(quanta: bytes) -> bytes:
    """Decode whole quanta, of which the last may be short."""
    if b"=" in quanta:
        raise NotBase64
    return pybase64.b64decode(quanta + b"=" * (-len(quanta) % 4), validate=True)


def _quoted(characters: memoryview | bytes) -> str:
    """The value as an error shows it, cut short."""
    shown = bytes(characters[:_SHOWN]).decode(errors="ignore")
    return f'"{shown}"' if len(characters) <= _SHOWN else f'"{shown}..."'
