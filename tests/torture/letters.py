"""The load: messages that are a pure function of their canary, so that the judge needs only the canary."""

import hashlib
import random
import re
from dataclasses import dataclass

BIG = 300_000
# One message in so many is big, has blind recipients, or has several visible ones.
ONE_BIG_IN, ONE_BLIND_IN, ONE_SEVERAL_IN = 30, 4, 3

_CANARY = re.compile(rb"^Subject: (canary-[a-z0-9-]+)\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to send, and whom it is for."""

    canary: str
    head: str
    body: str
    visible: tuple[str, ...]
    blind: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return self.visible + self.blind

    @property
    def message_id(self) -> str:
        return f"<{self.canary}@torture.test>"

    @property
    def content(self) -> bytes:
        """As submitted."""
        blind = f"Bcc: {', '.join(self.blind)}\r\n" if self.blind else ""
        return f"{blind}{self.head}\r\n{self.body}".encode()

    @property
    def delivered(self) -> bytes:
        """What everybody must receive below the lines Postroad adds."""
        return f"{self.head}\r\n{self.body}".encode()


def letter(canary: str, kind: str = "") -> Letter:
    """The message of this canary; `kind` (big, blind, several) or else chance decides what it is like."""
    chance = random.Random(canary)
    rolled = {
        "big": not chance.randrange(ONE_BIG_IN),
        "blind": not chance.randrange(ONE_BLIND_IN),
        "several": not chance.randrange(ONE_SEVERAL_IN),
    }
    kinds = {kind} if kind else {name for name, rolls in rolled.items() if rolls}
    visible = tuple(f"to{n}-{canary}@sink.example" for n in range(3 if "several" in kinds else 1))
    blind = tuple(f"bcc{n}-{canary}@sink.example" for n in range(2 if "blind" in kinds else 0))
    head = f"To: {', '.join(visible)}\r\nSubject: {canary}\r\nMessage-ID: <{canary}@torture.test>\r\n"
    return Letter(canary, head, _body(canary, BIG if "big" in kinds else 300), visible, blind)


def of(canary: str) -> Letter:
    """The message of this canary; its last word may name a kind."""
    kind = canary.rpartition("-")[2]
    return letter(canary, kind if kind in {"big", "blind", "several", "plain"} else "")


def canary_of(content: bytes) -> str:
    """The canary in a received content; "" when there is none."""
    found = _CANARY.search(content)
    return found[1].decode() if found else ""


def intact(content: bytes, expected: Letter) -> bool:
    """Nothing is missing, changed, or told about blind recipients."""
    return content.endswith(expected.delivered) and b"bcc0-" not in content and b"bcc1-" not in content


def _body(canary: str, size: int) -> str:
    """Lines nobody else has, some of them dots that need transparency (RFC 5321 section 4.5.2)."""
    line = hashlib.sha256(canary.encode()).hexdigest()
    lines = [f"{'.' * (n % 3)}{n} {line}" for n in range(max(size // len(line), 1))]
    return "\r\n".join([*lines, ".", "end"]) + "\r\n"
