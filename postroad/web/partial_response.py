"""Field masks: which fields of an answer are wanted (gmail-wire.md 2.5)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Protocol, Union

from postroad import refusals
from postroad.refusals import Violation
from postroad.web.schemas import SCHEMAS

# The wanted fields, each with what is wanted inside it; `None` is everything.
Mask = Mapping[str, Union["Mask", None]]

MAX_LENGTH = 4096
MAX_DEPTH = 50
_SHOWN = 256  # characters of a mask that an error repeats
_PIECE = re.compile(r"[^,/.()]+|[,/.()]")
_NAME = "name"
# What may stand after what: empty items between commas are nothing; a group holds something.
_FOLLOWS = {
    ",": (_NAME, ",", ")"),
    "(": (_NAME,),
    _NAME: ("/", ".", "(", ",", ")"),
    "/": (_NAME,),
    ".": (_NAME,),
    ")": (",", ")"),
}
_NESTING = {"(": 1, ")": -1}


class Known(Protocol):
    """A field that there is, and those inside it; `None` for a scalar."""

    @property
    def name(self) -> str:
        """What a path calls it."""

    @property
    def schema(self) -> "Sequence[Known] | None":
        """The fields inside."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A field of a value that has no schema."""

    name: str
    schema: "Sequence[_Found] | None"


@lru_cache(maxsize=256)
def compiled(mask: str, schema: str) -> Mask | None:
    """What `mask` wants of a resource of that schema; `None` when it is empty. Raises `MaskInvalid`."""
    return _compiled(mask, SCHEMAS[schema])


def cut(resource: Any, mask: str) -> Any:
    """What `mask` wants of a resource without a schema: there is what is in it. Raises `MaskInvalid`."""
    return masked(resource, _compiled(mask, _inside(resource) or ())) if mask else resource


def _inside(value: Any) -> Sequence[_Found] | None:
    if isinstance(value, dict):
        return [_Found(name, _inside(one)) for name, one in value.items()]
    if isinstance(value, list | tuple):
        return [found for one in value for found in _inside(one) or ()] or None
    return None


def _compiled(mask: str, fields: Sequence[Known]) -> Mask | None:
    if len(mask) > MAX_LENGTH:
        raise _invalid(mask, mask)
    wanted: dict[str, Any] = {}
    for path in _paths(mask):
        if len(path) > MAX_DEPTH or not _want(wanted, path, fields):
            raise _invalid(mask, ".".join(path))
    return wanted or None


def _paths(mask: str) -> Iterator[tuple[str, ...]]:
    """Each single path: `a(b,c/d)` is a/b and a/c/d. What is no mask by its grammar is its own unknown path."""
    pieces = (",", *_PIECE.findall(mask), ",")
    if not _is_mask(pieces):
        raise _invalid(mask, mask)
    groups: list[tuple[str, ...]] = [()]
    path: tuple[str, ...] = ()
    for before, piece in pairwise(pieces):
        if piece == "(":
            groups.append(path)
        elif _kind(piece) == _NAME:
            path = (*path, piece)
        elif piece in ",)":
            if _kind(before) == _NAME:
                yield path
            if piece == ")":
                groups.pop()
            path = groups[-1]


def _is_mask(pieces: tuple[str, ...]) -> bool:
    """Whether each piece may stand after the one before, and every group is opened and closed."""
    within = list(accumulate(_NESTING.get(piece, 0) for piece in pieces))
    in_order = all(_kind(piece) in _FOLLOWS[_kind(before)] for before, piece in pairwise(pieces))
    return in_order and min(within) == within[-1] == 0


def _kind(piece: str) -> str:
    return piece if piece in _FOLLOWS else _NAME


def _want(wanted: dict[str, Any], path: tuple[str, ...], fields: Sequence[Known]) -> bool:
    """Add a path to what is wanted; false when no field matches it."""
    name, *inside = path
    matching = [one for one in fields if name in ("*", one.name)]
    found = [_want_one(wanted, one, tuple(inside)) for one in matching]
    return any(found)


def _want_one(wanted: dict[str, Any], field: Known, inside: tuple[str, ...]) -> bool:
    if not inside:
        wanted[field.name] = None
        return True
    already = wanted.get(field.name, {})
    if field.schema is None or already is None:
        return field.schema is not None and _want({}, inside, field.schema)
    found = _want(already, inside, field.schema)
    if found:
        wanted[field.name] = already
    return found


def _invalid(mask: str, path: str) -> refusals.MaskInvalid:
    text = f"Error expanding 'fields' parameter. Cannot find matching fields for path '{path[:_SHOWN]}'."
    return refusals.MaskInvalid([Violation(mask[:_SHOWN], text)], f"fields: there is no path {path[:_SHOWN]!r}")


def masked(resource: Any, mask: Mask | None) -> Any:
    """What the mask wants of a resource; lists are looked through."""
    if mask is None:
        return resource
    if isinstance(resource, dict):
        return {name: masked(value, mask[name]) for name, value in resource.items() if name in mask}
    if isinstance(resource, list | tuple):
        return [masked(one, mask) for one in resource]
    return resource
