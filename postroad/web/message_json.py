"""The Message of a request body: strict JSON, bounded by its octets, answered with Google's texts.

A 49 MB body is not copied: `raw` stays a view of it until it is decoded (gmail-wire.md section 3).
"""

import re
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
_BY_PROTO_NAME = {re.sub("([A-Z])", r"_\1", name).lower(): name for name in _FIELDS}
_KEY = re.compile(rb'[\s,]*("(?:[^"\\]|\\.)*")\s*:\s*')
_BOM = b"\xef\xbb\xbf"
_SLICE = 1 << 18  # characters of base64 decoded at once; a multiple of four
_SHOWN = 64  # characters of a bad value that an error repeats

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WHITE_SPACE = re.compile(rb"[ \t\r\n]+")
# Both alphabets in one; padding stands at the end alone, elsewhere it is as bad as any other character.
_ONE_ALPHABET = bytes.maketrans(b"-_=", b"+/!")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a send reads of a Message: the octets of `raw` ("" when there is none), and the thread."""

    raw: bytes | bytearray
    thread_id: int | None


def read(body: bytearray) -> Sent:
    """Read a Message. An empty body is an empty Message.

    Raises `BadJSON`, `NotAMessage`, `UnknownMember`, `WrongType`, `BadBase64`, `ThreadIdInvalid`.
    """
    members = _known(_parse(body)) if body else {}
    raw = members.get("raw")
    return Sent(
        raw=_decoded(_characters(raw)) if raw is not None else b"",
        thread_id=_thread(members.get("threadId")),
    )


def _parse(body: bytearray) -> dict[str, msgspec.Raw]:
    """The members of the object, each value as it stands. Raises `BadJSON`, also for a name that stands twice."""
    start = len(_BOM) if body.startswith(_BOM) else 0
    view = memoryview(body)[start:]
    try:
        members = _members.decode(view)
    except msgspec.ValidationError:
        raise refusals.NotAMessage from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusals.BadJSON(problem=_sentence(error)) from None
    _refuse_repeats(body, start, members)
    return members


def _sentence(error: Exception) -> str:
    """The parser's complaint without its type: "JSON is malformed: ..." reads as Google's sentences do."""
    return f"{error}." if str(error) else "Message too deep."


def _refuse_repeats(body: bytearray, start: int, members: dict[str, msgspec.Raw]) -> None:
    """Walk over the members: the decoder kept the last of two with one name, the first would differ.

    Known to be valid JSON, the text is walked by its own values: a key, then exactly the value decoded for it.
    """
    seen: set[str] = set()
    at = body.index(b"{", start) + 1
    while match := _KEY.match(body, at):
        name = msgspec.json.decode(match[1])
        value = members[name]
        if name in seen or not body.startswith(value, match.end()):
            raise refusals.BadJSON(problem=f'The name "{name}" stands twice.')
        seen.add(name)
        at = match.end() + len(memoryview(value))


def _known(members: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """The members by their JSON names, nulls left out. Raises `UnknownMember`, `WrongType`."""
    known = {_BY_PROTO_NAME.get(name, name): value for name, value in members.items()}
    if unknown := [name for name in known if name not in _FIELDS]:
        raise refusals.UnknownMember(name=unknown[0])
    if len(known) < len(members):
        raise refusals.BadJSON(problem="A field stands twice, under its JSON name and its proto name.")
    present = {name: value for name, value in known.items() if bytes(memoryview(value)[:4]) != b"null"}
    for name, value in present.items():
        _refuse_wrong_kind(name, value)
    return present


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
        proto_name = next(proto for proto, own in _BY_PROTO_NAME.items() if own == name)
        shown = bytes(memoryview(value)[:_SHOWN]).decode()
        raise refusals.WrongType(problem=f"Invalid value at 'message.{proto_name}' ({kind}), {shown}")


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

    What follows the padding, and any other character, is refused: a decoder that skips it cuts messages short.
    """
    try:
        return _decoded_slices(characters)
    except ValueError:
        compact = _WHITE_SPACE.sub(b"", characters)
    try:
        return _decoded_slices(compact)
    except ValueError:
        raise refusals.BadBase64(value=_quoted(characters)) from None


def _decoded_slices(characters: memoryview | bytes) -> bytearray:
    """Decode slice by slice into octets set aside before. Raises ValueError."""
    significant = len(characters) - len(characters[-2:]) + len(bytes(characters[-2:]).rstrip(b"="))
    decoded = bytearray(significant * 3 // 4)
    for at in range(0, significant, _SLICE):
        slice_ = bytes(characters[at : min(at + _SLICE, significant)]).translate(_ONE_ALPHABET)
        octets = pybase64.b64decode(slice_ + b"=" * (-len(slice_) % 4), validate=True)
        decoded[at * 3 // 4 : at * 3 // 4 + len(octets)] = octets
    return decoded


def _quoted(text: memoryview | bytes) -> str:
    """The value as an error shows it, cut short."""
    shown = bytes(text[:_SHOWN]).decode(errors="replace")
    return f'"{shown}"' if len(text) <= _SHOWN else f'"{shown}..."'
