"""Clients: registered by an administrator, found by their numbers, removed with all that came of them."""

import re

import pytest
from sqlalchemy import func, select

from postroad.database.schema import client as client_table
from postroad.database.schema import consent, device_code, metadata
from postroad.oauth import clients, credentials
from postroad.oauth.clients import BadClientError, NoSuchClientError
from postroad.oauth.redirects import DESKTOP, BadRedirectError
from tests.oauth_kit import NOW, PLACE, SEND


def test_a_client_is_made_with_a_secret(world):
    """Its number and secret look like Google's; the secret is told once, and its hash kept."""
    made, secret = world.client()
    assert re.fullmatch(r"[0-9]{12}-[0-9a-z]{32}\.apps\.googleusercontent\.com", made.client_id)
    assert secret.startswith("GOCSPX-")
    assert made.secret_hash == credentials.digest(secret)
    assert (made.kind, made.name, made.redirect_uris, made.created_at) == ("web", "An App", (PLACE,), NOW)
    assert clients.find(world.connection, made.client_id) == made


def test_a_secret_is_known_or_not(world):
    """A client knows its own secret, and no other; a public one knows none."""
    made, secret = world.client()
    public, none = world.client("installed", public=True)
    assert made.knows(secret)
    assert not any(made.knows(text) for text in ("", secret + "x", secret[:-1], secret.lower()))
    assert public.public
    assert not made.public
    assert none is None
    assert not public.knows("")
    assert not public.knows("None")


def test_clients_are_never_the_same(world):
    """Each has a number and a secret of its own."""
    made = [world.client() for _ in range(10)]
    assert len({one.client_id for one, _ in made}) == len({secret for _, secret in made}) == 10


def test_an_installed_client_needs_no_redirect_uri(world):
    """It gets those that Google's libraries use."""
    assert world.client("installed")[0].redirect_uris == DESKTOP


NO_CLIENT_IDS = {
    "none": "",
    "another": "123456789012-" + "a" * 32 + ".apps.googleusercontent.com",
    "a NUL": "\0",
    "SQL": "' OR 1=1 --",
    "very long": "x" * 100_000,
    "half a character": "\ud800",
    "a pattern": "%.apps.googleusercontent.com",
    "a number of a service account": "123456789012345678901",
}


@pytest.mark.parametrize("client_id", NO_CLIENT_IDS.values(), ids=NO_CLIENT_IDS)
def test_an_unknown_client_is_none(world, client_id):
    """Whatever is asked for, there is such a client or there is none."""
    world.client()
    assert clients.find(world.connection, client_id) is None


@pytest.mark.parametrize("change", [str.upper, lambda text: text + " ", lambda text: text + "\n"])
def test_a_client_id_is_equal_or_is_not(world, change):
    """A number that only resembles one is nobody's."""
    made, _ = world.client()
    assert clients.find(world.connection, change(made.client_id)) is None


BAD = [
    ("native", "An App", [PLACE], BadClientError),
    ("web", "", [PLACE], BadClientError),
    ("web", "x" * 101, [PLACE], BadClientError),
    ("web", "An\nApp", [PLACE], BadClientError),
    ("web", "An \u202eApp", [PLACE], BadClientError),
    ("web", "An App", [], BadRedirectError),
    ("web", "An App", ["javascript:alert(1)"], BadRedirectError),
]


@pytest.mark.parametrize(("kind", "name", "uris", "error"), BAD)
def test_a_bad_client_is_not_made(world, kind, name, uris, error):
    """A kind there is not, a name that cannot be shown, or a redirect that nobody may have."""
    with pytest.raises(error):
        clients.add(world.connection, name, kind, uris, public=False, now=NOW)
    assert clients.everyone(world.connection) == []


def test_clients_are_listed_by_name(world):
    """The list is ordered by name."""
    for name in ("Sender", "Billing"):
        clients.add(world.connection, name, "web", [PLACE], public=False, now=NOW)
    assert [one.name for one in clients.everyone(world.connection)] == ["Billing", "Sender"]


def test_a_removed_client_leaves_nothing(world):
    """With a client go its consents, codes, tokens and devices; those of others stay."""
    gone, secret = world.client()
    kept, kept_secret = world.client()
    for one, its_secret in ((gone, secret), (kept, kept_secret)):
        world.redeem(one, its_secret, world.code(one, access_type="offline"))
        world.connection.execute(device_code.insert().values(_device(one)))
    assert clients.remove(world.connection, gone.client_id) == gone
    assert clients.everyone(world.connection) == [kept]
    for name in ("consent", "authorization_code", "refresh_token", "token", "device_code"):
        assert world.connection.execute(select(func.count()).select_from(metadata.tables[name])).scalar() == 1
    assert world.connection.execute(select(consent.c.client_id)).scalar_one() == kept.client_id


def _device(one) -> dict[str, object]:
    return {
        "device_hash": credentials.digest(one.client_id),
        "user_code": one.client_id[:8],
        "client_id": one.client_id,
        "scopes": SEND,
        "state": "waiting",
        "interval": 5,
        "expires_at": NOW + 1,
    }


def test_a_client_is_removed_once(world):
    """Removing what is not there is refused."""
    made, _ = world.client()
    clients.remove(world.connection, made.client_id)
    with pytest.raises(NoSuchClientError, match="there is no client"):
        clients.remove(world.connection, made.client_id)
    assert world.connection.execute(select(client_table)).first() is None
