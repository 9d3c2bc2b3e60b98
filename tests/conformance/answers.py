"""What came back, and whether it is what a row wants."""

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.conformance.wire import Want, filled, pattern

Known = Mapping[bytes, bytes]
MEMBERS = ("code", "message", "errors", "status", "details")
ALWAYS = {
    "vary": ["Origin", "X-Origin", "Referer"],
    "x-content-type-options": ["nosniff"],
    "x-frame-options": ["SAMEORIGIN"],
    "x-xss-protection": ["0"],
}
# What stands for messages: two names are two messages.
IDS = {b"id", b"other", b"own", b"message", b"bobs"}


@dataclass(frozen=True)
class Answer:
    """An answer as it came; its body inflated."""

    code: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.code} {self.reason}\n{self.headers}{self.body[:3000].decode('latin-1')}"


def assert_sound(answer: Answer) -> None:
    """What holds of every answer: no 5xx, the standing headers, and errors in Gmail's form (6.1)."""
    assert answer.code < 500
    assert {name: answer.headers.get_all(name) for name in ALWAYS} == ALWAYS
    if answer.code >= 400 and answer.headers["content-type"] == "application/json; charset=UTF-8":
        assert answer.body.startswith(b'{\n  "error": {\n    "code": %d,\n' % answer.code)
        assert answer.body.endswith(b"\n  }\n}\n")
        names = list(answer.json["error"])
        assert names == [name for name in MEMBERS if name in names]


def assert_wanted(answer: Answer, want: Want, known: Known) -> Known:
    """What is known after this answer; `AssertionError` where it is not the wanted one."""
    assert answer.code == want.code
    assert want.reason in (None, answer.reason)
    for name, expected in want.headers.items():
        there = answer.headers.get_all(name) or []
        assert len(there) == len(expected), f"{name}: {there}"
        for line, template in zip(there, expected, strict=True):
            known = assert_matches(f"{name}: {line}", line.encode("latin-1"), template.encode(), known)
    if want.body is not None:
        known = assert_matches("the body", answer.body, want.body, known)
    for octets in want.holds:
        assert filled(octets, known) in answer.body
    for path, value in want.members.items():
        assert member(answer.json, path) == json.loads(filled(json.dumps(value).encode(), known)), path
    if want.content or want.lacks:
        assert_content(base64.urlsafe_b64decode(answer.json["raw"]), want)
    named = [known[name] for name in IDS & known.keys()]
    assert len(set(named)) == len(named), "two names, one message"
    return known


def assert_matches(what: str, octets: bytes, template: bytes, known: Known) -> Known:
    """What is known when the octets match the template."""
    match = pattern(template, known).fullmatch(octets)
    assert match, f"{what} should be\n{template.decode()}"
    return {**known, **{name.encode(): value for name, value in match.groupdict().items()}}


def assert_content(content: bytes, want: Want) -> None:
    """A stored message holds what it should, and lacks what it should not hold."""
    assert [octets for octets in want.content if octets not in content] == [], content
    assert [octets for octets in want.lacks if octets in content] == [], content


def member(value: Any, path: str) -> Any:
    """The value at a path into JSON; `None` where there is none."""
    for step in path.split("/"):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = (value or {}).get(step)
    return value
