"""Taking back what was granted, by showing a token of it (RFC 7009)."""

from sqlalchemy import Connection, delete, select

from postroad.database.schema import refresh_token, token
from postroad.oauth import consents, credentials


def revoke(connection: Connection, text: str) -> bool:
    """End the consent that this access or refresh token came of, and with it all its tokens, as Google does.

    A token without a consent ends alone. False when there is no such token.
    """
    found = credentials.digest(text)
    access = select(token.c.consent_id).where(token.c.token_hash == found)
    refresh = select(refresh_token.c.consent_id).where(refresh_token.c.refresh_hash == found)
    row = connection.execute(access.union_all(refresh)).first()
    if row is None:
        return False
    if row.consent_id is None:
        return connection.execute(delete(token).where(token.c.token_hash == found)).rowcount == 1
    consents.revoke(connection, row.consent_id)
    return True
