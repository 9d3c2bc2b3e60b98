"""The client half of an SMTP session without I/O: octets in, values out (in the manner of h11).

It knows which replies are due, in what order, and refuses all others. No socket, no clock, no asyncio.
"""

from collections import deque
from enum import IntEnum, StrEnum, auto
from typing import NamedTuple

from postroad.mail.reply import Reply
from postroad.smtp import grammar

REPLY_LINE_OCTETS = 4096  # with line end; RFC 5321 section 4.5.3.1.5 promises 512, servers exceed it
REPLY_LINES = 100  # ours; the longest seen in the wild (EHLO, policy texts) have about 30
REPLY_OCTETS = 16 * 1024  # ours; mail.reply's promise to the database and the DSN
CONTENT_LINE_OCTETS = 998  # without CRLF; RFC 5322 section 2.1.1, RFC 5321 section 4.5.3.1.6


class ProtocolError(Exception):
    """The server does not speak SMTP, or not in turn; nothing more it says can be trusted."""


class ReplyReader:
    """Puts replies together from octets, however they are cut; bounded in every direction.

    A bare LF ends a line too. RFC 5321 section 2.3.8 forbids it, old appliances do it, and it gives a server
    nothing: the stream is all its own, and no command of ours holds a line end that it could echo.
    """

    def __init__(self) -> None:
        self._octets = bytearray()
        self._code = 0
        self._texts: list[str] = []
        self._total = 0

    def feed(self, octets: bytes) -> None:
        """Take what has arrived."""
        self._octets += octets

    @property
    def pending(self) -> bool:
        """Part of a reply has arrived."""
        return bool(self._octets or self._texts)

    def next_reply(self) -> Reply | None:
        """The next whole reply, None while there is none; ProtocolError when there will never be one."""
        if not self._texts and (short := grammar.short_reply(self._octets)):
            reply, length = short
            del self._octets[:length]
            return reply
        while (line := self._next_line()) is not None:
            if self._add(line):
                reply = grammar.reply(self._code, self._texts)
                self._texts, self._total = [], 0
                return reply
        return None

    def _next_line(self) -> bytes | None:
        end = self._octets.find(b"\n", 0, REPLY_LINE_OCTETS)
        if end >= 0:
            line = bytes(self._octets[:end]).removesuffix(b"\r")
            del self._octets[: end + 1]
            return line
        if len(self._octets) >= REPLY_LINE_OCTETS:
            raise ProtocolError(f"reply line over {REPLY_LINE_OCTETS} octets")
        return None

    def _add(self, octets: bytes) -> bool:
        """Whether this line was the reply's last."""
        try:
            line = grammar.reply_line(octets)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        if self._texts and line.code != self._code:
            raise ProtocolError(f"reply began with {self._code} and went on with {line.code}")
        self._code = line.code
        self._texts.append(line.text)
        self._total += len(octets)
        if len(self._texts) > REPLY_LINES or self._total > REPLY_OCTETS:
            raise ProtocolError(f"reply over {REPLY_LINES} lines or {REPLY_OCTETS} octets")
        return line.last


class Command(StrEnum):
    """What a reply can answer; the values are the verbs on the wire, as far as there is one."""

    BANNER = "(banner)"  # answers the connection itself (RFC 5321 section 3.1)
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"  # the command, and each response to a challenge
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    BDAT = "BDAT"  # all of the content in one chunk: it is CONTENT that its reply answers
    CONTENT = "(content)"  # due since the 354: its reply may come before the end of data, if a refusal
    RSET = "RSET"
    NOOP = "NOOP"
    QUIT = "QUIT"


# By the first octets of its line, which tell them apart.
COMMANDS = {command.value[:4].encode(): command for command in Command}


class State(IntEnum):
    """Where a session stands."""

    CONNECTED = auto()  # EHLO must come; -> GREETED by its 2yz. Again after the 220 to STARTTLS
    GREETED = auto()  # idle; -> TRANSACTION by sending MAIL
    TRANSACTION = auto()  # -> DATA by the 354; -> GREETED by the 250 to RSET
    DATA = auto()  # content goes out; -> GREETED by the reply to the end of data
    CLOSED = auto()  # after QUIT, a 421, a refusal in the middle of content, or a protocol error


_MAY_SEND = {
    State.CONNECTED: {Command.EHLO, Command.HELO, Command.QUIT},
    State.GREETED: {
        *(Command.EHLO, Command.STARTTLS, Command.AUTH, Command.MAIL),
        *(Command.RSET, Command.NOOP, Command.QUIT),
    },
    State.TRANSACTION: {
        *(Command.RCPT, Command.DATA, Command.BDAT),
        *(Command.RSET, Command.NOOP, Command.QUIT),
    },
    State.DATA: set[Command](),
    State.CLOSED: set[Command](),
}
# RFC 2920 section 3.1: these and their replies stay with the group they are in; RCPT, DATA and BDAT may follow.
_LEADS_A_GROUP = {Command.MAIL, Command.RCPT}
_INTERMEDIATE = {Command.AUTH: 334, Command.DATA: 354}


class Answer(NamedTuple):
    """A reply and what it answers; None for the 421 of a server that closes an idle session."""

    command: Command | None
    reply: Reply


class Dialogue:
    """One session as the client sees it: note what is sent, feed what arrives, take the answers."""

    def __init__(self) -> None:
        self.state = State.CONNECTED
        self._due = deque([Command.BANNER])
        self._reader = ReplyReader()
        self._content_ended = False
        self._challenged = False

    @property
    def idle(self) -> bool:
        """A mail transaction may begin."""
        return self.state is State.GREETED and not self._due and not self._challenged

    @property
    def pending(self) -> bool:
        """More has arrived than was asked for, or an answer has come in part."""
        return self._reader.pending

    def send(self, line: bytes) -> None:
        """Note that a command line goes out; RuntimeError when it is not its turn (a bug of ours)."""
        command = COMMANDS[line[:4]]
        in_turn = not self._due or (self._due[-1] in _LEADS_A_GROUP and self.state is State.TRANSACTION)
        if command not in _MAY_SEND[self.state] or not in_turn or self._challenged:
            raise RuntimeError(f"{command.value} is out of turn: {self.state.name}, {len(self._due)} replies due")
        if command is Command.MAIL:
            self.state = State.TRANSACTION
        if command is Command.BDAT:
            self._content_ended = True
        self._due.append(Command.CONTENT if command is Command.BDAT else command)

    def respond(self) -> None:
        """Note that the response to a challenge goes out (RFC 4954 section 4)."""
        if not self._challenged:
            raise RuntimeError("there is no challenge to respond to")
        self._challenged = False
        self._due.append(Command.AUTH)

    def end_content(self) -> None:
        """Note that the end of data goes out: from now on the content may be accepted."""
        if self.state is not State.DATA:
            raise RuntimeError("there is no content to end")
        self._content_ended = True

    def receive(self, octets: bytes) -> None:
        """Take what has arrived."""
        self._reader.feed(octets)

    def next_answer(self) -> Answer | None:
        """The next answer, None while there is none; ProtocolError when the server is out of turn."""
        if self.state is State.CLOSED:
            return None
        try:
            reply = self._reader.next_reply()
            return None if reply is None else self._answer(reply)
        except ProtocolError:
            self.close()
            raise

    def close(self) -> None:
        """Nothing more will be said or believed."""
        self.state = State.CLOSED
        self._due.clear()

    def _answer(self, reply: Reply) -> Answer:
        command = self._due.popleft() if self._due else None
        if reply.code == 421:  # RFC 5321 section 3.8: may come at any time, and ends the session
            self.close()
        elif command is None:
            raise ProtocolError(f"unsolicited reply: {reply}")
        else:
            self._advance(command, reply)
        return Answer(command, reply)

    def _advance(self, command: Command, reply: Reply) -> None:
        if not self._acceptable(command, reply):
            raise ProtocolError(f"reply to {command.value} is out of turn: {reply}")
        match command:
            case Command.EHLO | Command.HELO | Command.RSET if reply.success:
                self.state = State.GREETED
            case Command.STARTTLS if reply.success:
                self._forget_the_plaintext()
            case Command.AUTH:
                self._challenged = reply.intermediate
            case Command.DATA if reply.intermediate:
                self.state = State.DATA
                self._due.append(Command.CONTENT)
            case Command.CONTENT:
                self.state = State.GREETED if self._content_ended else State.CLOSED
                self._content_ended = False
            case Command.QUIT:
                self.close()

    def _acceptable(self, command: Command, reply: Reply) -> bool:
        """334 answers AUTH only, 354 DATA, 2yz anything but DATA and content not yet whole (section 4.3.2)."""
        if reply.intermediate:
            return _INTERMEDIATE.get(command) == reply.code
        unfinished = command is Command.CONTENT and not self._content_ended
        return not (reply.success and (command is Command.DATA or unfinished))

    def _forget_the_plaintext(self) -> None:
        """RFC 3207 section 4.2: all is forgotten; what came with the 220 was put there by somebody else."""
        if self._reader.pending:
            raise ProtocolError("plaintext after the reply to STARTTLS")
        self.state = State.CONNECTED


class ContentError(ValueError):
    """Content that must not go on the wire, as receivers differ about what it means."""


class Lines:
    """The last line of defence of the wire, chunk by chunk: content is `(line CRLF)*` and nothing else.

    It refuses with ContentError what no receiver may be made to interpret (SMTP smuggling): a CR or LF that is
    not part of CRLF, NUL, a line over 998 octets. A last line without its end gets that (section 4.1.1.4).
    """

    def __init__(self) -> None:
        self.octets = 0  # of content, taken so far
        self.column = 0  # octets of the line that is not yet ended, a trailing CR included
        self._after_cr = False

    def check(self, chunk: bytes) -> bytes:
        """The chunk itself, if it may be sent."""
        if not chunk:
            return b""
        self._refuse_stray_octets(chunk)
        self._refuse_long_lines(chunk)
        self._after_cr = chunk.endswith(b"\r")
        self.octets += len(chunk)
        return chunk

    def end(self) -> bytes:
        """What the content lacks at its end."""
        if self._after_cr:
            raise ContentError("content ends with a bare CR")
        return b"\r\n" if self.column else b""

    def _refuse_stray_octets(self, chunk: bytes) -> None:
        """Counts suffice: each CR and each LF must be one of a pair, of which a chunk may cut two."""
        pairs = chunk.count(b"\r\n")
        if self._after_cr and not chunk.startswith(b"\n"):
            raise ContentError("bare CR in content")
        if chunk.count(b"\n") != pairs + self._after_cr:
            raise ContentError("bare LF in content")
        if chunk.count(b"\r") != pairs + chunk.endswith(b"\r"):
            raise ContentError("bare CR in content")
        if b"\0" in chunk:
            raise ContentError("NUL in content")

    def _refuse_long_lines(self, chunk: bytes) -> None:
        """Leap from line start to the last line end in reach; a line without one in reach is too long."""
        start = -self.column
        reach = CONTENT_LINE_OCTETS + len(b"\r\n")
        while (end := chunk.rfind(b"\n", max(start, 0), max(start + reach, 0))) >= 0:
            start = end + 1
        self.column = len(chunk) - start
        if self.column - chunk.endswith(b"\r") > CONTENT_LINE_OCTETS:
            raise ContentError(f"line over {CONTENT_LINE_OCTETS} octets in content")


class Transparency:
    """Dot doubling (RFC 5321 section 4.5.2), chunk by chunk, of content that is `Lines`; else ContentError."""

    def __init__(self) -> None:
        self._lines = Lines()

    @property
    def octets(self) -> int:
        """Of content, taken so far."""
        return self._lines.octets

    def encode(self, chunk: bytes) -> bytes:
        """The chunk as it goes on the wire."""
        at_line_start = self._lines.column == 0
        # Every LF follows a CR by now, so LF alone finds the line starts.
        stuffed = self._lines.check(chunk).replace(b"\n.", b"\n..")
        return b"." + stuffed if at_line_start and chunk.startswith(b".") else stuffed

    def finish(self) -> bytes:
        """The end of data; content that does not end its last line gets that end (section 4.1.1.4)."""
        return self._lines.end() + b".\r\n"
