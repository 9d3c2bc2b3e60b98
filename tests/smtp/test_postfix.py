"""A real Postfix judges what we say to it: CHUNKING, and what is left of a transaction that was refused."""

import asyncio

import pytest

from postroad.smtp.connection import CHUNK_OCTETS, Connection
from tests.postfix import running_postfix
from tests.smtp.test_connection import pieces, send, summary

HEADER = b"From: me@a.test\r\nTo: one@b.test\r\nSubject: x\r\nMessage-ID: <1@a.test>\r\nDate: x\r\n\r\n"
PATH, REFUSED = "one@b.test", "refused@example.org"


@pytest.fixture(scope="module")
def postfix():
    """One for all tests."""
    with running_postfix() as running:
        yield running


def talk(postfix, *messages):
    """Send (recipients, content) one after another on one session; what became of each, and the transcripts."""

    async def run():
        connection = await Connection.open("127.0.0.1", postfix.port, hostname="me.test")
        found = [
            await send(connection, paths=paths, content=pieces(*content), size=sum(map(len, content)))
            for paths, content in messages
        ]
        await connection.quit()
        return found

    return asyncio.run(run())


def bodies(postfix, number):
    """Of so many messages, as they came out at the other side; the mailbox is empty afterwards."""
    found = sorted(one.partition(b"\n\n")[2] for one in postfix.delivered(number))
    for file in (postfix.folder / "mail" / "new").iterdir():
        file.unlink()
    return found


BODIES = [
    b".\r\n..\r\n.leading dot\r\n",
    b"\r\n.\r\n\r\n.\r\n",
    b"BDAT 5 LAST\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@x.test>\r\nDATA\r\n.\r\nQUIT\r\n",
    b"x" * 998 + b"\r\n",
    b"no line end",
    b"y" * 62 + b"\r\n",
    (b"z" * 62 + b"\r\n") * ((CHUNK_OCTETS - len(HEADER)) // 64),
    (b"w" * 62 + b"\r\n") * (CHUNK_OCTETS // 64 + 1),
]


def test_postfix_receives_the_octets_of_each_chunk(postfix):
    """Dots, commands, long lines, and sizes around the largest chunk come out at the other side as they were."""
    for body in BODIES:
        [transaction] = talk(postfix, ([PATH], [HEADER, body]))
        assert [code for code, _ in summary(transaction)] == [250]
        small = len(HEADER + body) <= CHUNK_OCTETS
        assert any(line.startswith("> BDAT") for line in transaction.transcript) == small
    expected = [body.replace(b"\r\n", b"\n").removesuffix(b"\n") + b"\n" for body in BODIES]
    assert bodies(postfix, len(BODIES)) == sorted(expected)


def test_postfix_keeps_nothing_of_what_it_refused(postfix):
    """After a refusal of all, or of some, the next message on the session goes to its own recipients alone."""
    messages = [
        ([REFUSED], [HEADER, b"refused\r\n"]),
        ([PATH], [HEADER, b"second\r\n"]),
        ([REFUSED, PATH], [HEADER, b"third\r\n"]),
        ([PATH], [HEADER, b"fourth\r\n"]),
    ]
    found = talk(postfix, *messages)
    codes = [[code for code, _ in summary(one)] for one in found]
    assert codes == [[550], [250], [550, 250], [250]]
    assert "> BDAT" in "\n".join(found[0].transcript)
    assert "> RSET" in "\n".join(found[0].transcript)
    assert bodies(postfix, 3) == [b"fourth\n", b"second\n", b"third\n"]
