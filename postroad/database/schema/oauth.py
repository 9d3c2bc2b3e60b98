"""Who may send as whom: accounts, clients, consents, codes and tokens, service accounts, sign-ins."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from postroad.database.schema.base import Id, metadata

account = Table(
    "account",
    metadata,
    Column("account_id", Id, primary_key=True),
    Column("address", Text, nullable=False, unique=True),  # canonical, lower case
    Column("administrator", Boolean, nullable=False),
    Column("captured", Boolean, nullable=False),  # made by captured mail: local only while mail is captured
    Column("password_hash", Text),  # Argon2id with its parameters; null: nobody can sign in by password
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),  # null: active -> set: disabled, refused everywhere
)

# Another address of an account: mail to it is the account's, and its From may name it. No account's own.
alias = Table(
    "alias",
    metadata,
    Column("address", Text, primary_key=True),  # canonical, lower case
    Column("account_id", Id, ForeignKey("account.account_id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
)

# A program that asks for tokens (RFC 6749 section 1.1); a public one has no secret.
client = Table(
    "client",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("kind", String(9), nullable=False),  # installed or web, as Google's JSON file has it
    Column("name", Text, nullable=False),  # what the consent page calls it
    Column("secret_hash", LargeBinary(32)),  # SHA-256 of a random secret; null: a public client
    Column("redirect_uris", Text, nullable=False),  # a JSON array
    Column("created_at", BigInteger, nullable=False),
)

# What a person allows a client. Its scopes grow with each consent; it ends with the row, and with it every code
# and token that came of it.
consent = Table(
    "consent",
    metadata,
    Column("consent_id", Id, primary_key=True, autoincrement=False),
    Column("account_id", Id, ForeignKey("account.account_id"), nullable=False),
    Column("client_id", Text, ForeignKey("client.client_id"), nullable=False, index=True),
    Column("scopes", Text, nullable=False),  # separated by single spaces
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("uq_consent_account_id", "account_id", "client_id", unique=True),
)

# states of an authorization code:
#   issued (redeemed_at null) -> redeemed   once; a second use removes the tokens that came of the first
authorization_code = Table(
    "authorization_code",
    metadata,
    Column("code_hash", LargeBinary(32), primary_key=True),  # SHA-256
    Column("consent_id", Id, ForeignKey("consent.consent_id"), nullable=False, index=True),
    Column("redirect_uri", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # what was ticked, separated by single spaces
    Column("offline", Boolean, nullable=False),  # a refresh token comes with it
    Column("code_challenge", Text),  # RFC 7636
    Column("code_challenge_method", String(5)),  # S256 or plain
    Column("nonce", Text),  # for the ID token
    Column("signed_in_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("redeemed_at", BigInteger),
)

# Refresh tokens stay as they are (DESIGN.md section 7): they end by revocation, or after months unused.
refresh_token = Table(
    "refresh_token",
    metadata,
    Column("refresh_hash", LargeBinary(32), primary_key=True),  # SHA-256
    Column("consent_id", Id, ForeignKey("consent.consent_id"), nullable=False, index=True),
    Column("code_hash", LargeBinary(32), index=True),  # of the code it came of
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),  # rounded to the hour, so that a use seldom writes
)

# An access token. Without a consent it came from the command line or from a service account; that of a service
# account that acts for nobody has no account.
token = Table(
    "token",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),  # SHA-256; the token itself is never stored
    Column("account_id", Id, ForeignKey("account.account_id"), index=True),
    Column("consent_id", Id, ForeignKey("consent.consent_id"), index=True),
    Column("code_hash", LargeBinary(32), index=True),  # of the code it came of
    Column("refresh_hash", LargeBinary(32), index=True),  # of the refresh token it came of
    Column("service_account_id", Id, ForeignKey("service_account.service_account_id"), index=True),
    Column("scopes", Text, nullable=False),  # separated by single spaces
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# A program that signs in by a key of its own (RFC 7523), for accounts of whom it was delegated scopes.
service_account = Table(
    "service_account",
    metadata,
    Column("service_account_id", Id, primary_key=True, autoincrement=False),  # in decimal its client_id, too
    Column("address", Text, nullable=False, unique=True),  # client_email
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),  # null: active -> set: refused everywhere
)

# The private half is written into the key file once and not kept.
service_account_key = Table(
    "service_account_key",
    metadata,
    Column("key_id", Text, primary_key=True),  # private_key_id: 40 hexadecimal digits
    Column("service_account_id", Id, ForeignKey("service_account.service_account_id"), nullable=False, index=True),
    Column("public_key", Text, nullable=False),  # PEM
    Column("created_at", BigInteger, nullable=False),
)

# A scope in which a service account may act for any account here (domain-wide delegation).
delegation = Table(
    "delegation",
    metadata,
    Column("service_account_id", Id, ForeignKey("service_account.service_account_id"), primary_key=True),
    Column("scope", Text, primary_key=True),
)

# A key that signs ID tokens: the newest signs, older ones stay published while anything they signed is valid.
signing_key = Table(
    "signing_key",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("private_key", LargeBinary, nullable=False),  # PKCS#8, sealed
    Column("public_key", Text, nullable=False),  # PEM
    Column("created_at", BigInteger, nullable=False),
)

# A browser in which somebody signed in; its cookie is a credential.
sign_in = Table(
    "sign_in",
    metadata,
    Column("session_hash", LargeBinary(32), primary_key=True),  # SHA-256 of the cookie's value
    Column("account_id", Id, ForeignKey("account.account_id"), nullable=False, index=True),
    Column("signed_in_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# Failed sign-ins by account and by network address: after some of them the next has to wait.
failed_sign_in = Table(
    "failed_sign_in",
    metadata,
    Column("subject", Text, primary_key=True),  # account:ADDRESS or peer:ADDRESS
    Column("failures", Integer, nullable=False),  # in a row
    Column("not_before", BigInteger, nullable=False),  # the next try
)

# A device that waits for a person to allow it elsewhere (RFC 8628).
# states: waiting -> allowed (consent_id set) | denied; the row goes when its token is fetched
device_code = Table(
    "device_code",
    metadata,
    Column("device_hash", LargeBinary(32), primary_key=True),  # SHA-256
    Column("user_code", Text, nullable=False, unique=True),  # upper case, without the hyphen
    Column("client_id", Text, ForeignKey("client.client_id"), nullable=False, index=True),
    Column("scopes", Text, nullable=False),
    Column("state", String(7), nullable=False),
    Column("consent_id", Id, ForeignKey("consent.consent_id"), index=True),
    Column("interval", Integer, nullable=False),  # seconds between two polls
    Column("polled_at", BigInteger),
    Column("expires_at", BigInteger, nullable=False),
)

# Who a person is at an external OpenID provider.
upstream_identity = Table(
    "upstream_identity",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("account_id", Id, ForeignKey("account.account_id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
)

# A sign-in that is under way at an external OpenID provider.
upstream_sign_in = Table(
    "upstream_sign_in",
    metadata,
    Column("state_hash", LargeBinary(32), primary_key=True),  # SHA-256
    Column("sealed", LargeBinary, nullable=False),  # nonce, code verifier, where to go on
    Column("expires_at", BigInteger, nullable=False),
)
