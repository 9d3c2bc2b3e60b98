"""Settings: one table; flag before variable before file before default; errors that name the setting."""

import json
import socket
from dataclasses import FrozenInstanceError, fields

import pytest

from postroad.settings import CAPTURE, SANDBOX, SettingError, Settings, SmartHost, host_and_port, load

NAMES = [one.name for one in fields(Settings)]
# Of each setting four values that may be: flag, variable, key of the file, default.
VALUES = {
    "data": ("a", "b", "c", "d"),
    "listen": ("a:1", "b:2", "c:3", "d:4"),
    "public_url": ("https://a", "https://b", "https://c", "https://d"),
    "hosts": ("a.example", "b.example", "c.example", "d.example"),
    "universe_domain": ("a.example", "b.example", "c.example", "d.example"),
    "token_in_query": (True, False, True, False),
    "hostname": ("a.example", "b.example", "c.example", "d.example"),
    "relay": ("smtp://a", "smtp://b", "smtp://c", "smtp://d"),
    "relay_by_sender": ("a.example=smtp://a", "a.example=smtp://b", "a.example=smtp://c", "a.example=smtp://d"),
    "relay_user": ("a", "b", "c", "d"),
    "relay_password": ("a", "b", "c", "d"),
    "relay_password_file": ("a", "b", "c", "d"),
    "relay_token_file": ("a", "b", "c", "d"),
    "relay_ca_file": ("a.pem", "b.pem", "c.pem", "d.pem"),
    "relay_port": (1, 2, 3, 4),
    "relay_networks": ("10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/10", "10.0.0.0/11"),
    "dns": ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"),
    "relay_tls": ("required", "verified", "required", "verified"),
    "tls_required": ("a.example", "b.example", "c.example", "d.example"),
    "sts_port": (1, 2, 3, 4),
    "from_policy": ("refuse", "rewrite", "refuse", "rewrite"),
    "bcc_transactions": ("grouped", "single", "grouped", "single"),
    "max_message_size": (1, 2, 3, 4),
    "max_recipients": (1, 2, 3, 4),
    "body_memory": (1 << 20, 2 << 20, 3 << 20, 4 << 20),
    "fronts": (1, 2, 3, 4),
    "user_quota": (1, 2, 3, 4),
    "project_quota": (1, 2, 3, 4),
    "relay_sessions": (1, 2, 3, 4),
    "node_sessions": (1, 2, 3, 4),
    "free_floor": (1, 2, 3, 4),
    "tls_cert": ("a", "b", "c", "d"),
    "tls_key": ("a", "b", "c", "d"),
    "behind_proxy": ("a", "b", "c", "d"),
    "secret_key": ("a", "b", "c", "d"),
    "secret_key_file": ("a", "b", "c", "d"),
    "oidc_client_id": ("a", "b", "c", "d"),
    "oidc_client_secret": ("a", "b", "c", "d"),
    "metrics_token": ("a", "b", "c", "d"),
    "keep_settled_days": (1, 2, 3, 4),
    "keep_messages_days": (1, 2, 3, 4),
    "drain_seconds": (1, 2, 3, 4),
    "database": ("postgresql://a", "postgresql://b", "postgres://c", "postgresql://d"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory of its own, and a machine that is not asked for its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket, "getfqdn", lambda: "machine.example")
    return tmp_path


def toml(**values) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def test_every_setting_is_in_the_table():
    """The table of this test is the table of settings; those that hang on others are judged below."""
    assert {*VALUES, "role", "oidc_issuer"} == set(NAMES)


@pytest.mark.parametrize("name", VALUES)
def test_the_first_that_says_something_counts(folder, name):
    """A flag goes before the environment, the environment before the file, the file before the default."""
    flag, variable, key, default = VALUES[name]
    (folder / "file.toml").write_text(toml(**{name: key}))
    flags, environment = {name: str(flag)}, {f"POSTROAD_{name.upper()}": str(variable)}
    config = {"config": "file.toml"}
    assert getattr(load(flags | config, environment, {name: default}), name) == flag
    assert getattr(load({name: None} | config, environment, {name: default}), name) == variable
    assert getattr(load(config, {}, {name: default}), name) == key
    assert getattr(load({}, {}, {name: default}), name) == default


@pytest.mark.parametrize("name", VALUES)
def test_an_empty_word_says_nothing(folder, name):
    """An empty flag or variable is as none: what comes after it counts."""
    value = VALUES[name][0]
    flags, environment = {name: ""}, {f"POSTROAD_{name.upper()}": ""}
    assert getattr(load(flags, environment, {name: value}), name) == value


def test_a_secret_is_not_shown(folder):
    """What is printed of the settings, in a log or a traceback, has no secret in it."""
    for name in ("SECRET_KEY", "RELAY_PASSWORD"):
        assert "canary" not in repr(load({}, {f"POSTROAD_{name}": "canary"}, {}))


def test_the_defaults_are_the_tables(folder):
    """Where nobody says anything the table's defaults hold, and the hostname is this machine's."""
    assert load({}, {}, {}) == Settings(hostname="machine.example")


def test_the_sandbox_has_defaults_of_its_own(folder):
    """`dev` captures, with a floor of 64 MiB, and asks nobody for a name."""
    settings = load({}, {}, SANDBOX)
    assert (settings.relay, settings.free_floor) == (CAPTURE, 64 << 20)
    assert settings.hostname == "localhost.example.test"
    assert settings.smart_hosts == ()


def test_a_given_hostname_costs_no_question(monkeypatch, folder):
    """The network is asked for this machine's name only when nobody gave one."""
    monkeypatch.setattr(socket, "getfqdn", None)
    assert load({}, {"POSTROAD_HOSTNAME": "mx.example"}, {}).hostname == "mx.example"


def test_the_file_is_in_the_data_folder(folder):
    """postroad.toml is read from the data folder, wherever flag or variable put it."""
    for name in ("one", "two", "postroad-data"):
        (folder / name).mkdir()
        (folder / name / "postroad.toml").write_text(toml(hostname=f"{name}.example"))
    assert load({"data": "one"}, {"POSTROAD_DATA": "two"}, {}).hostname == "one.example"
    assert load({}, {"POSTROAD_DATA": "two"}, {}).hostname == "two.example"
    assert load({}, {}, {}).hostname == "postroad-data.example"


def test_a_named_file_takes_the_place_of_the_folders(folder):
    """With --config the file in the data folder is not read."""
    (folder / "one").mkdir()
    (folder / "one" / "postroad.toml").write_text(toml(hostname="one.example"))
    (folder / "two.toml").write_text(toml(relay=CAPTURE))
    settings = load({"data": "one", "config": "two.toml"}, {}, {})
    assert (settings.hostname, settings.relay) == ("machine.example", CAPTURE)


def test_settings_do_not_change(folder):
    """Settings are a value."""
    with pytest.raises(FrozenInstanceError):
        load({}, {}, {}).data = "elsewhere"


def test_foreign_variables_are_not_read(folder):
    """Of the environment only POSTROAD_ and a setting's name count."""
    assert load({}, {"DATA": "x", "POSTROAD_X": "y", "postroad_data": "z"}, {}) == load({}, {}, {})


LIMIT = "Distinct recipients of one message. Gmail: 500 a day, 100 by API."
STOP = "How long a stop waits for requests and mail transactions under way."
BCC = "A mail transaction for each Bcc recipient (single), or one for all (grouped)."
FROM_POLICY = "What becomes of a From that is not the account's own: rewrite (as Gmail) or refuse."
WRONG = {
    "a number in words": (
        {"max_recipients": "many"},
        f"max_recipients: Expected `int`, got `str`. {LIMIT}",
    ),
    "a fraction": (
        {"drain_seconds": "1.5"},
        f"drain_seconds: Expected `int`, got `str`. {STOP}",
    ),
    "no recipients": ({"max_recipients": "0"}, "max_recipients: 0 is too small, the least is 1"),
    "no sessions": ({"relay_sessions": "0"}, "relay_sessions: 0 is too small, the least is 1"),
    "a size below nothing": ({"max_message_size": "-1"}, "max_message_size: -1 is too small, the least is 1"),
    "a floor below nothing": ({"free_floor": "-1"}, "free_floor: -1 is too small, the least is 0"),
    "a wait below nothing": ({"drain_seconds": "-1"}, "drain_seconds: -1 is too small, the least is 0"),
    "another policy": ({"from_policy": "ignore"}, f"from_policy: Invalid enum value 'ignore'. {FROM_POLICY}"),
    "another way with Bcc": (
        {"bcc_transactions": "all"},
        f"bcc_transactions: Invalid enum value 'all'. {BCC}",
    ),
    "a database of another kind": (
        {"database": "mysql://x"},
        "database: it begins with postgresql://, or is left out for an SQLite file",
    ),
    "a public name without scheme": (
        {"public_url": "mail.example.org"},
        "public_url: 'mail.example.org' is not http://HOST or https://HOST",
    ),
    "a public URL of another kind": (
        {"public_url": "smtp://mail.example.org"},
        "public_url: 'smtp://mail.example.org' is not http://HOST or https://HOST",
    ),
    "a provider that does not know us": (
        {"oidc_issuer": "https://accounts.example.org"},
        "oidc_client_id: without it nobody can sign in at oidc_issuer",
    ),
    "a role without a server": (
        {"role": "relay"},
        "role: relay needs --database postgresql://...; one process has an SQLite file",
    ),
    "no port": ({"listen": "127.0.0.1"}, "listen: '127.0.0.1' is not HOST:PORT"),
    "no host": ({"listen": ":8587"}, "listen: ':8587' is not HOST:PORT"),
    "a port out of range": ({"listen": "127.0.0.1:65536"}, "listen: '127.0.0.1:65536' is not HOST:PORT"),
    "a port in words": ({"listen": "127.0.0.1:http"}, "listen: '127.0.0.1:http' is not HOST:PORT"),
    "a URL": ({"listen": "http://127.0.0.1:8587"}, "listen: 'http://127.0.0.1:8587' is not HOST:PORT"),
    "a path": ({"listen": "127.0.0.1:8587/x"}, "listen: '127.0.0.1:8587/x' is not HOST:PORT"),
    "IPv6 without brackets": ({"listen": "::1:8587"}, "listen: '::1:8587' is not HOST:PORT"),
    "a bracket too few": ({"listen": "[::1:8587"}, "listen: '[::1:8587' is not HOST:PORT"),
    "no file": ({"config": "none.toml"}, "config: there is no file none.toml"),
}


@pytest.mark.parametrize(("flags", "text"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused_by_name(folder, flags, text):
    """The error names the setting and what would do."""
    with pytest.raises(SettingError) as refused:
        load(flags, {}, {})
    assert str(refused.value) == text


FILES = {
    "an unknown key": ('colour = "red"\n', "file.toml: unknown setting 'colour'"),
    "no TOML": (
        "relay: capture\n",
        "file.toml: Expected '=' after a key in a key/value pair (at line 1, column 6)",
    ),
    "no UTF-8": (b'relay = "\xff"\n', "file.toml: 'utf-8' codec can't decode byte 0xff in position 9"),
    "a number for a word": ("relay = 25\n", "relay: Expected `str`, got `int`"),
    "a list for a word": ('relay = ["a"]\n', "relay: Expected `str`, got `array`"),
    "a word for a number": ('max_recipients = "x"\n', "max_recipients: Expected `int`, got `str`"),
    "a date for a number": ("max_recipients = 2026-01-01\n", "max_recipients: Expected `int`, got `date`"),
}


@pytest.mark.parametrize(("content", "text"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_is_refused_by_name(folder, content, text):
    """The error names the file or the setting, and what is wrong with it."""
    (folder / "file.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingError) as refused:
        load({"config": "file.toml"}, {}, {})
    assert str(refused.value).startswith(text)


def test_a_folder_for_a_file_is_refused(folder):
    """A settings file that cannot be read is an error, not no file."""
    (folder / "postroad-data" / "postroad.toml").mkdir(parents=True)
    with pytest.raises(SettingError, match=r"postroad\.toml"):
        load({}, {}, {})


ADDRESSES = {
    "127.0.0.1:0": ("127.0.0.1", 0),
    "localhost:8587": ("localhost", 8587),
    "[::1]:8587": ("::1", 8587),
    "mx.example:65535": ("mx.example", 65535),
}


@pytest.mark.parametrize(("text", "address"), ADDRESSES.items())
def test_an_address_is_host_and_port(text, address):
    """HOST:PORT is split; an IPv6 address stands in brackets."""
    assert host_and_port("listen", text) == address


LOOPBACK = {
    "127.0.0.1:1": True,
    "127.9.9.9:1": True,
    "[::1]:1": True,
    "localhost:1": True,
    "0.0.0.0:1": False,
    "[::]:1": False,
    "192.0.2.1:1": False,
    "mx.example:1": False,
    "localhost.example:1": False,
}


@pytest.mark.parametrize(("listen", "loopback"), LOOPBACK.items())
def test_loopback_is_known(listen, loopback):
    """Only an address of this machine alone counts as loopback."""
    assert Settings(listen=listen).listens_on_loopback is loopback


SMART_HOSTS = {
    "smtp://mx.example:2525": [SmartHost("mx.example", 2525)],
    "smtp://mx.example": [SmartHost("mx.example", 25)],
    "smtp://mx.example/": [SmartHost("mx.example", 25)],
    "SMTP://mx.example": [SmartHost("mx.example", 25)],
    "smtp://[2001:db8::1]:25": [SmartHost("2001:db8::1", 25)],
    "smtps://mx.example": [SmartHost("mx.example", 465, implicit_tls=True)],
    "smtp://apikey@mx.example:587": [SmartHost("mx.example", 587, "apikey")],
    "smtp://me@a.example@mx.example": [SmartHost("mx.example", 25, "me@a.example")],
    "smtp://me%40a.example@mx.example": [SmartHost("mx.example", 25, "me@a.example")],
    "smtp://one.example, smtp://two.example:2525": [SmartHost("one.example", 25), SmartHost("two.example", 2525)],
    "smtp://one.example smtps://one.example": [
        SmartHost("one.example", 25),
        SmartHost("one.example", 465, implicit_tls=True),
    ],
    "capture": [],
    "mx": [],
}


@pytest.mark.parametrize(("relay", "hosts"), SMART_HOSTS.items())
def test_smart_hosts_are_hosts_and_ports(relay, hosts):
    """smtp://host:port names a smart host, smtps:// one with TLS from the start; several stand in their order."""
    assert list(Settings(relay=relay).smart_hosts) == hosts


def test_a_user_may_be_named_for_all_smart_hosts():
    """`relay_user` is whoever logs in where nobody is named."""
    hosts = Settings(relay="smtp://one.example,smtp://you@two.example", relay_user="me").smart_hosts
    assert [host.user for host in hosts] == ["me", "you"]


NEITHER = "relay: {!r} is neither capture, mx, smtp://host:port nor smtps://host:port"
NO_SMART_HOSTS = {
    "mx.example": NEITHER.format("mx.example"),
    "": "relay: a smart host is missing, or named twice",
    ",": "relay: a smart host is missing, or named twice",
    "smtp://a.example,smtp://a.example:25": "relay: a smart host is missing, or named twice",
    "http://user:secret@mx.example": NEITHER.format("mx.example"),
    "smtp://": "relay: '' is not HOST:PORT",
    "smtp://:25": "relay: ':25' is not HOST:PORT",
    "smtp://[::1": "relay: '[::1' is not HOST:PORT",
    "smtp://mx.example:x": "relay: 'mx.example:x' is not HOST:PORT",
    "smtp://user:secret@mx.example": "relay: a password stands in it, for all to see; give relay_password_file",
    "smtp://mx.example/path": "relay: 'mx.example/path' is not HOST:PORT",
    "smtp://mx.example?tls=1": "relay: 'mx.example?tls=1' is not HOST:PORT",
}


@pytest.mark.parametrize(("relay", "text"), NO_SMART_HOSTS.items())
def test_any_other_relay_is_refused(relay, text):
    """What is neither capture nor a smart host is refused, and a password in it is not repeated."""
    with pytest.raises(SettingError) as refused:
        _ = Settings(relay=relay).smart_hosts
    assert str(refused.value) == text


BY_SENDER = {
    "": {},
    "A.example=smtp://one.example": {"a.example": (SmartHost("one.example", 25),)},
    "a.example=smtp://one.example, b.example=smtps://me@two.example,a.example=smtp://two.example": {
        "a.example": (SmartHost("one.example", 25), SmartHost("two.example", 25)),
        "b.example": (SmartHost("two.example", 465, "me", implicit_tls=True),),
    },
}


@pytest.mark.parametrize(("text", "hosts"), BY_SENDER.items())
def test_senders_have_smart_hosts_by_their_domains(text, hosts):
    """`relay_by_sender` names smart hosts for a domain; named again, it has another one to turn to."""
    assert Settings(relay="mx", relay_by_sender=text).smart_hosts_by_sender == hosts


@pytest.mark.parametrize("text", ["smtp://one.example", ".a.example=smtp://x", "a.example=", "a.example=mx"])
def test_senders_without_a_smart_host_are_refused(text):
    """A domain and a smart host stand on both sides of the equals sign."""
    with pytest.raises(SettingError, match="relay_by_sender: "):
        _ = Settings(relay="mx", relay_by_sender=text).smart_hosts_by_sender


def test_captured_mail_has_no_smart_host():
    """Nothing leaves the machine then, whoever the sender is."""
    with pytest.raises(SettingError, match="relay capture"):
        _ = Settings(relay="capture", relay_by_sender="a.example=smtp://x").smart_hosts_by_sender


def test_a_name_server_is_an_address_and_a_port():
    """`dns` has port 53 where none stands; a name would have to be looked up itself."""
    assert Settings().name_server is None
    assert Settings(dns="127.0.0.1").name_server == ("127.0.0.1", 53)
    assert Settings(dns="[::1]:5353").name_server == ("::1", 5353)
    with pytest.raises(SettingError, match=r"dns: 'resolver[.]test' is no address"):
        _ = Settings(dns="resolver.test").name_server


def test_networks_that_are_allowed_stand_apart_by_commas():
    """Each a network without host bits; anything else is refused."""
    assert list(map(str, Settings(relay_networks="127.0.0.0/8, fd00::/8").allowed_networks)) == [
        "127.0.0.0/8",
        "fd00::/8",
    ]
    assert Settings().allowed_networks == ()
    with pytest.raises(SettingError, match=r"relay_networks: 127[.]0[.]0[.]1/8 has host bits set"):
        _ = Settings(relay_networks="127.0.0.1/8").allowed_networks


def test_host_names_stand_apart_by_commas():
    """`hosts` is a list of names, in any case of letters, with or without spaces."""
    assert Settings(hosts=" A.example,b.example, ,[::1] ").host_names == {"a.example", "b.example", "[::1]"}
    assert Settings().host_names == set()


def test_the_sandbox_knows_googles_names():
    """By default the sandbox alone answers to Google's names; a server does so only when told."""
    assert {"gmail.googleapis.com", "www.googleapis.com", "localhost"} <= load({}, {}, SANDBOX).host_names
    assert load({}, {}, {"hostname": "a.example"}).host_names == set()


TLS_DOMAINS = {
    "": set(),
    "example.com": {"example.com"},
    " Example.COM, .example.org,, xn--bcher-kva.example": {"example.com", ".example.org", "xn--bcher-kva.example"},
}


@pytest.mark.parametrize(("text", "domains"), TLS_DOMAINS.items())
def test_domains_may_require_tls(text, domains):
    """Apart by commas, in any case; a dot before one is all below it."""
    assert Settings(relay="mx", tls_required=text).tls_domains == domains


NO_TLS_DOMAINS = {
    "bücher.example": "mx",
    "*.example.com": "mx",
    "example.com.": "mx",
    "user@example.com": "mx",
    "https://example.com": "mx",
    "example.com": "smtp://mx.example",
}


@pytest.mark.parametrize(("text", "relay"), NO_TLS_DOMAINS.items())
def test_what_could_never_require_tls_is_refused(text, relay):
    """A domain that no mail is for, or any with a smart host: it would be plaintext that nobody expects."""
    with pytest.raises(SettingError, match=r"^tls_required: "):
        _ = Settings(relay=relay, tls_required=text).tls_domains
