"""Claims: who is tried next, through which gate, and whose turn it is."""

import pytest
from sqlalchemy import select, update

from postroad.database import schema
from postroad.database.rows import insert, together
from postroad.mail.envelope import LOCAL, Envelope
from postroad.mail.outcome import Delayed, Relayed
from postroad.queue import claims, destinations, gates, shaping, store, waiting
from postroad.queue.rota import Rota
from postroad.queue.shaping import RECIPIENTS_PER_CLAIM, Limits
from tests.queue_kit import (
    CONTENT,
    LATER,
    NOW,
    OK,
    QUEUE_IDS,
    UNREACHED,
    accept,
    claim,
    paths,
    rows_of,
    settled,
)


@pytest.fixture
def connection(engine):
    """A connection that writes to an empty database."""
    with engine.connect() as opened, opened.begin():
        yield opened


def everything_to(destination):
    return {"destination": lambda _: destination}


def accounts(found):
    """Whose mail each claim is."""
    return [one.account_id for one in found]


def many(connection, count, **options):
    """As many messages of one recipient each."""
    insert(connection, together(rows_of(next(QUEUE_IDS), (f"{at}@b.test",), **options) for at in range(count)))


def waits(connection, queue_id, *rows):
    """Recipients more of that entry, which has one: as that one, but for what each row says."""
    is_of = schema.recipient.c.queue_id == queue_id
    [one] = connection.execute(select(schema.recipient).where(is_of)).mappings()
    connection.execute(schema.recipient.insert(), [{**one, **row} for row in rows])


def test_a_claim_carries_all_an_attempt_must_know(connection):
    """Envelope, content and facts of the message, and what earlier attempts left behind."""
    queue_id = accept(connection, ("b@b.test", "a@b.test"))
    [found] = claim(connection)
    assert (found.queue_id, found.content_id, found.account_id) == (queue_id, queue_id, 1)
    assert found.envelope == Envelope("me@a.test", ("a@b.test", "b@b.test"))
    assert (found.size, found.eight_bit, found.utf8_header) == (len(CONTENT), False, False)
    assert (found.message_id, found.accepted_at, found.destination) == ("<m@a.test>", NOW, "b.test")
    assert found.recipients[0] == store.Waiting("a@b.test", 0, 0, None, None)
    assert found.in_doubt_host is None


def test_only_what_is_due_is_claimed(connection):
    """A recipient is due from its millisecond on, and not before."""
    accept(connection, ("you@b.test",), now=NOW + 1)
    assert claim(connection, now=NOW) == []
    assert paths(claim(connection, now=NOW + 1)) == [("you@b.test",)]


def test_those_that_wait_longest_come_first(connection):
    """With more due than there is room for, the oldest are taken."""
    for late in (3, 1, 2):
        accept(connection, (f"{late}@b.test",), now=NOW + late)
    assert sorted(paths(claim(connection, now=NOW + 9, each=2))) == [("1@b.test",), ("2@b.test",)]
    assert claim(connection, now=NOW + 9, each=2) == []
    assert paths(claim(connection, now=NOW + 9, each=3)) == [("3@b.test",)]


def test_a_mail_transaction_has_at_most_100_recipients(connection):
    """An envelope of 250 recipients is claimed in parts; nobody is in two of them."""
    accept(connection, [f"{number}@b.test" for number in range(250)])
    sizes, taken = [], set()
    while found := claim(connection):
        sizes += [len(one.recipients) for one in found]
        taken |= {path for one in found for path in one.envelope.forward_paths}
    assert (sizes, len(taken)) == ([100, 100, 50], 250)


def test_one_claim_is_one_envelope_to_one_destination(connection):
    """Different messages, blind recipients and different destinations never share a mail transaction."""
    first = accept(connection, ("a@b.test", "b@b.test", "c@c.test"), ("blind@b.test",), ("blind2@b.test",))
    second = accept(connection, ("a@b.test",))
    found = {(one.queue_id, one.destination, one.envelope.forward_paths) for one in claim(connection)}
    assert found == {
        (first, "b.test", ("a@b.test", "b@b.test")),
        (first, "c.test", ("c@c.test",)),
        (first, "b.test", ("blind@b.test",)),
        (first, "b.test", ("blind2@b.test",)),
        (second, "b.test", ("a@b.test",)),
    }


def test_a_claimed_recipient_is_nobody_elses_until_its_lease_ends(connection):
    """A dead node's work becomes due by itself, a millisecond after nothing else can."""
    accept(connection, ("you@b.test",))
    [mine] = claim(connection)
    assert claim(connection, now=NOW + store.LEASE - 1) == []
    [theirs] = claim(connection, now=NOW + store.LEASE)
    assert theirs.lease != mine.lease
    assert theirs.envelope == mine.envelope


def test_nobody_claims_from_themselves(connection):
    """A lease that ran out under its holder is not taken by the holder, and is nothing to wait for."""
    accept(connection, ("you@b.test",))
    [mine] = claim(connection)
    later = NOW + 2 * store.LEASE
    assert claim(connection, now=later, running=[mine]) == []
    assert claims.next_due(connection, after=later) is None
    assert claims.next_due(connection, after=NOW) == NOW + store.LEASE
    assert paths(claim(connection, now=later)) == [("you@b.test",)]


def test_the_next_due_is_the_soonest_of_mail_and_gates(connection):
    """What was due already is waited for by nobody: it is in some gate's hands, and gates tell when."""
    assert claims.next_due(connection, after=NOW - 1) is None
    accept(connection, ("late@b.test",), now=NOW + 9000)
    accept(connection, ("soon@b.test",))
    assert claims.next_due(connection, after=NOW - 1) == NOW
    assert claims.next_due(connection, after=NOW) == NOW + 9000
    [soon] = claim(connection)
    settled(connection, soon, Delayed(UNREACHED))
    assert claims.next_due(connection, after=NOW) == NOW + shaping.FIRST_PAUSE


def test_a_full_destination_holds_up_no_other(connection):
    """Behind a next hop that is at its cap with everything there is, the other destinations are claimed from."""
    many(connection, 3 * RECIPIENTS_PER_CLAIM, **everything_to("hop"))
    assert len(claim(connection, each=20)) == 20
    accept(connection, ("a@b.test",), now=NOW, **everything_to(LOCAL))
    accept(connection, ("a@b.test",), now=NOW, **everything_to("other"))
    assert {one.destination for one in claim(connection, each=20)} == {LOCAL, "other"}


def test_a_cap_is_for_all_nodes_and_outlives_none(connection):
    """What any node has under way counts until its lease ends; then a dead node's slots are free."""
    many(connection, 5, **everything_to("hop"))
    first = claim(connection, each=3)
    assert (len(first), claim(connection, each=3)) == (3, [])
    settled(connection, first[0], Relayed(OK))
    assert len(claim(connection, each=3)) == 1
    assert len(claim(connection, now=NOW + store.LEASE, each=3)) == 3


def test_a_gate_may_have_a_cap_of_its_own(connection):
    """It overrides the setting's; at 0 nothing goes."""
    many(connection, 5, **everything_to("hop"))
    assert gates.locked(connection, ["hop"])["hop"] == gates.look(connection, "hop") == shaping.Gate("hop")
    for cap, taken in ((0, 0), (2, 2), (4, 2)):
        connection.execute(update(schema.destination).values(cap=cap))
        assert len(claim(connection, each=20)) == taken


def test_a_destination_takes_half_of_what_a_node_has_left(connection):
    """So the slots of a node are never all taken by one that stalls, and deliveries here have their own."""
    many(connection, 30, **everything_to("hop"))
    many(connection, 30, **everything_to(LOCAL))
    many(connection, 30, **everything_to("other"))
    limits = {"node": 16, "local": 4}
    found = claim(connection, **limits)
    counts = {name: sum(one.destination == name for one in found) for name in ("hop", "other", LOCAL)}
    assert counts == {"hop": 8, "other": 4, LOCAL: 4}
    more = claim(connection, running=found, **limits)
    assert [one.destination for one in more] == ["other", "other", "hop"]


def test_what_has_only_to_be_settled_takes_no_slot(connection):
    """A node's slots are for those that are asked; the gate counts until the settlement is there."""
    many(connection, 2, **everything_to("hop"))
    found = claim(connection, node=1)
    assert claim(connection, running=found, node=1) == []
    assert claim(connection, running=found, settling=found, node=1, each=1) == []
    assert len(claim(connection, running=found, settling=found, node=1)) == len(found) == 1


def test_what_could_not_be_reached_is_knocked_at_once_a_pause(connection):
    """Of many that wait one is tried when the pause is over, then twice as late, until one gets through."""
    many(connection, 50, **everything_to("hop"))
    for mine in claim(connection, each=20):
        settled(connection, mine, Delayed(UNREACHED))
    now, pauses = NOW, []
    for _ in range(12):
        assert claim(connection, now=now) == []
        pauses.append(gates.look(connection, "hop").next_try - now)
        now += pauses[-1]
        [probe] = claim(connection, now=now)
        assert claim(connection, now=now) == [], "one at a time"
        settled(connection, probe, Delayed(UNREACHED), now)
    assert pauses == [min(1000 << at, 300_000) for at in range(12)]
    [probe] = claim(connection, now=gates.look(connection, "hop").next_try)
    settled(connection, probe, Delayed(LATER), now)
    assert gates.look(connection, "hop").failures == 0
    assert len(claim(connection, now=now, each=20)) == 20


def test_a_closed_gate_holds_up_nobody_else(connection):
    """Mail here, and to others, goes on."""
    many(connection, 2 * RECIPIENTS_PER_CLAIM, **everything_to("hop"))
    settled(connection, claim(connection, each=1)[0], Delayed(UNREACHED))
    accept(connection, ("a@b.test",), **everything_to("other"))
    accept(connection, ("a@b.test",), **everything_to(LOCAL))
    assert {one.destination for one in claim(connection)} == {"other", LOCAL}


def test_mail_behind_a_closed_gate_grows_old_all_the_same(connection):
    """After an hour its time counts as a try, with the last reply and nobody asked, so that it is reported."""
    many(connection, 3, **everything_to("hop"))
    settled(connection, claim(connection, each=1)[0], Delayed(UNREACHED))
    connection.execute(update(schema.destination).values(next_try=NOW + 365 * shaping.PATIENCE, failures=9))
    assert claim(connection, now=NOW + shaping.PATIENCE - 1) == []
    overdue = claim(connection, now=NOW + shaping.PATIENCE)
    assert [one.unreached for one in overdue] == [UNREACHED, UNREACHED], (
        "the third was tried, and waits for its time"
    )
    assert claim(connection, now=NOW + shaping.PATIENCE) == []


def test_a_tenant_with_much_hides_nobody(connection):
    """Behind one account's many older messages every other account is served within the next claims."""
    many(connection, 4 * RECIPIENTS_PER_CLAIM, now=NOW - 1000, account_id=50, **everything_to("hop"))
    for account_id in (*range(10, 20), *range(60, 70)):
        accept(connection, ("you@b.test",), account_id=account_id, **everything_to("hop"))
    served = []
    for _ in range(3):
        found = claim(connection, each=8)
        served += accounts(found)
        for mine in found:
            settled(connection, mine, Relayed(OK))
    assert len(served) == 24
    assert set(served) == {*range(10, 20), 50, *range(60, 70)}


def test_a_slot_is_not_left_empty_for_fairness(connection):
    """Who alone has due mail gets all there is room for, however many others have mail that is not due."""
    many(connection, 2 * RECIPIENTS_PER_CLAIM, account_id=50, **everything_to("hop"))
    for account_id in range(100, 100 + 2 * shaping.ACCOUNTS_PER_LOOK):
        accept(connection, ("you@b.test",), now=NOW + 1, account_id=account_id, **everything_to("hop"))
    for _ in range(4):
        found = claim(connection, each=20)
        assert accounts(found) == [50] * 20
        for mine in found:
            settled(connection, mine, Relayed(OK))


@pytest.mark.parametrize("database_url", ["PostgreSQL"], indirect=True)  # SQLite has one writer
def test_what_one_node_claims_from_another_leaves_alone(engine):
    """While a node's claim through a gate is not committed, another passes by and waits for nothing."""
    with engine.connect() as first, engine.connect() as second:
        with first.begin():
            many(first, 4, **everything_to("hop"))
            assert len(claim(first, each=2)) == 2
        with first.begin(), second.begin():
            assert len(claim(first, each=3)) == 1
            assert claim(second, each=4) == []
        with second.begin():
            assert len(claim(second, each=4)) == 1


def steps(connection, act):
    """How many steps SQLite's machine makes, in thousands."""
    raw, count = connection.connection.driver_connection, [0]

    def progress():
        count[0] += 1

    raw.set_progress_handler(progress, 1000)
    try:
        act()
    finally:
        raw.set_progress_handler(None, 0)
    return count[0]


@pytest.mark.parametrize("database_url", ["SQLite"], indirect=True)  # PostgreSQL does not tell its steps
@pytest.mark.parametrize("tenants", [1, 40])
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_a_claim_costs_no_more_because_more_waits(engine, tenants, closed):
    """With ten times as much waiting it makes no more than a few more steps, whether anything can go or not."""
    costs = []
    with engine.connect() as connection, connection.begin():
        for more in (600, 5400):
            queue_id = accept(connection, ("one@b.test",))
            waits(
                connection,
                queue_id,
                *({"forward_path": f"{at}@b.test", "account_id": 1 + at % tenants} for at in range(more)),
            )
            if closed:
                gates.locked(connection, ["b.test"])
                connection.execute(
                    update(schema.destination).values(
                        failures=1, next_try=NOW + 1, reply_code=451, reply_status="4.4.1", reply_text="x"
                    )
                )
            costs.append(steps(connection, lambda: claim(connection, each=20)))
    assert costs[1] <= costs[0] + 10, costs


def queued(connection, destinations, *, due_at):
    """One recipient more that waits for each of them, all of one entry."""
    queue_id = accept(connection, ("x@b.test",), now=NOW + 1_000_000)
    rows = ({"forward_path": name, "destination": name, "due_at": due_at} for name in destinations)
    waits(connection, queue_id, *rows)


def closed(connection, names):
    """Close their gates for a while."""
    gates.locked(connection, names)
    values = {"failures": 1, "next_try": NOW + 100_000, "reply_code": 451, "reply_status": "4.4.1"}
    connection.execute(
        update(schema.destination)
        .where(schema.destination.c.destination.in_(names))
        .values(reply_text="x", **values)
    )


def at_rest(connection, rota, **options):
    """Claim until nothing is left to be looked at; all that was claimed."""
    found = claim(connection, rota=rota, **options)
    for _ in range(100):
        if not rota.goes_on:
            return found
        found += claim(connection, rota=rota, **options)
    raise AssertionError("it goes on")


@pytest.mark.parametrize("database_url", ["SQLite"], indirect=True)  # PostgreSQL does not tell its steps
@pytest.mark.parametrize("why", ["not due", "closed", "suspended"])
def test_a_claim_costs_no_more_because_of_destinations_that_can_get_nothing(engine, why):
    """With three times as many of them it makes as many steps, and finds what has become due beside them."""
    costs, found, rota, soon = [], [], Rota(), NOW + 500
    with engine.connect() as connection, connection.begin():
        for count in (300, 900):
            names = [f"{why}-{count}-{at}" for at in range(count)]
            for _ in range(2):
                queued(connection, names, due_at=NOW + 9_000_000 if why == "not due" else NOW)
            if why == "closed":
                closed(connection, names)
            for name in names if why == "suspended" else ():
                destinations.suspend(connection, name)
            at_rest(connection, rota)
            accept(connection, (f"{count}@new.test",), now=soon)
            costs.append(steps(connection, lambda: found.extend(claim(connection, now=soon, rota=rota))))
            settled(connection, found[-1], Relayed(OK))
    assert [one.destination for one in found] == ["new.test"] * 2
    assert costs[1] <= costs[0] + 10, costs


def test_what_was_found_closed_or_full_is_found_again_when_it_is_not(connection):
    """By the end of the pause, by a settlement, or by an order, whatever of these comes first."""
    rota = Rota()
    queued(connection, ["shut", "lifted", "full"], due_at=NOW)
    queued(connection, ["full"], due_at=NOW)
    closed(connection, ["shut", "lifted"])
    [first] = at_rest(connection, rota, each=1)
    assert first.destination == "full"
    settled(connection, first, Relayed(OK))
    [second] = at_rest(connection, rota, each=1)
    assert second.destination == "full"
    settled(connection, second, Relayed(OK))
    gates.lift(connection, ["lifted"])
    connection.execute(
        update(schema.recipient).where(schema.recipient.c.destination == "lifted").values(due_at=NOW + 1)
    )
    [lifted] = claim(connection, now=NOW + 1, rota=rota)
    assert lifted.destination == "lifted"
    settled(connection, lifted, Relayed(OK))
    assert claim(connection, now=NOW + 99_999, rota=rota) == []
    assert [one.destination for one in claim(connection, now=NOW + 100_000, rota=rota)] == ["shut"]


def test_what_was_committed_late_is_found(connection):
    """Soon after by its due time, long after by going round."""
    rota = Rota()
    at_rest(connection, rota)
    accept(connection, ("a@late.test",), now=NOW - 1000)
    assert [one.destination for one in claim(connection, rota=rota)] == ["late.test"]
    accept(connection, ("a@later.test",), now=NOW - 100_000)
    assert claim(connection, rota=rota) == []
    assert [one.destination for one in claim(connection, now=NOW + 1000, rota=rota)] == ["later.test"]


def test_a_flood_behind_a_gate_hides_nobody(connection):
    """With more that became due at once than can be seen, all destinations are passed by."""
    rota = Rota()
    at_rest(connection, rota)
    names = [f"{at}.test" for at in range(waiting.NEWS + 10)]
    queued(connection, names, due_at=NOW + 1)
    assert {one.destination for one in at_rest(connection, rota, now=NOW + 1)} == {*names}


def test_a_claim_that_was_undone_is_made_good(engine):
    """What it had found is found again, whatever it noted."""
    rota = Rota()
    with engine.connect() as connection:
        with connection.begin():
            accept(connection, ("a@b.test",))
        with connection.begin() as begun:
            claims.claim(connection, lease=1, now=NOW, limits=Limits(each=1), rota=rota)
            begun.rollback()
        with connection.begin():
            assert paths(claim(connection, rota=rota, each=1)) == [("a@b.test",)]
