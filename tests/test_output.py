"""What commands print: tables for people, JSON for scripts."""

import json
from copy import deepcopy

import pytest

from postroad import output
from postroad.settings import Settings

NOW = 1_790_000_000_000  # 2026-09-21 14:13:20 UTC


@pytest.fixture(autouse=True)
def _a_wide_terminal(monkeypatch):
    """Tables are as wide as they want to be, and without colours."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")


def account(address="alice@example.test", **more) -> dict:
    facts = {"account_id": 1, "address": address, "administrator": False, "captured": False, "disabled": False}
    return facts | {"aliases": []} | more


ACCOUNTS = [
    account(administrator=True),
    account("bob@example.test", aliases=["sales@example.test"]),
    account("carol@example.test", disabled=True),
    account("who@ever.example", captured=True),
]

FATE = {
    "forward_path": "bob@example.org",
    "state": "queued",
    "due_at": NOW + 60_000,
    "claimed": False,
    "in_doubt": False,
    "reply": None,
}
ATTEMPT = {
    "started_at": NOW,
    "ended_at": NOW + 1250,
    "host": "mx.example.org",
    "outcome": "delayed",
    "conversation": "> EHLO x\n< 450 4.2.0 Later",
    "after_in_doubt": False,
}
ENTRY = {
    "queue_id": "018f85d2eb6adb23",
    "accepted_at": NOW,
    "reverse_path": "alice@example.test",
    "recipients": [FATE],
    "attempts": [ATTEMPT],
}


def entry(fate=None, attempt=None, **more) -> dict:
    made = deepcopy(ENTRY) | more
    made["recipients"][0] |= fate or {}
    made["attempts"][0] |= attempt or {}
    return made


def reply(text, code=550, status="5.1.1") -> dict:
    return {"code": code, "status": status, "text": text}


def rows(capsys) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_accounts_are_a_table(capsys):
    """Each account is a row with its role and state, its aliases below its address."""
    output.accounts(ACCOUNTS, as_json=False)
    assert rows(capsys) == [
        "address role state",
        "alice@example.test administrator active",
        "bob@example.test account active",
        "sales@example.test",
        "carol@example.test account disabled",
        "who@ever.example captured mailbox active",
    ]


def test_no_account_is_said_with_what_to_do(capsys):
    """An empty list of accounts names the command that makes one."""
    output.accounts([], as_json=False)
    assert rows(capsys) == ["There is no account; `postroad account add ADDRESS` makes one."]


def test_json_is_the_value_itself(capsys):
    """As JSON everything is printed as it is, on one line, also when there is nothing."""
    for show, value in (
        (output.accounts, ACCOUNTS),
        (output.accounts, []),
        (output.queue, [ENTRY]),
        (output.queue, []),
        (output.entry, ENTRY),
    ):
        show(value, as_json=True)
        printed = capsys.readouterr().out
        assert printed.count("\n") == 1
        assert json.loads(printed) == value


STATES = {
    "waiting": ({}, "bob@example.org queued 2026-09-21 14:14:20"),
    "being tried": ({"claimed": True}, "bob@example.org being tried"),
    "in doubt": ({"in_doubt": True}, "bob@example.org queued (in doubt) 2026-09-21 14:14:20"),
    "tried in doubt": ({"claimed": True, "in_doubt": True}, "bob@example.org being tried (in doubt)"),
    "held": ({"state": "held", "reply": reply("Later", 450, "4.2.0")}, "bob@example.org held 450 4.2.0 Later"),
    "relayed": (
        {"state": "relayed", "reply": reply("Taken", 250, "2.0.0")},
        "bob@example.org relayed 250 2.0.0 Taken",
    ),
    "failed": (
        {"state": "failed", "reply": reply("No\nsuch user")},
        "bob@example.org failed 550 5.1.1 No such user",
    ),
    "a reply without a status": (
        {"state": "failed", "reply": reply("No", status=None)},
        "bob@example.org failed 550 No",
    ),
    "a reply without a text": ({"state": "failed", "reply": reply("")}, "bob@example.org failed 550 5.1.1"),
}


@pytest.mark.parametrize(("fate", "shown"), STATES.values(), ids=STATES)
def test_the_queue_is_a_table(capsys, fate, shown):
    """Each recipient is a row with its state, the next try where there is one, and the last reply."""
    output.queue([entry(fate)], as_json=False)
    assert rows(capsys) == [
        "queue id accepted from to state next try last reply",
        f"018f85d2eb6adb23 2026-09-21 14:13:20 alice@example.test {shown}",
    ]


def test_what_was_done_is_told_and_what_was_not(capsys):
    """A line for each recipient; those left with the reason; for scripts, one line of JSON."""
    answer = {"queue_id": "1f", "done": ["a@b.example"], "left": {"c@b.example": "already relayed"}}
    output.done("held:", answer, as_json=False)
    assert rows(capsys) == ["held: a@b.example", "left c@b.example: already relayed"]
    output.done("held:", answer, as_json=True)
    assert json.loads(capsys.readouterr().out) == answer


def test_an_empty_queue_is_said(capsys):
    """When nothing waits, that is said."""
    output.queue([], as_json=False)
    assert rows(capsys) == ["Nothing waits."]


def test_the_null_reverse_path_is_shown(capsys):
    """A report's empty reverse-path is <>."""
    output.queue([entry(reverse_path=None)], as_json=False)
    assert " <> " in rows(capsys)[1]


REPLIES = [
    "[red]blocked[/red]",
    "[/nobody] [/]",
    ":smile: [link=x]y[/link]",
    "[TSS04] see [1.2.3.4]",
    "\\[x] 100 %",
]


@pytest.mark.parametrize("text", REPLIES)
def test_a_servers_words_are_no_markup(capsys, text):
    """What another server said is shown to the letter, brackets and colons too."""
    shown = entry({"state": "failed", "reply": reply(text)}, {"conversation": f"< 550 {text}"})
    output.entry(shown, as_json=False)
    table, _, conversation = capsys.readouterr().out.partition("Attempt 1")
    assert text in table
    assert text in conversation


def test_a_narrow_terminal_breaks_no_identifier(capsys, monkeypatch):
    """However narrow the table, a queue id can be copied whole."""
    monkeypatch.setenv("COLUMNS", "70")
    output.queue([entry()], as_json=False)
    assert "018f85d2eb6adb23" in capsys.readouterr().out


HEADLINES = {
    "with a host": ({}, "Attempt 1, 2026-09-21 14:13:20, 1.2 s with mx.example.org: delayed"),
    "without a host": ({"host": ""}, "Attempt 1, 2026-09-21 14:13:20, 1.2 s: delayed"),
    "after a doubt": (
        {"after_in_doubt": True},
        "Attempt 1, 2026-09-21 14:13:20, 1.2 s with mx.example.org: delayed; an earlier attempt was in doubt",
    ),
}


@pytest.mark.parametrize(("attempt", "headline"), HEADLINES.values(), ids=HEADLINES)
def test_an_entry_shows_its_attempts(capsys, attempt, headline):
    """Below its recipients an entry has each attempt with its conversation."""
    output.entry(entry(attempt=attempt), as_json=False)
    assert rows(capsys)[2:] == ["", headline, "> EHLO x", "< 450 4.2.0 Later"]


def test_a_moment_is_in_utc():
    """Times are shown in UTC, to the second, and a century ahead."""
    assert output.moment(0) == "1970-01-01 00:00:00"
    assert output.moment(NOW + 999) == "2026-09-21 14:13:20"
    assert output.moment(4_945_673_600_000) == "2126-09-21 14:13:20"


def test_a_server_says_where_it_is(capsys):
    """The first line of a server has its address; the sandbox adds how to get a token, and its files."""
    output.ready(Settings(relay="smtp://mx.example", data="/d"), "http://127.0.0.1:1", sandbox=())
    assert capsys.readouterr().out.splitlines() == [
        "Postroad serves the Gmail API on http://127.0.0.1:1; mail is relayed to smtp://mx.example. Data: /d",
        "Ctrl-C stops.",
    ]
    output.ready(Settings(relay="capture", data="/my d"), "http://127.0.0.1:1", sandbox=("a.json", "b.json"))
    assert capsys.readouterr().out.splitlines() == [
        "Postroad serves the Gmail API on http://127.0.0.1:1; mail is captured in mailboxes here. Data: /my d",
        "A token:  postroad token alice@example.test --scope gmail.send --data '/my d'",
        "Google's files for alice@example.test, in '/my d': a.json, b.json",
        "Ctrl-C stops.",
    ]


CLIENT = {
    "client_id": "1-a.apps.googleusercontent.com",
    "kind": "installed",
    "name": "[red]CRM",
    "public": False,
    "redirect_uris": ["http://localhost", "http://127.0.0.1"],
    "created_at": NOW,
}
SERVICE_ACCOUNT = {
    "address": "robot@postroad.iam.gserviceaccount.com",
    "client_id": "2",
    "disabled": False,
    "scopes": ["openid", "https://www.googleapis.com/auth/gmail.send"],
    "keys": ["a1", "b2"],
}
CONSENT = {
    "client_id": "1-a.apps.googleusercontent.com",
    "name": "CRM",
    "scopes": ["openid"],
    "created_at": NOW,
    "changed_at": NOW + 60_000,
}
TABLES = {
    "clients": (
        output.clients,
        [CLIENT, CLIENT | {"public": True, "redirect_uris": []}],
        [
            "1-a.apps.googleusercontent.com",
            "name [red]CRM",
            "kind installed",
            "since 2026-09-21 14:13:20",
            "redirect URIs http://localhost",
            "http://127.0.0.1",
            "",
            "1-a.apps.googleusercontent.com",
            "name [red]CRM",
            "kind installed, public",
            "since 2026-09-21 14:13:20",
            "redirect URIs",
            "",
        ],
    ),
    "service accounts": (
        output.service_accounts,
        [SERVICE_ACCOUNT, SERVICE_ACCOUNT | {"disabled": True, "scopes": [], "keys": []}],
        [
            "robot@postroad.iam.gserviceaccount.com",
            "state active",
            "acts for any account in openid",
            "gmail.send",
            "keys a1",
            "b2",
            "",
            "robot@postroad.iam.gserviceaccount.com",
            "state disabled",
            "acts for any account in nothing",
            "keys none",
            "",
        ],
    ),
    "grants": (
        output.grants,
        [CONSENT],
        [
            "1-a.apps.googleusercontent.com",
            "name CRM",
            "scopes openid",
            "since 2026-09-21 14:13:20",
            "changed 2026-09-21 14:14:20",
            "",
        ],
    ),
}


@pytest.mark.parametrize(("show", "found", "lines"), TABLES.values(), ids=TABLES)
def test_what_may_act_is_told_entry_by_entry(capsys, show, found, lines):
    """Clients, service accounts and consents for people, JSON for scripts, one line if there are none."""
    show(found, as_json=False)
    assert rows(capsys) == lines
    show(found, as_json=True)
    assert json.loads(capsys.readouterr().out) == found
    show([], as_json=False)
    assert len(rows(capsys)) == 1


def test_destinations_are_a_line_each_with_the_reason_below(capsys, monkeypatch):
    """Names are whole, as they are copied into commands; why one could not be reached is told after the table."""
    monkeypatch.setenv("COLUMNS", "80")
    reply = {"code": 451, "status": "4.4.1", "text": "connection refused"}
    one = {"destination": "department.of.some.example.edu", "waiting": 1200, "in_flight": 0}
    closed = one | {"state": "closed", "failures": 9, "next_try": 1_790_000_000_000, "reply": reply}
    output.destinations([closed], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [one["destination"], "closed", "(9)", "1200", "0", "2026-09-21", "14:13:20"]
    assert lines[3].startswith(f"{one['destination']} could not be reached: 451 4.4.1 ")
    output.commanded("suspended", {"destination": "b.test", "waiting": 1}, as_json=False)
    assert capsys.readouterr().out == "suspended b.test; 1 recipient waiting for it\n"
