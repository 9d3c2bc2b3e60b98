"""The Message of a request body: strict JSON, bounded by its octets, answered with Google's texts.

A 49 MB body is not copied: `raw` stays a view of it until it is decoded (gmail-wire.md section 3).
"""

import codecs
import re
from binascii import Error as NotBase64
from dataclasses import dataclass
from typing import Literal

import msgspec
import pybase64

from postroad import refusals
from postroad.database.identifiers import number_of

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
_SPELLINGS = {proto: name for name, proto in _PROTO_NAMES.items()} | {name: name for name in _FIELDS}
# Decodes each known member to a view of its text, skips the unknown ones, and checks all of it to be JSON.
_values = msgspec.json.Decoder(
    msgspec.defstruct("_Values", [(spelling, msgspec.Raw, msgspec.Raw()) for spelling in _SPELLINGS])
)
# Possessive: a plain repetition would remember every step of a 49 MB name, at 140 octets each.
_KEY = re.compile(rb'[\s,]*+("(?:[^"\\]++|\\.)*+")\s*+:\s*+')
_BOM = b"\xef\xbb\xbf"
_SLICE = 1 << 20  # octets worked on at once
_SHOWN = 64  # characters of a bad name or value that an error repeats

_STANDARD = bytes.maketrans(b"-_", b"+/")
_WHITE_SPACE = b" \t\r\n"
_LAST_QUANTUM = re.compile(rb"(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?|[A-Za-z0-9+/]{4})?")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a send reads of a Message: the octets of `raw` ("" when there is none), and the thread."""

    raw: bytes | bytearray
    thread_id: int | None


def read(body: bytearray) -> Sent:
    """Read a Message. An empty body is an empty Message.

    Raises `BadJSON`, `NotAMessage`, `UnknownMember`, `WrongType`, `BadBase64`, `ThreadIdInvalid`.
    """
    _refuse_other_text(body)
    members = _members(body) if body else {}
    raw = members.get("raw")
    return Sent(
        raw=_decoded(_characters(raw)) if raw is not None else b"",
        thread_id=_thread(members.get("threadId")),
    )


def _refuse_other_text(body: bytearray) -> None:
    """Refuse what is not UTF-8 (RFC 8259 section 8.1): the decoder does not look into what it skips."""
    if body.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(body), _SLICE):
            decoder.decode(body[at : at + _SLICE], final=at + _SLICE >= len(body))
    except UnicodeDecodeError:
        raise refusals.BadJSON(problem="It is not UTF-8.") from None


def _members(body: bytearray) -> dict[str, msgspec.Raw]:
    """The members of the object by their JSON names, each value as it stands, nulls left out.

    The decoder keeps the last of two values with one name where another reader takes the first: such a text is
    refused. Known to be valid JSON, it is walked by its own values: a key, then exactly the value decoded for it.
    """
    start = len(_BOM) if body.startswith(_BOM) else 0
    values = _parsed(memoryview(body)[start:])
    members: dict[str, msgspec.Raw] = {}
    at = body.index(b"{", start) + 1
    while match := _KEY.match(body, at):
        spelling = msgspec.json.decode(match[1])
        name = _SPELLINGS.get(spelling)
        if name is None:
            raise refusals.UnknownMember(name=spelling[:_SHOWN])
        value: msgspec.Raw = getattr(values, spelling)
        at = match.end() + len(memoryview(value))
        if name in members or not body.startswith(value, match.end()) or body[at] not in b" \t\r\n,}":
            raise refusals.BadJSON(problem=f'The name "{name}" stands twice.')
        members[name] = value
    present = {name: value for name, value in members.items() if bytes(memoryview(value)[:4]) != b"null"}
    for name, value in present.items():
        _refuse_wrong_kind(name, value)
    return present


def _parsed(view: memoryview) -> object:
    """The values of the known members. Raises `NotAMessage`, `BadJSON`."""
    try:
        return _values.decode(view)
    except msgspec.ValidationError:
        raise refusals.NotAMessage from None
    except msgspec.DecodeError as error:
        # Without its type, the parser's complaint reads as Google's do: "JSON is malformed: ...".
        raise refusals.BadJSON(problem=f"{error}.") from None
    except RecursionError:
        raise refusals.BadJSON(problem="Message too deep. Max recursion depth reached.") from None


def _refuse_wrong_kind(name: str, value: msgspec.Raw) -> None:
    """Refuse what a string field cannot hold; the output-only fields are read past, as Google does."""
    if _FIELDS[name] not in ("string", "bytes"):
        return
    first = bytes(memoryview(value)[:1])
    if first == b"{":
        raise refusals.WrongType(
            problem=f"Invalid value at 'message' ({name}), Starting an object on a scalar field"
        )
    if first == b"[":
        raise refusals.WrongType(
            problem=f"Invalid JSON payload received. Unknown name \"{name}\" at 'message': "
            "Proto field is not repeating, cannot start list."
        )
    if first != b'"':
        kind = "TYPE_BYTES" if _FIELDS[name] == "bytes" else "TYPE_STRING"
        field = f"message.{_PROTO_NAMES[name]}"
        shown = bytes(memoryview(value)[:_SHOWN]).decode()
        raise refusals.WrongType(problem=f"Invalid value at '{field}' ({kind}), {shown}", field=field)


def _characters(value: msgspec.Raw) -> memoryview | bytes:
    """The characters of a string value: a view of the body, unless escapes have to be resolved."""
    inside = memoryview(value)[1:-1]
    if re.search(rb"\\", inside):
        return msgspec.json.decode(value, type=str).encode()
    return inside


def _thread(value: msgspec.Raw | None) -> int | None:
    """The thread asked for; "" asks for none, as every default value of proto3 does."""
    text = msgspec.json.decode(value, type=str) if value is not None else ""
    if not text:
        return None
    number = number_of(text)
    if number is None:
        raise refusals.ThreadIdInvalid(f"threadId {text[:_SHOWN]!r} is not a hexadecimal number under 2^63")
    return number


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
        raise refusals.BadBase64(value=_quoted(characters)) from None
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
