"""Figures: medians of interleaved rounds, and how they are shown."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

Round = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. `ratio` is made so that more is better for Postroad."""

    name: str
    unit: str
    postroad: float
    other: float | None = None
    versus: str = ""
    more_is_better: bool = True
    rounds: Mapping[str, list[float]] | None = None
    engine: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the other Postroad is."""
        if not self.other or not self.postroad:
            return None
        return self.postroad / self.other if self.more_is_better else self.other / self.postroad

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON."""
        values = {"name": self.name, "engine": self.engine, "unit": self.unit, "postroad": self.postroad}
        if self.other is not None:
            values |= {"versus": self.versus, "other": self.other, "ratio": self.ratio}
        return values | ({"rounds": self.rounds} if self.rounds else {})


def interleaved(rounds: int, sides: Mapping[str, Round], tell: Callable[[str], None]) -> dict[str, list[float]]:
    """Run A B A B ...; the figures of each side."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, measure in sides.items():
            found[name].append(measure())
            tell(f"  round {number + 1} of {rounds}: {name} {found[name][-1]:,.1f}")
    return found


def metered(measure: Round, cpu_seconds: Callable[[], float], messages: int, costs: list[float]) -> Round:
    """`measure`, noting beside the processor time of a message in microseconds."""

    def round_() -> float:
        before = cpu_seconds()
        figure = measure()
        costs.append((cpu_seconds() - before) / messages * 1e6)
        return figure

    return round_


def middle(found: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each side."""
    return {name: median(values) for name, values in found.items()}


def table(rows: list[Row]) -> Iterator[str]:
    """The rows for a person."""
    yield f"{'':48} {'Postroad on':>19} {'':>12} {'other':>12} {'ratio':>7}"
    for row in rows:
        other = "" if row.other is None else f"{row.other:,.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        name = f"{row.name} ({row.unit})"
        yield f"{name:48} {row.engine:>19} {row.postroad:>12,.2f} {other:>12} {ratio:>7}  {row.versus}"
