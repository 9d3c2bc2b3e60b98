"""What an operator may do to waiting mail, and what is refused with a clear line."""

import pytest
from sqlalchemy import func, select

from postroad.database.schema import queue_entry
from postroad.mail.outcome import Delayed, Failed, Relayed
from postroad.queue import commands, gates, store
from postroad.queue.commands import CANCELLED, COMMANDS, CannotError, Done, said_of
from postroad.queue.schedule import DAY
from tests.queue_kit import IDENTIFIERS, LATER, NEVER, NOW, OK, UNREACHED, accept, claim, paths, settled, table


@pytest.fixture
def connection(engine):
    """A connection that writes to an empty database."""
    with engine.connect() as opened, opened.begin():
        yield opened


def cancel(connection, queue_id, forward_path, now, report_as=None):
    return commands.cancel(connection, queue_id, forward_path, now, IDENTIFIERS, report_as)


EVERY = {**COMMANDS, "cancel": cancel}


def states(connection):
    return {row.forward_path: row.state for row in table(connection)}


def everything(connection):
    """An entry with a recipient in every state; the one that is being tried last."""
    queue_id = accept(
        connection, *((f"{name}@b.test",) for name in ("relayed", "failed", "held", "queued", "tried"))
    )
    by_path = {one.envelope.forward_paths[0]: one for one in claim(connection)}
    settled(connection, by_path["relayed@b.test"], Relayed(OK))
    settled(connection, by_path["failed@b.test"], Failed(NEVER))
    settled(connection, by_path["held@b.test"], Delayed(LATER))
    settled(connection, by_path["queued@b.test"], Delayed(LATER))
    commands.hold(connection, queue_id, "held@b.test", NOW)
    return queue_id


MATRIX = {
    # command, state before -> state after, or why not
    ("retry", "queued"): "queued",
    ("retry", "held"): "held@b.test is held",
    ("hold", "queued"): "held",
    ("hold", "held"): "held@b.test is held",
    ("release", "queued"): "queued@b.test is not held",
    ("release", "held"): "queued",
    ("cancel", "queued"): "failed",
    ("cancel", "held"): "failed",
    **{(command, "relayed"): "relayed@b.test is already relayed" for command in EVERY},
    **{(command, "failed"): "failed@b.test is already failed" for command in EVERY},
    **{(command, "tried"): "tried@b.test is being tried right now" for command in EVERY},
}


@pytest.mark.parametrize(("case", "end"), MATRIX.items(), ids=map("-".join, MATRIX))
def test_a_command_does_what_it_can_and_says_what_it_cannot(connection, case, end):
    """Of one recipient: its new state, and nobody else's; or one line that says why not, and nothing changed."""
    command, state = case
    queue_id, path = everything(connection), f"{state}@b.test"
    before = states(connection)
    if " " in end:
        with pytest.raises(CannotError) as refused:
            EVERY[command](connection, queue_id, path, NOW)
        assert (str(refused.value), states(connection)) == (end, before)
    else:
        assert EVERY[command](connection, queue_id, path.upper(), NOW) == Done((path,), {})
        assert states(connection) == before | {path: end}


WHOLE = {
    # command -> done, reasons of the others
    "retry": ({"queued"}, {"held": "held"}),
    "hold": ({"queued"}, {"held": "held"}),
    "release": ({"held"}, {"queued": "not held"}),
    "cancel": ({"held", "queued"}, {}),
}


@pytest.mark.parametrize(("command", "done", "left"), [(name, *one) for name, one in WHOLE.items()], ids=WHOLE)
def test_without_a_recipient_all_is_done_that_can_be(connection, command, done, left):
    """The rest is told, each with the reason."""
    result = EVERY[command](connection, everything(connection), None, NOW)
    why = left | {"relayed": "already relayed", "failed": "already failed", "tried": "being tried right now"}
    assert set(result.done) == {f"{name}@b.test" for name in done}
    assert result.left == {f"{name}@b.test": reason for name, reason in why.items()}


@pytest.mark.parametrize("command", EVERY)
def test_nobody_is_nobody(connection, command):
    """An entry that is not there, and a recipient that it does not have, are refused."""
    queue_id = accept(connection, ("you@b.test",))
    with pytest.raises(CannotError, match="there is no such queue entry"):
        EVERY[command](connection, 1, None, NOW)
    with pytest.raises(CannotError, match=r"it has no recipient he@b\.test"):
        EVERY[command](connection, queue_id, "he@b.test", NOW)


def test_many_who_cannot_are_counted(connection):
    """One line, however many recipients: how many for each reason."""
    assert said_of({"a": "already relayed", "b": "held", "c": "held"}) == "1 is already relayed, 2 are held"


def test_a_retry_is_due_now_and_opens_the_gate(connection):
    """It is neither held up by its own schedule nor by the destination's failures; it costs no attempt."""
    queue_id = accept(connection, ("you@b.test",))
    settled(connection, claim(connection)[0], Delayed(UNREACHED))
    assert claim(connection) == []
    COMMANDS["retry"](connection, queue_id, None, NOW)
    assert gates.look(connection, "b.test").failures == 0
    [again] = claim(connection)
    assert again.recipients[0].attempts == 1


def test_the_held_wait_and_do_not_expire(connection):
    """For a year nobody claims them, no restart frees them; released they are tried once more at least."""
    queue_id = accept(connection, ("you@b.test",))
    COMMANDS["hold"](connection, queue_id, None, NOW)
    later = NOW + 365 * DAY
    store.release_all(connection, later)
    store.pull_in(connection, NOW)
    assert claim(connection, now=later) == []
    assert [one.queue_id for one in store.listing(connection, limit=9, waiting_only=True)] == [queue_id]
    COMMANDS["release"](connection, queue_id, None, later)
    assert paths(claim(connection, now=later)) == [("you@b.test",)]


def test_a_dead_nodes_claim_is_nobodys(connection):
    """When its lease has ended its mail can be held, and it can change nothing if it comes back."""
    queue_id = accept(connection, ("you@b.test",))
    [dead] = claim(connection)
    COMMANDS["hold"](connection, queue_id, None, NOW + store.LEASE)
    assert not settled(connection, dead, Relayed(OK), NOW + store.LEASE)
    assert states(connection) == {"you@b.test": "held"}


@pytest.mark.parametrize("report_as", [None, "here.test"], ids=["silent", "reported"])
def test_a_cancelled_recipient_has_failed(connection, report_as):
    """With our reply and a record of when; its author is told if that was asked for, of blind ones apart."""
    queue_id = accept(connection, ("a@b.test", "b@b.test"), ("blind@b.test",))
    cancel(connection, queue_id, None, NOW + 9, report_as)
    found = store.look(connection, queue_id).recipients
    assert {(one.state, one.reply, one.claimed) for one in found} == {("failed", CANCELLED, False)}
    tried = store.attempts(connection, queue_id)
    assert [(one.started_at, one.host, one.conversation) for one in tried] == [(NOW + 9, "", "= cancelled")] * 2
    reports = select(func.count()).select_from(queue_entry).where(queue_entry.c.reverse_path.is_(None))
    assert connection.execute(reports).scalar_one() == (2 if report_as else 0)
    assert all(row.settled_at == NOW + 9 for row in table(connection) if row.queue_id == queue_id)
