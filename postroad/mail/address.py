"""Addresses as people and header fields write them, made into one canonical spelling (RFC 5321, 5322, 6532).

Every reading ends as exactly the mailboxes the octets mean, or as BadAddress: none lost, none invented.
Must not know envelopes, accounts or DNS, nor repeat an address in an error: it may be a Bcc.
"""

import re
from typing import NamedTuple

import idna

# RFC 5321 section 4.5.3.1.3: a path holds 256 octets, "<" and ">" among them. This wins over the 255 octets of
# a domain: beside a local part of one octet, 252 are left.
_ADDRESS_OCTETS = 254
_LOCAL_PART_OCTETS = 64  # RFC 5321 section 4.5.3.1.1, counted as sent: quotes and backslashes too
_DOMAIN_OCTETS = 255  # RFC 5321 section 4.5.3.1.2, counted as written: bounds the work of UTS-46
_LABEL_OCTETS = 63  # RFC 1035 section 2.3.4
_COMMENT_DEPTH = 50  # hardening.md A20; RFC 5322 sets no limit

# RFC 5322 section 3.2.3: atext = ALPHA / DIGIT / "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" /
# "/" / "=" / "?" / "^" / "_" / "`" / "{" / "|" / "}" / "~"; RFC 6532 section 3.2: atext =/ UTF8-non-ascii
_ASCII_ATEXT = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"
_ATEXT = rf"{_ASCII_ATEXT}\x80-\U0010ffff"

# RFC 5322 section 3.2.3: dot-atom-text = 1*atext *("." 1*atext)
_DOT_ATOM = re.compile(rf"[{_ATEXT}]++(?:\.[{_ATEXT}]++)*")

# RFC 5322 section 4.1: obs-phrase = word *(word / "." / CFWS); this is a run of its atoms and dots
_ATOMS = re.compile(rf"[{_ATEXT}.]++")

# RFC 5322 section 3.2.4: quoted-string = [CFWS] DQUOTE *([FWS] qcontent) [FWS] DQUOTE [CFWS]
# RFC 5322 section 3.2.1: quoted-pair   = "\" (VCHAR / WSP)
# Controls are refused for the whole field beforehand, so "." is any octet that may stand there.
_QUOTED_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"')
_QUOTED_PAIR = re.compile(r"\\(.)")

# RFC 5322 section 3.2.2: comment = "(" *([FWS] ccontent) [FWS] ")"; only these decide where it ends
_COMMENT_MARK = re.compile(r"[()]|\\.")

# RFC 5322 section 3.4.1: domain = dot-atom / domain-literal / obs-domain; "[" is read to be refused by name
_DOMAIN_TEXT = re.compile(rf"\[|[{_ATEXT}.]++")

# RFC 5321 section 4.1.2: sub-domain = Let-dig [Ldh-str]
_LDH_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")

# C0, DEL, C1 (RFC 5198 section 2) and lone surrogates: not in an address …
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# … and in a field, RFC 5322's obs-NO-WS-CTL and every CR or LF that does not fold.
_FIELD_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_PLAIN_LABEL = r"(?![Xx][Nn]--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN_ATEXT = _ASCII_ATEXT.replace("?", "")  # no "?", so no encoded-word
# The short way for what nearly every field holds. It matches less than the grammar, never more:
# RFC 5322 section 3.4: mailbox = name-addr / addr-spec, with a "," that follows, without a ";".
_PLAIN_MAILBOX = re.compile(
    rf'[ \t]*+(?:("[ !#-\[\]-~]*+"|[{_ASCII_ATEXT}][{_ASCII_ATEXT}.]*+(?: [{_ASCII_ATEXT}.]++)*)?[ \t]*+(<))?'
    rf"(?=[^@]{{1,{_LOCAL_PART_OCTETS}}}@)([{_PLAIN_ATEXT}]++(?:\.[{_PLAIN_ATEXT}]++)*)@"
    rf"(?=[A-Za-z0-9.-]{{1,{_ADDRESS_OCTETS - _LOCAL_PART_OCTETS - 1}}}(?![A-Za-z0-9.-]))"
    rf"((?:{_PLAIN_LABEL}\.)+(?=[A-Za-z]){_PLAIN_LABEL})"
    r"(?(2)>)[ \t]*+(?:,|(?=;)|\Z)",
)

# What is wrong when one of these stands where no grammar rule wants it; "" is the end of the field.
_MISPLACED = {
    "": "text without an address",
    ",": "text without an address",
    ";": "semicolon without a group, or without an address before it",
    ":": "colon that begins no group",
    "<": "two addresses without a comma",
    ">": "closing angle bracket without an address",
    "@": "two @ without a comma",
    ")": "closing parenthesis without a comment",
    "[": "square bracket outside quotes",
    "]": "square bracket outside quotes",
    "\\": "backslash outside quotes",
}


class BadAddress(ValueError):  # noqa: N818 - the text is no address; nothing went wrong in the program
    """The text is not what it was read as; `str()` says why in one clause and never repeats the text."""


class Mailbox(NamedTuple):
    """One mailbox of an address list (RFC 5322 section 3.4).

    `display_name` is the phrase as written: quotes and encoded words kept, comments dropped, white space
    between words one space; "" when there is none. `address` is canonical: see `parse_address`.
    """

    display_name: str
    address: str


def parse_address(text: str) -> str:
    """Read one bare address (RFC 5321 section 4.1.2 Mailbox) and return its canonical spelling.

    The local part stays as written, quoted only when it must be; the domain becomes lower-case A-labels (UTS-46,
    non-transitional). At most 254 octets of UTF-8, 64 before the "@". Two addresses are one recipient exactly
    when their canonical spellings are equal. Raises BadAddress: also for comments, folding white space, display
    names, obsolete forms, domain literals and domains without a dot.
    """
    local_part, at, domain = text.rpartition("@")  # a domain has no "@", a quoted local part may
    if not at:
        raise BadAddress("no @ in the address")
    return _canonical(local_part, domain)


def parse_list(value: bytes) -> tuple[Mailbox, ...]:
    """Read the body of To, Cc, Bcc or From (RFC 5322 section 3.4 address-list), folded or not.

    Returns the mailboxes in order, repeated ones and those in groups too; none for an empty body or an empty
    group. `value` is UTF-8 without the CRLF that ends the field, comments at most 50 deep; time is linear in its
    length. Raises BadAddress when any part of it is wrong: a list is read whole or not at all.
    """
    if plain := _PLAIN_MAILBOX.fullmatch(value.decode("ascii", "replace")):
        return (_plain_mailbox(plain),)
    return tuple(_FieldBody(_unfold(value)).mailboxes())


def domain_of(address: str) -> str:
    """Return the domain of a canonical address: lower-case A-labels."""
    return address.rpartition("@")[2]


def local_part_of(address: str) -> str:
    """Return the local part of a canonical address, in quotes where the address has them."""
    return address.rpartition("@")[0]


def caseless(address: str) -> bytes:
    """Return a canonical address with ASCII letters in one case, in both parts: equal for two of one account.

    Only for an account's own address: elsewhere local parts differ by case (RFC 5321 section 2.4). Other scripts
    are not folded: U+212A KELVIN SIGN folds to "k", so an account could pass for its neighbour.
    """
    return address.encode().lower()


def _plain_mailbox(match: re.Match[str]) -> Mailbox:
    display_name, _, local_part, domain = match.groups("")
    return Mailbox(display_name, f"{local_part}@{domain.lower()}")


def _canonical(local_part: str, domain: str) -> str:
    if _CONTROL.search(local_part) or _CONTROL.search(domain):
        raise BadAddress("control character in the address")
    address = f"{_canonical_local_part(local_part)}@{_canonical_domain(domain)}"
    if len(address.encode()) > _ADDRESS_OCTETS:
        raise BadAddress(f"address longer than {_ADDRESS_OCTETS} octets")
    return address


def _canonical_local_part(text: str) -> str:
    quoted = _QUOTED_STRING.fullmatch(text)
    content = _QUOTED_PAIR.sub(r"\1", text[1:-1]) if quoted else text
    plain = _DOT_ATOM.fullmatch(content)
    if not quoted and not plain:
        raise BadAddress("local part neither dot-atom nor quoted string")
    # RFC 2047 section 5 (3) forbids it; whoever decodes it all the same reads another address out of it.
    if "?=" in content.partition("=?")[2]:
        raise BadAddress("encoded-word inside an address")
    local_part = content if plain else '"' + content.replace("\\", r"\\").replace('"', r"\"") + '"'
    if len(local_part.encode()) > _LOCAL_PART_OCTETS:
        raise BadAddress(f"local part longer than {_LOCAL_PART_OCTETS} octets")
    return local_part


def _canonical_domain(text: str) -> str:
    if text.startswith("["):
        raise BadAddress("domain literal")
    if len(text.encode()) > _DOMAIN_OCTETS:
        raise BadAddress(f"domain longer than {_DOMAIN_OCTETS} octets")
    labels = [_canonical_label(label) for label in _map_domain(text).split(".")]
    if len(labels) == 1:
        raise BadAddress("domain without a dot")
    if labels[-1].isdigit():  # RFC 3696 section 2: no top-level domain is; an IPv4 address is
        raise BadAddress("domain ends in a number")
    return ".".join(labels)


def _map_domain(text: str) -> str:
    if text.isascii():
        return text.lower()
    try:
        return idna.uts46_remap(text, std3_rules=True)
    except idna.IDNAError:
        raise BadAddress("character not allowed in a domain") from None


def _canonical_label(label: str) -> str:
    """Return the A-label or LDH label; the label's case and width are already mapped."""
    if not label:
        raise BadAddress("empty label in the domain")
    # Counted before encoding, which is quadratic: an A-label is never shorter than its U-label's characters.
    if len(label) > _LABEL_OCTETS:
        raise BadAddress(f"domain label longer than {_LABEL_OCTETS} octets")
    if not label.isascii() or label.startswith("xn--"):
        return _a_label(label)
    # Not by idna: it refuses "--" in places 3 and 4, which host names in use have (UTS-46 CheckHyphens=false).
    if not _LDH_LABEL.fullmatch(label):
        raise BadAddress("domain label not of letters, digits and inner hyphens")
    return label


def _a_label(label: str) -> str:
    try:
        return idna.alabel(label).decode("ascii")
    except idna.IDNAError:
        raise BadAddress("invalid internationalised label in the domain") from None


def _unfold(value: bytes) -> str:
    """Return a field body's text without folds (RFC 5322 section 2.2.3); TAB is its only control character."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise BadAddress("not valid UTF-8") from None
    text = text.replace("\r\n ", " ").replace("\r\n\t", "\t")
    if _FIELD_CONTROL.search(text):
        raise BadAddress("control character or line break that does not fold")
    return text


class _FieldBody:
    """An unfolded field body and how far it has been read: every method reads on from `place`, none goes back.

    The rules quoted are those of RFC 5322 sections 3.2.2, 3.4, 3.4.1 and 4.4.
    """

    __slots__ = ("place", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def mailboxes(self) -> list[Mailbox]:
        """Read address-list = (address *("," address)) / obs-addr-list, where elements may be empty."""
        found: list[Mailbox] = []
        in_group = False
        while True:
            if plain := _PLAIN_MAILBOX.match(self.text, self.place):
                self.place = plain.end()
                found.append(_plain_mailbox(plain))
            elif not (mark := self.after_cfws()):
                break
            elif mark == ",":
                self.place += 1
            elif mark == ";" and in_group:
                in_group = False
                self.place += 1
                self.end_element()
            elif mailbox := self.mailbox():
                found.append(mailbox)
                self.end_element()
            elif in_group:
                raise BadAddress("group inside a group")
            else:
                in_group = True
        if in_group:
            raise BadAddress("unclosed group")
        return found

    def mailbox(self) -> Mailbox | None:
        """Read mailbox = name-addr / addr-spec, or of a group its display-name ":" alone, which is None."""
        words = self.words()
        mark = self.mark()
        if mark == "@":
            return Mailbox("", self.addr_spec(words))
        if mark != "<" and not (mark == ":" and words):
            raise BadAddress(_MISPLACED[mark])
        if words.startswith("."):  # a phrase begins with a word
            raise BadAddress("display name begins with a dot")
        self.place += 1
        return Mailbox(words, self.angle_addr()) if mark == "<" else None

    def angle_addr(self) -> str:
        """Read the rest of angle-addr = [CFWS] "<" addr-spec ">" [CFWS] after its "<"."""
        words = self.words()
        mark = self.mark()
        if mark == "@" and not words:
            raise BadAddress("source route or empty local part")
        if mark != "@":
            raise BadAddress("no address between angle brackets")
        address = self.addr_spec(words)
        if self.after_cfws() != ">":
            raise BadAddress("address not closed by an angle bracket")
        self.place += 1
        return address

    def addr_spec(self, local_part: str) -> str:
        """Read the rest of addr-spec = local-part "@" domain from its "@", and return it canonical."""
        self.place += 1
        self.after_cfws()
        return _canonical(local_part, self.take(_DOMAIN_TEXT, "no domain after the @"))

    def words(self) -> str:
        """Read atoms, dots and quoted strings, with one space for each run of CFWS between them.

        One shape for phrase and local-part, as only the mark that follows tells them apart. A space within
        a local part is then refused with it.
        """
        parts: list[str] = []
        while True:
            mark = self.mark()
            if mark == '"':
                parts.append(self.take(_QUOTED_STRING, "unclosed quote"))
            elif mark and mark in " \t(":
                self.after_cfws()
                parts.append(" ")
            elif mark in _MISPLACED:
                return "".join(parts).strip(" ")
            else:
                parts.append(self.take(_ATOMS, "unexpected character"))

    def take(self, pattern: re.Pattern[str], otherwise: str) -> str:
        match = pattern.match(self.text, self.place)
        if not match:
            raise BadAddress(otherwise)
        self.place = match.end()
        return match[0]

    def mark(self) -> str:
        return self.text[self.place : self.place + 1]

    def after_cfws(self) -> str:
        """Skip CFWS = (1*([FWS] comment) [FWS]) / FWS and return the character after it, "" at the end."""
        while (mark := self.mark()) and mark in " \t(":
            if mark == "(":
                self.skip_comment()
            else:
                self.place += 1
        return mark

    def skip_comment(self) -> None:
        depth = 0
        for mark in _COMMENT_MARK.finditer(self.text, self.place):
            depth += {"(": 1, ")": -1}.get(mark[0], 0)
            if depth > _COMMENT_DEPTH:
                raise BadAddress(f"comments nested deeper than {_COMMENT_DEPTH}")
            if depth == 0:
                self.place = mark.end()
                return
        raise BadAddress("unclosed comment")

    def end_element(self) -> None:
        mark = self.after_cfws()
        if mark not in ("", ",", ";"):  # whether a group is there for ";" to end, `mailboxes` knows
            raise BadAddress(_MISPLACED.get(mark, "text after an address"))
