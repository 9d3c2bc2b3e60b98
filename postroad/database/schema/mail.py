"""Mail: contents, mailboxes, the queue.

Hot tables carry `account_id`, so that they can be distributed by account one day; accepting a message only
inserts, and only rows of one account.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

from postroad.database.schema.base import Id, metadata, where

# One stored message: what is delivered, without Bcc. Written once, never changed.
content = Table(
    "content",
    metadata,
    Column("content_id", Id, primary_key=True, autoincrement=False),
    Column("account_id", Id, nullable=False),
    Column("size", BigInteger, nullable=False),  # octets of all chunks
    Column("header_size", Integer, nullable=False),  # octets of the header section, its empty line excluded
    Column("longest_line", Integer, nullable=False),  # octets without CRLF; 998 stands for all up to it
    Column("eight_bit", Boolean, nullable=False),  # the body holds octets over 127
    Column("utf8_header", Boolean, nullable=False),  # a header field does
    Column("tls_optional", Boolean, nullable=False),  # a header field says so: TLS-Required (RFC 8689 section 3)
    Column("message_id", Text, nullable=False, index=True),  # the header field's value: answers name it
)

content_chunk = Table(
    "content_chunk",
    metadata,
    Column("content_id", Id, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("account_id", Id, nullable=False),
    Column("octets", LargeBinary, nullable=False),  # at most 256 KiB, and of an upload the header section
)

# Contents of which a message or queue entry was removed: whether anything still refers to them is to be looked
# at, and if nothing does, they go (database/loose.py).
loose_content = Table(
    "loose_content",
    metadata,
    Column("content_id", Id, primary_key=True, autoincrement=False),
)

# A message that comes in pieces. Its body is chunks already, from the second on; the first is there to reserve
# the number, and holds the header section once that is known to be good.
# states of an upload:
#   active -> final       accepted, in the transaction that made a content of the chunks
#   active -> cancelled   by the author's program; the chunks are loose
# None is known any longer than to `expires_at`; what was not accepted by then is loose.
upload = Table(
    "upload",
    metadata,
    Column("upload_hash", LargeBinary(32), primary_key=True),  # SHA-256; the id itself is a credential
    Column("account_id", Id, nullable=False),
    Column("client_id", Text),  # the program it belongs to; null: none is known of its token
    Column("content_id", Id, nullable=False),
    Column("thread_id", Id),  # asked for; once final, the one it came to
    Column("total", BigInteger),  # octets that were announced
    Column("received", BigInteger, nullable=False),  # octets, as they were submitted
    Column("chunks", Integer, nullable=False),
    Column("intake", LargeBinary, nullable=False),  # how what was received reads on: mail/intake
    Column("state", String(9), nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("gmail_id", Id),  # once final: what it became
    Column("labels", Text),  # separated by single spaces
    where("ix_upload_active", "state = 'active'", "account_id"),
)

# One copy in one account's mailbox.
message = Table(
    "message",
    metadata,
    Column("account_id", Id, primary_key=True, autoincrement=False),
    Column("gmail_id", Id, primary_key=True, autoincrement=False),
    Column("thread_id", Id, nullable=False),
    Column("content_id", Id, nullable=False, index=True),
    Column("insertions", LargeBinary, nullable=False),  # what this copy has beyond the content: mailbox/messages
    Column("size", BigInteger, nullable=False),
    Column("internal_date", BigInteger, nullable=False),
    Column("queue_id", Id),  # set on delivered copies, so that a delivery repeated after a crash is seen
    Column("forward_path", Text),
    where("uq_message_delivery", "queue_id IS NOT NULL", "account_id", "queue_id", "forward_path", unique=True),
    Index(None, "account_id", "thread_id"),
    sqlite_with_rowid=False,
)

message_label = Table(
    "message_label",
    metadata,
    Column("account_id", Id, primary_key=True, autoincrement=False),
    Column("gmail_id", Id, primary_key=True, autoincrement=False),
    Column("label", Text, primary_key=True),
    sqlite_with_rowid=False,
)

# One accepted message on its way; its recipients carry the fate.
queue_entry = Table(
    "queue_entry",
    metadata,
    Column("queue_id", Id, primary_key=True, autoincrement=False),
    Column("account_id", Id, nullable=False),
    Column("content_id", Id, nullable=False, index=True),
    Column("reverse_path", Text),  # null is the null reverse-path of a DSN, which is never answered by another
    Column("accepted_at", BigInteger, nullable=False),
)

# states of a recipient:
#   queued  -> relayed   the next hop, or a mailbox here, took responsibility
#   queued  -> failed    a permanent reply, or the schedule gave up; the DSN was queued in the same transaction
#   queued  -> held      by an order, never under a claim: not tried, and does not age, until it is released
#   held    -> queued    by an order: due at once
#   queued, held -> failed   cancelled by an order; a DSN only if the order asked for it
# While queued, `due_at` says when it may be claimed. A claim sets `lease` and moves `due_at` to the lease's
# end, so that a dead node's work becomes due by itself. `in_doubt_at` is set before the final dot is sent and
# cleared by the settlement: found set on a later attempt, that attempt may make an extra copy.
recipient = Table(
    "recipient",
    metadata,
    Column("queue_id", Id, primary_key=True, autoincrement=False),
    Column("forward_path", Text, primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("envelope", Integer, nullable=False),  # recipients of one envelope may share a mail transaction
    Column("blind", Boolean, nullable=False),  # of Bcc: nobody but the author may learn of it, not even the log
    Column("destination", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("lease", Id),  # fencing token of the claim
    Column("attempts", Integer, nullable=False),
    Column("notices", Integer, nullable=False),  # delay notices already sent
    Column("in_doubt_at", BigInteger),
    Column("in_doubt_host", Text),
    Column("reply_code", Integer),
    Column("reply_status", Text),
    Column("reply_text", Text),
    Column("settled_at", BigInteger),
    where("ix_recipient_due", "state = 'queued'", "due_at"),
    # Who waits longest, and who waits at all: without it both are asked of everything that ever was settled.
    where("ix_recipient_waiting", "state = 'queued'", "queue_id"),
    # The two ways through what waits for a destination: the longest due first, and account by account.
    where("ix_recipient_destination", "state = 'queued'", "destination", "due_at"),
    where("ix_recipient_turn", "state = 'queued'", "destination", "account_id", "due_at"),
    # What is under a claim: a handful of rows, from which the number in flight is counted.
    where("ix_recipient_lease", "lease IS NOT NULL", "destination", "lease"),
    where("ix_recipient_held", "state = 'held'", "queue_id"),
    sqlite_with_rowid=False,
)

# The gate of a destination, made by its first claim and never touched by accept: what waits is found by the
# indexes of `recipient`, what is in flight is counted from leases, so that a dead node leaves nothing behind.
# states of a gate:
#   open    (failures = 0)                    up to `cap` mail transactions at once
#   open    -> closed    it could not be reached: nobody tries before `next_try`, which moves on with `failures`
#   closed  -> probing   `next_try` has come: one mail transaction at a time
#   probing -> open, or closed again
destination = Table(
    "destination",
    metadata,
    Column("destination", Text, primary_key=True),
    Column("cap", Integer),  # null: the setting's
    Column("failures", Integer, nullable=False),  # in a row, of reaching it
    Column("next_try", BigInteger, index=True),
    Column("turn", Id, nullable=False),  # the account that was served last
    Column("reply_code", Integer),  # of the last failure to reach it
    Column("reply_status", Text),
    Column("reply_text", Text),
)

# One mail transaction tried, with its SMTP conversation.
attempt = Table(
    "attempt",
    metadata,
    Column("attempt_id", Id, primary_key=True, autoincrement=False),
    Column("queue_id", Id, nullable=False, index=True),
    Column("account_id", Id, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("host", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("after_in_doubt", Boolean, nullable=False),  # true explains an extra copy
)

# Facts about this database itself: one row a fact.
fact = Table(
    "fact",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
