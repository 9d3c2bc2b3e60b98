"""The parameters that every method takes, from query and headers (gmail-wire.md 2.1-2.4).

What is not among them is left for the method: binding.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from postroad import refusals
from postroad.web.schemas import STANDARD

MAX_PARAMETERS = 100
XGAFV = "$.xgafv"
# Taken from those who still send them, and without effect (gmail-wire.md 2.1).
_IDLE = ("$apiVersion", "apiVersion", "passwd", "password", "pp", "strict", "trace", "userIp", "userip")
# upload_id names a resumable session (4.4); ct stands for Content-Type where a client cannot set one.
_KNOWN = frozenset((*(one.name for one in STANDARD), "ct", "upload_id", *_IDLE))
_FROM_HEADERS = {b"x-goog-fieldmask": "fields", b"x-goog-api-key": "key", b"x-goog-quota-user": "quotaUser"}
_NO = frozenset(("false", "f", "no", "n", "0"))
_SHOWN = 64  # characters of a bad value that the log repeats
_CALLBACK = re.compile(r"[A-Za-z0-9_$.\[\]]+")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the standard parameters of a request say; "" where one is absent.

    `xgafv` and `alt` are as sent; `upload` is uploadType or upload_protocol; `access_token` is a credential.
    `own` are the others, in the order in which they came.
    """

    xgafv: str | None = None
    alt: str = ""
    callback: str = ""
    fields: str = ""
    pretty: bool = True
    key: str = ""
    quota_user: str = ""
    access_token: str = ""
    content_type: str = ""
    upload: str = ""
    upload_id: str = ""
    own: tuple[tuple[str, str], ...] = ()

    @property
    def as_json(self) -> bool:
        """Whether the answer is asked for in JSON."""
        return self.alt.lower() in ("", "json")

    @property
    def lists_errors(self) -> bool:
        """Whether an error has the member `errors`: Gmail leaves it out for `$.xgafv=2` alone (2.3)."""
        return self.xgafv != "2"

    def function(self, verb: str) -> str:
        """The function of JavaScript that the answer is an argument of; "" for none (2.4)."""
        return self.callback if verb == "GET" and self.as_json else ""


ABSENT = Parameters()


def read(query: bytes, headers: Mapping[bytes, bytes]) -> Parameters:
    """Read them, unchecked; a parameter goes before its header. Raises `TooManyParameters`.

    Of repeats the first counts, of `$.xgafv` the last (2.2).
    """
    if not query and headers.keys().isdisjoint(_FROM_HEADERS):
        return ABSENT
    pairs = _pairs(query)
    standard = [(name, text) for name, text in ((_standard(name), text) for name, text in pairs) if name]
    first = {
        name: headers[header].decode("latin-1") for header, name in _FROM_HEADERS.items() if header in headers
    }
    first |= dict(reversed(standard))
    return Parameters(
        xgafv=dict(standard).get(XGAFV),
        alt=first.get("alt", ""),
        callback=first.get("callback", ""),
        fields=first.get("fields", ""),
        pretty=first.get("prettyPrint", "").lower() not in _NO,
        key=first.get("key", ""),
        quota_user=first.get("quotaUser", ""),
        access_token=first.get("access_token") or first.get("oauth_token", ""),
        content_type=first.get("ct", ""),
        upload=first.get("uploadType") or first.get("upload_protocol", ""),
        upload_id=first.get("upload_id", ""),
        own=tuple(pair for pair in pairs if not _standard(pair[0])),
    )


def _pairs(query: bytes) -> list[tuple[str, str]]:
    text = query.decode("utf-8", errors="replace")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise refusals.TooManyParameters(limit=MAX_PARAMETERS) from None


def _standard(name: str) -> str:
    """The standard parameter of that name, which may be spelled with a dollar sign before it; "" for none."""
    if name in _KNOWN:
        return name
    bare = name.removeprefix("$")
    return bare if bare in _KNOWN and bare != name else ""


def refuse_illegal(parameters: Parameters, verb: str) -> None:
    """Refuse what Google refuses before it asks who is there (6.3).

    Raises `SystemParameterInvalid`, `CallbackInvalid`.
    """
    if parameters.xgafv not in (None, "1", "2"):
        why = f"{XGAFV} is {parameters.xgafv[:_SHOWN]!r}"
        raise refusals.SystemParameterInvalid(why, value=parameters.xgafv, name=XGAFV)
    function = parameters.function(verb)
    if function and not _CALLBACK.fullmatch(function):
        raise refusals.CallbackInvalid(f"callback is {function[:_SHOWN]!r}", name=function)


def refuse_other_formats(parameters: Parameters) -> None:
    """Let JSON pass: no method gives a medium, and the schema of alt=proto is not public (2.6).

    Raises `FormatUnsupported`, `FormatInvalid`.
    """
    if parameters.as_json:
        return
    why = f"alt is {parameters.alt[:_SHOWN]!r}"
    if parameters.alt.lower() == "media":
        raise refusals.FormatUnsupported(why, format="media")
    raise refusals.FormatInvalid(why, format=parameters.alt)
