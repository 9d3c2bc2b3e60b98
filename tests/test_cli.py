"""The command line: parse, call, print; exit codes 0, 1 and 2, and one clear line on stderr."""

import json
import os
import re
import socket
import sys
from dataclasses import fields

import click
import pytest

from postroad import cli, control, logs
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
    ("backup",): set(),
    ("migrate",): set(),
    ("account", "add"): {"--admin"},
    ("account", "list"): {"--json"},
    ("account", "disable"): set(),
    ("account", "alias", "add"): set(),
    ("account", "alias", "remove"): set(),
    ("queue", "list"): {"--all", "--limit", "--json"},
    ("queue", "show"): {"--json"},
    ("queue", "retry"): {"--recipient", "--json"},
    ("queue", "hold"): {"--recipient", "--json"},
    ("queue", "release"): {"--recipient", "--json"},
    ("queue", "cancel"): {"--recipient", "--report", "--json"},
}
EVERY_SETTING = {f"--{one.name.replace('_', '-')}" for one in fields(Settings)}


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
    "no such folder": (("queue", "list", "--data", "none"), "data: there is no folder none"),
    "no time": (
        ("token", "a@b.example", "-s", "gmail.send", "--expires", "soon"),
        "'soon' is not a time as 90s, 15m",
    ),
    "no number": (("queue", "list", "--limit", "x"), "'x' is not a valid integer"),
    "a number out of range": (("queue", "list", "--limit", "0"), "0 is not in the range 1<=x<=10000"),
    "no relay": (("serve",), "relay: say where mail goes, as --relay smtp://host:port, or --relay capture"),
    "a relay of another kind": (
        ("serve", "--relay", "mx.example"),
        "relay: 'mx.example' is neither capture nor smtp://host:port",
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
    monkeypatch.setattr("postroad.app.clock", lambda: 1000)
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
    with control.lock(tmp_path):
        pass
