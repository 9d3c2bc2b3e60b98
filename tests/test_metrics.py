"""What is counted, and how it is written."""

import pickle
import re
from collections import Counter as Multiset

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from postroad import maillog, metrics, refusals
from postroad.mail.reply import Reply

OK = Reply(250, "2.0.0", "Ok")
HEALTHY = metrics.State("sqlite", trusted=True)


def value(name: str, found=HEALTHY, elsewhere=(), **labels) -> float | None:
    """The value of one sample; None when there is none."""
    for family in text_string_to_metric_families(metrics.exposition(found, elsewhere).decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


EVENTS = [
    (lambda: maillog.accepted(1, "a@a.test", 700, 3, 0.004), {}, "accepted_messages_total", 1),
    (lambda: maillog.accepted(1, "a@a.test", 700, 3, 0.004), {}, "accepted_bytes_total", 700),
    (lambda: maillog.accepted(1, "a@a.test", 700, 3, 0.004), {}, "accepted_recipients_total", 3),
    (lambda: maillog.accepted(1, "a@a.test", 700, 3, 0.004), {"le": "0.005"}, "accept_seconds_bucket", 1),
    (lambda: maillog.accepted(1, "a@a.test", 700, 3, 0.004), {"le": "0.0025"}, "accept_seconds_bucket", 0),
    (lambda: maillog.refused(refusals.RawMissing(), "/"), {"answer": "RawMissing"}, "refused_requests_total", 1),
    (lambda: maillog.attempted(1, "b@b.test", "relayed", OK), {"outcome": "relayed"}, "tried_recipients_total", 1),
    (lambda: maillog.attempted(1, "b@b.test", "queued", OK), {"outcome": "delayed"}, "tried_recipients_total", 1),
    (lambda: maillog.attempted(1, None, "failed", OK), {"outcome": "failed"}, "tried_recipients_total", 1),
    (lambda: maillog.tried(0.2), {}, "attempt_seconds_count", 1),
    (lambda: maillog.reported(1, "failed"), {"about": "failed"}, "reports_total", 1),
    (lambda: maillog.pruned("messages", 12), {"what": "messages"}, "pruned_total", 12),
    (lambda: maillog.lost_lease(1), {}, "lost_leases_total", 1),
    (lambda: maillog.broke_down(ValueError("x")), {}, "faults_total", 1),
]


@pytest.mark.parametrize(("event", "labels", "name", "more"), EVENTS)
def test_each_event_of_the_mail_log_is_counted(event, labels, name, more):
    """What is logged is counted by the same call."""
    before = value(f"postroad_{name}", **labels) or 0
    event()
    assert value(f"postroad_{name}", **labels) == before + more


AMOUNTS = st.tuples(st.integers(0, 36_700_160), st.integers(1, 500), st.floats(0, 100, allow_subnormal=False))


@given(st.lists(AMOUNTS), st.sampled_from(metrics._ACCEPT_BUCKETS))
def test_what_was_accepted_is_written_as_prometheus_counters_are(messages, bound):
    """To the octet, those that took exactly as long as a bucket's bound, too."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    accepted = metrics._Accepted()
    ours.register(accepted)
    counters = [
        Counter("postroad_accepted_messages", "Messages accepted from authors.", registry=theirs),
        Counter("postroad_accepted_bytes", "Octets of the messages accepted.", registry=theirs),
        Counter("postroad_accepted_recipients", "Recipients of the messages accepted.", registry=theirs),
    ]
    seconds = Histogram(
        "postroad_accept_seconds",
        "From the whole request to the sync, if accepted.",
        buckets=metrics._ACCEPT_BUCKETS,
        registry=theirs,
    )
    for message in (*messages, (1, 1, bound)):
        accepted.add(*message)
        for counter, amount in zip(counters, (1, *message), strict=False):
            counter.inc(amount)
        seconds.observe(message[2])
    assert generate_latest(ours) == generate_latest(theirs)


def test_what_was_found_is_shown():
    """The gauges are what was found this once."""
    state = metrics.State("sqlite", trusted=False, free=77, waiting={"due": 2, "later": 1}, oldest_seconds=1.5)
    assert value("postroad_storage_trusted", state) == 0
    assert value("postroad_storage_free_bytes", state) == 77
    assert value("postroad_queue_recipients", state, state="due") == 2
    assert value("postroad_queue_recipients", state, state="later") == 1
    assert value("postroad_queue_oldest_seconds", state) == 1.5


def test_what_could_not_be_asked_is_left_out():
    """An unknown number is absent, not nought."""
    state = metrics.State("postgresql", trusted=True)
    assert value("postroad_storage_free_bytes", state) is None
    assert value("postroad_queue_oldest_seconds", state) is None
    assert value("postroad_storage_trusted", state) == 1


def test_names_follow_the_conventions():
    """Names have our prefix and a base unit where there is one, counters end in _total, all have a help."""
    for family in text_string_to_metric_families(metrics.exposition(HEALTHY).decode()):
        assert family.documentation
        if not family.name.startswith("process_"):
            assert re.fullmatch(r"postroad_[a-z]+(_[a-z]+)*", family.name)
        assert not re.search(r"octets|milli|_ms\b", family.name)


def test_no_label_can_hold_what_a_client_wrote():
    """The labels of all metrics are these, and an address in an event is in none."""
    maillog.accepted(1, "canary@a.test", 1, 1, 0.1)
    maillog.attempted(1, "canary@b.test", "relayed", Reply(250, "2.0.0", "canary"))
    maillog.refused(refusals.NotFound("canary"), "/canary")
    maillog.secured(1, "canary.test", "TLSv1.3", "dane")
    maillog.session("canary.test", "sts", "validation-failure", "canary")
    maillog.policy_missed("canary.test", "sts-policy-invalid", "canary")
    text = metrics.exposition(HEALTHY).decode()
    labels = {
        name
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for name in sample.labels
    }
    ours = {"answer", "outcome", "about", "what", "assurance", "policy", "result"}
    assert labels == ours | {"le", "version", "python", "database"}
    assert "canary" not in text


def other_process():
    """What another process counted, as it comes from there."""
    registry = CollectorRegistry()
    refused = Counter("postroad_refused_requests", "Requests refused.", ["answer"], registry=registry)
    refused.labels("RawMissing").inc(5)
    refused.labels("OnlyThere").inc(2)
    units = Histogram(
        "postroad_commit_units", "Units.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256), registry=registry
    )
    units.observe(3)
    units.observe(1000)
    return pickle.loads(pickle.dumps(list(registry.collect())))  # noqa: S301 - of our own


SUMMED = [
    ("refused_requests_total", {"answer": "RawMissing"}, 5),
    ("refused_requests_total", {"answer": "OnlyThere"}, 2),
    ("commit_units_count", {}, 2),
    ("commit_units_sum", {}, 1003),
    ("commit_units_bucket", {"le": "2.0"}, 0),
    ("commit_units_bucket", {"le": "4.0"}, 1),
    ("commit_units_bucket", {"le": "+Inf"}, 2),
    ("accepted_messages_total", {}, 0),
]


@pytest.mark.parametrize(("name", "labels", "more"), SUMMED)
def test_what_several_processes_counted_is_added_up(name, labels, more):
    """Counters and buckets of histograms are sums, by their labels; what one process alone counted stays."""
    here = value(f"postroad_{name}", **labels) or 0
    assert value(f"postroad_{name}", elsewhere=other_process(), **labels) == here + more
    assert value(f"postroad_{name}", elsewhere=other_process() * 2, **labels) == here + 2 * more
    assert (value(f"postroad_{name}", **labels) or 0) == here, "to tell changes nothing"


def test_each_family_and_each_sample_is_written_once():
    """However many processes tell: Prometheus refuses an answer that says a thing twice."""
    text = metrics.exposition(HEALTHY, [*metrics.counted(), *metrics.counted(), *other_process()]).decode()
    helped = Multiset(line.split()[2] for line in text.splitlines() if line.startswith("# HELP"))
    samples = Multiset(line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#"))
    assert set(helped.values()) == set(samples.values()) == {1}


def process_families(**values):
    """What a process tells of itself."""
    found = pickle.loads(pickle.dumps(metrics.counted()))  # noqa: S301 - of our own
    for family in found:
        family.samples = [
            sample._replace(value=values[sample.name]) for sample in family.samples if sample.name in values
        ]
    return [family for family in found if family.samples]


def test_the_memory_of_all_processes_is_added_up_and_their_age_is_not():
    """Sums, but for when a process started and how many descriptors it may have: those are of the first."""
    there = {
        "process_start_time_seconds": 1e12,
        "process_max_fds": 1e12,
        "process_open_fds": 1e12,
        "process_cpu_seconds_total": 1e12,
        "process_resident_memory_bytes": 1e15,
    }
    told = {name: value(name, elsewhere=process_families(**there)) for name in there}
    alone = {name: value(name) for name in there}
    for name in ("process_start_time_seconds", "process_max_fds"):
        assert told[name] == alone[name]
    for name in ("process_open_fds", "process_cpu_seconds_total", "process_resident_memory_bytes"):
        assert told[name] > there[name]
