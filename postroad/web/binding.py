"""Query parameters bound to the fields of a method's request (gmail-wire.md 1.3, 2.2)."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from postroad import refusals
from postroad.refusals import Violation
from postroad.web.methods import Method
from postroad.web.schemas import Field

_SHOWN = 64  # characters of a bad name or value that an error repeats
_BOOLEANS = dict.fromkeys(("true", "t", "yes", "y", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "0"), False
)
_UINT32 = re.compile("[0-9]{1,10}")


class _Misfit(ValueError):  # noqa: N818 - all that misfit make one refusal
    """A value that its field cannot hold; `str()` is the field's type."""


def bound(own: Iterable[tuple[str, str]], method: Method) -> Mapping[str, Any]:
    """The values by their fields' names: of repeats all or the last. Raises `FieldsInvalid`, for all at once."""
    fields = _fields(method)
    values: dict[str, Any] = {}
    violations = []
    for name, text in own:
        field = fields.get(name)
        if field is None:
            violations.append(_unknown(name, method))
            continue
        try:
            value = _value(field, text)
        except _Misfit as misfit:
            violations.append(_misfit(field, text, misfit))
            continue
        values[field.name] = (*values.get(field.name, ()), value) if field.repeated else value
    if violations:
        raise refusals.FieldsInvalid(violations)
    return values


@cache
def _fields(method: Method) -> Mapping[str, Field]:
    """What the query may hold, by both spellings: of JSON and of the proto."""
    return {name: one for one in method.query for name in (_proto_name(one), one.name)}


def _proto_name(field: Field) -> str:
    return re.sub("([A-Z])", r"_\1", field.name).lower()


def _value(field: Field, text: str) -> str | int | bool:
    if field.kind == "boolean":
        if (word := text.lower()) not in _BOOLEANS:
            raise _Misfit("TYPE_BOOL")
        return _BOOLEANS[word]
    if field.kind == "integer":
        if not _UINT32.fullmatch(text) or int(text) >= 1 << 32:
            raise _Misfit("TYPE_UINT32")
        return int(text)
    if field.choices:
        word = text.lower()
        if word not in (name for name, _ in field.choices):
            raise _Misfit("TYPE_ENUM")
        return word
    return text


def _misfit(field: Field, text: str, misfit: _Misfit) -> Violation:
    name = _proto_name(field)
    return Violation(name, f"Invalid value at '{name}' ({misfit}), \"{text[:_SHOWN]}\"")


def _unknown(name: str, method: Method) -> Violation:
    shown = name[:_SHOWN]
    beginning = f'Invalid JSON payload received. Unknown name "{shown}": Cannot bind query parameter.'
    if method.request and shown == method.request.lower():
        return Violation(
            "", f"{beginning} '{shown}' is a message type. Parameters can only be bound to primitive types."
        )
    return Violation("", f"{beginning} Field '{shown}' could not be found in request message.")
