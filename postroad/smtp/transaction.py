"""What a mail transaction means for each of its recipients. Pure: replies in, fates out.

The rules of RFC 5321 sections 3.3, 4.2.5 and 4.5.3.1.10 and of RFC 2920 section 3.1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from postroad.mail.reply import Reply, ours
from postroad.smtp.grammar import Extensions
from postroad.smtp.protocol import Command
from postroad.smtp.session import SessionError

NEEDS_SMTPUTF8 = ours(553, "5.6.7", "the server does not take internationalized addresses (SMTPUTF8)")
_NOT_TRIED = ours(451, "4.3.0", "not tried")
# RFC 5321 sections 4.1.1.11 and 4.2.2: what a server says to a parameter that it does not take.
_PARAMETER_REFUSALS = {455, 501, 504, 555}


@dataclass(frozen=True, slots=True)
class Transaction:
    """How a mail transaction ended: the final reply for each forward-path.

    `reusable`: the session can take another one. `in_doubt`: the forward-paths that may have the message
    although their reply says otherwise. `loss`: why it ended before its time, if it did. `parameters_refused`:
    the forward-paths that were refused, and may not have been without the DSN parameters.
    """

    replies: Mapping[str, Reply]
    reusable: bool
    in_doubt: frozenset[str]
    loss: SessionError | None
    transcript: tuple[str, ...]
    parameters_refused: tuple[str, ...] = ()


def impossible(offered: Extensions, *, size: int | None, eight_bit: bool, smtputf8: bool) -> Reply | None:
    """Our refusal of mail that this server cannot take, before it is bothered with it."""
    if smtputf8 and not offered.smtputf8:  # RFC 6531 section 3.5
        return NEEDS_SMTPUTF8
    if eight_bit and not offered.eight_bit_mime:  # RFC 6152 section 3
        return ours(554, "5.6.3", "the server does not take 8-bit content (8BITMIME)")
    if size is not None and offered.size_limit is not None and size > offered.size_limit:  # RFC 1870 section 6.1
        return ours(552, "5.3.4", f"the server takes {offered.size_limit} octets, the message has {size}")
    return None


class Course:
    """The replies of one mail transaction as they come in; `notifying` if it has DSN parameters."""

    def __init__(self, forward_paths: Iterable[str], *, notifying: bool = False) -> None:
        self._forward_paths = tuple(forward_paths)
        self._notifying = notifying
        self._mail: Reply | None = None
        self._recipients: list[Reply] = []
        self._data: Reply | None = None
        self._rest = _NOT_TRIED  # for whoever was accepted so far

    @property
    def accepted(self) -> bool:
        """Somebody may still receive the content."""
        return self._mail is not None and self._mail.success and any(reply.success for reply in self._recipients)

    @property
    def content_due(self) -> bool:
        """The server waits for content."""
        return self._data is not None and self._data.intermediate

    @property
    def clean(self) -> bool:
        """It ended as it should, and no RSET is needed."""
        return self._rest.success

    @property
    def parameters_refused(self) -> tuple[str, ...]:
        """The forward-paths whose MAIL or RCPT was refused as one with a bad parameter is."""
        if not self._notifying:
            return ()
        if self._mail is not None and self._mail.code in _PARAMETER_REFUSALS:
            return self._forward_paths
        answered = zip(self._forward_paths, self._recipients, strict=False)
        return tuple(path for path, reply in answered if reply.code in _PARAMETER_REFUSALS)

    def useless(self, command: Command) -> bool:
        """Whether `command` cannot help anybody any more."""
        if command is Command.DATA:
            return not self.accepted
        return self._mail is not None and not self._mail.success

    def hear(self, command: Command, reply: Reply) -> None:
        """Note a reply."""
        match command:
            case Command.MAIL:
                self._mail = reply
            case Command.RCPT:
                self._recipients.append(reply)
            case Command.DATA:
                self._data = reply
            case Command.CONTENT:
                self._rest = reply

    def lose(self, loss: SessionError) -> None:
        """Note that no more replies will come."""
        self._rest = loss.reply

    def replies(self) -> dict[str, Reply]:
        """The fate of each forward-path."""
        return {path: self._fate(index) for index, path in enumerate(self._forward_paths)}

    def _fate(self, index: int) -> Reply:
        if self._mail is not None and not self._mail.success:
            return self._mail
        if index < len(self._recipients) and not self._recipients[index].success:
            return self._refusal(self._recipients[index])
        if self._data is not None and not self._data.intermediate:
            return self._data
        return self._rest

    def _refusal(self, reply: Reply) -> Reply:
        """RFC 5321 section 4.5.3.1.10: a 552 among accepted recipients is an old spelling of 452, too many.

        Not when its subject is the mailbox (x.2.y, RFC 3463 section 3.3): 552 5.2.2 is one that is full.
        """
        if reply.code != 552 or reply.status.startswith("5.2.") or not self.accepted:
            return reply
        return replace(reply, code=452, status="4" + reply.status[1:] if reply.status else "4.5.3")
