"""The snippet of a message: the beginning of its text, as a list of mail shows it (gmail-wire.md 3.3)."""

import re
from html import escape, unescape

from postroad.mail.mime import Part

# Characters of a snippet, and octets of the text that it is made from.
LENGTH = 200
LOOKED_AT = 16 * 1024

_CHARSET = re.compile(r'charset\s*=\s*"?([A-Za-z0-9_-]{1,40})', re.IGNORECASE)
# Others are read as UTF-8: among the codecs of the language are some that take time, and some that are no text.
_KNOWN = re.compile(
    r"utf-?8|us-ascii|ascii|iso-8859-\d+|windows-\d+|koi8-[ru]|gbk?|gb\d+|big5|shift_jis|euc-\w+|iso-2022-\w+|utf-16",
    re.IGNORECASE,
)
_UNSEEN = re.compile(r"<(/?)(?:head|style|script|title)\b[^<>]*>", re.IGNORECASE)
_WITHIN_A_WORD = re.compile(r"</?(?:a|b|em|font|i|small|span|strong|u)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


def of(root: Part) -> str:
    """The snippet of a message, or of its beginning: up to 200 characters, then escaped as in HTML."""
    part = _first(root, "text/plain") or _first(root, "text/html")
    if part is None:
        return ""
    text = _text(part)
    shown = " ".join((text if part.media_type == "text/plain" else _seen(text)).split())[:LENGTH]
    return escape(shown.rstrip()).replace("&#x27;", "&#39;")


def _first(part: Part, media_type: str) -> Part | None:
    """The first part of that type that is no file."""
    if part.media_type == media_type and not part.filename:
        return part
    return next(filter(None, (_first(one, media_type) for one in part.parts)), None)


def _text(part: Part) -> str:
    declared = next((value for name, value in part.headers if name.lower() == "content-type"), "")
    match = _CHARSET.search(declared[:LOOKED_AT])
    charset = match[1] if match and _KNOWN.fullmatch(match[1]) else "utf-8"
    try:
        return part.body[:LOOKED_AT].decode(charset, errors="replace")
    except LookupError:
        return part.body[:LOOKED_AT].decode(errors="replace")


def _seen(html: str) -> str:
    """What a reader of the page sees of it, more or less."""
    seen = ""
    depth = at = 0
    for tag in _UNSEEN.finditer(html):
        seen += "" if depth else html[at : tag.start()]
        depth = max(depth + (-1 if tag[1] else 1), 0)
        at = tag.end()
    seen += "" if depth else html[at:]
    return unescape(_TAG.sub(" ", _WITHIN_A_WORD.sub("", seen)))
