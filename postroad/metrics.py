"""What is counted, by Prometheus' conventions. Fed where mail events are logged, and by the committer.

No label holds a recipient, an address or anything a client wrote: each label has a few values, known beforehand.
What can be asked when somebody looks (what waits, the disk) is not counted here but asked then: `State`.
"""

import platform
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import accumulate
from math import inf

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

MEDIA_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
# Seconds. Accepting is one sync: from a fast disk's half millisecond to a slow one's second.
_ACCEPT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Up to the 10 minutes that the reply to the final dot may take (RFC 5321 section 4.5.3.2.6).
_ATTEMPT_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
_UNIT_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

disable_created_metrics()  # type: ignore[no-untyped-call]
_registry = CollectorRegistry()
ProcessCollector(registry=_registry)


def _counter(name: str, help_: str, *labels: str) -> Counter:
    return Counter(f"postroad_{name}", help_, labels, registry=_registry)


def _histogram(name: str, help_: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(f"postroad_{name}", help_, buckets=buckets, registry=_registry)


class _Accepted:
    """The counts of what was accepted, added to by one call: each message costs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._octets = 0
        self._recipients = 0
        self._seconds = 0.0
        self._within = [0] * (len(_ACCEPT_BUCKETS) + 1)

    def add(self, octets: int, recipients: int, seconds: float) -> None:
        """Count one message."""
        with self._lock:
            self._octets += octets
            self._recipients += recipients
            self._seconds += seconds
            self._within[bisect_left(_ACCEPT_BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """What was counted so far."""
        with self._lock:
            octets, recipients, seconds = self._octets, self._recipients, self._seconds
            within = list(accumulate(self._within))
        yield _counted("accepted_messages", "Messages accepted from authors.", within[-1])
        yield _counted("accepted_bytes", "Octets of the messages accepted.", octets)
        yield _counted("accepted_recipients", "Recipients of the messages accepted.", recipients)
        buckets = list(zip(map(floatToGoString, (*_ACCEPT_BUCKETS, inf)), within, strict=True))
        help_ = "From the whole request to the sync, if accepted."
        yield HistogramMetricFamily("postroad_accept_seconds", help_, buckets, seconds)


def _counted(name: str, help_: str, value: float) -> Metric:
    return CounterMetricFamily(f"postroad_{name}", help_, value)


ACCEPTED = _Accepted()
_registry.register(ACCEPTED)
REFUSED_REQUESTS = _counter("refused_requests", "Requests refused, by the kind of refusal.", "answer")
_TRIED = _counter("tried_recipients", "Recipients tried: relayed, delayed or failed.", "outcome")
TRIED_RECIPIENTS = {outcome: _TRIED.labels(outcome) for outcome in ("relayed", "delayed", "failed")}
ATTEMPT_SECONDS = _histogram("attempt_seconds", "From claim to outcome of one attempt.", _ATTEMPT_BUCKETS)
REPORTS = _counter("reports", "Reports queued for authors, about failed or delayed recipients.", "about")
_SECURED = _counter("secured_messages", "Messages that next hops took, by how secured.", "assurance")
SECURED_MESSAGES = {how: _SECURED.labels(how) for how in ("dane", "certificate", "encrypted", "plaintext")}
TLS_SESSIONS = _counter("tls_sessions", "Sessions with next hops, and policies looked for.", "policy", "result")
LOST_LEASES = _counter("lost_leases", "Attempts that took longer than their lease.")
FAULTS = _counter("faults", "Failures of Postroad itself; the log has each.")
MACHINE_FAULTS = _counter("machine_faults", "Faults of the machine: its clock, pauses, descriptors.", "what")
COMMIT_UNITS = _histogram("commit_units", "Units of work in one synced transaction.", _UNIT_BUCKETS)
PRUNED = _counter("pruned", "Rows removed because their time to be kept is over.", "what")

for _fault in ("clock", "pause", "descriptors"):
    MACHINE_FAULTS.labels(_fault)
for _policy in ("tlsa", "sts", "no-policy-found"):
    TLS_SESSIONS.labels(_policy, "success")
for _about in ("failed", "delayed"):
    REPORTS.labels(_about)


@dataclass(frozen=True, slots=True)
class State:
    """What was found when somebody looked. `None` and what is missing are left out of the answer.

    `waiting`: recipients by state; `oldest_seconds`: since the one waiting longest was accepted, 0 for none.
    """

    database: str
    trusted: bool
    free: int | None = None
    waiting: Mapping[str, int] = field(default_factory=dict)
    oldest_seconds: float | None = None


def counted() -> list[Metric]:
    """All that was counted in this process."""
    return list(_registry.collect())


def exposition(state: State, elsewhere: Sequence[Metric] = ()) -> bytes:
    """Everything, in Prometheus' text format, with what other processes of this server counted."""
    found = CollectorRegistry()
    found.register(_Sum((*counted(), *elsewhere)))
    found.register(_Found(state))
    return generate_latest(found)


# Of a process each, and not to be added up: those of the first to tell stand for all.
_NOT_SUMMED = ("process_start_time_seconds", "process_max_fds")


@dataclass(frozen=True, slots=True, eq=False)
class _Sum:
    """A collector of what several processes counted."""

    families: Sequence[Metric]

    def collect(self) -> Iterator[Metric]:
        """Each family once, of each sample the sum."""
        merged: dict[str, Metric] = {}
        values: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], Sample]] = defaultdict(dict)
        for family in self.families:
            merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                same = sample.name, frozenset(sample.labels.items())
                before = values[family.name].get(same)
                values[family.name][same] = sample if before is None else _added(before, sample)
        for name, family in merged.items():
            family.samples = list(values[name].values())
            yield family


def _added(before: Sample, after: Sample) -> Sample:
    return before if before.name in _NOT_SUMMED else before._replace(value=before.value + after.value)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A collector of what was found this once."""

    state: State

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        state = self.state
        yield _build(state.database)
        yield _gauge("storage_trusted", "1 until storage fails; then 0 until a restart.", float(state.trusted))
        if state.free is not None:
            yield _gauge("storage_free_bytes", "Octets free where the database is.", state.free)
        if state.oldest_seconds is not None:
            yield _waiting(state.waiting)
            yield _gauge("queue_oldest_seconds", "Age of the message waiting longest.", state.oldest_seconds)


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(f"postroad_{name}", help_, value=value)


def _waiting(waiting: Mapping[str, int]) -> Metric:
    found = GaugeMetricFamily("postroad_queue_recipients", "Recipients that wait, by state.", labels=["state"])
    for state, count in waiting.items():
        found.add_metric([state], count)
    return found


def _build(database: str) -> Metric:
    labels = {"version": version("postroad"), "python": platform.python_version(), "database": database}
    found = GaugeMetricFamily("postroad_build_info", "Always 1; the labels tell.", labels=list(labels))
    found.add_metric(list(labels.values()), 1)
    return found
