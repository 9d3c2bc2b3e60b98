"""A recording, scripted SMTP server: the judge of everything Postroad puts on the wire.

It stores the exact octets of every session and says what its script tells it to. The script is a table
`{(stage, which): action}`. Stages: CONNECT, EHLO, STARTTLS, HANDSHAKE, MAIL, RCPT, DATA, BODY (once
`body_offset` octets of content have come), DOT (in place of the 250), DOT_AFTER_COMMIT (the message is stored,
then this happens in place of the 250), AUTH (in place of the 235), AUTH_END (after the response to a 334 said
there), BDAT (in place of reading its octets, which are then taken for commands), CHUNK (once some of its octets
have come, in place of its reply), RSET, NOOP, QUIT. `which` is the nth time the stage is reached in the sink's
life, counted from 1, or ALWAYS, or, for MAIL and RCPT, an address. Actions: a reply ("550 5.1.1 no",
lines separated by a line feed), raw octets, Drop, Reset, Stall, Dribble.

    async with Sink({("RCPT", 2): "550 5.1.1 no"}) as sink: ...   # inside an event loop
    with running_sink() as sink: ...                              # from plain code, on a thread of its own
"""

import asyncio
import re
import socket
import ssl
import struct
import threading
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Self

from tests.background import in_background

ALWAYS = 0
EXTENSIONS = ("PIPELINING", "SIZE 36700160", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")

CONTENT_ON_THE_WIRE = re.compile(rb"\A(?:(?:\.\.|[^.\r\n\0])[^\r\n\0]{0,997}\r\n|\r\n)*\.\r\n\Z")
LINES_ON_THE_WIRE = re.compile(rb"\A(?:[^\r\n\0]{0,998}\r\n)*\Z")
_XTEXT = rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+"
COMMAND_ON_THE_WIRE = re.compile(
    rb"(?:(?:EHLO|HELO) [^\x00-\x20\x7f]+|STARTTLS|DATA|BDAT [0-9]+ LAST|RSET|NOOP|QUIT"
    rb"|AUTH [A-Z0-9-]+(?: [A-Za-z0-9+/]+=*)?"
    rb"|MAIL FROM:<[^\x00-\x1f\x7f]*>(?: SIZE=[0-9]+| BODY=8BITMIME| SMTPUTF8| RET=HDRS| ENVID=" + _XTEXT + rb")*"
    rb"|RCPT TO:<[^\x00-\x1f\x7f]+@[^\x00-\x20\x7f<>]+>"
    rb"(?: NOTIFY=(?:FAILURE|NEVER))?(?: ORCPT=(?:rfc822|utf-8);" + _XTEXT + rb")?)\r\n"
)
# RFC 5321 section 4.5.3.1.4, and what SIZE, 8BITMIME, SMTPUTF8 and DSN add (RFC 3461 section 5.4).
COMMAND_OCTETS = 512 + 53 + len(" NOTIFY=FAILURE ") + 500


@dataclass(frozen=True)
class Drop:
    """Say `after` and close the connection."""

    after: bytes = b""


@dataclass(frozen=True)
class Reset:
    """Say `after` and tear the connection down with a TCP reset."""

    after: bytes = b""


@dataclass(frozen=True)
class Stall:
    """Neither say nor read anything from now on."""


@dataclass(frozen=True)
class Dribble:
    """Say the reply an octet at a time, with so many seconds between them."""

    reply: str
    seconds: float


Action = str | bytes | Drop | Reset | Stall | Dribble
Script = Mapping[tuple[str, int | str], Action]


@dataclass
class Message:
    """One message that the sink took responsibility for."""

    reverse_path: str | None
    forward_paths: tuple[str, ...]
    parameters: str  # of MAIL
    content: bytes  # without the doubled dots and the end of data
    wire: bytes  # as received, from after the 354 to the end of data
    tls: bool


@dataclass
class Session:
    """One connection: its command lines, and the octets after each 354 up to the end of data."""

    commands: list[bytes] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)  # the octets of each BDAT
    logins: list[tuple[bytes, ...]] = field(default_factory=list)  # mechanism and decoded responses
    unfinished: bytes = b""  # content whose end never came
    misread: int | None = None  # so many commands came before what was taken for such
    messages: list[Message] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)  # all of it, in plaintext and then in TLS
    tls: bool = False

    @property
    def verbs(self) -> list[str]:
        """The first word of each command line."""
        return [line.split(maxsplit=1)[0].decode() for line in self.commands]


def assert_wire_invariants(session: Session) -> None:
    """Every command line is ours; content is `(line CRLF)*`, after DATA with doubled dots and `"." CRLF`."""
    for line in session.commands[: session.misread]:
        assert COMMAND_ON_THE_WIRE.fullmatch(line), line
        assert len(line) <= COMMAND_OCTETS, line
    for wire in session.contents:
        assert CONTENT_ON_THE_WIRE.match(wire), wire[-200:]
    for chunk in session.chunks:
        assert LINES_ON_THE_WIRE.match(chunk), chunk[-200:]
    lines = session.unfinished[: session.unfinished.rfind(b"\r\n") + 2]
    assert CONTENT_ON_THE_WIRE.match(lines + b".\r\n"), lines[-200:]


class Sink:
    """The server; `port`, `sessions` and `messages` are there while it runs and afterwards."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        extensions: Sequence[str] = EXTENSIONS,
        tls: ssl.SSLContext | None = None,
        body_offset: int = 1,
        address: tuple[str, int] = ("127.0.0.1", 0),
        implicit_tls: bool = False,
    ) -> None:
        self.implicit_tls = implicit_tls
        self.script: dict[tuple[str, int | str], Action] = dict(script or {})
        self.extensions = tuple(extensions)
        self.tls = tls
        self.body_offset = body_offset
        self.host, self.port = address
        self.sessions: list[Session] = []
        self.messages: list[Message] = []
        self.came = threading.Condition()
        self._reached: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        tls = self.tls if self.implicit_tls else None
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def narrow(self, octets: int) -> None:
        """Let so many octets be under way at most, in sessions that begin now."""
        self._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)

    def wait_for(self, messages: int, seconds: float = 10) -> list[Message]:
        """Wait on another thread until so many messages have come."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.messages) >= messages, seconds), self.messages
            return list(self.messages)

    def action(self, stage: str, address: str = "") -> Action | None:
        """What the script says about this stage; counts that it was reached."""
        self._reached[stage] += 1
        keys = (stage, address), (stage, self._reached[stage]), (stage, ALWAYS)
        return next((self.script[key] for key in keys if key in self.script), None)

    def take(self, message: Message) -> None:
        """Take responsibility."""
        with self.came:
            self.messages.append(message)
            self.came.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        session = Session(tls=self.implicit_tls)
        self.sessions.append(session)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await _Peer(self, session, reader, writer).converse()
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


class _Peer:
    """One connection of the sink."""

    def __init__(
        self, sink: Sink, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._sink = sink
        self._session = session
        self._reader = reader
        self._writer = writer
        self._unread = bytearray()
        self._forget()

    def _forget(self) -> None:
        self._reverse_path: str | None = None
        self._parameters: str | None = None  # None: no mail transaction has begun
        self._forward_paths: list[str] = []
        self._chunked = b""

    async def converse(self) -> None:
        await self._do("CONNECT", "220 sink.test ESMTP")
        while True:
            line = await self._line()
            self._session.commands.append(line)
            verb, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
            action = getattr(self, f"_{verb.lower()}", None)
            await (action(argument) if action else self._say("500 5.5.2 what?"))

    async def _ehlo(self, _: str) -> None:
        self._forget()
        offered = [*self._sink.extensions]
        if self._sink.tls and not self._session.tls:
            offered.append("STARTTLS")
        lines = ["sink.test", *offered]
        await self._do("EHLO", "\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]))

    async def _helo(self, _: str) -> None:
        self._forget()
        await self._do("HELO", "250 sink.test")

    async def _starttls(self, _: str) -> None:
        if await self._do("STARTTLS", "220 2.0.0 go ahead") != "220":
            return
        await self._do("HANDSHAKE", b"")
        assert self._sink.tls is not None
        await self._writer.start_tls(self._sink.tls)
        self._session.tls = True
        self._forget()

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        responses = [initial.encode()] if initial else []
        while len(responses) < {"LOGIN": 2}.get(mechanism, 1):
            await self._say("334 " + ("UGFzc3dvcmQ6" if responses else "VXNlcm5hbWU6"))
            responses.append(await self._line())
        self._session.logins.append((mechanism.encode(), *map(b64decode, responses)))
        if await self._do("AUTH", "235 2.7.0 welcome") == "334":
            self._session.logins.append((await self._line(),))
            await self._do("AUTH_END", "535 5.7.8 who?")

    async def _mail(self, argument: str) -> None:
        path, _, parameters = argument.removeprefix("FROM:<").rpartition(">")
        if (await self._do("MAIL", "250 2.1.0 Ok", path)).startswith("2"):
            self._reverse_path, self._parameters = path or None, parameters.strip()

    async def _rcpt(self, argument: str) -> None:
        # No parameter ends with ">", and none holds a space.
        path = f"{argument} ".removeprefix("TO:<").rpartition("> ")[0]
        default = "503 5.5.1 MAIL first" if self._parameters is None else "250 2.1.5 Ok"
        if (await self._do("RCPT", default, path)).startswith("2"):
            self._forward_paths.append(path)

    async def _data(self, _: str) -> None:
        default = "354 go ahead" if self._forward_paths else "554 5.5.1 no valid recipients"
        if await self._do("DATA", default) != "354":
            return
        wire = await self._content()
        await self._whole_message(self._message(wire))

    async def _bdat(self, argument: str) -> None:
        if action := self._sink.action("BDAT"):
            self._session.misread = len(self._session.commands)
            await self._say(action)
            return
        size, _, last = argument.partition(" ")
        if await self._chunk(int(size)):
            self._forget()
        elif not self._forward_paths:
            await self._say("503 5.5.1 no valid recipients")
        elif last == "LAST":
            await self._whole_message(replace(self._message(b""), content=self._chunked, wire=self._chunked))
        else:
            await self._say("250 2.0.0 more")

    async def _chunk(self, size: int) -> str:
        """Read so many octets; the code of what was said meanwhile."""
        if size and not self._unread:
            await self._more()
        said = await self._do("CHUNK", b"")
        while len(self._unread) < size:
            await self._more()
        chunk = self._cut(size)
        self._session.chunks.append(chunk)
        self._chunked += chunk
        return said

    async def _whole_message(self, message: Message) -> None:
        said = await self._do("DOT", b"")
        if said:
            if said.startswith("2"):
                self._take(message)
        else:
            self._take(message)
            await self._do("DOT_AFTER_COMMIT", f"250 2.0.0 Ok: queued as {len(self._sink.messages)}")
        self._forget()

    async def _rset(self, _: str) -> None:
        self._forget()
        await self._do("RSET", "250 2.0.0 Ok")

    async def _noop(self, _: str) -> None:
        await self._do("NOOP", "250 2.0.0 Ok")

    async def _quit(self, _: str) -> None:
        await self._do("QUIT", "221 2.0.0 bye")
        raise EOFError

    def _message(self, wire: bytes) -> Message:
        content = b"\r\n".join(line.removeprefix(b".") for line in [*wire.split(b"\r\n")[:-2], b""])
        return Message(
            self._reverse_path,
            tuple(self._forward_paths),
            self._parameters or "",
            content,
            wire,
            self._session.tls,
        )

    def _take(self, message: Message) -> None:
        self._session.messages.append(message)
        self._sink.take(message)

    async def _do(self, stage: str, default: Action, address: str = "") -> str:
        """Do what the script says, or else the default; the code of what was said."""
        action = self._sink.action(stage, address)
        return await self._say(default if action is None else action)

    async def _say(self, action: Action) -> str:
        match action:
            case bytes():
                self._writer.write(action)
            case str():
                self._writer.write(action.replace("\n", "\r\n").encode() + b"\r\n")
                return action.rsplit("\n", 1)[-1][:3]
            case Stall():
                await asyncio.Event().wait()
            case Dribble():
                for octet in f"{action.reply}\r\n".encode():
                    self._writer.write(bytes([octet]))
                    await asyncio.sleep(action.seconds)
                return action.reply[:3]
            case Drop() | Reset():
                await self._hang_up(action)
        return action.strip().rsplit(b"\n", 1)[-1][:3].decode() if isinstance(action, bytes) else ""

    async def _hang_up(self, action: Drop | Reset) -> None:
        self._writer.write(action.after)
        await self._writer.drain()
        if isinstance(action, Reset):
            linger = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise EOFError

    async def _more(self) -> None:
        octets = await self._reader.read(256 * 1024)
        if not octets:
            raise EOFError
        self._session.received += octets
        self._unread += octets

    async def _line(self) -> bytes:
        while (end := self._unread.find(b"\n")) < 0:
            await self._more()
        return self._cut(end + 1)

    async def _content(self) -> bytes:
        """Up to the one true end of data; what came is recorded even if it never comes."""
        acted = False
        searched = 0
        try:
            while (end := self._end_of_data(searched)) < 0:
                searched = max(0, len(self._unread) - 4)
                await self._more()
                if not acted and len(self._unread) >= self._sink.body_offset:
                    acted = True
                    await self._do("BODY", b"")
        except BaseException:
            self._session.unfinished = bytes(self._unread)
            raise
        self._session.contents.append(self._cut(end))
        return self._session.contents[-1]

    def _end_of_data(self, start: int) -> int:
        if self._unread.startswith(b".\r\n"):
            return 3
        found = self._unread.find(b"\r\n.\r\n", start)
        return found + 5 if found >= 0 else -1

    def _cut(self, length: int) -> bytes:
        octets = bytes(self._unread[:length])
        del self._unread[:length]
        return octets


@contextmanager
def running_sink(script: Script | None = None, **options) -> Iterator[Sink]:
    """A sink on a thread of its own, for tests without an event loop."""
    with in_background(Sink(script, **options), "smtp-sink") as sink:
        yield sink
