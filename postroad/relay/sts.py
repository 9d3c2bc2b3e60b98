"""MTA-STS (RFC 8461): the record that announces a policy, the policy, and the servers it covers. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from postroad.relay.security import Result

ENFORCE, TESTING, NONE = "enforce", "testing", "none"
# RFC 8461 section 3.2: no policy holds for longer than about a year. Seconds.
LONGEST_AGE = 31_557_600

# RFC 8461 section 3.1: sts-id = %s"id" "=" 1*32(ALPHA / DIGIT); sts-field-delim = *WSP ";" *WSP
_RECORD = re.compile(r"v=STSv1[ \t]*;(.*)", re.DOTALL)
_ID = re.compile(r"id=([A-Za-z0-9]{1,32})")
# RFC 8461 section 3.2: sts-policy-term = CRLF / LF; each field is a name, a colon, white space and a value
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*(.*?)[ \t]*")
# ... sts-policy-mx-value = ["*."] Domain; an underscore is no letter of a host name, but of some names in use
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PATTERN = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_AGE = re.compile(r"[0-9]{1,10}")


class BadPolicyError(ValueError):
    """The text is no policy; `str()` says why."""


class NoPolicyError(Exception):
    """There is no policy file, or none that counts; `result` is RFC 8460's word for it."""

    def __init__(self, result: Result, text: str) -> None:
        super().__init__(text)
        self.result = result


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain demands of those who send to it; `max_age` in seconds, at most about a year."""

    mode: str
    max_age: int
    patterns: tuple[str, ...] = ()

    def covers(self, host: str) -> bool:
        """Whether a server of this name is the domain's; `*` stands for one label (RFC 8461 section 4.1)."""
        first, _, rest = host.lower().partition(".")
        return host.lower() in self.patterns or bool(first and rest and f"*.{rest}" in self.patterns)

    def __str__(self) -> str:
        """The policy as a file would have it."""
        fields = ["version: STSv1", f"mode: {self.mode}", *(f"mx: {one}" for one in self.patterns)]
        return "\n".join([*fields, f"max_age: {self.max_age}", ""])


def announced(records: Sequence[str]) -> str | None:
    """The id in the TXT records of `_mta-sts`; `None` unless exactly one record has one."""
    found = [match[1] for match in map(_RECORD.fullmatch, records) if match]
    if len(found) != 1:
        return None
    ids = [match[1] for match in map(_ID.fullmatch, map(str.strip, found[0].split(";"))) if match]
    return ids[0] if ids else None


def parse(text: str) -> Policy:
    """Read a policy file. Raises `BadPolicyError`, whatever the text is.

    Unknown fields are left aside; of a field said twice, other than mx, the first counts.
    """
    fields: dict[str, str] = {}
    patterns: dict[str, None] = {}
    for name, value in _fields(text):
        if name == "mx":
            patterns[_pattern(value)] = None
        fields.setdefault(name, value)
    mode = fields.get("mode", "")
    if fields.get("version") != "STSv1":
        raise BadPolicyError("its version is not STSv1")
    if mode not in (ENFORCE, TESTING, NONE):
        raise BadPolicyError("its mode is neither enforce, testing nor none")
    if not _AGE.fullmatch(fields.get("max_age", "")):
        raise BadPolicyError("its max_age is no number of seconds")
    if not patterns and mode != NONE:
        raise BadPolicyError("it names no mx")
    return Policy(mode, min(int(fields["max_age"]), LONGEST_AGE), tuple(patterns))


def _fields(text: str) -> list[tuple[str, str]]:
    found = []
    for line in re.split(r"\r?\n", text):
        if not line.strip(" \t"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise BadPolicyError("a line of it is no field")
        found.append((match[1], match[2]))
    return found


def _pattern(value: str) -> str:
    pattern = value.lower().removesuffix(".")
    if not _PATTERN.fullmatch(pattern):
        raise BadPolicyError("an mx of it is no name of hosts")
    return pattern
