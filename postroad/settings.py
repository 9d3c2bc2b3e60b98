"""One table of settings: name, default, help. A setting is a flag, an environment variable and a key of a file.

`--public-url` is `POSTROAD_PUBLIC_URL` is `public_url` in `postroad.toml`; the first that says something counts.
Only the wiring (`cli`, `app`, `control`) reads settings; everything else is handed values.
"""

import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec

FILE = "postroad.toml"
# The value of `relay` under which every recipient has a mailbox here and nothing leaves the machine.
CAPTURE = "capture"
# The value under which mail goes to the servers of its recipients' domains.
MX = "mx"
MEBIBYTE = 1 << 20
# The names by which programs without an option for the address look for Google (gmail-wire.md 1.2).
GOOGLES = (
    "gmail.googleapis.com,gmail.mtls.googleapis.com,www.googleapis.com,www.mtls.googleapis.com,"
    "content.googleapis.com,content-gmail.googleapis.com,oauth2.googleapis.com,accounts.google.com"
)
# And in a universe of their own (gmail-wire.md 8.8).
UNIVERSE_NAMES = ("gmail", "www", "oauth2", "accounts", "openidconnect")
# What `postroad dev` sets where nobody else does.
SANDBOX = {
    "relay": CAPTURE,
    "fronts": 1,
    "free_floor": 64 * MEBIBYTE,
    "hostname": "localhost.example.test",
    "hosts": f"{GOOGLES},localhost,127.0.0.1,[::1]",
}


# Of `tls_required`: a domain in A-labels, or all below it.
_DOMAINS = re.compile(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*")


# The schemes of smart hosts, and their usual ports.
_SMTP_PORTS = {"smtp": 25, "smtps": 465}


class SettingError(ValueError):
    """A setting that cannot be; the text names it and what would do."""


class SmartHost(NamedTuple):
    """A smart host as it was named; `user` logs in there, "" for nobody."""

    host: str
    port: int
    user: str = ""
    implicit_tls: bool = False


def _setting(default: Any, help_: str, *, least: int | None = None) -> Any:
    return field(default=default, metadata={"help": help_, "least": least, "flag": True})


def _secret(help_: str) -> Any:
    """A setting that is no flag, as anybody on the machine reads a process's flags, and that is not shown."""
    return field(default="", repr=False, metadata={"help": help_, "least": None, "flag": False})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The table. Sizes in octets."""

    data: str = _setting("./postroad-data", "Folder of the database, the lock and the command socket.")
    listen: str = _setting("127.0.0.1:8587", "HOST:PORT to serve on; port 0 takes a free one.")
    public_url: str = _setting("", "Address under which clients reach this server.")
    hosts: str = _setting(
        "", "Other host names, apart by commas, by which clients reach this server. dev: Google's, localhost."
    )
    universe_domain: str = _setting(
        "", "Domain that programs have in the place of googleapis.com; this server is then gmail.DOMAIN, too."
    )
    token_in_query: bool = _setting(
        False, "Read access tokens in addresses, too: they stay in logs and histories on the way."
    )
    hostname: str = _setting("", "Name in EHLO, Received and mailer-daemon. Default: this machine's.")
    database: str = _setting("", "postgresql://... for many nodes. Default: an SQLite file in the data folder.")
    role: Literal["all", "web", "relay"] = _setting(
        "all", "What this node does, on PostgreSQL: take mail (web), send it (relay), or both (all)."
    )
    relay: str = _setting(
        "",
        "capture (default of dev), mx (the recipients' own servers), or a smart host: smtp://host:port, or "
        "smtps://host:465 for TLS from the start; smtp://user@host to log in. Several, apart by commas: in turn.",
    )
    relay_by_sender: str = _setting(
        "", "Smart hosts for senders of some domains: example.com=smtps://a,example.org=smtp://user@b:587."
    )
    relay_user: str = _setting("", "Whom to log in as at smart hosts that name nobody.")
    relay_password: str = _secret("The password of that login. Better in a file.")
    relay_password_file: str = _setting(
        "", "File of that password; of several, in lines of USER@HOST PASSWORD. Read for each session."
    )
    relay_token_file: str = _setting(
        "", "File of an access token to log in with by XOAUTH2, kept fresh by others. Read for each session."
    )
    relay_ca_file: str = _setting(
        "", "Certificates (PEM) of the authorities that smart hosts' are verified by. Default: this machine's."
    )
    relay_port: int = _setting(25, "Port of the recipients' servers, with relay mx; tests take another.", least=1)
    relay_networks: str = _setting(
        "",
        "Networks, as 10.0.0.0/8,fd00::/8, that relay mx may send to although they are not public.",
    )
    dns: str = _setting(
        "",
        "HOST:PORT of a resolver that validates, and is trusted for DANE. Default: this machine's.",
    )
    relay_tls: Literal["opportunistic", "required", "verified"] = _setting(
        "opportunistic",
        "TLS with next hops: what there is, required, or verified by certificate. Domains' policies hold anyway.",
    )
    tls_required: str = _setting(
        "", "Domains that, with relay mx, get mail over TLS only: example.com, or .example.com for those below it."
    )
    sts_port: int = _setting(443, "Port of the domains' MTA-STS policy hosts; tests take another.", least=1)
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
    fronts: int = _setting(
        0,
        "Processes that answer HTTP, where an SQLite file has the mail; quotas are counted by each for itself."
        " 0: two, or one where there is one core or a quota. dev: 1.",
        least=0,
    )
    user_quota: int = _setting(
        0,
        "Quota units per minute of one account by one program; a send costs 100. Gmail: 6000; 0: no limit.",
        least=0,
    )
    project_quota: int = _setting(
        0, "Quota units per minute of all accounts together, by one program. Gmail: 1200000; 0: no limit.", least=0
    )
    relay_sessions: int = _setting(20, "SMTP sessions held at once with one next hop.", least=1)
    node_sessions: int = _setting(
        200, "SMTP sessions held at once by one node, with all next hops together.", least=1
    )
    free_floor: int = _setting(
        512 * MEBIBYTE, "Below so many free octets new mail gets 503. dev: 64 MiB.", least=0
    )
    tls_cert: str = _setting("", "Certificate chain (PEM) to serve HTTPS with.")
    tls_key: str = _setting("", "Its key (PEM, PKCS#8).")
    behind_proxy: str = _setting(
        "", "Addresses or networks, apart by commas, of the proxies that end TLS in front of this server."
    )
    secret_key: str = _secret(
        "The key under which secrets are sealed in the database: 32 octets in base64. Better in a file."
    )
    secret_key_file: str = _setting(
        "",
        "File of the key that seals secrets. Default: secret.key in the data folder, made at the first start;"
        " on PostgreSQL none.",
    )
    oidc_issuer: str = _setting(
        "", "OpenID provider (https://...) at which people may sign in instead of by password."
    )
    oidc_client_id: str = _setting("", "The number under which this server is registered there.")
    oidc_client_secret: str = _secret("The secret that goes with it, if it has one.")
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
        """The host names of `hosts`, and those that Google's clients look for in `universe_domain`."""
        universe = self.universe_domain.lower()
        others = (f"{name}.{universe}" for name in UNIVERSE_NAMES) if universe else ()
        return frozenset((*(name.strip().lower() for name in self.hosts.split(",")), *others)) - {""}

    @property
    def listens_on_loopback(self) -> bool:
        """Nobody on another machine can connect."""
        host, _ = self.listen_address
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of `behind_proxy`."""
        try:
            return tuple(
                ip_network(one.strip(), strict=False) for one in self.behind_proxy.split(",") if one.strip()
            )
        except ValueError as error:
            raise SettingError(f"behind_proxy: {error}; it names addresses, as 10.0.0.2 or 10.0.0.0/24") from None

    @property
    def name_server(self) -> tuple[str, int] | None:
        """Address and port of `dns`; `None` when this machine's resolvers are asked."""
        if not self.dns:
            return None
        host, port = host_and_port("dns", self.dns, default_port=53)
        try:
            return str(ip_address(host)), port
        except ValueError:
            raise SettingError(f"dns: {host!r} is no address; a resolver has to be named by its address") from None

    @property
    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of `relay_networks`."""
        try:
            return tuple(ip_network(one.strip()) for one in self.relay_networks.split(",") if one.strip())
        except ValueError as error:
            raise SettingError(f"relay_networks: {error}") from None

    @property
    def tls_domains(self) -> frozenset[str]:
        """The domains of `tls_required`, in lower case."""
        domains = frozenset(one.strip().lower() for one in self.tls_required.split(",")) - {""}
        for one in domains:
            if not _DOMAINS.fullmatch(one):
                raise SettingError(f"tls_required: {one!r} is neither example.com nor .example.com (in ASCII)")
        if domains and self.smart_hosts:
            raise SettingError("tls_required: with a smart host all mail goes there; set relay_tls")
        return domains

    @property
    def smart_hosts(self) -> tuple[SmartHost, ...]:
        """The smart hosts in their order; none when mail is captured, or goes to the recipients' servers."""
        return () if self.relay in (CAPTURE, MX) else _smart_hosts("relay", self.relay, self.relay_user)

    @property
    def smart_hosts_by_sender(self) -> dict[str, tuple[SmartHost, ...]]:
        """The smart hosts of `relay_by_sender`, by domain in lower case."""
        found: dict[str, tuple[SmartHost, ...]] = {}
        for one in filter(None, re.split(r"[\s,]+", self.relay_by_sender)):
            domain, _, text = one.partition("=")
            if not _DOMAINS.fullmatch(domain.lower()) or domain.startswith("."):
                raise SettingError(f"relay_by_sender: {domain!r} is no domain; it is example.com=smtp://host:port")
            hosts = _smart_hosts("relay_by_sender", text, self.relay_user)
            found[domain.lower()] = found.get(domain.lower(), ()) + hosts
        if found and self.relay == CAPTURE:
            raise SettingError("relay_by_sender: with relay capture no mail leaves this machine")
        return found


def _smart_hosts(name: str, text: str, user: str) -> tuple[SmartHost, ...]:
    hosts = tuple(_smart_host(name, one, user) for one in re.split(r"[\s,]+", text) if one)
    if not hosts or len({(one.host, one.port) for one in hosts}) < len(hosts):
        raise SettingError(f"{name}: a smart host is missing, or named twice")
    return hosts


def _smart_host(name: str, text: str, usual_user: str) -> SmartHost:
    """Read smtp://user@host:port, with the port that is usual for the scheme. Raises `SettingError`."""
    scheme, _, rest = text.partition("://")
    user, _, authority = rest.rpartition("@")
    if scheme.lower() not in _SMTP_PORTS:
        shown = text.rpartition("@")[2]
        raise SettingError(f"{name}: {shown!r} is neither capture, mx, smtp://host:port nor smtps://host:port")
    if ":" in user:
        raise SettingError(f"{name}: a password stands in it, for all to see; give relay_password_file")
    host, port = host_and_port(name, authority.removesuffix("/"), _SMTP_PORTS[scheme.lower()])
    return SmartHost(host, port, unquote(user) or usual_user, scheme.lower() == "smtps")


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
    if settings.oidc_issuer and not settings.oidc_client_id:
        raise SettingError("oidc_client_id: without it nobody can sign in at oidc_issuer")
    _ = settings.listen_address
    return settings
