"""Every row of the address tables, then properties that hold for any octets."""

import re
from email.headerregistry import HeaderRegistry

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroad.mail import address
from postroad.mail.address import (
    BadAddress,
    Mailbox,
    caseless,
    domain_of,
    local_part_of,
    parse_address,
    parse_list,
)
from postroad.smtp import grammar

B63, C63, D63 = "b" * 63 + ".", "c" * 63 + ".", "d" * 63 + "."

BARE_VALID = [
    # dot-atoms, plain data whatever they look like to a shell or a file system
    ("alice@origin.example", "alice@origin.example"),
    ("Alice.B@Origin.EXAMPLE", "Alice.B@origin.example"),
    ("a+tag@d.example", "a+tag@d.example"),
    ("first.m.last@d.example", "first.m.last@d.example"),
    ("!#$%&'*+-/=?^_`{|}~@d.example", "!#$%&'*+-/=?^_`{|}~@d.example"),
    ("-oQ/tmp@d.example", "-oQ/tmp@d.example"),
    ("|cmd@d.example", "|cmd@d.example"),
    ('"../x"@d.example', '"../x"@d.example'),
    ("%s@d.example", "%s@d.example"),
    ("`id`@d.example", "`id`@d.example"),
    ("0@d.example", "0@d.example"),
    ("=?@d.example", "=?@d.example"),
    ("=?=@d.example", "=?=@d.example"),
    ("?=x=?@d.example", "?=x=?@d.example"),
    # quoted strings
    ('"a b"@d.example', '"a b"@d.example'),
    (r'"a\"b"@d.example', r'"a\"b"@d.example'),
    (r'"a\\b"@d.example', r'"a\\b"@d.example'),
    ('"a@evil"@d.example', '"a@evil"@d.example'),
    ('"a@evil.example>"@d.example', '"a@evil.example>"@d.example'),
    ('"alice"@d.example', "alice@d.example"),
    (r'"\a\l\i\c\e"@d.example', "alice@d.example"),
    (r'"a\ b"@d.example', '"a b"@d.example'),
    ('"a.b"@d.example', "a.b@d.example"),
    ('"a..b"@d.example', '"a..b"@d.example'),
    ('".a"@d.example', '".a"@d.example'),
    ('"a."@d.example', '"a."@d.example'),
    ('""@d.example', '""@d.example'),
    ('" "@d.example', '" "@d.example'),
    ('"(c)"@d.example', '"(c)"@d.example'),
    ('"a,b;c:d"@d.example', '"a,b;c:d"@d.example'),
    ('"[1]"@d.example', '"[1]"@d.example'),
    ('"ü b"@d.example', '"ü b"@d.example'),
    # SMTPUTF8 local parts stay as written, neither folded nor normalised
    ("jürgen@d.example", "jürgen@d.example"),
    ("JÜRGEN@d.example", "JÜRGEN@d.example"),
    ("u\u0308@d.example", "u\u0308@d.example"),
    ("用户@d.example", "用户@d.example"),
    ('"jürgen"@d.example', "jürgen@d.example"),
    ("😀@d.example", "😀@d.example"),
    # domains
    ("a@1.example", "a@1.example"),
    ("a@d.4you", "a@d.4you"),
    ("a@a-b.example", "a@a-b.example"),
    ("a@r3---sn.example", "a@r3---sn.example"),
    ("a@b.c", "a@b.c"),
    ("a@bücher.example", "a@xn--bcher-kva.example"),
    ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
    ("a@bu\u0308cher.example", "a@xn--bcher-kva.example"),
    ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
    ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
    ("a@bücher\u3002example", "a@xn--bcher-kva.example"),
    ("a@b\u3002example", "a@b.example"),
    ("a@b\uff0eexample", "a@b.example"),
    ("a@b\uff61example", "a@b.example"),
    ("a@\uff45xample.example", "a@example.example"),
    ("a@stra\u00dfe.example", "a@xn--strae-oqa.example"),
    ("a@STRA\u1e9eE.example", "a@xn--strae-oqa.example"),
    ("a@p\u0430ypal.example", "a@xn--pypal-4ve.example"),
    ("a@क्\u200dष.example", "a@xn--11b2ezcw70k.example"),
    ("a@例え.テスト", "a@xn--r8jz45g.xn--zckzah"),
    # limits
    ("a" * 64 + "@d.example", "a" * 64 + "@d.example"),
    ("ü" * 32 + "@d.example", "ü" * 32 + "@d.example"),
    ('"' + "a" * 61 + ' "@d.example', '"' + "a" * 61 + ' "@d.example'),
    ('"' + "a" * 64 + '"@d.example', "a" * 64 + "@d.example"),
    ("a@" + "b" * 63 + ".example", "a@" + "b" * 63 + ".example"),
    ("a@d." + "e" * 63, "a@d." + "e" * 63),
    ("a@" + "a" * 55 + "ü.example", "a@xn--" + "a" * 55 + "-8yf.example"),
    (f"a@{B63}{C63}{D63}" + "e" * 60, f"a@{B63}{C63}{D63}" + "e" * 60),
    ("a" * 64 + f"@{B63}{C63}" + "d" * 61, "a" * 64 + f"@{B63}{C63}" + "d" * 61),
    (
        "a@" + ("ü" * 40 + ".") * 3 + "e" * 9 + ".cc",
        "a@" + "xn--tdaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa." * 3 + "e" * 9 + ".cc",
    ),
    ("ü" * 32 + f"@{B63}{C63}" + "d" * 61, "ü" * 32 + f"@{B63}{C63}" + "d" * 61),
]


LOCAL, LITERAL, DOTLESS = "neither dot-atom nor quoted", "domain literal", "without a dot"
LDH, LABEL, EMPTY, NUMBER = "letters, digits", "invalid internationalised", "empty label", "ends in a number"
CONTROL, WORD, MAPPED = "control character", "encoded-word", "not allowed in a domain"

BARE_INVALID = [
    ("", "no @"),
    ("a", "no @"),
    ("@", LOCAL),
    ("@d.example", LOCAL),
    ("a@", EMPTY),
    # local parts
    (".a@d.example", LOCAL),
    ("a.@d.example", LOCAL),
    ("a..b@d.example", LOCAL),
    ("../x@d.example", LOCAL),
    ("a b@d.example", LOCAL),
    ("a@b@d.example", LOCAL),
    ("a,b@d.example", LOCAL),
    ("a;b@d.example", LOCAL),
    ("a:b@d.example", LOCAL),
    (r"a\,b@d.example", LOCAL),
    ("a<b@d.example", LOCAL),
    ("a>b@d.example", LOCAL),
    ("a[b@d.example", LOCAL),
    ('a"b@d.example', LOCAL),
    ('"a@d.example', LOCAL),
    ('"a"b@d.example', LOCAL),
    ('a"b"@d.example', LOCAL),
    ('"a""b"@d.example', LOCAL),
    ('"a".b@d.example', LOCAL),
    ('a."b"@d.example', LOCAL),
    ('"a\\"@d.example', LOCAL),
    # comments, white space, brackets and the rest of a header field's grammar
    (" a@d.example", LOCAL),
    ("a @d.example", LOCAL),
    ("a@ d.example", LDH),
    ("a@d.example ", LDH),
    ("a@d.example, c@d.example", LOCAL),
    ("(c)a@d.example", LOCAL),
    ("a(c)@d.example", LOCAL),
    ("a@(c)d.example", LDH),
    ("a@d.example(c)", LDH),
    ("<a@d.example>", LOCAL),
    ("a@d.example>", LDH),
    ("A <a@d.example>", LOCAL),
    ("<a@d.example> SIZE=1", LOCAL),
    ("a@d.example> SIZE=1", LDH),
    ("a@d.example NOTIFY=NEVER", LDH),
    ("@r.example:a@d.example", LOCAL),
    ("<@r.example:a@d.example>", LOCAL),
    ("<>", "no @"),
    # control characters, in and out of quotes
    ("a\r\n@d.example", CONTROL),
    ("a@d.example\r\nRCPT TO:<b@d.example>", CONTROL),
    ("a@d.example\n", CONTROL),
    ("a@d.example\r", CONTROL),
    ("a\0@d.example", CONTROL),
    ("a@d\0.example", CONTROL),
    ('"a\tb"@d.example', CONTROL),
    ('"a\\\tb"@d.example', CONTROL),
    ('"a\r\n b"@d.example', CONTROL),
    ("a\x7f@d.example", CONTROL),
    ('"\x01"@d.example', CONTROL),
    ("a\x85b@d.example", CONTROL),
    ("a\x9fb@d.example", CONTROL),
    ("a\ud800@d.example", CONTROL),
    ("a@\udfff.example", CONTROL),
    # encoded words: another parser's decoder would find another address in them
    ("=?utf-8?q?x=40evil.example=3E?=@d.example", WORD),
    ("=?utf-8?b?eEBl?=@d.example", WORD),
    ("a=?utf-8?q?b?=c@d.example", WORD),
    ("=??=@d.example", WORD),
    ('"=?utf-8?q?x?="@d.example', WORD),
    ('"=?utf-8?q?x y?="@d.example', WORD),
    (r'"=\?utf-8?q?x?\="@d.example', WORD),
    ("a@=?utf-8?q?d?=.example", LDH),
    ("=?utf-8?q?x@evil?=.example", LDH),
    # domains
    ("a@localhost", DOTLESS),
    ("a@d", DOTLESS),
    ("a@bücher", DOTLESS),
    ("a@com\u3002", EMPTY),
    ("a@d.example.", EMPTY),
    ("a@.d.example", EMPTY),
    ("a@d..example", EMPTY),
    ("a@d.example\u3002", EMPTY),
    ("a@d\u3002\u3002example", EMPTY),
    ("a@.", EMPTY),
    ("a@[127.0.0.1]", LITERAL),
    ("a@[IPv6:::1]", LITERAL),
    ("a@[]", LITERAL),
    ("a@127.0.0.1", NUMBER),
    ("a@\uff11\uff12\uff17.\uff10.\uff10.\uff11", NUMBER),
    ("a@d.1", NUMBER),
    ("a@2130706433", DOTLESS),
    ("a@a_b.example", LDH),
    ("a@_dmarc.d.example", LDH),
    ("a@-d.example", LDH),
    ("a@d-.example", LDH),
    ("a@d.-e", LDH),
    ("a@d!.example", LDH),
    ("a@d.exam ple", LDH),
    ("a@d\u3000.example", MAPPED),
    ("a@ü_.example", MAPPED),
    ("a@ü .example", MAPPED),
    ("a@d\ufffd.example", MAPPED),
    ("a@d\uff20.example", MAPPED),
    ("a@xn--.example", LABEL),
    ("a@xn--a.example", LABEL),
    ("a@xn--99999999.example", LABEL),
    ("a@xn---bbk.example", LABEL),
    ("a@\uff58n--a.example", LABEL),
    ("a@a\u200db.example", LABEL),
    ("a@\u0301a.example", LABEL),
    ("a@-ü.example", LABEL),
    ("a@☃.example", LABEL),
    ("a@א1a.example", LABEL),
    # one octet over each limit
    ("a" * 65 + "@d.example", "longer than 64"),
    ("ü" * 32 + "a@d.example", "longer than 64"),
    ('"' + "a" * 62 + ' "@d.example', "longer than 64"),
    ('"' + "a" * 61 + '\\""@d.example', "longer than 64"),
    ("a@" + "b" * 64 + ".example", "longer than 63"),
    ("a@d." + "e" * 64, "longer than 63"),
    ("a@" + "a" * 56 + "ü.example", LABEL),
    ("a@" + "ü" * 64 + ".example", "longer than 63"),
    (f"a@{B63}{C63}{D63}" + "e" * 61, "longer than 254"),
    ("aa@" + f"{B63}{C63}{D63}" + "e" * 60, "longer than 254"),
    ("a" * 64 + f"@{B63}{C63}" + "d" * 62, "longer than 254"),
    (f"a@{B63}{C63}{D63}" + "e" * 63, "longer than 254"),
    (f"a@{B63}{C63}{D63}e." + "e" * 62, "longer than 255"),
    ("a@" + ("ü" * 40 + ".") * 3 + "e" * 10 + ".cc", "longer than 255"),
]

# (field body, its mailboxes as "display name|address")
LIST_VALID = [
    ("", []),
    (" \t", []),
    ("\r\n ", []),
    (" \r\n \r\n\t", []),
    ("(nobody)", []),
    (",", []),
    (" , (c) ,\r\n ,", []),
    ("a@b.example", ["|a@b.example"]),
    (" a@b.example ", ["|a@b.example"]),
    ("a@b.example,c@d.example", ["|a@b.example", "|c@d.example"]),
    ("a@b.example,,c@d.example,", ["|a@b.example", "|c@d.example"]),
    (",a@b.example", ["|a@b.example"]),
    ("a@b.example,\r\n c@d.example,\r\n\te@f.example", ["|a@b.example", "|c@d.example", "|e@f.example"]),
    ("a@b.example, a@b.example", ["|a@b.example", "|a@b.example"]),
    ("A@B.example, a@b.example", ["|A@b.example", "|a@b.example"]),
    ("a@b.c", ["|a@b.c"]),
    # angle brackets and display names
    ("<a@b.example>", ["|a@b.example"]),
    ("Alice <a@b.example>", ["Alice|a@b.example"]),
    ("Alice<a@b.example>", ["Alice|a@b.example"]),
    ("Alice \t Liddell  <a@b.example>", ["Alice Liddell|a@b.example"]),
    ("Alice\r\n Liddell\r\n\t<a@b.example>", ["Alice Liddell|a@b.example"]),
    ("John Q. Public <j@x.example>", ["John Q. Public|j@x.example"]),
    ("J.R.R. Tolkien <j@x.example>", ["J.R.R. Tolkien|j@x.example"]),
    ("Dr . No <j@x.example>", ["Dr . No|j@x.example"]),
    ('"Doe, Jane" <j@x.example>', ['"Doe, Jane"|j@x.example']),
    (r'"Jane \"J\" Doe" <j@x.example>', [r'"Jane \"J\" Doe"|j@x.example']),
    ('"" <j@x.example>', ['""|j@x.example']),
    ('"Jane" Q "Doe" <j@x.example>', ['"Jane" Q "Doe"|j@x.example']),
    ('"Jane"Q"Doe"<j@x.example>', ['"Jane"Q"Doe"|j@x.example']),
    ('"Jane\r\n\tDoe" <j@x.example>', ['"Jane\tDoe"|j@x.example']),
    ('"evil@x.example" <j@x.example>', ['"evil@x.example"|j@x.example']),
    ('"<evil@x.example>," <j@x.example>', ['"<evil@x.example>,"|j@x.example']),
    ("=?utf-8?q?J=C3=BCrgen?= <j@x.example>", ["=?utf-8?q?J=C3=BCrgen?=|j@x.example"]),
    ("=?utf-8?b?w7w=?= =?utf-8?b?w7w=?= <j@x.example>", ["=?utf-8?b?w7w=?= =?utf-8?b?w7w=?=|j@x.example"]),
    ("=?utf-8?q?=0D=0ABcc=3A_e=40x?= <j@x.example>", ["=?utf-8?q?=0D=0ABcc=3A_e=40x?=|j@x.example"]),
    ("Jürgen Weiß <j@x.example>", ["Jürgen Weiß|j@x.example"]),
    ("\u3000\u2028\x85 <j@x.example>", ["\u3000\u2028\x85|j@x.example"]),
    # comments
    ("a@b.example(<x@evil>)", ["|a@b.example"]),
    ("a@b.example (Alice)", ["|a@b.example"]),
    ("(c)a@b.example", ["|a@b.example"]),
    ("a(c)@b.example", ["|a@b.example"]),
    ("a@(c)b.example", ["|a@b.example"]),
    ("a @ b.example", ["|a@b.example"]),
    ("a\r\n @\r\n b.example", ["|a@b.example"]),
    ("(c)A(c)B(c)<(c)a(c)@(c)b.example(c)>(c)", ["A B|a@b.example"]),
    ("Alice (her, <work> @) <a@b.example>, c@d.example", ["Alice|a@b.example", "|c@d.example"]),
    (r"(\)) a@b.example", ["|a@b.example"]),
    (r"(\() a@b.example", ["|a@b.example"]),
    ("(a(b)c(d(e)))a@b.example", ["|a@b.example"]),
    ('(") a@b.example, c@d.example (")', ["|a@b.example", "|c@d.example"]),
    ('"(" <a@b.example>, ")" <c@d.example>', ['"("|a@b.example', '")"|c@d.example']),
    ("(" * 50 + ")" * 50 + "a@b.example", ["|a@b.example"]),
    ("()" * 51 + "a@b.example", ["|a@b.example"]),
    ("(fold\r\n ed) a@b.example", ["|a@b.example"]),
    ("(ü) a@b.example", ["|a@b.example"]),
    # quoted local parts
    ('"a b"@b.example', ['|"a b"@b.example']),
    ('"a@evil.example"@b.example', ['|"a@evil.example"@b.example']),
    ('"a\r\n b"@b.example', ['|"a b"@b.example']),
    ('"a,b"@b.example, "c;d"@b.example', ['|"a,b"@b.example', '|"c;d"@b.example']),
    ('"a" @ b.example', ["|a@b.example"]),
    ('<"a>b"@b.example>', ['|"a>b"@b.example']),
    (' A <"x y"@b.example> , "z"@b.example', ['A|"x y"@b.example', "|z@b.example"]),
    # internationalised
    ("jürgen@bücher.example", ["|jürgen@xn--bcher-kva.example"]),
    ("J <jürgen@BÜCHER\u3002example>", ["J|jürgen@xn--bcher-kva.example"]),
    ("a@xn--bcher-kva.example", ["|a@xn--bcher-kva.example"]),
    # groups
    ("g: a@b.example, c@d.example;", ["|a@b.example", "|c@d.example"]),
    ("g:;", []),
    ("undisclosed-recipients:;", []),
    ("undisclosed-recipients: ;", []),
    ("Undisclosed Recipients:(none);", []),
    ('"g, h": A <a@b.example>;', ["A|a@b.example"]),
    ("g: ,a@b.example,,;", ["|a@b.example"]),
    ("g: a@b.example;, h: c@d.example;", ["|a@b.example", "|c@d.example"]),
    ("x@y.example, g: a@b.example;, c@d.example", ["|x@y.example", "|a@b.example", "|c@d.example"]),
    ("g(c):(c)a@b.example(c);(c)", ["|a@b.example"]),
    ("A. Team: a@b.example;", ["|a@b.example"]),
    ("=?utf-8?q?g?=: a@b.example;", ["|a@b.example"]),
]

LOST, COMMA, AFTER, GROUP = "text without an address", "two addresses without a comma", "text after", "group"
DEPTH, QUOTE, COMMENT, BRACKETS = "deeper than 50", "unclosed quote", "unclosed comment", "between angle brackets"

LIST_INVALID = [
    ("alice", LOST),
    ("alice, a@b.example", LOST),
    ("a@b.example, alice", LOST),
    ('"alice"', LOST),
    ("Alice a@b.example", LOCAL),
    ("a@b.example Alice", AFTER),
    ("a@b.example c@d.example", AFTER),
    ("a@b.example\r\n c@d.example", AFTER),
    ('a@b.example"c"', AFTER),
    # which of the two was meant?
    ("attacker@evil.example <victim@good.example>", COMMA),
    ("victim@good.example<attacker@evil.example>", COMMA),
    ('"a"@evil.example <victim@good.example>', COMMA),
    ("<a@b.example><c@d.example>", COMMA),
    ("<a@b.example> <c@d.example>", COMMA),
    ("A <a@b.example> <c@d.example>", COMMA),
    ("<a@b.example>c@d.example", AFTER),
    ("<a@b.example> Alice", AFTER),
    ("<a@b.example> SIZE=1", AFTER),
    ("a@b.example)c@d.example", "closing parenthesis"),
    ("a@b@c.example", DOTLESS),
    ("a@b.example@c.example", "two @"),
    ("@b.example", LOCAL),
    ("a@", "no domain"),
    ("a@,b@c.example", "no domain"),
    ("a@;", "no domain"),
    ("a@<b.example>", "no domain"),
    # angle brackets
    ("<>", BRACKETS),
    ("< >", BRACKETS),
    ("A <>", BRACKETS),
    ("<a>", BRACKETS),
    ("<", BRACKETS),
    ("A <a", BRACKETS),
    ("<<a@b.example>>", BRACKETS),
    ("<a,b@c.example>", BRACKETS),
    ("<a@b.example", "not closed"),
    ("<a@b.example,c@d.example>", "not closed"),
    ("<a@b.example SIZE=1>", "not closed"),
    ("<a@b.example", "not closed"),
    ("a@b.example>", "closing angle bracket"),
    (">", "closing angle bracket"),
    ("<Alice a@b.example>", LOCAL),
    ("<@r.example:a@b.example>", "source route"),
    ("<@r.example,@s.example:a@b.example>", "source route"),
    ("A <@r.example:a@b.example>", "source route"),
    ("<@b.example>", "source route or empty"),
    # obsolete local parts and domains
    ("a . b@c.example", LOCAL),
    ("a. b@c.example", LOCAL),
    ("a(c).b@c.example", LOCAL),
    ("a.\r\n b@c.example", LOCAL),
    ('a."b"@c.example', LOCAL),
    ('"a" "b"@c.example', LOCAL),
    ("a@b . example", EMPTY + "|" + DOTLESS),
    ("a@b.(c)example", EMPTY),
    ("a@b(<x@evil>)", DOTLESS),
    ("a@b(c).example", DOTLESS),
    ("a..b@c.example", LOCAL),
    # what parse_address refuses stays refused in a field
    ("a@localhost", DOTLESS),
    ("A <a@localhost>", DOTLESS),
    ("a@b.example.", EMPTY),
    ("a@[127.0.0.1]", LITERAL),
    ("<a@[IPv6:::1]>", LITERAL),
    ("a@b.1", NUMBER),
    ("A <a@10.0.0.1>", NUMBER),
    ("a@b_c.example", LDH),
    ("a@-b.example", LDH),
    ("a@b-.example", LDH),
    ("a@xn--a.example", LABEL),
    ("A <a@XN--A.example>", LABEL),
    ("=?utf-8?q?x=40evil.example=3E?=@good.example", WORD),
    ("A <=?utf-8?q?x?=@good.example>", WORD),
    ('A <"=?utf-8?q?x?="@good.example>', WORD),
    ("a@=?utf-8?q?d?=.example", LDH),
    ("a" * 65 + "@d.example", "longer than 64"),
    ("A <" + "a" * 65 + "@d.example>", "longer than 64"),
    ("a@" + "b" * 64 + ".example", "longer than 63"),
    ("a@d." + "b" * 64, "longer than 63"),
    (f"a@{B63}{C63}{D63}" + "e" * 61, "longer than 254"),
    ("a" * 64 + f"@{B63}{C63}" + "d" * 62, "longer than 254"),
    ('"a\tb"@c.example', CONTROL),
    ('"a\r\n\tb"@c.example', CONTROL),
    ("a\x85@c.example", CONTROL),
    # groups
    ("a@b.example;c@d.example", "semicolon"),
    ("a@b.example;", "semicolon"),
    (";", "semicolon"),
    ("g: a@b.example", "unclosed group"),
    ("g:", "unclosed group"),
    ("g: a@b.example,", "unclosed group"),
    ("g: h: a@b.example;;", "group inside a group"),
    ("g: a@b.example, h:;;", "group inside a group"),
    ("g: a@b.example;;", "semicolon"),
    ("g: a@b.example; c@d.example", AFTER),
    ("g:; <a@b.example>", COMMA),
    ("g: a@b.example c@d.example;", AFTER),
    ("g: alice;", "semicolon"),
    (": a@b.example;", "colon"),
    ("a@b.example: c@d.example;", "colon"),
    ("<a@b.example>: c@d.example;", "colon"),
    # quotes, comments, stray marks
    ('"a@b.example', QUOTE),
    ('"a" <a@b.example>, "', QUOTE),
    ('"a\\" <a@b.example>', QUOTE),
    ("(a@b.example", COMMENT),
    ("a@b.example (", COMMENT),
    ("a@b.example (c\\)", COMMENT),
    ("a@b.example (c(d)", COMMENT),
    ("a@b.example)", "closing parenthesis"),
    (") a@b.example", "closing parenthesis"),
    ("(" * 51 + ")" * 51 + "a@b.example", DEPTH),
    ("(" * 1_000 + ")" * 1_000 + "a@b.example", DEPTH),
    (r"a\,b@c.example", "backslash"),
    (r"\a@c.example", "backslash"),
    ("[a] <a@b.example>", "square bracket"),
    ("A] <a@b.example>", "square bracket"),
    (". <a@b.example>", "begins with a dot"),
    (".g: a@b.example;", "begins with a dot"),
    # lines and controls
    ("a@b.example\r\n", CONTROL),
    ("a@b.example,\r\nc@d.example", CONTROL),
    ("a@b.example,\n c@d.example", CONTROL),
    ("a@b.example,\r c@d.example", CONTROL),
    ("a@b.example,\r\r\n c@d.example", CONTROL),
    ("a@b.example\r\n\r\n c@d.example", CONTROL),
    ("A\0B <a@b.example>", CONTROL),
    ("A\x0bB <a@b.example>", CONTROL),
    ("A\x7fB <a@b.example>", CONTROL),
    ('"A\x01" <a@b.example>', CONTROL),
    ("(\x1b) a@b.example", CONTROL),
    ("a@b.example\0", CONTROL),
]


def outcome(parse, value):
    """What parsing gives, or the refusal."""
    try:
        return parse(value)
    except BadAddress as refusal:
        return refusal


def by_grammar_alone(value):
    """What parse_list gives when its pattern for plain mailboxes never matches."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(address, "_PLAIN_MAILBOX", re.compile(r"(?!)"))
        return parse_list(value)


@pytest.mark.parametrize(("text", "canonical"), BARE_VALID)
def test_bare_address_becomes_canonical(text, canonical):
    """A bare address has one canonical spelling, which is its own."""
    assert parse_address(text) == canonical
    assert parse_address(canonical) == canonical


@pytest.mark.parametrize(("text", "canonical"), BARE_VALID)
def test_field_reads_a_bare_address_alike(text, canonical):
    """A field body that is one bare address means what the command line means by it."""
    assert parse_list(text.encode()) == (Mailbox("", canonical),)
    assert parse_list(f"N <{text}>".encode()) == (Mailbox("N", canonical),)


@pytest.mark.parametrize(("text", "why"), BARE_INVALID)
def test_bare_address_is_refused(text, why):
    """What is not exactly one bare address is refused with its reason."""
    with pytest.raises(BadAddress, match=why):
        parse_address(text)


@pytest.mark.parametrize(("body", "mailboxes"), LIST_VALID)
def test_list_yields_its_mailboxes(body, mailboxes):
    """A field body yields the mailboxes it means, in order."""
    assert [f"{m.display_name}|{m.address}" for m in parse_list(body.encode())] == mailboxes


@pytest.mark.parametrize(("body", "why"), LIST_INVALID)
def test_list_is_refused(body, why):
    """A field body of doubtful meaning is refused with its reason, and no good neighbour saves it."""
    with pytest.raises(BadAddress, match=why):
        parse_list(body.encode())
    with pytest.raises(BadAddress, match=why):
        parse_list(b"ok@n.example, " + body.encode())


@pytest.mark.parametrize("octets", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xe4"])
@pytest.mark.parametrize("body", [b"A%s <a@b.example>", b"a%s@b.example", b"a@b%s.example", b"(%s) a@b.example"])
def test_list_that_is_not_utf_8_is_refused(body, octets):
    """Octets that are no UTF-8 are refused wherever they stand."""
    with pytest.raises(BadAddress, match="UTF-8"):
        parse_list(body % octets)


def test_reason_does_not_repeat_the_address():
    """A reason never repeats what was written: it may be a Bcc, and reasons are logged."""
    for text, _ in BARE_INVALID + LIST_INVALID:
        canary = text.replace("a", "canary").replace("example", "canary")
        for result in (outcome(parse_address, canary), outcome(parse_list, canary.encode(errors="replace"))):
            assert not isinstance(result, BadAddress) or "canary" not in str(result)
            assert not isinstance(result, BadAddress) or result.__context__ is None or result.__suppress_context__


@pytest.mark.parametrize(
    ("text", "local_part", "domain"),
    [
        ("a@b.example", "a", "b.example"),
        ('"a@b c"@d.example', '"a@b c"', "d.example"),
        ("ü@d.example", "ü", "d.example"),
    ],
)
def test_canonical_address_has_two_parts(text, local_part, domain):
    """Local part and domain are what stands before and after the last @."""
    assert (local_part_of(text), domain_of(text)) == (local_part, domain)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("a@b.example", "a@b.example", True),
        ("Alice@b.example", "aLICE@b.example", True),
        ("a@B.example", "a@b.EXAMPLE", True),
        ("a@b.example", "c@b.example", False),
        ("a@b.example", "a@c.example", False),
        ("a+t@b.example", "a@b.example", False),
        ("a.b@c.example", "ab@c.example", False),
        ("ü@b.example", "ü@b.example", True),
        ("stra\u00dfe@b.example", "strasse@b.example", False),
        ("\u212aate@b.example", "kate@b.example", False),
        ("\u0131da@b.example", "ida@b.example", False),
    ],
)
def test_own_address_is_recognised_whatever_its_case(a, b, same):
    """Only the case of ASCII letters may differ between two spellings of an account's address."""
    assert (caseless(a) == caseless(b)) is same


MANY = 100_000


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("(" * 16_000, DEPTH),
        ("a@b.example" + "(" * 200_000, DEPTH),
        ('"' * (MANY + 1), QUOTE),
        ('"' * MANY, LOST),
        ('"' + r"\"" * MANY, QUOTE),
        ('"' + r"\"" * MANY + '"@b.example', "longer than 64"),
        ("(" + r"\(" * MANY, COMMENT),
        ("a" * 200_000, LOST),
        ("a" * 200_000 + "@b.example", "longer than 64"),
        ("a@" + "b" * 200_000, "longer than 255"),
        ("a@" + "b." * MANY + "example", "longer than 255"),
        ("a@a" + "\u0301\u0316" * 40_000 + ".example", "longer than 255"),
        ("a." * MANY + "a@b.example", "longer than 64"),
        ("a " * MANY, LOST),
        ("a " * MANY + "@b.example", LOCAL),
        ("<" * 200_000, BRACKETS),
        ("g:" * MANY, "group inside"),
        ("a@b.example" * 20_000, "two @"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_attack_is_refused_in_linear_time(body, why):
    """A body made to cost much is refused as any other."""
    with pytest.raises(BadAddress, match=why):
        parse_list(body.encode())


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("," * MANY, 0),
        (" " * MANY, 0),
        ("\r\n " * 80_000, 0),
        ("(c)" * 50_000 + "a@b.example", 1),
        ("a " * MANY + "<a@b.example>", 1),
        ('"a" ' * 25_000 + "<a@b.example>", 1),
        ("a@b.example," * 20_000, 20_000),
        ("g:a@b.example;," * 10_000, 10_000),
        ("a@\u4e2d\u6587.example," * 2_000, 2_000),
    ],
    ids=lambda value: str(value)[:12],
)
def test_long_list_is_read_in_linear_time(body, count):
    """A body of legal length costs no more for what it repeats."""
    assert len(parse_list(body.encode())) == count


# Properties. Fragments make text that is nearly a list; letters alone never would be.
FRAGMENTS = [
    *["a", "b.example", "a@b.example", "c@d.example", "<e@f.example>", "@b.example", "g:", '"q"', "(c)", "X Y"],
    *'@<>,;:()[]\\". \t\r\n\0\x7f\x85üß\u3002\u200d\u212a',
    *[
        "\r\n ",
        "\r\n\t",
        "=?utf-8?q?x=40y?=",
        "xn--",
        "xn--bcher-kva",
        "\\(",
        '\\"',
        "localhost",
        "127.0.0.1",
        "a" * 64,
    ],
]
soup = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)
nearly_lists = st.lists(st.sampled_from(FRAGMENTS[:10]), max_size=5).map(",".join)


def some(examples):
    """Settings for so many examples, without a clock and without files left behind."""
    return settings(max_examples=examples, deadline=None, database=None)


@given(st.text() | soup)
@some(200)
def test_any_text_is_an_address_or_refused(text):
    """Any text gives a canonical address or BadAddress, and never another exception."""
    canonical = outcome(parse_address, text)
    assert isinstance(canonical, BadAddress) or parse_address(canonical) == canonical


@given(st.binary() | soup.map(str.encode))
@some(250)
def test_any_octets_are_a_list_or_refused(value):
    """Any octets give canonical mailboxes or BadAddress, and never another exception."""
    mailboxes = outcome(parse_list, value)
    assert isinstance(mailboxes, BadAddress) or all(parse_address(m.address) == m.address for m in mailboxes)


@given(st.sampled_from(LIST_VALID), soup | nearly_lists)
@some(300)
def test_lists_joined_by_a_comma_are_one_list(row, second):
    """A comma between two lists loses no mailbox and invents none."""
    one = parse_list(row[0].encode())
    two = outcome(parse_list, second.encode())
    both = outcome(parse_list, f"{row[0]},{second}".encode())
    assert repr(both) == repr(two) if isinstance(two, BadAddress) else both == one + two


@given(soup | nearly_lists)
@example("=?a?=@b.example")
@example("A. B <a@xn--bcher-kva.example>")
@example("a@b.1x")
@some(250)
def test_short_way_agrees_with_the_grammar(body):
    """Whatever the pattern for plain mailboxes reads, the grammar reads alike."""
    assert repr(outcome(parse_list, body.encode())) == repr(outcome(by_grammar_alone, body.encode()))


def test_short_way_agrees_with_the_grammar_on_every_row():
    """Every row above means the same without the pattern for plain mailboxes."""
    for body, _ in LIST_VALID + LIST_INVALID:
        assert repr(outcome(parse_list, body.encode())) == repr(outcome(by_grammar_alone, body.encode()))


# What the pattern may match, and a little more: every character it knows, dots and dashes in every place.
near_plain = st.tuples(
    st.sampled_from(["", " ", "<", " \t<", "A <", "\tA <", "A. B\t<", '"A, B" <', "A  B <", ".A <", '"\\"b" <']),
    st.text("aZ0!#$%&'*+-/=?^_`{|}~.", max_size=6) | st.sampled_from(["a" * 64, "a" * 65]),
    st.text("aZ0-.", max_size=8) | st.sampled_from(["xn--", "Xn--bcher-kva.", "b" * 63 + ".", "b" * 64 + "."]),
    st.sampled_from(
        [".cc", "cc", ".c-c", ".4", ".xn--zckzah", ".4c ", ".cc\t,", ".cc>,", ".cc;", ".cc> ,a@b.example"]
    ),
)


@given(near_plain)
@some(250)
def test_short_way_agrees_with_the_grammar_on_its_own_ground(parts):
    """Text that all but fits the pattern for plain mailboxes means the same without it."""
    before, local_part, domain, end = parts
    body = f"{before}{local_part}@{domain}{end}"
    assert repr(outcome(parse_list, body.encode())) == repr(outcome(by_grammar_alone, body.encode()))


contents = st.text("abXYZ09!#$%&'*+-/=^_`{|}~üж用.. @<>,;:()[]\\\"", max_size=8)
domains = st.sampled_from(["b.example", "B.Example", "x-1.4.EXAMPLE", "r3---sn.example", "b" * 63 + ".cc"])
cfws = st.sampled_from(
    [
        *[
            "",
            "",
            "",
            " ",
            "\t",
            "\r\n ",
            " \r\n\t",
            "(c)",
            " (c) ",
            "()()",
            "(a (b\r\n c))",
            "(<x@evil.example>)",
        ],
        *["(,;:)", r"(\))", r"(\()", '(")', "(=?utf-8?q?x?=)", "(ü)"],
    ],
)
words = st.sampled_from(["A", "Q.", "=?utf-8?q?J=C3=BC?=", '"Doe, J"', r'"\"<x@y.example>"', "Weiß", "x+y", "'z'"])


def quoted(content, choices):
    """One way to write the content as a quoted string; each bit of `choices` adds a backslash or a fold."""
    parts = []
    for place, char in enumerate(content):
        chosen = choices >> place & 1
        plain = "\r\n " if chosen and char == " " else char
        parts.append("\\" + char if char in '\\"' or (chosen and char != " ") else plain)
    return '"' + "".join(parts) + '"'


@st.composite
def addr_specs(draw):
    """A written addr-spec of a field, and its canonical spelling."""
    content, choices, domain = draw(contents), draw(st.integers(0, 511)), draw(domains)
    plain = re.fullmatch(r'[^ @<>,;:()\[\]\\".]+(\.[^ @<>,;:()\[\]\\".]+)*', content)
    written = content if plain and choices & 256 else quoted(content, choices)
    canonical = content if plain else quoted(content, 0)
    before, after = draw(cfws), draw(cfws)
    return f"{before}{written}{after}@{before}{domain}{after}", f"{canonical}@{domain.lower()}"


@st.composite
def mailboxes(draw):
    """A written mailbox, and what it means."""
    written, canonical = draw(addr_specs())
    if draw(st.booleans()):
        return written, Mailbox("", canonical)
    name, between = draw(st.lists(words, max_size=3)), draw(cfws)
    phrase = between + "".join(f"{word} {between}" for word in name)
    return f"{phrase}<{written}>{between}", Mailbox(" ".join(name), canonical)


@st.composite
def lists(draw):
    """A written list with groups and empty elements, and the mailboxes it means."""
    elements, meant = [], []
    for members in draw(st.lists(st.lists(mailboxes(), max_size=2), max_size=3)):
        written, between = ",".join(text for text, _ in members), draw(cfws)
        elements.append(f"A. group{between}:{written};{between}" if draw(st.booleans()) else written)
        meant += [mailbox for _, mailbox in members]
    return ",".join(elements), tuple(meant)


@given(lists())
@some(200)
def test_written_list_means_its_mailboxes(written_and_meant):
    """However a list is commented, folded, quoted and grouped, it means exactly its mailboxes."""
    written, meant = written_and_meant
    assert parse_list(written.encode()) == meant


# RFC 5321 section 4.1.2 with RFC 6531 section 3.3, written apart from the module's own patterns
PATH = re.compile(
    r"<(?:[!#-'*+\-/0-9=?A-Z^-~\u00a0-\U0010ffff]+(?:\.[!#-'*+\-/0-9=?A-Z^-~\u00a0-\U0010ffff]+)*"
    r'|"(?:[ !#-\[\]-~\u00a0-\U0010ffff]|\\[ -~])*")'
    r"@[a-z0-9-]+(?:\.[a-z0-9-]+)+>",
)


@given(contents | st.text(max_size=12), domains | st.sampled_from(["bücher.example", "a\u3002example"]))
@some(250)
def test_canonical_address_fits_between_angle_brackets(content, domain):
    """A canonical address can be put into a RCPT command as it is, and reads back as the same mailbox."""
    canonical = outcome(parse_address, f"{quoted(content, 0)}@{domain}")
    if isinstance(canonical, BadAddress):
        return
    assert PATH.fullmatch(f"<{canonical}>")
    assert f"{local_part_of(canonical)}@{domain_of(canonical)}" == canonical
    assert parse_list(f"N <{canonical}>, {canonical}".encode()) == (
        Mailbox("N", canonical),
        Mailbox("", canonical),
    )


def standard_library(body):
    """The recipients email.headerregistry reads, in our spelling; None when it fails or has a doubt.

    Its own spelling differs for reviewed reasons: the domain's case and A-labels, and quotes of a local part
    that it drops though they are needed ("" and ".").
    """
    try:
        field = HeaderRegistry()("To", body.replace("\r\n", ""))
    except (AttributeError, IndexError):  # bugs of its own, as on a comment where a word was due
        return None
    return (
        None if field.defects else [parse_address(f"{quoted(a.username, 0)}@{a.domain}") for a in field.addresses]
    )


@given(soup | nearly_lists | lists().map(lambda written_and_meant: written_and_meant[0]))
@some(250)
def test_standard_library_reads_the_same_recipients(body):
    """Where the standard library has no doubt either, both read the same recipients in the same order."""
    ours = outcome(parse_list, body.encode())
    theirs = None if isinstance(ours, BadAddress) else standard_library(body)
    if theirs is not None:
        assert [m.address for m in ours] == theirs


@settings(max_examples=300, deadline=None)
@given(st.one_of(addr_specs().map(lambda pair: pair[0]), soup, st.text(max_size=12).map("{}@d.example".format)))
def test_every_address_can_be_said_to_a_server(text):
    """What is accepted here can be written into RCPT TO: nothing accepted is stuck in the queue for its form."""
    try:
        accepted = parse_address(text)
    except BadAddress:
        return
    assert grammar.rcpt(accepted, smtputf8=not accepted.isascii()).endswith(b">\r\n")
