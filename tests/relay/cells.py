"""A mail server that fails, in every way at every stage, and a good one behind it: cells, oracle and game.

1536 cells: 12 stages, 16 faults, one recipient or three, with and without PIPELINING, with and without CHUNKING.
What must become of each is computed from the rules of hardening.md 3.1 to 3.3 alone, and never from what Postroad
does. A server that offers both gets envelope and content in one go, and everything follows from that: a command
of it that has no reply, or none that makes sense, leaves whoever was not refused in doubt.
"""

import asyncio
import ssl
from dataclasses import dataclass, replace
from itertools import product

import trustme

from postroad.mail.outcome import Attempted, Delayed, Failed, Outcome
from postroad.relay.attempt import Relay
from postroad.relay.demands import always
from postroad.relay.route import NextHop, Route
from postroad.relay.security import Contexts
from postroad.relay.sessions import Sessions
from postroad.smtp.session import Timeouts
from tests.relay.test_attempt import HEADER, Marks, errand
from tests.smtp_sink import ALWAYS, EXTENSIONS, Action, Dribble, Drop, Reset, Sink, Stall, assert_wire_invariants

# Stages, and the timeout that a server which says nothing there runs into.
STAGES = {
    "CONNECT": "banner",
    "EHLO": "ehlo",
    "STARTTLS": "starttls",
    "HANDSHAKE": "starttls",
    "MAIL": "mail",
    "RCPT": "rcpt",
    "DATA": "data",
    "BODY": "block",
    "DOT": "dot",
    "DOT_AFTER_COMMIT": "dot",
    "RSET": "quit",
    "QUIT": "quit",
}
# What a message that leaves whole comes to in place of DATA and of content behind it.
IN_ONE_GO = {"DATA": "BDAT", "BODY": "CHUNK"}
LATER_REPLIES: dict[str, Action] = {"450": "450 4.2.0 later", "451": "451 later"}
NEVER_REPLIES: dict[str, Action] = {
    "550": "550 5.7.1 never",
    "554": "554 never",
    "502": "502 5.5.1 what?",
    "552": "552 5.5.3 too many",
}
CLOSING: dict[str, Action] = {"421": "421 4.3.2 closing", "421, drop": Drop(b"421 4.3.2 closing\r\n")}
LOSSES: dict[str, Action] = {
    "drop": Drop(),
    "reset": Reset(),
    "stall": Stall(),
    "tarpit": Dribble("250 2.0.0 ok", 1),
}
BABBLE: dict[str, Action] = {
    "650": "650 what",
    "354": "354 go ahead",
    "no code": "hello there",
    "two codes": "250-yes\n550 no",
}
FAULTS = LATER_REPLIES | NEVER_REPLIES | CLOSING | LOSSES | BABBLE
SLOW = ("stall", "tarpit")
# Seconds for the phase in which a server is slow, and for all others, on however busy a machine.
IMPATIENCE, PATIENCE = 3.0, 30.0
# So much content, through so small a window, that nobody is done before the server has said something; and more
# than Linux holds (tcp_wmem) for one that reads no more.
LINE, WINDOW = b"x" * 76 + b"\r\n", 16_384
BIG, BIGGER = LINE * 20_000, LINE * 80_000
SMALL = LINE * 800  # leaves in one go, and does not fit through the window either
AT_ONCE = 60
DEMAND = Contexts().demand("opportunistic")


@dataclass(frozen=True)
class Cell:
    """What the first of two servers does, and to whom it is to deliver."""

    stage: str
    fault: str
    recipients: int
    pipelining: bool
    chunking: bool

    def __str__(self) -> str:
        pace = "pipelined" if self.pipelining else "in step"
        return f"{self.place} {self.fault}, to {self.recipients}, {pace}{', CHUNKING' if self.chunking else ''}"

    @property
    def whole(self) -> bool:
        """Envelope and content leave in one go."""
        return self.pipelining and self.chunking

    @property
    def place(self) -> str:
        """The stage as the server calls it."""
        return IN_ONE_GO.get(self.stage, self.stage) if self.whole else self.stage

    @property
    def paths(self) -> list[str]:
        return [f"to{number}@b.test" for number in range(self.recipients)]


def cells() -> list[Cell]:
    """All of them; those first that wait for a slow server."""
    found = [Cell(*one) for one in product(STAGES, FAULTS, (1, 3), (True, False), (False, True))]
    return sorted(found, key=lambda cell: cell.fault not in SLOW)


@dataclass(frozen=True)
class Fate:
    """What became of a recipient: an outcome and the code of its reply, in doubt or not, and its copies."""

    outcome: str
    code: int
    in_doubt: bool = False
    first_copies: int = 0
    second_copies: int = 0


FIRST = Fate("Relayed", 250, first_copies=1)
SECOND = Fate("Relayed", 250, second_copies=1)
DOUBT = Fate("Delayed", 451, in_doubt=True)
# No fault at all, or one that costs nothing: who knows no EHLO is asked by HELO, who knows no BDAT by DATA.
HARMLESS = {("DATA", "354"), ("EHLO", "502"), ("BDAT", "502"), ("CHUNK", "502")}


def expected(cell: Cell) -> dict[str, Fate]:
    """What must become of each recipient."""
    fates = dict.fromkeys(cell.paths, _fate(cell))
    if cell.stage != "RCPT" or cell.recipients == 1:
        return fates
    refused, *others = cell.paths
    if cell.fault in LATER_REPLIES | NEVER_REPLIES:  # alone: the others are relayed
        return fates | dict.fromkeys(others, FIRST)
    if cell.whole:  # who says something else there and goes on reading has it for the others
        fates |= dict.fromkeys(others, replace(DOUBT, first_copies=int(cell.fault in {"421", *BABBLE})))
    if cell.whole and cell.fault in CLOSING:  # a refusal of one; and as the others are in doubt, no next host
        fates[refused] = Fate("Delayed", 421)
    return fates


def _fate(cell: Cell) -> Fate:
    if (cell.place, cell.fault) in HARMLESS:
        return FIRST
    unknown = cell.fault in LOSSES | BABBLE
    match cell.stage:
        case "CONNECT" | "EHLO":  # no session: the next host
            return SECOND
        case "STARTTLS" | "HANDSHAKE" | "QUIT":  # nobody demands TLS; after the 250 the mail is delivered
            return FIRST
        case "RSET":  # the refusal that it follows is what counts
            return Fate("Failed", 550)
        case "DOT" | "DOT_AFTER_COMMIT":
            asked = 2 if cell.fault == "502" and cell.whole else 1  # by DATA once more
            stored = asked * (cell.stage == "DOT_AFTER_COMMIT")
            return replace(DOUBT if unknown else _refused(cell), first_copies=stored)
    return DOUBT if unknown and cell.whole else _refused(cell)


def _refused(cell: Cell) -> Fate:
    """By the class of the reply; lost, or closing, before it could have the message: the next host."""
    if cell.fault in LATER_REPLIES:
        return Fate("Delayed", int(cell.fault))
    if (cell.stage, cell.fault) == ("RCPT", "552") and cell.recipients > 1:
        return Fate("Delayed", 452)  # RFC 5321 section 4.5.3.1.10
    return Fate("Failed", int(cell.fault)) if cell.fault in NEVER_REPLIES else SECOND


def asks_the_second(cell: Cell) -> bool:
    """Whether anything may be said to the next host at all."""
    return any(fate.second_copies for fate in expected(cell).values())


def script(cell: Cell) -> dict[tuple[str, int | str], Action]:
    """The table of the first server's fault: at the first recipient, or whenever its stage comes."""
    fault = {(cell.place, 1 if cell.stage == "RCPT" else ALWAYS): FAULTS[cell.fault]}
    return fault | ({("RCPT", ALWAYS): NEVER_REPLIES["550"]} if cell.stage == "RSET" else {})


@dataclass(frozen=True)
class Played:
    """A cell's game: what was found, and whether the second server was asked, the fault reached, all marked."""

    fates: dict[str, Fate]
    second_asked: bool
    fault_reached: bool
    marked: bool


def play_all() -> dict[Cell, Played]:
    """Play every cell, many at once: those of slow servers together, the others by turns."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def run() -> dict[Cell, Played]:
        turns, found = asyncio.Semaphore(AT_ONCE), {}

        async def one(cell: Cell) -> None:
            if cell.fault in SLOW:
                found[cell] = await play(cell, context)
                return
            async with turns:
                found[cell] = await play(cell, context)

        await asyncio.gather(*map(one, cells()))
        return found

    return asyncio.run(run())


async def play(cell: Cell, context: ssl.SSLContext) -> Played:
    """One attempt at a route of the faulty server and the good one."""
    left_out = {"PIPELINING": not cell.pipelining, "CHUNKING": not cell.chunking}
    extensions = [one for one in (*EXTENSIONS, "CHUNKING") if not left_out.get(one)]
    tls = context if cell.stage in ("STARTTLS", "HANDSHAKE") else None
    first, second = Sink(script(cell), extensions=extensions, tls=tls), Sink(extensions=extensions)
    async with first, second:
        if cell.stage == "BODY":
            first.narrow(WINDOW)
        marks = Marks()
        attempted = await _attempt(cell, (first.port, second.port), marks)
        fates = {path: _found(path, attempted, first, second) for path in cell.paths}
        reached = first._reached[cell.place] > 0
        marked = all(f"127.0.0.1:{sink.port}" in marks for sink in (first, second) if sink.messages)
    for session in (*first.sessions, *second.sessions):
        assert_wire_invariants(session)
    return Played(fates, bool(second.sessions), reached, marked)


async def _attempt(cell: Cell, ports: tuple[int, int], marks: Marks) -> Attempted:
    async def find() -> Route:
        return Route(tuple(NextHop("127.0.0.1", port) for port in ports))

    slow = {STAGES.get(cell.place, "dot"): IMPATIENCE} if cell.fault in SLOW else {}
    timeouts = Timeouts(**dict.fromkeys(Timeouts.__dataclass_fields__, PATIENCE) | slow)
    relay = Relay(Sessions("here.test", timeouts), find, always(DEMAND))
    body = SMALL if cell.whole else BIGGER if cell.fault in LOSSES else BIG
    octets = HEADER + b"\r\n" + (body if cell.stage == "BODY" else b".dots\r\n")
    async with asyncio.timeout(3 * PATIENCE):
        attempted = await relay.attempt(errand(*cell.paths, octets=octets), marks)
        await relay.sessions.close()  # says QUIT
    return attempted


def _found(path: str, attempted: Attempted, first: Sink, second: Sink) -> Fate:
    outcome: Outcome = attempted.outcomes[path]
    copies = [sum(path in message.forward_paths for message in sink.messages) for sink in (first, second)]
    kinds = {Delayed: "Delayed", Failed: "Failed"}
    doubt = isinstance(outcome, Delayed) and outcome.in_doubt
    return Fate(kinds.get(type(outcome), "Relayed"), outcome.reply.code, doubt, *copies)
