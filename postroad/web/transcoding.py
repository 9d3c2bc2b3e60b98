"""From a request's verb and path to a row of the method table (google.api.http path templates, AIP-127)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from postroad.web.methods import Method

UPLOAD_PREFIXES = ("upload/", "resumable/upload/")
# What comes after the start of an upload, whatever its method's own verb is (gmail-wire.md 4.4).
UPLOAD_VERBS = ("PUT", "POST", "DELETE")
# Template = Segments [ Verb ]; Segments = Segment { "/" Segment }; Segment = "*" | "**" | LITERAL | Variable;
# Variable = "{" FieldPath [ "=" Segments ] "}"
_PIECE = re.compile(r"\{(?P<name>[\w.]+)(?:=(?P<segments>[^}]+))?\}|(?P<wildcard>\*\*|\*)|(?P<literal>[^{*]+)")
# "**" may stand for no segment at all.
_WILDCARDS = {"*": "[^/]+", "**": ".*"}
# So many addresses are remembered, of so many octets at most: there are clients that ask for the same all day.
REMEMBERED = 1024
MAX_REMEMBERED_OCTETS = 128
_ESCAPED_SLASH = re.compile("%2f", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Route:
    """The method a request means, its path variables, and whether it came to an upload address."""

    method: Method
    variables: Mapping[str, str]
    upload: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """A template in the pattern of its verb. `first` is the number of the group that its first variable has.

    `variables` are their names, each with whether it may span segments.
    """

    method: Method
    upload: bool
    first: int
    variables: tuple[tuple[str, bool], ...]


class Routes:
    """The method table, compiled: for each verb one pattern, in which literals go before variables."""

    def __init__(self, methods: Iterable[Method]) -> None:
        addresses = sorted(
            (
                (prefix + method.path, method, bool(prefix))
                for method in methods
                for prefix in (("", *UPLOAD_PREFIXES) if method.upload else ("",))
            ),
            key=lambda address: address[0].replace("{", "\uffff"),
        )
        verbs = {method.verb for _, method, _ in addresses}.union(UPLOAD_VERBS)
        self._verbs = {
            verb: _compiled([one for one in addresses if one[1].verb == verb or (one[2] and verb in UPLOAD_VERBS)])
            for verb in verbs
        }
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._found)

    def match(self, verb: str, raw_path: bytes) -> Route | None:
        """The route of a request; `raw_path` is as it was sent, with its percent-encoding."""
        if verb not in self._verbs:
            return None
        short = len(raw_path) <= MAX_REMEMBERED_OCTETS
        return self._remembered(verb, raw_path) if short else self._found(verb, raw_path)

    def _found(self, verb: str, raw_path: bytes) -> Route | None:
        pattern, rows = self._verbs[verb]
        match = pattern.fullmatch(raw_path.decode("latin-1"))
        if match is None or match.lastindex is None:
            return None
        return _route(rows[match.lastindex], match)


def _compiled(addresses: list[tuple[str, Method, bool]]) -> tuple[re.Pattern[str], dict[int, _Row]]:
    """One pattern for all templates: each ends in an empty group, whose number says which one matched."""
    patterns = []
    rows = {}
    groups = 0
    for template, method, upload in addresses:
        pattern, variables = _translated(template)
        patterns.append(f"{pattern}()")
        rows[groups + len(variables) + 1] = _Row(method, upload, groups + 1, variables)
        groups += len(variables) + 1
    return re.compile(f"/(?:{'|'.join(patterns)})", re.DOTALL), rows


def _translated(template: str) -> tuple[str, tuple[tuple[str, bool], ...]]:
    """A template as a pattern, and its variables. `{name}` is `{name=*}`; a literal stands for itself."""
    pattern = ""
    variables = []
    for piece in _PIECE.finditer(template):
        if name := piece["name"]:
            segments = piece["segments"] or "*"
            pattern += f"({_segments(segments)})"
            variables.append((name, "/" in segments or segments == "**"))
        else:
            pattern += _segments(piece[0])
    return pattern, tuple(variables)


def _segments(text: str) -> str:
    return "".join(_WILDCARDS.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*)", text))


def _route(row: _Row, match: re.Match[str]) -> Route | None:
    try:
        variables = {
            name: _unescaped(match[row.first + at], many=many) for at, (name, many) in enumerate(row.variables)
        }
    except UnicodeDecodeError:
        return None
    return Route(row.method, variables, row.upload)


def _unescaped(text: str, *, many: bool) -> str:
    """Without percent-encoding; where a variable spans segments, a slash stays escaped (gmail-wire.md 1.3)."""
    if "%" not in text:
        return text if text.isascii() else text.encode("latin-1").decode()
    if many:
        text = _ESCAPED_SLASH.sub(lambda match: f"%25{match[0][1:]}", text)
    return unquote_to_bytes(text.encode("latin-1")).decode()
