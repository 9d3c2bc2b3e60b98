"""What tests of stored messages share: the facts of a content about which nothing matters."""

from postroad.database.content import Facts

FACTS = Facts(
    size=0,
    header_size=0,
    longest_line=0,
    eight_bit=False,
    utf8_header=False,
    tls_optional=False,
    message_id="",
)
