"""PostgreSQL: the engine for many nodes. The same statements; a hint by NOTIFY where SQLite needs none."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import OperationalError

from postroad import metrics
from postroad.database import migrations
from postroad.database.health import Health
from postroad.refusals import Failure

CHANNEL = "postroad_queue"
# Seconds: to connect; and until a server that has vanished is noticed. Queries themselves are short.
CONNECT_SECONDS = 5
VANISHED_MS = 15_000
# Seconds between two looks at whether listening should end, and before listening anew after a failure.
LISTEN_SECONDS = 1.0

_CONNECTION = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": VANISHED_MS,
    "application_name": "postroad",
}


def driver_url(url: str) -> URL:
    """The URL with SQLAlchemy's name for psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg")


def _engine(url: str, size: int, *, options: str, isolation: str) -> Engine:
    """An engine of `size` connections over psycopg 3; each is tried before it is used."""
    return create_engine(
        driver_url(url),
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # an error is logged; content and recipients are not
        isolation_level=isolation,
        connect_args=_CONNECTION | {"options": options},
    )


class DriverMissingError(Failure):
    """PostgreSQL needs psycopg: install Postroad with its extra 'postgres'"""  # noqa: D400 - the docstring is the message


class UnreachableError(Failure):
    """The database could not be opened; the text says what the server, or the network, said."""


class Server:
    """A database on a PostgreSQL server; opened, it has been brought to the newest schema.

    Accepted means `synchronous_commit=on`; with a synchronous standby, on two machines.
    """

    # Long beside the handing about of Python's lock, which a transaction costs many times; short beside a sync.
    breath = 0.004

    def __init__(self, url: str, *, readers: int) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        if find_spec("psycopg") is None:
            raise DriverMissingError(DriverMissingError.__doc__)
        self.health = Health(None, 0)
        self.writer = _engine(url, 1, options="-c synchronous_commit=on", isolation="READ COMMITTED")
        self._migrate()
        read_only = "-c default_transaction_read_only=on"
        self.readers = _engine(url, readers, options=read_only, isolation="AUTOCOMMIT")

    def _migrate(self) -> None:
        try:
            migrations.upgrade(self.writer)
        except OperationalError as error:
            self.writer.dispose()
            raise UnreachableError(f"database: {str(error.orig).splitlines()[0]}") from None

    def announce(self, connection: Connection) -> None:
        """Tell the nodes that listen, when this transaction commits, that new mail is in the queue."""
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")

    def committed(self, connection: Connection, units: int) -> None:  # noqa: ARG002 - SQLite needs it
        """Count: the server looks after its log itself."""
        metrics.COMMIT_UNITS.observe(units)

    def close(self) -> None:
        """Give back the connections."""
        self.readers.dispose()
        self.writer.dispose()

    @contextlib.contextmanager
    def listening(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake`, on a thread, for each hint. Hints may be lost: whoever listens also polls."""
        ended = threading.Event()
        thread = threading.Thread(target=self._listen, args=(wake, ended), name="listener")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _listen(self, wake: Callable[[], None], ended: threading.Event) -> None:
        import psycopg  # noqa: PLC0415 - an extra

        while not ended.is_set():
            with contextlib.suppress(psycopg.OperationalError):
                self._hear(wake, ended)
            ended.wait(LISTEN_SECONDS)

    def _hear(self, wake: Callable[[], None], ended: threading.Event) -> None:
        """Listen until told to end, or until the connection breaks."""
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            while not ended.is_set():
                for _ in connection.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                    wake()
