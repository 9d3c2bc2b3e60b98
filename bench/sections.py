"""What is measured, a function for each section; docs/performance.md says why so."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import foreign
from bench.figures import Round, Row, interleaved, metered, middle
from bench.foreign import CONNECTIONS, Postfix, Sink, smtp_source
from bench.load import Load, Sender, connected, smtp_script
from bench.postroad_server import AUTHOR, RECIPIENT, Engine, Postroad, message, running_postroad, send_script
from bench.trivial import running_trivial

LARGEST = 36_700_160
MEBIBYTE = 1 << 20
# Whom Postroad stands beside, as the table says it.
SOURCE = "Postfix, smtp-source -d"
PIPELINED = "Postfix, our generator, PIPELINING"
SAME_SINK = "Postfix, same smtp-sink"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    rounds: int
    accepted: int  # messages of a round of (a)
    relayed: int  # messages of a round of (b)
    paced: float  # seconds of a round of (c)
    queued: tuple[int, ...]  # depths of (e)
    each: int  # messages of a round of (e)
    uploaded: int = LARGEST  # octets of each message of (f)


SHORT = Extent(rounds=5, accepted=10_000, relayed=2000, paced=3.0, queued=(1_000, 100_000), each=1000)
LONG = Extent(rounds=9, accepted=20_000, relayed=10_000, paced=10.0, queued=(1_000, 100_000, 1_000_000), each=4000)
SMOKE = Extent(rounds=1, accepted=64, relayed=64, paced=0.2, queued=(10, 100), each=64, uploaded=MEBIBYTE)


@dataclass(frozen=True)
class Field:
    """Where it is measured: a folder for all data, the sink, Postfix, and where progress is told."""

    folder: Path
    extent: Extent
    sink: Sink
    postfix: Postfix
    engines: Sequence[Engine]
    tell: Callable[[str], None]

    @contextmanager
    def running(
        self, section: str, relay_port: int, *flags: str, signed: bool = False
    ) -> Iterator[dict[str, Postroad]]:
        """A Postroad on each engine, by the engine's name; `signed`: it signs what it relays."""
        with ExitStack() as stack:
            yield {
                engine.name: stack.enter_context(
                    running_postroad(
                        self.folder / f"{section}-{engine.word}", relay_port, engine, *flags, signed=signed
                    )
                )
                for engine in self.engines
            }

    def file_of(self, content: bytes) -> Path:
        """The message as smtp-source reads it, with bare line feeds."""
        file = self.folder / "message"
        file.write_bytes(content.replace(b"\r\n", b"\n"))
        return file


def generator(field: Field) -> Iterator[Row]:
    """What the load generator can do: if it were the bottleneck, no figure below would mean anything."""
    field.tell("the load generator against a server that answers at once")
    script = send_script("x" * 48, message())
    with running_trivial(len(script.message[0].request)) as port, connected([port], script, CONNECTIONS) as load:
        load.send(200)
        yield Row("generator alone", "messages/s", load.send(max(field.extent.accepted * 4, 500)).rate)


def accept(field: Field) -> Iterator[Row]:
    """(a) Durable accepts, (c) their latency at half of the maximum rate, (d) memory during (a).

    Neither side delivers: Postfix puts what it accepts on hold; Postroad's next hop takes connections and never
    greets, so that the first attempts wait for it and everything else stays in the queue.
    """
    # Attempts that wait for a greeting would hold up the stop for the default of 30 seconds.
    quick_stop = ("--drain-seconds", "1")
    with foreign.silent_server() as silent, field.running("accept", silent, *quick_stop) as postroads:
        yield from _accept_rates(field, message(), postroads)


def _accept_rates(field: Field, content: bytes, postroads: Mapping[str, Postroad]) -> Iterator[Row]:
    messages, file = field.extent.accepted, field.file_of(content)
    over_http = {name: postroad.sender(content, CONNECTIONS) for name, postroad in postroads.items()}
    over_smtp = Sender([field.postfix.holding], smtp_script(AUTHOR, RECIPIENT, content), CONNECTIONS)

    def source(count: int) -> float:
        return count / smtp_source(field.postfix.holding, file, count, AUTHOR, RECIPIENT)

    field.tell(f"(a) durable accepts of {len(content)} octets over {CONNECTIONS} connections")
    source(CONNECTIONS * 4)
    for sender in (over_smtp, *over_http.values()):
        sender.send(CONNECTIONS * 4)
    idle = {name: postroad.forget_peak() for name, postroad in postroads.items()}
    costs: dict[str, list[float]] = {name: [] for name in (*postroads, SOURCE)}
    sides: dict[str, Round] = {
        name: metered(_accepts(over_http[name], messages), postroad.cpu_seconds, messages, costs[name])
        for name, postroad in postroads.items()
    }
    sides[SOURCE] = metered(lambda: source(messages), field.postfix.cpu_seconds, messages, costs[SOURCE])
    sides[PIPELINED] = _accepts(over_smtp, messages)
    found = interleaved(field.extent.rounds, sides, field.tell)
    memory = {name: postroad.peak_memory() - idle[name] for name, postroad in postroads.items()}
    yield from _beside("accept", "messages/s", found, (SOURCE, PIPELINED), postroads)
    yield from _beside("processor time, accept", "us/message", costs, (SOURCE,), postroads, more_is_better=False)
    yield from _latencies(field, over_http, over_smtp, middle(found))
    for name in postroads:
        yield Row("memory over idle while accepting", "MiB", memory[name] / MEBIBYTE, engine=name)


def _accepts(sender: Sender, messages: int) -> Round:
    return lambda: sender.send(messages).rate


def _beside(
    what: str,
    unit: str,
    found: Mapping[str, list[float]],
    others: Sequence[str],
    engines: Iterable[str],
    *,
    more_is_better: bool = True,
) -> Iterator[Row]:
    """A row for each engine beside each of the others."""
    figures = middle(found)
    for engine in engines:
        for other in others:
            rounds = {side: found[side] for side in (engine, other)}
            ours, theirs = figures[engine], figures[other]
            yield Row(what, unit, ours, theirs, other, more_is_better, rounds, engine)


def _latencies(
    field: Field, over_http: Mapping[str, Sender], over_smtp: Sender, rates: Mapping[str, float]
) -> Iterator[Row]:
    """(c) Each side at half of its own maximum."""
    field.tell("(c) accept latency at half of the maximum rate")
    versus = "Postfix, each at half of its own maximum"
    fastest = max(rates[SOURCE], rates[PIPELINED])
    loads: dict[str, list[Load]] = {name: [] for name in (*over_http, versus)}

    def paced(name: str, load: Sender, rate: float) -> Round:
        def measure() -> float:
            loads[name].append(load.send(max(int(rate * field.extent.paced), CONNECTIONS), rate))
            return loads[name][-1].percentile(99) * 1000

        return measure

    sides = {name: paced(name, load, rates[name] / 2) for name, load in over_http.items()}
    sides[versus] = paced(versus, over_smtp, fastest / 2)
    interleaved(field.extent.rounds, sides, field.tell)
    for percent in (50, 99):
        latencies = {name: [load.percentile(percent) * 1000 for load in found] for name, found in loads.items()}
        yield from _beside(f"accept p{percent}", "ms", latencies, (versus,), over_http, more_is_better=False)


def relay(field: Field) -> Iterator[Row]:
    """(b) From the first request until smtp-sink has taken the last message."""
    yield from _relayed(field, "end to end", signed=False)


def sign(field: Field) -> Iterator[Row]:
    """(b) The same with DKIM, by RSA-2048 and Ed25519, beside a Postfix that does not sign."""
    yield from _relayed(field, "end to end, signed", signed=True)


def _relayed(field: Field, what: str, *, signed: bool) -> Iterator[Row]:
    content, messages = message(), field.extent.relayed
    file = field.file_of(content)

    def through_postfix(count: int) -> None:
        smtp_source(field.postfix.relaying, file, count, AUTHOR, RECIPIENT)

    field.tell(f"(b) {what}, to smtp-sink")
    with field.running("sign" if signed else "relay", field.sink.port, signed=signed) as postroads:
        senders: dict[str, tuple[Callable[[int], object], Callable[[], float]]] = {
            name: (postroad.sender(content, CONNECTIONS).send, postroad.cpu_seconds)
            for name, postroad in postroads.items()
        }
        senders[SAME_SINK] = (through_postfix, field.postfix.cpu_seconds)
        costs: dict[str, list[float]] = {name: [] for name in senders}
        sides = {
            name: metered(_rate(field.sink, send, messages), cpu, messages, costs[name])
            for name, (send, cpu) in senders.items()
        }
        for send, _ in senders.values():
            field.sink.seconds_until(CONNECTIONS * 2, partial(send, CONNECTIONS * 2))
        found = interleaved(field.extent.rounds, sides, field.tell)
    yield from _beside(what, "messages/s", found, (SAME_SINK,), postroads)
    yield from _beside(
        f"processor time, {what}", "us/message", costs, (SAME_SINK,), postroads, more_is_better=False
    )


def _rate(sink: Sink, send: Callable[[int], object], messages: int) -> Round:
    """Send so many and wait until all have come out at the other side; messages a second."""
    return lambda: messages / sink.seconds_until(messages, partial(send, messages))


def largest(field: Field) -> Iterator[Row]:
    """(d) Memory for one message of the largest size, accepted and relayed."""
    field.tell(f"(d) one message of {LARGEST} octets")
    with field.running("largest", field.sink.port) as postroads:
        for name, postroad in postroads.items():
            # Over so many connections that every process which answers has had some: idle is not unused.
            field.sink.seconds_until(
                CONNECTIONS, partial(postroad.sender(message(), CONNECTIONS).send, CONNECTIONS)
            )
            idle = postroad.forget_peak()
            field.sink.seconds_until(1, partial(postroad.sender(message(LARGEST), 1).send, 1))
            memory = (postroad.peak_memory() - idle) / MEBIBYTE
            yield Row(f"memory over idle for {LARGEST} octets", "MiB", memory, engine=name)
