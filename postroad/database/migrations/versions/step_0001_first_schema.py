"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    _accounts()
    _contents()
    _uploads()
    _mailboxes()
    _queue()
    _paths_through_the_queue()
    _destinations()
    _records()


def _accounts() -> None:
    op.create_table(
        "account",
        sa.Column("account_id", ID, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("administrator", sa.Boolean(), nullable=False),
        sa.Column("captured", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account")),
        sa.UniqueConstraint("address", name=op.f("uq_account_address")),
    )
    op.create_table(
        "alias",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.account_id"], name=op.f("fk_alias_account_id")),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_alias")),
    )
    op.create_index(op.f("ix_alias_account_id"), "alias", ["account_id"], unique=False)


def _contents() -> None:
    op.create_table(
        "content",
        sa.Column("content_id", ID, autoincrement=False, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("header_size", sa.Integer(), nullable=False),
        sa.Column("longest_line", sa.Integer(), nullable=False),
        sa.Column("eight_bit", sa.Boolean(), nullable=False),
        sa.Column("utf8_header", sa.Boolean(), nullable=False),
        sa.Column("tls_optional", sa.Boolean(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("content_id", name=op.f("pk_content")),
    )
    op.create_index(op.f("ix_content_message_id"), "content", ["message_id"], unique=False)
    op.create_table(
        "content_chunk",
        sa.Column("content_id", ID, autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("content_id", "ordinal", name=op.f("pk_content_chunk")),
    )
    op.create_table(
        "loose_content",
        sa.Column("content_id", ID, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("content_id", name=op.f("pk_loose_content")),
    )


def _uploads() -> None:
    op.create_table(
        "upload",
        sa.Column("upload_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("content_id", ID, nullable=False),
        sa.Column("thread_id", ID, nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("intake", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("gmail_id", ID, nullable=True),
        sa.Column("labels", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("upload_hash", name=op.f("pk_upload")),
    )
    op.create_index(op.f("ix_upload_expires_at"), "upload", ["expires_at"], unique=False)
    op.create_index(
        "ix_upload_active",
        "upload",
        ["account_id"],
        unique=False,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )


def _mailboxes() -> None:
    op.create_table(
        "message",
        sa.Column("account_id", ID, autoincrement=False, nullable=False),
        sa.Column("gmail_id", ID, autoincrement=False, nullable=False),
        sa.Column("thread_id", ID, nullable=False),
        sa.Column("content_id", ID, nullable=False),
        sa.Column("insertions", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("internal_date", sa.BigInteger(), nullable=False),
        sa.Column("queue_id", ID, nullable=True),
        sa.Column("forward_path", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "gmail_id", name=op.f("pk_message")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_message_account_id_thread_id"), "message", ["account_id", "thread_id"], unique=False)
    op.create_index(op.f("ix_message_content_id"), "message", ["content_id"], unique=False)
    op.create_index(
        "uq_message_delivery",
        "message",
        ["account_id", "queue_id", "forward_path"],
        unique=True,
        sqlite_where=sa.text("queue_id IS NOT NULL"),
        postgresql_where=sa.text("queue_id IS NOT NULL"),
    )
    op.create_table(
        "message_label",
        sa.Column("account_id", ID, autoincrement=False, nullable=False),
        sa.Column("gmail_id", ID, autoincrement=False, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "gmail_id", "label", name=op.f("pk_message_label")),
        sqlite_with_rowid=False,
    )


def _queue() -> None:
    op.create_table(
        "queue_entry",
        sa.Column("queue_id", ID, autoincrement=False, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("content_id", ID, nullable=False),
        sa.Column("reverse_path", sa.Text(), nullable=True),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("queue_id", name=op.f("pk_queue_entry")),
    )
    op.create_index(op.f("ix_queue_entry_content_id"), "queue_entry", ["content_id"], unique=False)
    op.create_table(
        "recipient",
        sa.Column("queue_id", ID, autoincrement=False, nullable=False),
        sa.Column("forward_path", sa.Text(), nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("envelope", sa.Integer(), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("lease", ID, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("notices", sa.Integer(), nullable=False),
        sa.Column("in_doubt_at", sa.BigInteger(), nullable=True),
        sa.Column("in_doubt_host", sa.Text(), nullable=True),
        sa.Column("reply_code", sa.Integer(), nullable=True),
        sa.Column("reply_status", sa.Text(), nullable=True),
        sa.Column("reply_text", sa.Text(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("queue_id", "forward_path", name=op.f("pk_recipient")),
        sqlite_with_rowid=False,
    )


def _paths_through_the_queue() -> None:
    op.create_index(
        "ix_recipient_destination",
        "recipient",
        ["destination", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_recipient_due",
        "recipient",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_recipient_held",
        "recipient",
        ["queue_id"],
        unique=False,
        sqlite_where=sa.text("state = 'held'"),
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(
        "ix_recipient_lease",
        "recipient",
        ["destination", "lease"],
        unique=False,
        sqlite_where=sa.text("lease IS NOT NULL"),
        postgresql_where=sa.text("lease IS NOT NULL"),
    )
    op.create_index(
        "ix_recipient_turn",
        "recipient",
        ["destination", "account_id", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_recipient_waiting",
        "recipient",
        ["queue_id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )


def _destinations() -> None:
    op.create_table(
        "destination",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("cap", sa.Integer(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.BigInteger(), nullable=True),
        sa.Column("turn", ID, nullable=False),
        sa.Column("reply_code", sa.Integer(), nullable=True),
        sa.Column("reply_status", sa.Text(), nullable=True),
        sa.Column("reply_text", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("destination", name=op.f("pk_destination")),
    )
    op.create_index(op.f("ix_destination_next_try"), "destination", ["next_try"], unique=False)


def _records() -> None:
    op.create_table(
        "attempt",
        sa.Column("attempt_id", ID, autoincrement=False, nullable=False),
        sa.Column("queue_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("conversation", sa.Text(), nullable=False),
        sa.Column("after_in_doubt", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_attempt")),
    )
    op.create_index(op.f("ix_attempt_queue_id"), "attempt", ["queue_id"], unique=False)
    op.create_table(
        "fact",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fact")),
    )
