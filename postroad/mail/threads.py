"""Which messages belong together: what a message says it answers, and its Subject less Re: and Fwd:.

RFC 5322 section 3.6.4, RFC 5256 section 2.1. Knows no mailbox: that one looks the messages up.
"""

import re
from dataclasses import dataclass

from postroad.mail.encoded_words import decoded

# As many as a message can name on one line of RFC 5322 section 2.1.1; a longer identifier fits no index.
MAX_MESSAGE_ID = 900
# A long discussion names hundreds; the nearest suffice to find it.
MAX_ANCESTORS = 20
# Characters of a base subject: what follows is not compared.
MAX_SUBJECT = 1000

# No group below is possessive: such a one keeps part of what it gives up (CPython issue 106052, mended in 3.11.5).
# RFC 5322 section 3.6.4: msg-id = [CFWS] "<" id-left "@" id-right ">" [CFWS], no white space inside
_MSG_ID = re.compile(r"<[^<>@\s]++@[^<>@\s]++>")
_ONE_MSG_ID = re.compile(rf"(?:\s++|\([^()\\]*+\))*({_MSG_ID.pattern})(?:\s++|\([^()\\]*+\))*")
_FIELD = re.compile(
    rb"^(in-reply-to|references|subject):([^\r\n]*+(?:\r\n[ \t][^\r\n]*+)*)\r\n", re.IGNORECASE | re.MULTILINE
)
# RFC 5256 section 5: subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"; subj-trailer = "(fwd)" / WSP
_LEADERS = re.compile(r"(?:(?:re|fwd?) ?(?:\[[^\[\]]*+\] ?)?: ?)*")
_TRAILERS = re.compile(r"(?: ?\(fwd\))+$")


@dataclass(frozen=True, slots=True)
class Ancestry:
    """The messages that one answers, by Message-ID, the nearest first; and its base subject."""

    message_ids: tuple[str, ...]
    subject: str


def message_id_of(body: str) -> str:
    """The one msg-id that a Message-ID field's body holds, without comments; "" for anything else."""
    match = _ONE_MSG_ID.fullmatch(body)
    return match[1] if match and len(match[1]) <= MAX_MESSAGE_ID and match[1].isprintable() else ""


def ancestry(header_section: bytes) -> Ancestry | None:
    """What a message answers, from its checked header section; `None` when it answers nothing.

    Quick for the many that do not: no field is looked for unless the name of one is there.
    """
    lowered = header_section.lower()
    if lowered.find(b"\nreferences:") < 0 and lowered.find(b"\nin-reply-to:") < 0:
        return None
    fields = _fields(header_section)
    named = [*_MSG_ID.findall(fields["in-reply-to"]), *reversed(_MSG_ID.findall(fields["references"]))]
    message_ids = tuple(dict.fromkeys(one for one in named if len(one) <= MAX_MESSAGE_ID))[:MAX_ANCESTORS]
    return Ancestry(message_ids, base_subject(fields["subject"])) if message_ids else None


def subject_of(header_section: bytes) -> str:
    """The base subject of a message, from its header section."""
    return base_subject(_fields(header_section)["subject"])


def base_subject(subject: str) -> str:
    """The Subject as the messages of a thread share it: decoded (RFC 2047), in one case, without Re: and Fwd:."""
    text = " ".join(decoded(subject).split()).casefold()
    return _TRAILERS.sub("", _LEADERS.sub("", text, count=1)[:MAX_SUBJECT])


def _fields(header_section: bytes) -> dict[str, str]:
    """The bodies of the three fields, "" for one that is missing; several of one name are read as one."""
    bodies = {"in-reply-to": "", "references": "", "subject": ""}
    for match in _FIELD.finditer(header_section):
        bodies[match[1].decode().lower()] += match[2].decode(errors="replace")
    return bodies
