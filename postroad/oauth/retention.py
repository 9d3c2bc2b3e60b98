"""What of OAuth goes when its time is over: tokens, codes, sign-ins; a few rows at a time, by their keys."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, delete, select

from postroad.database.schema import (
    authorization_code,
    device_code,
    failed_sign_in,
    refresh_token,
    sign_in,
    token,
    upstream_sign_in,
)
from postroad.oauth import codes, refresh_tokens, sign_ins

DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Aging:
    """Rows that go `kept` milliseconds after the moment in a column; `key` is what one is known by."""

    what: str
    key: Column[Any]
    over: Column[Any]
    kept: int


AGING = (
    # Until then their holders are told that they expired.
    Aging("tokens", token.c.token_hash, token.c.expires_at, DAY),
    # Until then a second use is known to be one.
    Aging("codes", authorization_code.c.code_hash, authorization_code.c.expires_at, codes.KEPT),
    Aging("refresh tokens", refresh_token.c.refresh_hash, refresh_token.c.used_at, refresh_tokens.UNUSED),
    Aging("device codes", device_code.c.device_hash, device_code.c.expires_at, DAY),
    Aging("sign-ins", sign_in.c.session_hash, sign_in.c.expires_at, 0),
    Aging("sign-ins elsewhere", upstream_sign_in.c.state_hash, upstream_sign_in.c.expires_at, 0),
    Aging("failed sign-ins", failed_sign_in.c.subject, failed_sign_in.c.not_before, sign_ins.FORGOTTEN_AFTER),
)


def page(connection: Connection, aging: Aging, *, after: Any, limit: int) -> dict[Any, int]:
    """The moments of the next rows by their keys, the first of which is over `after`; `None`: from the first."""
    question = select(aging.key, aging.over).order_by(aging.key).limit(limit)
    if after is not None:
        question = question.where(aging.key > after)
    return {row[0]: row[1] for row in connection.execute(question)}


def forget(connection: Connection, aging: Aging, keys: Collection[Any], *, now: int) -> int:
    """Remove those of these rows whose time is over, as one may have been used meanwhile; how many there were."""
    gone = delete(aging.key.table).where(aging.key.in_(keys), aging.over < now - aging.kept)
    return connection.execute(gone).rowcount
