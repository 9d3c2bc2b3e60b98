"""From a request's verb and path to a row of the method table (google.api.http path templates, AIP-127)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from postroad.web.methods import Method

UPLOAD_PREFIXES = ("upload/", "resumable/upload/")
_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """The method a request means, its path variables, and whether it came to an upload address."""

    method: Method
    variables: dict[str, str]
    upload: bool


class Routes:
    """The method table, compiled."""

    def __init__(self, methods: Iterable[Method]) -> None:
        self._routes = [
            (method.verb, _compiled(prefix + method.path), method, bool(prefix))
            for method in methods
            for prefix in (("", *UPLOAD_PREFIXES) if method.upload else ("",))
        ]

    def match(self, verb: str, raw_path: bytes) -> Route | None:
        """The route of a request; `raw_path` is as it was sent, with its percent-encoding."""
        path = raw_path.decode("latin-1").removeprefix("/")
        for own_verb, pattern, method, upload in self._routes:
            if own_verb == verb and (match := pattern.fullmatch(path)):
                return _route(method, match, upload=upload)
        return None


def _compiled(template: str) -> re.Pattern[str]:
    """A variable is one non-empty segment; all else stands for itself."""
    pieces = _VARIABLE.split(template)
    return re.compile(
        "".join(f"(?P<{piece}>[^/]+)" if odd % 2 else re.escape(piece) for odd, piece in enumerate(pieces))
    )


def _route(method: Method, match: re.Match[str], *, upload: bool) -> Route | None:
    try:
        variables = {name: unquote_to_bytes(text).decode() for name, text in match.groupdict().items()}
    except UnicodeDecodeError:
        return None
    return Route(method, variables, upload)
