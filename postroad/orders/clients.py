"""Orders about clients: programs that ask people for consent."""

from typing import Any

from sqlalchemy import Connection

from postroad.oauth import clients
from postroad.orders import files


def add(  # noqa: PLR0913 - what a command line can say
    connection: Connection,
    *,
    now: int,
    name: str,
    kind: str,
    redirect_uris: list[str],
    public: bool,
    root_url: str,
) -> dict[str, Any]:
    """Register a client: its number, and its client_secret.json. Its secret is told this once."""
    root = files.root_of(connection, root_url)
    made, secret = clients.add(connection, name, kind, redirect_uris, public=public, now=now)
    return {"client_id": made.client_id, "file": files.client_secret(made, secret, root)}


def listing(connection: Connection, *, now: int) -> list[dict[str, Any]]:  # noqa: ARG001 - one form for all
    """All clients."""
    return [_plain(one) for one in clients.everyone(connection)]


def remove(connection: Connection, *, now: int, client_id: str) -> dict[str, Any]:  # noqa: ARG001
    """Forget a client with all that came of it."""
    return _plain(clients.remove(connection, client_id))


def _plain(client: clients.Client) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "kind": client.kind,
        "name": client.name,
        "public": client.public,
        "redirect_uris": list(client.redirect_uris),
        "created_at": client.created_at,
    }
