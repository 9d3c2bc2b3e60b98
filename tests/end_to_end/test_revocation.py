"""What is taken back is refused by every node within a second, however it was taken back."""

import contextlib
import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from postroad.database.engine import Database
from postroad.oauth import accounts, clients, consents, service_accounts, tokens
from postroad.oauth.scopes import SCOPES
from postroad.oauth.tokens import FRESH_SECONDS, Source
from tests.running import running

READ = frozenset([SCOPES["gmail.readonly"]])
LIST = "/gmail/v1/users/me/messages?maxResults=1"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def issued(connection, address: str) -> dict[str, str | int]:
    """An account, a client that it allowed to read, a service account that acts for it, and a token of either."""
    now = int(time.time() * 1000)
    owner = accounts.add(connection, address, administrator=False, now=now)
    client, _ = clients.add(connection, address, "installed", (), public=True, now=now)
    given = consents.allow(connection, owner.account_id, client.client_id, READ, now)
    robot = service_accounts.add(connection, address.partition("@")[0], now)

    def token(**source) -> str:
        return tokens.issue(
            connection,
            account_id=owner.account_id,
            scopes=READ,
            expires_at=now + 600_000,
            now=now,
            source=Source(**source),
        )

    return {
        "client": client.client_id,
        "robot": robot.address,
        "consent": token(consent_id=given.consent_id),
        "key": token(service_account_id=robot.service_account_id),
        "command line": token(),
    }


class Watch:
    """Asks a node with a token over and over; `permitted` is when it last began to ask and was answered 200."""

    def __init__(self, server, token: str) -> None:
        self.server, self.token, self.permitted, self.codes = server, token, 0.0, []

    def keep_asking(self, over: threading.Event) -> None:
        with contextlib.closing(self.server.connect()) as connection:
            while not over.is_set():
                began = time.monotonic()
                code = self._code(connection)
                self.codes.append(code)
                self.permitted = began if code == 200 else self.permitted
                time.sleep(0.02)

    def _code(self, connection: http.client.HTTPConnection) -> int:
        return self.server.request(
            "GET", LIST, headers={"Authorization": f"Bearer {self.token}"}, connection=connection
        ).code


def test_what_is_taken_back_is_refused_by_every_node(tmp_path, postgres):
    """A disabled account, a removed client, a revoked token, a disabled service account: two nodes, one second."""
    flags = ("--role", "web", "--relay", "capture")
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(postgres.new_database())
        database = stack.enter_context(contextlib.closing(Database(tmp_path, floor=0, url=url)))
        nodes = [
            stack.enter_context(running(tmp_path / name, "--database", url, *flags, command="serve"))
            for name in "ab"
        ]
        people = {
            name: database.submit(lambda connection, name=name: issued(connection, f"{name}@a.test")).result()
            for name in ("disabled", "removed", "revoked", "robotless", "bystander")
        }
        ended = {
            ("disabled", "consent"),
            ("disabled", "key"),
            ("disabled", "command line"),
            ("removed", "consent"),
            ("revoked", "consent"),
            ("robotless", "key"),
        }
        stay = {
            ("bystander", "consent"),
            ("robotless", "consent"),
            ("revoked", "key"),
            ("removed", "command line"),
        }
        watches = {
            (who, kind, node): Watch(nodes[node], people[who][kind])
            for who, kind in ended | stay
            for node in (0, 1)
        }
        pool = stack.enter_context(ThreadPoolExecutor(len(watches)))
        over = threading.Event()
        stack.callback(over.set)
        asking = [pool.submit(watch.keep_asking, over) for watch in watches.values()]
        while not all(watch.codes for watch in watches.values()):  # every node remembers every token
            time.sleep(0.05)
        now = int(time.time() * 1000)
        answer = nodes[0].request(
            "POST", "/revoke", urlencode({"token": people["revoked"]["consent"]}).encode(), FORM
        )
        assert answer.code == 200

        def take_back(connection):
            accounts.disable(connection, "disabled@a.test", now)
            clients.remove(connection, people["removed"]["client"])
            service_accounts.disable(connection, people["robotless"]["robot"], now)

        database.submit(take_back).result()
        taken_back = time.monotonic()
        time.sleep(FRESH_SECONDS + 0.5)
        over.set()
        for one in asking:
            one.result()
        for (who, kind, _), watch in watches.items():
            assert watch.codes[0] == 200
            assert set(watch.codes) == ({200, 401} if (who, kind) in ended else {200})
            assert (watch.permitted <= taken_back + FRESH_SECONDS) == ((who, kind) in ended)
