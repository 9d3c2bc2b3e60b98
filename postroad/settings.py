"""One table of settings: name, default, help. A setting is a flag, an environment variable and a key of a file.

`--public-url` is `POSTROAD_PUBLIC_URL` is `public_url` in `postroad.toml`; the first that says something counts.
Only the wiring (`cli`, `app`, `control`) reads settings; everything else is handed values.
"""

import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

FILE = "postroad.toml"
# The value of `relay` under which every recipient has a mailbox here and nothing leaves the machine.
CAPTURE = "capture"
MEBIBYTE = 1 << 20
# The names by which programs without an option for the address look for Google (gmail-wire.md 1.2).
GOOGLES = (
    "gmail.googleapis.com,gmail.mtls.googleapis.com,www.googleapis.com,www.mtls.googleapis.com,"
    "content.googleapis.com,content-gmail.googleapis.com,oauth2.googleapis.com,accounts.google.com"
)
# What `postroad dev` sets where nobody else does.
SANDBOX = {
    "relay": CAPTURE,
    "free_floor": 64 * MEBIBYTE,
    "hostname": "localhost.example.test",
    "hosts": f"{GOOGLES},localhost,127.0.0.1,[::1]",
}


class SettingError(ValueError):
    """A setting that cannot be; the text names it and what would do."""


def _setting(default: Any, help_: str, *, least: int | None = None) -> Any:
    return field(default=default, metadata={"help": help_, "least": least})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The table. Sizes in octets."""

    data: str = _setting("./postroad-data", "Folder of the database, the lock and the command socket.")
    listen: str = _setting("127.0.0.1:8587", "HOST:PORT to serve on; port 0 takes a free one.")
    public_url: str = _setting("", "Address under which clients reach this server.")
    hosts: str = _setting(
        "", "Other host names, apart by commas, by which clients reach this server. dev: Google's, localhost."
    )
    token_in_query: bool = _setting(
        False, "Read access tokens in addresses, too: they stay in logs and histories on the way."
    )
    hostname: str = _setting("", "Name in EHLO, Received and mailer-daemon. Default: this machine's.")
    database: str = _setting("", "postgresql://... for many nodes. Default: an SQLite file in the data folder.")
    role: Literal["all", "web", "relay"] = _setting(
        "all", "What this node does, on PostgreSQL: take mail (web), send it (relay), or both (all)."
    )
    relay: str = _setting("", "capture (default of dev) or smtp://host:port, a smart host.")
    from_policy: Literal["rewrite", "refuse"] = _setting(
        "rewrite", "What becomes of a From that is not the account's own: rewrite (as Gmail) or refuse."
    )
    bcc_transactions: Literal["single", "grouped"] = _setting(
        "single", "A mail transaction for each Bcc recipient (single), or one for all (grouped)."
    )
    max_message_size: int = _setting(36_700_160, "Octets of the largest message. Gmail: 36700160.", least=1)
    max_recipients: int = _setting(
        500, "Distinct recipients of one message. Gmail: 500 a day, 100 by API.", least=1
    )
    body_memory: int = _setting(
        256 * MEBIBYTE,
        "Octets of large request bodies held in memory at once; twice as much is used. Others wait, then get 503.",
        least=1,
    )
    user_quota: int = _setting(
        0, "Quota units per minute of one account; a send costs 100. Gmail: 6000; 0: no limit.", least=0
    )
    project_quota: int = _setting(
        0, "Quota units per minute of all accounts together. Gmail: 1200000; 0: no limit.", least=0
    )
    relay_sessions: int = _setting(20, "SMTP sessions held at once with one next hop.", least=1)
    free_floor: int = _setting(
        512 * MEBIBYTE, "Below so many free octets new mail gets 503. dev: 64 MiB.", least=0
    )
    tls_cert: str = _setting("", "Certificate chain (PEM) to serve HTTPS with.")
    tls_key: str = _setting("", "Its key (PEM, PKCS#8).")
    behind_proxy: str = _setting("", "Addresses of the proxies that end TLS in front of this server.")
    metrics_token: str = _setting(
        "", "Bearer token for /metrics. Default: none, and this machine alone is served."
    )
    keep_settled_days: int = _setting(
        30,
        "Days to keep what the queue knows of a message all of whose recipients are settled; 0: for ever.",
        least=0,
    )
    keep_messages_days: int = _setting(0, "Days to keep messages in mailboxes; 0: for ever.", least=0)
    drain_seconds: int = _setting(
        30, "How long a stop waits for requests and mail transactions under way.", least=0
    )

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def listen_address(self) -> tuple[str, int]:
        """Host and port to serve on."""
        return host_and_port("listen", self.listen)

    @property
    def host_names(self) -> frozenset[str]:
        """The host names of `hosts`."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",")) - {""}

    @property
    def listens_on_loopback(self) -> bool:
        """Nobody on another machine can connect."""
        host, _ = self.listen_address
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def smart_host(self) -> tuple[str, int] | None:
        """Host and port of the smart host; `None` when mail is captured."""
        if self.relay == CAPTURE:
            return None
        scheme, _, authority = self.relay.partition("://")
        if scheme.lower() != "smtp":
            raise SettingError(f"relay: {self.relay!r} is neither capture nor smtp://host:port")
        return host_and_port("relay", authority.removesuffix("/"), default_port=25)


def host_and_port(name: str, text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split `HOST:PORT`; an IPv6 address stands in brackets. Raises `SettingError`."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, default_port if parts.port is None else parts.port
    except ValueError:
        host = port = None
    if not host or port is None or set(text) & set("@/?# "):
        raise SettingError(f"{name}: {text!r} is not HOST:PORT")
    return host, port


def load(flags: Mapping[str, Any], environment: Mapping[str, str], defaults: Mapping[str, Any]) -> Settings:
    """Settings from flags, then the environment, then the file, then `defaults`. Raises `SettingError`."""
    names = [one.name for one in fields(Settings)]
    from_environment = {
        name: environment[f"POSTROAD_{name.upper()}"]
        for name in names
        if f"POSTROAD_{name.upper()}" in environment
    }
    from_flags = {name: value for name, value in flags.items() if value is not None}
    config = from_flags.pop("config", None)
    folder = from_flags.get("data") or from_environment.get("data") or "./postroad-data"
    from_file = _file(Path(config) if config else Path(folder) / FILE, required=config is not None)
    sources = (defaults, from_file, from_environment, from_flags)
    values = {
        name: value for source in sources for name, value in source.items() if value != ""
    }  # "" says nothing
    if "hostname" not in values:
        values["hostname"] = socket.getfqdn()
    return _checked(values)


def _file(file: Path, *, required: bool) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text())
    except FileNotFoundError:
        if required:
            raise SettingError(f"config: there is no file {file}") from None
        return {}
    except (OSError, ValueError) as error:
        raise SettingError(f"{file}: {error}") from None
    unknown = values.keys() - {one.name for one in fields(Settings)}
    if unknown:
        raise SettingError(f"{file}: unknown setting {min(unknown)!r}")
    return values


def _checked(values: dict[str, Any]) -> Settings:
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        name = place.rstrip("`")
        help_ = next(one.metadata["help"] for one in fields(Settings) if one.name == name)
        raise SettingError(f"{name}: {problem}. {help_}") from None
    for one in fields(Settings):
        value, least = getattr(settings, one.name), one.metadata["least"]
        if least is not None and value < least:
            raise SettingError(f"{one.name}: {value} is too small, the least is {least}")
    if settings.database and urlsplit(settings.database).scheme not in ("postgresql", "postgres"):
        raise SettingError("database: it begins with postgresql://, or is left out for an SQLite file")
    if settings.role != "all" and not settings.database:
        raise SettingError(
            f"role: {settings.role} needs --database postgresql://...; one process has an SQLite file"
        )
    if settings.public_url and not settings.public_url.startswith(("http://", "https://")):
        raise SettingError(f"public_url: {settings.public_url!r} is not http://HOST or https://HOST")
    _ = settings.listen_address
    return settings
