"""The mail log: every event is one line, whose fields have their order."""

import contextlib
import inspect
import io
import json

import pytest
import structlog

from postroad import logs, maillog, refusals
from postroad.mail.reply import Reply

OK = Reply(250, "2.0.0", "Ok")
EVENTS = {
    "accepted": ((255, "a@a.test", 700, 3, 0.1), "info queue_id account size recipients accepted"),
    "refused": ((refusals.RawMissing(), "/gmail"), "info why answer path refused"),
    "denied": (("invalid_grant", "expired", "/token"), "info why answer path denied"),
    "signed_in": (("a@a.test", "127.0.0.1"), "info account peer signed in"),
    "consented": (("a@a.test", "client", "gmail.send"), "info account client_id scopes consented"),
    "attempted": ((255, "b@b.test", "queued", OK), "info queue_id recipient reply delayed"),
    "secured": ((255, "mx.b.test", None, "plaintext"), "info queue_id host tls assurance secured"),
    "login_failed": (("mx.b.test", "535"), "error host cause login failed"),
    "session": (("mx.b.test", "sts", "failure", "late"), "info host policy result cause not secured"),
    "policy_missed": (("b.test", "sts-failure", "late"), "info domain result cause no policy"),
    "reported": ((255, "failed"), "info queue_id about reported"),
    "pruned": (("messages", 12), "info what rows pruned"),
    "lost_lease": ((255,), "warning queue_id lost lease"),
    "broke_down": ((ValueError("bad"),), "error broke down"),
    "storage_failed": (("full",), "critical cause storage failed"),
    "machine_failed": (("clock", "set back"), "error what cause machine failed"),
    "serving": (("http://127.0.0.1",), "info address serving"),
    "stopping": (("drain",), "info step stopping"),
}


@pytest.fixture
def written(monkeypatch):
    """The mail log's lines; structlog is as before afterwards."""
    monkeypatch.setattr(maillog, "_log", structlog.get_logger("postroad"))
    with contextlib.redirect_stderr(io.StringIO()) as stream:
        logs.to_stderr()
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


@pytest.mark.parametrize(("name", "arguments", "shown"), [(name, *row) for name, row in EVENTS.items()])
def test_an_event_is_one_line(written, name, arguments, shown):
    """Its own fields first, in their order, then event, level and time."""
    getattr(maillog, name)(*arguments)
    (line,) = written()
    level, *words = shown.split()
    own = [field for field in line if field not in {"event", "level", "timestamp", "exception"}]
    assert list(line)[: len(own) + 3] == [*own, "event", "level", "timestamp"]
    assert [line["level"], *own, *line["event"].split()] == [level, *words]


def test_every_event_is_shown_above():
    """Each function of the mail log writes a line, but for one that only counts."""
    public = {name for name, _ in inspect.getmembers(maillog, inspect.isfunction) if not name.startswith("_")}
    assert public == EVENTS.keys() | {"tried"}


def test_a_queue_id_is_sixteen_digits(written):
    """As everywhere else that a queue id is shown."""
    maillog.lost_lease(255)
    assert written()[0]["queue_id"] == "00000000000000ff"


def test_what_breaks_down_shows_where(written):
    """The error that is handed over, not one at hand."""
    maillog.broke_down(ValueError("bad"))
    assert written()[0]["exception"].endswith("ValueError: bad")


def test_a_recipient_of_bcc_is_not_named(written):
    """Neither its address nor what was replied to it."""
    maillog.attempted(255, None, "relayed", Reply(250, "2.1.5", "for secret@b.test"))
    assert (written()[0]["recipient"], written()[0]["reply"]) == ("(Bcc)", "250 2.1.5")
