"""One reply of a mail server, from the socket to the database and the DSN (RFC 5321 section 4.2)."""

from dataclasses import dataclass

OUR_MARK = "Postroad: "  # begins the text of every reply that no server gave


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply code, its enhanced status code (RFC 3463) and its text.

    `code` is 200..599; `status` is "x.y.z" or "" when the server gave none; `text` holds the lines
    without their codes, joined by a line feed, at most 16 KiB, possibly not ASCII (surrogate-escaped never).
    """

    code: int
    status: str
    text: str

    @property
    def success(self) -> bool:
        """The command was done (2yz)."""
        return self.code // 100 == 2

    @property
    def intermediate(self) -> bool:
        """The server waits for more (3yz)."""
        return self.code // 100 == 3

    @property
    def permanent(self) -> bool:
        """Trying again unchanged would fail again (5yz)."""
        return self.code // 100 == 5

    @property
    def enhanced(self) -> str:
        """The enhanced status code; its class with `.0.0` when none was given (RFC 3464 section 2.3.4)."""
        return self.status or f"{self.code // 100}.0.0"

    @property
    def ours(self) -> bool:
        """No server gave this reply: Postroad did, in its place."""
        return self.text.startswith(OUR_MARK)

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.status, self.text.replace("\n", " ")) if part)


def ours(code: int, status: str, text: str) -> Reply:
    """A reply that Postroad gives in a server's place."""
    return Reply(code, status, OUR_MARK + text)
