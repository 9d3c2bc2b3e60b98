"""Sending domains: their DKIM keys, and what receiving domains demand."""

from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, String, Table, Text

from postroad.database.schema.base import metadata

# A domain that mail is sent from.
domain = Table(
    "domain",
    metadata,
    Column("domain", Text, primary_key=True),  # lower case, A-labels
    Column("created_at", BigInteger, nullable=False),
)

# states of a DKIM key:
#   published (signs_from in the future) -> signing -> retired (retires_at has come: its record may go)
dkim_key = Table(
    "dkim_key",
    metadata,
    Column("domain", Text, ForeignKey("domain.domain"), primary_key=True),
    Column("selector", Text, primary_key=True),
    Column("algorithm", String(7), nullable=False),  # rsa or ed25519
    Column("private_key", LargeBinary, nullable=False),  # PKCS#8, sealed
    Column("public_key", Text, nullable=False),  # the p= of the record
    Column("created_at", BigInteger, nullable=False),
    Column("signs_from", BigInteger, nullable=False),
    Column("retires_at", BigInteger),
)

# What a domain's MTA-STS policy said (RFC 8461), for as long as its max_age.
sts_policy = Table(
    "sts_policy",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("policy_id", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
