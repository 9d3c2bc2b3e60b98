"""What is measured, a function for each section; docs/performance.md says why so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bench import foreign
from bench.figures import Row, cost_row, interleaved, metered, middle
from bench.foreign import CONNECTIONS, Postfix, Sink, smtp_source
from bench.load import Load, Sender, connected, smtp_script
from bench.postroad_server import AUTHOR, RECIPIENT, Postroad, message, running_postroad, send_script
from bench.trivial import running_trivial

LARGEST = 36_700_160
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    rounds: int
    accepted: int  # messages of a round of (a)
    relayed: int  # messages of a round of (b)
    paced: float  # seconds of a round of (c)
    queued: tuple[int, ...]  # depths of (e)
    each: int  # messages of a round of (e)


SHORT = Extent(rounds=5, accepted=4000, relayed=2000, paced=3.0, queued=(1_000, 100_000), each=1000)
LONG = Extent(rounds=9, accepted=20_000, relayed=10_000, paced=10.0, queued=(1_000, 100_000, 1_000_000), each=4000)
SMOKE = Extent(rounds=1, accepted=64, relayed=64, paced=0.2, queued=(10, 100), each=64)


@dataclass(frozen=True)
class Field:
    """Where it is measured: a folder for all data, the sink, Postfix, and where progress is told."""

    folder: Path
    extent: Extent
    sink: Sink
    postfix: Postfix
    tell: Callable[[str], None]

    def file_of(self, content: bytes) -> Path:
        """The message as smtp-source reads it, with bare line feeds."""
        file = self.folder / "message"
        file.write_bytes(content.replace(b"\r\n", b"\n"))
        return file


def generator(field: Field) -> Iterator[Row]:
    """What the load generator can do: if it were the bottleneck, no figure below would mean anything."""
    field.tell("the load generator against a server that answers at once")
    script = send_script("x" * 48, message())
    with running_trivial(len(script.message[0].request)) as port, connected(port, script, CONNECTIONS) as load:
        load.send(200)
        yield Row("generator alone", "messages/s", load.send(max(field.extent.accepted * 4, 500)).rate)


def accept(field: Field) -> Iterator[Row]:
    """(a) Durable accepts, (c) their latency at half of the maximum rate, (d) memory during (a).

    Neither side delivers: Postfix puts what it accepts on hold; Postroad's next hop takes connections and never
    greets, so that the first attempts wait for it and everything else stays in the queue.
    """
    content = message()
    # Attempts that wait for a greeting would hold up the stop for the default of 30 seconds.
    quick_stop = ("--drain-seconds", "1")
    with (
        foreign.silent_server() as silent,
        running_postroad(field.folder / "accept", silent, *quick_stop) as postroad,
    ):
        over_http = postroad.sender(content, CONNECTIONS)
        over_smtp = Sender(field.postfix.holding, smtp_script(AUTHOR, RECIPIENT, content), CONNECTIONS)
        yield from _accept_rates(field, content, postroad, over_http, over_smtp)


def _accept_rates(
    field: Field, content: bytes, postroad: Postroad, over_http: Sender, over_smtp: Sender
) -> Iterator[Row]:
    messages = field.extent.accepted
    file = field.file_of(content)

    def source(count: int) -> float:
        return count / smtp_source(field.postfix.holding, file, count, AUTHOR, RECIPIENT)

    field.tell(f"(a) durable accepts of {len(content)} octets over {CONNECTIONS} connections")
    source(CONNECTIONS * 4)
    over_smtp.send(CONNECTIONS * 4)
    over_http.send(CONNECTIONS * 4)
    idle = postroad.forget_peak()
    costs: dict[str, list[float]] = {"postroad": [], "postfix": []}
    cpu = field.postfix.cpu_seconds
    sides = {
        "postroad": metered(
            lambda: over_http.send(messages).rate, postroad.cpu_seconds, messages, costs["postroad"]
        ),
        "smtp-source": metered(lambda: source(messages), cpu, messages, costs["postfix"]),
        "pipelined": lambda: over_smtp.send(messages).rate,
    }
    found = interleaved(field.extent.rounds, sides, field.tell)
    memory = (postroad.peak_memory() - idle) / MEBIBYTE
    rate = middle(found)
    fastest = max(rate["smtp-source"], rate["pipelined"])
    yield Row(
        "accept", "messages/s", rate["postroad"], rate["smtp-source"], "Postfix, smtp-source -d", rounds=found
    )
    yield Row("accept", "messages/s", rate["postroad"], rate["pipelined"], "Postfix, our generator, PIPELINING")
    yield cost_row("accept", costs, "Postfix, smtp-source -d")
    yield from _latencies(field, over_http, over_smtp, (rate["postroad"], fastest))
    yield Row("memory over idle while accepting", "MiB", memory)


def _latencies(field: Field, over_http: Sender, over_smtp: Sender, rates: tuple[float, float]) -> Iterator[Row]:
    """(c) Each side at half of its own maximum."""
    field.tell("(c) accept latency at half of the maximum rate")
    loads: dict[str, list[Load]] = {"postroad": [], "postfix": []}

    def paced(name: str, load: Sender, rate: float) -> Callable[[], float]:
        def measure() -> float:
            loads[name].append(load.send(max(int(rate * field.extent.paced), CONNECTIONS), rate))
            return loads[name][-1].percentile(99) * 1000

        return measure

    sides = {
        "postroad": paced("postroad", over_http, rates[0] / 2),
        "postfix": paced("postfix", over_smtp, rates[1] / 2),
    }
    interleaved(field.extent.rounds, sides, field.tell)
    for percent in (50, 99):
        ours, theirs = (
            median(load.percentile(percent) for load in loads[name]) * 1000 for name in ("postroad", "postfix")
        )
        versus = "Postfix, each at half of its own maximum"
        yield Row(f"accept p{percent}", "ms", ours, theirs, versus, more_is_better=False)


def relay(field: Field) -> Iterator[Row]:
    """(b) From the first request until smtp-sink has taken the last message."""
    content, messages = message(), field.extent.relayed
    file = field.file_of(content)
    with running_postroad(field.folder / "relay", field.sink.port) as postroad:
        over_http = postroad.sender(content, CONNECTIONS)

        def through_postfix(count: int) -> None:
            smtp_source(field.postfix.relaying, file, count, AUTHOR, RECIPIENT)

        field.tell("(b) end to end, to smtp-sink")
        senders = {
            "postroad": (over_http.send, postroad.cpu_seconds),
            "postfix": (through_postfix, field.postfix.cpu_seconds),
        }
        costs: dict[str, list[float]] = {name: [] for name in senders}
        sides = {
            name: metered(_rate(field.sink, send, messages), cpu, messages, costs[name])
            for name, (send, cpu) in senders.items()
        }
        for send, _ in senders.values():
            field.sink.seconds_until(CONNECTIONS * 2, partial(send, CONNECTIONS * 2))
        found = interleaved(field.extent.rounds, sides, field.tell)
    rate = middle(found)
    yield Row(
        "end to end", "messages/s", rate["postroad"], rate["postfix"], "Postfix, same smtp-sink", rounds=found
    )
    yield cost_row("end to end", costs, "Postfix, same smtp-sink")


def _rate(sink: Sink, send: Callable[[int], object], messages: int) -> Callable[[], float]:
    """Send so many and wait until all have come out at the other side; messages a second."""
    return lambda: messages / sink.seconds_until(messages, partial(send, messages))


def largest(field: Field) -> Iterator[Row]:
    """(d) Memory for one message of the largest size, accepted and relayed."""
    field.tell(f"(d) one message of {LARGEST} octets")
    with running_postroad(field.folder / "largest", field.sink.port) as postroad:
        field.sink.seconds_until(1, partial(postroad.sender(message(), 1).send, 1))
        idle = postroad.forget_peak()
        field.sink.seconds_until(1, partial(postroad.sender(message(LARGEST), 1).send, 1))
        yield Row(f"memory over idle for {LARGEST} octets", "MiB", (postroad.peak_memory() - idle) / MEBIBYTE)
