"""The command line: parse, call, print; exit codes 0, 1 and 2, and one clear line on stderr."""

import contextlib
import io
import json
import os
import re
import socket
import stat
import sys
from dataclasses import fields

import click
import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from postroad import cli, logs
from postroad.control.folder import lock
from postroad.database.engine import Database
from postroad.database.schema import upstream_identity
from postroad.oauth import accounts, passwords, service_accounts
from postroad.settings import Settings
from tests.running import running


@pytest.fixture
def postroad(monkeypatch, capsys):
    """Runs a command in this process: its exit code, stdout and stderr."""
    for name in [name for name in os.environ if name.startswith("POSTROAD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(logs, "to_stderr", lambda: None)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["postroad", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def here(postroad, tmp_path):
    """As `postroad`, in a data folder with Alice's account; what goes well gives its output alone."""
    data = ("--data", str(tmp_path))

    def run(*words: str) -> str:
        code, out, err = postroad(*words, *data)
        assert (code, err) == (0, "")
        return out

    run("account", "add", "alice@example.test")
    return run


def commands(group: click.Group, *words: str):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield (*words, name), command


COMMANDS = dict(commands(cli.cli))
FLAGS = {
    ("token",): {"--scope", "-s", "--expires", "--json"},
    ("credentials",): {"--scope", "-s", "--client", "--out", "--public-url"},
    ("backup",): set(),
    ("migrate",): set(),
    ("account", "add"): {"--admin", "--password", "--password-stdin"},
    ("account", "password"): {"--password-stdin"},
    ("account", "list"): {"--json"},
    ("account", "disable"): set(),
    ("account", "enable"): set(),
    ("account", "grants"): {"--json"},
    ("account", "revoke"): {"--client"},
    ("account", "unlink"): set(),
    ("account", "alias", "add"): set(),
    ("account", "alias", "remove"): set(),
    ("client", "add"): {"--kind", "--redirect-uri", "--public", "--out", "--public-url"},
    ("client", "list"): {"--json"},
    ("client", "remove"): set(),
    ("service-account", "add"): {"--scope", "-s", "--out", "--public-url"},
    ("service-account", "list"): {"--json"},
    ("service-account", "delegate"): {"--scope", "-s"},
    ("service-account", "remove"): set(),
    ("service-account", "key", "add"): {"--out", "--public-url"},
    ("service-account", "key", "remove"): set(),
    ("domain", "add"): {"--address", "--include", "--json", "--hostname", "--secret-key-file"},
    ("domain", "list"): {"--json"},
    ("domain", "check"): {"--address", "--include", "--json", "--hostname", "--dns"},
    ("domain", "rotate"): {"--days", "--json", "--secret-key-file"},
    ("domain", "remove"): set(),
    ("queue", "list"): {"--all", "--limit", "--json"},
    ("queue", "show"): {"--json"},
    ("queue", "retry"): {"--recipient", "--json"},
    ("queue", "hold"): {"--recipient", "--json"},
    ("queue", "release"): {"--recipient", "--json"},
    ("queue", "cancel"): {"--recipient", "--report", "--json"},
    ("queue", "destinations"): {"--limit", "--json"},
    ("queue", "suspend"): {"--json"},
    ("queue", "resume"): {"--json"},
}
EVERY_SETTING = {f"--{one.name.replace('_', '-')}" for one in fields(Settings) if one.metadata["flag"]}


def test_the_commands_are_known():
    """There are these commands and no others."""
    assert COMMANDS.keys() == {*FLAGS, ("dev",), ("serve",)}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_names_every_flag(postroad, words):
    """The help of each command names all of its flags, and says what each is for."""
    code, out, err = postroad(*words, "--help")
    assert (code, err) == (0, "")
    flags = {name for parameter in COMMANDS[words].params for name in parameter.opts if name.startswith("-")}
    assert flags == {"--config", "--data", "--database"} | FLAGS.get(words, EVERY_SETTING)
    for flag in flags:
        assert re.search(rf"(?m)^  (-\w, )?{flag}(,| |$)", out), flag
    assert all(parameter.help for parameter in COMMANDS[words].params if isinstance(parameter, click.Option))


@pytest.mark.parametrize("words", ["dev", "serve"])
def test_help_names_every_default(postroad, words):
    """The help of a server shows each setting's default, as the table has it."""
    out = " ".join(postroad(words, "--help")[1].split())
    assert all(f"[default: {one.default}]" in out for one in fields(Settings) if one.default)


def test_help_and_version_need_no_database(postroad):
    """Help and version are told by the command alone."""
    assert "Commands:" in postroad("--help")[1]
    assert "Commands:" in postroad("-h")[1]
    assert re.fullmatch(r".+, version [0-9.]+\n", postroad("--version")[1])


CURE = "give --tls-cert and --tls-key, or name the proxies that end TLS with --behind-proxy"
USAGE = {
    "an unknown command": (("send",), "No such command 'send'; see postroad --help"),
    "an unknown flag": (
        ("queue", "list", "--colour"),
        "No such option '--colour'; see postroad queue list",
    ),
    "an unknown subcommand": (("queue", "drop"), "No such command 'drop'; see"),
    "no address": (("account", "add"), "Missing argument 'ADDRESS'; see"),
    "no scope": (("token", "alice@example.test"), "Missing option '--scope' / '-s'; see"),
    "an unknown scope": (("token", "a@b.example", "-s", "gmail.sen"), "unknown scope 'gmail.sen'; known are "),
    "no address at all": (("account", "add", "eve"), "'eve': no @ in the address"),
    "a client of another kind": (
        ("client", "add", "CRM", "--kind", "native"),
        "'native' is not one of 'installed'",
    ),
    "a service account without a file": (("service-account", "add", "robot"), "Missing option '--out'; see"),
    "a client file that is none": (
        ("credentials", "a@b.example", "-s", "gmail.send", "--client", "none.json", "--out", "x"),
        "none.json is no client_secret.json: FileNotFoundError",
    ),
    "no such folder": (("queue", "list", "--data", "none"), "data: there is no folder none"),
    "no time": (
        ("token", "a@b.example", "-s", "gmail.send", "--expires", "soon"),
        "'soon' is not a time as 90s, 15m",
    ),
    "no number": (("queue", "list", "--limit", "x"), "'x' is not a valid integer"),
    "a number out of range": (("queue", "list", "--limit", "0"), "0 is not in the range 1<=x<=10000"),
    "no relay": (
        ("serve",),
        "relay: say where mail goes, as --relay mx, --relay smtp://host:port, or --relay capture",
    ),
    "a relay of another kind": (
        ("serve", "--relay", "mx.example"),
        "relay: 'mx.example' is neither capture, mx, smtp://host:port nor smtps://host:port",
    ),
    "an address that is none": (("dev", "--listen", "x"), "listen: 'x' is not HOST:PORT"),
    "a certificate without a key": (("dev", "--tls-cert", "x"), "tls_cert, tls_key: give both or neither"),
    "a number in words": (("dev", "--relay-sessions", "x"), "relay_sessions: Expected `int`, got `str`."),
    "a settings file that is not there": (("dev", "--config", "none.toml"), "config: there is no file none.toml"),
    "a database of another kind": (("dev", "--database", "mysql://x"), "database: it begins with postgresql://"),
    "a role without a server": (("dev", "--role", "web"), "role: web needs --database postgresql://"),
    "the open network without TLS": (
        ("dev", "--listen", "0.0.0.0:0"),
        f"listen: 0.0.0.0:0 is not a loopback address and there is no TLS; {CURE}",
    ),
    "all of IPv6 without TLS": (
        ("serve", "--relay", "capture", "--listen", "[::]:0"),
        f"listen: [::]:0 is not a loopback address and there is no TLS; {CURE}",
    ),
}


def test_no_command_shows_the_help(postroad):
    """Without a command, the commands are listed."""
    code, _, err = postroad()
    assert code == 2
    assert "Commands:" in err


@pytest.mark.parametrize(("words", "text"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_exit_2_and_a_clear_line(postroad, tmp_path, monkeypatch, words, text):
    """What cannot be meant is refused with exit code 2, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    code, out, err = postroad(*words)
    assert (code, out) == (2, "")
    assert text in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


REFUSED = {
    "an unknown account": (
        ("token", "eve@example.test", "-s", "gmail.send"),
        "there is no account eve@example.test; `postroad account add eve@example.test` makes one",
    ),
    "an account that is there": (
        ("account", "add", "Alice@example.test"),
        "there is an account alice@example.test already",
    ),
    "nobody to enable": (("account", "enable", "eve@example.test"), "there is no account eve@example.test"),
    "nobody to revoke from": (("account", "revoke", "eve@example.test"), "there is no account eve@example.test"),
    "nothing to revoke": (
        ("account", "revoke", "alice@example.test", "--client", "1-a"),
        "alice@example.test allows nothing to 1-a",
    ),
    "an unknown client": (("client", "remove", "1-a"), "there is no client 1-a"),
    "a client for a server that never ran": (
        ("client", "add", "CRM"),
        "no server has run on this data yet: say with --public-url where clients will reach it",
    ),
    "a web client that goes nowhere": (
        ("client", "add", "CRM", "--kind", "web", "--public-url", "https://mail.example.org"),
        "a web client needs a redirect URI",
    ),
    "an unknown service account": (("service-account", "remove", "robot"), "there is no service account robot@"),
    "a service account's bad name": (("service-account", "delegate", "Robot"), "'Robot' is no name: "),
    "nobody to disable": (("account", "disable", "eve@example.test"), "there is no account eve@example.test"),
    "an unknown entry": (("queue", "show", "1f"), "there is no queue entry 1f"),
    "nothing to hold": (("queue", "hold", "1f"), "cannot hold 1f: there is no such queue entry"),
    "nothing to cancel": (("queue", "cancel", "x y"), "cannot cancel x y: there is no such queue entry"),
    "no life": (
        ("token", "alice@example.test", "-s", "gmail.send", "--expires", "0s"),
        "a token lives between 1 and 3153600000 seconds, not 0",
    ),
}


@pytest.mark.parametrize(("words", "text"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_exit_1_and_one_line(here, postroad, tmp_path, words, text):
    """What is refused is told in one line on stderr, with exit code 1."""
    code, out, err = postroad(*words, "--data", str(tmp_path))
    assert (code, out) == (1, "")
    assert err.startswith(f"postroad: {text}")
    assert err.count("\n") == 1


def test_a_damaged_file_is_told(postroad, tmp_path):
    """A database that is none is refused in one line."""
    (tmp_path / "postroad.sqlite3").write_bytes(b"no database at all" * 100)
    code, out, err = postroad("account", "list", "--data", str(tmp_path))
    assert (code, out) == (1, "")
    assert "is damaged" in err
    assert err.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_told(postroad, tmp_path):
    """A data folder below a file is refused in one line."""
    (tmp_path / "file").touch()
    code, out, err = postroad("account", "list", "--data", str(tmp_path / "file"))
    assert (code, out) == (2, "")
    assert "Not a directory" in err
    assert err.count("\n") == 1


def test_a_token_is_printed_alone(here):
    """A token is all that is printed, so that a script can take it."""
    assert re.fullmatch(r"ya29\.\S{43}\n", here("token", "alice@example.test", "-s", "gmail.send"))


@pytest.mark.parametrize(
    ("life", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000)]
)
def test_a_token_lives_as_long_as_was_asked(here, life, seconds, monkeypatch):
    """Lives are in seconds, minutes, hours or days; scopes short or whole."""
    monkeypatch.setattr("postroad.cli.options.clock", lambda: 1000)
    scopes = ("--scope", "gmail.send", "--scope", "https://mail.google.com/")
    issued = json.loads(here("token", "ALICE@example.test", *scopes, "--expires", life, "--json"))
    assert issued == {
        "token": issued["token"],
        "address": "alice@example.test",
        "scopes": ["https://mail.google.com/", "https://www.googleapis.com/auth/gmail.send"],
        "expires_at": 1000 + seconds * 1000,
    }


def test_accounts_are_made_listed_and_disabled(here):
    """What one command does the next one shows; `--json` parses."""
    assert here("account", "add", "Bob@Example.Test", "--admin") == "made the account bob@example.test\n"
    assert here("account", "disable", "alice@example.test") == "disabled the account alice@example.test\n"
    listed = json.loads(here("account", "list", "--json"))
    assert [(one["address"], one["administrator"], one["disabled"]) for one in listed] == [
        ("alice@example.test", False, True),
        ("bob@example.test", True, False),
    ]
    assert "administrator" in here("account", "list")


URL = ("--public-url", "https://mail.example.org/")
ROBOT = "robot@postroad.iam.gserviceaccount.com"
SEND_SCOPE = "https://www.googleapis.com/auth/gmail.send"


def mode_of(file):
    return stat.S_IMODE(file.stat().st_mode)


def test_a_client_is_registered_listed_and_removed(here, tmp_path):
    """Its file is Google's, with our addresses and its secret, which is told nowhere else."""
    out = tmp_path / "client_secret.json"
    said = here("client", "add", "My CRM", "--out", str(out), *URL)
    ((kind, file),) = json.loads(out.read_text()).items()
    assert (kind, mode_of(out)) == ("installed", 0o600)
    assert said == f"registered the client {file['client_id']}; its client_secret.json: {out}\n"
    assert file["redirect_uris"][0] == "http://localhost"
    assert file["auth_uri"] == "https://mail.example.org/o/oauth2/auth"
    assert file["token_uri"] == "https://mail.example.org/token"
    listed = here("client", "list", "--json")
    assert [one["client_id"] for one in json.loads(listed)] == [file["client_id"]]
    assert file["client_secret"] not in listed
    assert here("client", "remove", file["client_id"]) == f"removed the client {file['client_id']} (My CRM)\n"
    assert json.loads(here("client", "list", "--json")) == []


def test_a_client_of_the_web_is_printed(here):
    """Without --out the file alone is on standard output; a public client's secret is empty."""
    words = ("--kind", "web", "--redirect-uri", "https://crm.example.org/back", "--public")
    file = json.loads(here("client", "add", "CRM", *words, *URL))["web"]
    assert (file["redirect_uris"], file["client_secret"]) == (["https://crm.example.org/back"], "")


def test_a_service_account_has_keys_and_delegated_scopes(here, tmp_path):
    """Each key file holds a private key whose public half is known here; scopes are those named last."""
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    said = here("service-account", "add", "robot", "--scope", "gmail.send", "--out", str(first), *URL)
    assert said == f"made the service account {ROBOT}; its key: {first}\n"
    here("service-account", "key", "add", ROBOT, "--out", str(second), *URL)
    files = [json.loads(file.read_text()) for file in (first, second)]
    assert {file["client_email"] for file in files} == {ROBOT}
    assert files[0]["token_uri"] == "https://mail.example.org/token"
    assert (mode_of(first), mode_of(second)) == (0o600, 0o600)
    with contextlib.closing(Database(tmp_path, floor=0)) as database:
        owner = database.submit(lambda connection: service_accounts.named(connection, ROBOT)).result()
    kept = {key.key_id: key.pem for key in owner.keys}
    for file in files:
        public = load_pem_private_key(file["private_key"].encode(), None).public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        assert kept[file["private_key_id"]] == pem
    here("service-account", "key", "remove", "robot", files[0]["private_key_id"])
    (listed,) = json.loads(here("service-account", "list", "--json"))
    assert (listed["keys"], listed["scopes"]) == ([files[1]["private_key_id"]], [SEND_SCOPE])
    said = here("service-account", "delegate", "robot", "-s", "openid", "-s", "email")
    assert said == f"{ROBOT} may act for any account in email, openid\n"
    assert here("service-account", "delegate", "robot") == f"{ROBOT} may act for nobody\n"
    assert here("service-account", "remove", "robot") == f"removed the service account {ROBOT}\n"
    assert here("service-account", "list").startswith("There is no service account")


def test_credentials_are_a_consent_until_it_is_revoked(here, tmp_path):
    """What `credentials` writes is listed as a grant, of its own client or a given one, and ends by revoke."""
    client, own, given = (tmp_path / name for name in ("client.json", "own.json", "given.json"))
    here("client", "add", "CRM", "--out", str(client), *URL)
    words = ("credentials", "alice@example.test", "--scope", "gmail.send")
    here(*words, "--out", str(own), *URL)
    here(*words, "--client", str(client), "--out", str(given), *URL)
    crm = json.loads(client.read_text())["installed"]
    files = [json.loads(file.read_text()) for file in (own, given)]
    assert {file["type"] for file in files} == {"authorized_user"}
    assert [file["account"] for file in files] == ["alice@example.test"] * 2
    assert (files[1]["client_id"], files[1]["client_secret"]) == (crm["client_id"], crm["client_secret"])
    assert files[0]["client_id"] != crm["client_id"]
    assert mode_of(own) == 0o600
    grants = json.loads(here("account", "grants", "alice@example.test", "--json"))
    assert [(one["client_id"], one["name"], one["scopes"]) for one in grants] == [
        (files[1]["client_id"], "CRM", [SEND_SCOPE]),
        (files[0]["client_id"], "Credentials of alice@example.test", [SEND_SCOPE]),
    ]
    said = here("account", "revoke", "alice@example.test", "--client", crm["client_id"])
    assert said == f"revoked for alice@example.test: {crm['client_id']}\n"
    assert here("account", "revoke", "alice@example.test").endswith("; its tokens have ended\n")
    assert here("account", "grants", "alice@example.test") == "No client has a consent.\n"


def test_the_database_holds_no_secret(here, tmp_path):
    """What commands tell once, tokens and the private half of a key too, is not in the files of the database."""
    client = json.loads(here("client", "add", "CRM", *URL))["installed"]
    user = json.loads(here("credentials", "alice@example.test", "-s", "gmail.send", "--out", "-", *URL))
    key_file = json.loads(here("service-account", "add", "robot", "--out", "-", *URL))
    token = here("token", "alice@example.test", "-s", "gmail.send").strip()
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("postroad.sqlite3*"))
    assert client["client_id"].encode() in kept
    _, *lines, _ = key_file["private_key"].splitlines()
    for secret in (client["client_secret"], user["client_secret"], user["refresh_token"], token, *lines):
        assert secret.encode() not in kept


def test_a_secret_is_not_made_for_a_place_that_cannot_hold_it(here, postroad, tmp_path):
    """A file that is there is neither overwritten nor a reason to make anything; what fails leaves no file."""
    out, data = tmp_path / "there.json", ("--data", str(tmp_path))
    out.write_text("precious")
    code, _, err = postroad("client", "add", "CRM", "--out", str(out), *URL, *data)
    assert (code, err) == (1, f"postroad: [Errno 17] File exists: '{out}'\n")
    assert out.read_text() == "precious"
    code, _, _ = postroad("service-account", "add", "Robot", "--out", str(tmp_path / "new.json"), *URL, *data)
    assert code == 1
    assert not (tmp_path / "new.json").exists()
    assert json.loads(here("client", "list", "--json")) == []


def test_a_secret_that_is_not_the_clients_is_refused(here, postroad, tmp_path):
    """A file whose client has another secret, or is unknown, gives no credentials."""
    client = tmp_path / "client.json"
    here("client", "add", "CRM", "--out", str(client), *URL)
    file = json.loads(client.read_text())["installed"]
    words = ("credentials", "alice@example.test", "-s", "gmail.send", "--client", str(client), "--out", "-", *URL)
    for wrong, why in (
        ({"client_secret": "GOCSPX-x"}, "the secret in the file is not that of the client"),
        ({"client_id": "1-a"}, "there is no client 1-a"),
    ):
        client.write_text(json.dumps({"installed": file | wrong}))
        code, out, err = postroad(*words, "--data", str(tmp_path))
        assert (code, out) == (1, "")
        assert err.startswith(f"postroad: {why}")


def test_a_password_comes_from_standard_input_or_a_prompt(here, postroad, tmp_path, monkeypatch):
    """A line of standard input is the password; a prompt asks twice; a weak one is refused and nothing is made."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\nanother line"))
    here("account", "add", "bob@example.test", "--password-stdin")
    asked = ["account", "password", "alice@example.test", "--data", str(tmp_path)]
    prompted = CliRunner().invoke(cli.cli, asked, input="battery staple\nbattery staple\n")
    assert prompted.output.endswith("set the password of alice@example.test\n")
    assert "battery" not in prompted.output
    with contextlib.closing(Database(tmp_path, floor=0)) as database:
        for address, password in (("bob@example.test", "correct horse"), ("alice@example.test", "battery staple")):
            owner = database.submit(lambda connection, key=address: accounts.find(connection, key)).result()
            kept = database.submit(lambda connection, n=owner.account_id: passwords.of(connection, n)).result()
            assert PasswordHasher().verify(kept, password)
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    refused = postroad("account", "add", "carol@example.test", "--password-stdin", "--data", str(tmp_path))
    assert refused == (1, "", "postroad: a password has at least 8 characters\n")
    assert "carol" not in here("account", "list")


def test_an_identity_at_the_provider_can_be_forgotten(here, tmp_path):
    """Afterwards somebody else who has that address there may sign in."""
    with contextlib.closing(Database(tmp_path, floor=0)) as database:
        identity = {"issuer": "https://id.test", "subject": "7", "account_id": 1, "created_at": 0}
        database.submit(
            lambda connection: connection.execute(upstream_identity.insert().values(identity))
        ).result()
    told = "forgot {} of alice@example.test's identities at the provider\n"
    assert here("account", "unlink", "alice@example.test") == told.format(1)
    assert here("account", "unlink", "alice@example.test") == told.format(0)


def test_a_disabled_account_can_be_enabled(here):
    """What was disabled is active again."""
    here("account", "disable", "alice@example.test")
    assert here("account", "enable", "alice@example.test") == "enabled the account alice@example.test\n"
    assert [one["disabled"] for one in json.loads(here("account", "list", "--json"))] == [False]


def test_an_empty_queue_is_an_empty_list(here):
    """The queue of a new folder is empty, for people and for scripts."""
    assert json.loads(here("queue", "list", "--json")) == []
    assert here("queue", "list", "--all") == "Nothing waits.\n"


def test_a_disabled_account_gets_no_token(here, postroad, tmp_path):
    """No token is issued for an account that is refused everywhere."""
    here("account", "disable", "alice@example.test")
    code, _, err = postroad("token", "alice@example.test", "-s", "gmail.send", "--data", str(tmp_path))
    assert (code, err) == (1, "postroad: the account alice@example.test is disabled\n")


def test_the_data_folder_comes_from_the_environment_too(postroad, tmp_path, monkeypatch):
    """POSTROAD_DATA names the folder where no flag does."""
    monkeypatch.setenv("POSTROAD_DATA", str(tmp_path / "there"))
    assert postroad("account", "add", "a@b.example")[0] == 0
    assert (tmp_path / "there" / "postroad.sqlite3").exists()


def test_commands_work_beside_a_server_and_a_second_server_does_not(postroad, tmp_path):
    """Beside a running server orders take effect at once; another server on the folder is refused with exit 1."""
    data = ("--data", str(tmp_path))
    with running(tmp_path) as server:
        code, out, err = postroad("serve", "--relay", "capture", "--listen", "127.0.0.1:0", *data)
        assert (code, out) == (1, "")
        assert err == (
            f"postroad: {tmp_path} is in use by process {server.process.pid}; "
            "stop it first, or name another --data\n"
        )
        token = postroad("token", "alice@example.test", "-s", "gmail.send", *data)[1].strip()
        sent = server.send(b"To: bob@example.org\r\n\r\nHello.\r\n", token)
        assert sent.code == 200
        server.drained()
        (entry,) = json.loads(postroad("queue", "list", "--all", "--json", *data)[1])
        shown = json.loads(postroad("queue", "show", entry["queue_id"], "--json", *data)[1])
        assert shown == entry | {"attempts": shown["attempts"]}
        assert entry["queue_id"] in postroad("queue", "show", entry["queue_id"].upper(), *data)[1]
        refused = postroad("queue", "retry", entry["queue_id"], *data)
        assert refused == (
            1,
            "",
            f"postroad: cannot retry {entry['queue_id']}: bob@example.org is already relayed\n",
        )
        postroad("account", "disable", "alice@example.test", *data)
        assert token not in server.log
    assert postroad("account", "list", *data)[0] == 0


def test_an_address_in_use_is_told(postroad, tmp_path):
    """A server whose address is taken ends with exit 1 and a line that names the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, out, err = postroad("dev", "--listen", address, "--data", str(tmp_path))
    assert code == 1
    assert err == f"postroad: listen: {address}: Address already in use\n"
    assert "serves the Gmail API" not in out
    with lock(tmp_path):
        pass
