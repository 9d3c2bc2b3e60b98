"""Clients, consents, codes and tokens, service accounts, sign-ins."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make their tables."""
    _clients()
    _codes()
    _device_codes()
    _service_accounts()
    _tokens()
    _sign_ins()


def _clients() -> None:
    op.create_table(
        "client",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=9), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("redirect_uris", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client")),
    )
    op.create_table(
        "consent",
        sa.Column("consent_id", ID, autoincrement=False, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.account_id"], name=op.f("fk_consent_account_id")),
        sa.ForeignKeyConstraint(["client_id"], ["client.client_id"], name=op.f("fk_consent_client_id")),
        sa.PrimaryKeyConstraint("consent_id", name=op.f("pk_consent")),
    )
    op.create_index(op.f("ix_consent_client_id"), "consent", ["client_id"], unique=False)
    op.create_index("uq_consent_account_id", "consent", ["account_id", "client_id"], unique=True)


def _codes() -> None:
    op.create_table(
        "authorization_code",
        sa.Column("code_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consent_id", ID, nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("offline", sa.Boolean(), nullable=False),
        sa.Column("code_challenge", sa.Text(), nullable=True),
        sa.Column("code_challenge_method", sa.String(length=5), nullable=True),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("redeemed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["consent_id"], ["consent.consent_id"], name=op.f("fk_authorization_code_consent_id")
        ),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_authorization_code")),
    )
    op.create_index(op.f("ix_authorization_code_consent_id"), "authorization_code", ["consent_id"], unique=False)
    op.create_table(
        "refresh_token",
        sa.Column("refresh_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("consent_id", ID, nullable=False),
        sa.Column("code_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.consent_id"], name=op.f("fk_refresh_token_consent_id")),
        sa.PrimaryKeyConstraint("refresh_hash", name=op.f("pk_refresh_token")),
    )
    op.create_index(op.f("ix_refresh_token_code_hash"), "refresh_token", ["code_hash"], unique=False)
    op.create_index(op.f("ix_refresh_token_consent_id"), "refresh_token", ["consent_id"], unique=False)


def _device_codes() -> None:
    op.create_table(
        "device_code",
        sa.Column("device_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=7), nullable=False),
        sa.Column("consent_id", ID, nullable=True),
        sa.Column("interval", sa.Integer(), nullable=False),
        sa.Column("polled_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("user_code", name=op.f("uq_device_code_user_code")),
        sa.ForeignKeyConstraint(["client_id"], ["client.client_id"], name=op.f("fk_device_code_client_id")),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.consent_id"], name=op.f("fk_device_code_consent_id")),
        sa.PrimaryKeyConstraint("device_hash", name=op.f("pk_device_code")),
    )
    op.create_index(op.f("ix_device_code_client_id"), "device_code", ["client_id"], unique=False)
    op.create_index(op.f("ix_device_code_consent_id"), "device_code", ["consent_id"], unique=False)


def _service_accounts() -> None:
    op.create_table(
        "service_account",
        sa.Column("service_account_id", ID, autoincrement=False, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("service_account_id", name=op.f("pk_service_account")),
        sa.UniqueConstraint("address", name=op.f("uq_service_account_address")),
    )
    op.create_table(
        "service_account_key",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("service_account_id", ID, nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["service_account_id"],
            ["service_account.service_account_id"],
            name=op.f("fk_service_account_key_service_account_id"),
        ),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_service_account_key")),
    )
    op.create_index(
        op.f("ix_service_account_key_service_account_id"),
        "service_account_key",
        ["service_account_id"],
        unique=False,
    )
    op.create_table(
        "delegation",
        sa.Column("service_account_id", ID, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["service_account_id"],
            ["service_account.service_account_id"],
            name=op.f("fk_delegation_service_account_id"),
        ),
        sa.PrimaryKeyConstraint("service_account_id", "scope", name=op.f("pk_delegation")),
    )


def _tokens() -> None:
    op.create_table(
        "token",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("consent_id", ID, nullable=True),
        sa.Column("code_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("refresh_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("service_account_id", ID, nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.account_id"], name=op.f("fk_token_account_id")),
        sa.ForeignKeyConstraint(["consent_id"], ["consent.consent_id"], name=op.f("fk_token_consent_id")),
        sa.ForeignKeyConstraint(
            ["service_account_id"],
            ["service_account.service_account_id"],
            name=op.f("fk_token_service_account_id"),
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_token")),
    )
    op.create_index(op.f("ix_token_account_id"), "token", ["account_id"], unique=False)
    op.create_index(op.f("ix_token_code_hash"), "token", ["code_hash"], unique=False)
    op.create_index(op.f("ix_token_consent_id"), "token", ["consent_id"], unique=False)
    op.create_index(op.f("ix_token_refresh_hash"), "token", ["refresh_hash"], unique=False)
    op.create_index(op.f("ix_token_service_account_id"), "token", ["service_account_id"], unique=False)


def _sign_ins() -> None:
    op.create_table(
        "sign_in",
        sa.Column("session_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.account_id"], name=op.f("fk_sign_in_account_id")),
        sa.PrimaryKeyConstraint("session_hash", name=op.f("pk_sign_in")),
    )
    op.create_index(op.f("ix_sign_in_account_id"), "sign_in", ["account_id"], unique=False)
    op.create_table(
        "failed_sign_in",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_failed_sign_in")),
    )
    op.create_table(
        "upstream_identity",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.account_id"], name=op.f("fk_upstream_identity_account_id")
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_upstream_identity")),
    )
    op.create_index(op.f("ix_upstream_identity_account_id"), "upstream_identity", ["account_id"], unique=False)
    op.create_table(
        "upstream_sign_in",
        sa.Column("state_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_upstream_sign_in")),
    )
    op.create_table(
        "signing_key",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_signing_key")),
    )
