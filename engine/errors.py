"""What can be wrong with a chart, found when it is compiled, and with a caller, found when it steps."""

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a chart: where it is, what it is and how to mend it."""

    chart: str
    state: str
    row: str
    problem: str
    mend: str

    def __str__(self) -> str:
        where = " ".join(part for part in (self.state and f"state {self.state!r}", self.row) if part)
        return f"{self.chart}: {where or 'chart'}: {self.problem}; {self.mend}"


class ChartError(ValueError):
    """A chart cannot be compiled. ``faults`` lists everything wrong with it, not only the first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class MicrostepLimit(RuntimeError):
    """A step did not come to rest within the bound: eventless rows or raised events form a loop."""

    def __init__(self, chart: str, trail: tuple[str, ...]) -> None:
        super().__init__(f"{chart}: no rest after {len(trail)} microsteps; the loop: {' -> '.join(trail[-8:])}")
        self.chart = chart
        self.trail = trail


class SnapshotError(ValueError):
    """A stored snapshot does not fit the chart it is restored under."""
