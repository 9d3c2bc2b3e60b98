"""The JSON files by which programs are given their credentials, in Google's formats (gmail-wire.md 8.7).

Where they name addresses, they name ours: libraries that heed them need no other setting (docs/connect.md).
"""

from typing import Any

from sqlalchemy import Connection

from postroad.database import facts
from postroad.oauth.clients import Client
from postroad.oauth.service_accounts import PROJECT
from postroad.orders.errors import OrderError


def root_of(connection: Connection, root_url: str) -> str:
    """The address that files name: `root_url`, or else that of the server that ran last. Raises `OrderError`."""
    found = root_url or facts.read(connection, facts.PUBLIC_URL)
    if not found:
        raise OrderError("no server has run on this data yet: say with --public-url where clients will reach it")
    return found.rstrip("/")


def client_secret(client: Client, secret: str | None, root: str) -> dict[str, Any]:
    """A client_secret.json. That of a public client has an empty secret, as libraries look for the key."""
    return {
        client.kind: {
            "client_id": client.client_id,
            "project_id": PROJECT,
            "auth_uri": f"{root}/o/oauth2/auth",
            "token_uri": f"{root}/token",
            "auth_provider_x509_cert_url": f"{root}/oauth2/v1/certs",
            "client_secret": secret or "",
            "redirect_uris": list(client.redirect_uris),
        }
    }


def authorized_user(client_id: str, secret: str, refresh_token: str, address: str, root: str) -> dict[str, Any]:
    """An authorized_user.json for the account of that address."""
    return {
        "type": "authorized_user",
        "client_id": client_id,
        "client_secret": secret,
        "refresh_token": refresh_token,
        "token_uri": f"{root}/token",
        "account": address,
        "universe_domain": "googleapis.com",
    }
