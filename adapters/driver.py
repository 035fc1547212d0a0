"""The driver: the one place that calls ``step``. It feeds events in, hands commands out, and decides nothing."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from holdfast.engine import (
    ArmTimer,
    CancelTimer,
    Chart,
    Command,
    Event,
    Snapshot,
    Stamp,
    TimerFired,
    Unhandled,
    start,
    step,
)

from .clock import Alarm, Clock

Port = Callable[[Any], None]
Watch = Callable[[Snapshot, Snapshot, Stamp], None]


class Driver:
    """Drives one instance of a chart on one event loop.

    ``ports`` has a function for each kind of command. A port never blocks and never calls back: what it finds out
    it reports by :meth:`dispatch`, as does everything else. ``watch`` sees each change of the snapshot, before the
    commands are carried out. An error that escapes a port or the chart is a bug; it ends the driver (``failed``).
    """

    def __init__(
        self, chart: Chart, context: Any, clock: Clock, ports: Mapping[type[Command], Port], watch: Watch
    ) -> None:
        self._chart = chart
        self._clock = clock
        self._watch = watch
        self._ports: dict[type[Command], Port] = {
            **ports,
            ArmTimer: _nothing,  # armed timers are in the snapshot, which is looked at after each step
            CancelTimer: _nothing,
            Unhandled: self._count,
        }
        self._inbox: deque[tuple[Event, Any]] = deque()
        self._stepping = False
        self._closed = False
        self._alarm: Alarm | None = None
        self._alarm_due = 0.0
        self.unhandled: Counter[str] = Counter()
        self.failed: BaseException | None = None
        self.attachment: Any = None
        self.snapshot, self._first = start(chart, context, clock.stamp())

    @property
    def done(self) -> bool:
        """True when the chart has reached its end, or the driver has failed or was closed."""
        return self.snapshot.done or self.failed is not None or self._closed

    def begin(self) -> None:
        """Carry out the commands of the chart's initial states."""
        self._stepping = True  # what the ports report waits until all of them ran
        self._guarded(self._execute, self._first)
        self._stepping = False
        self._pump()

    def dispatch(self, event: Event, attachment: Any = None) -> None:
        """Take an event in. Called within a step, it waits for that step's end; after the end, it is dropped.

        ``attachment`` travels beside the event, unseen by the chart (a message body), for the ports of its step.
        """
        if not self.done:
            self._inbox.append((event, attachment))
            self._pump()

    def close(self) -> None:
        """Call off the pending timer. Nothing is dispatched any more."""
        self._closed = True
        self._inbox.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _pump(self) -> None:
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._inbox and not self.done:
                event, self.attachment = self._inbox.popleft()
                self._guarded(self._step, event)
                self.attachment = None
        finally:
            self._stepping = False
        self._set_alarm()

    def _guarded(self, work: Callable[[Any], None], argument: Any) -> None:
        try:
            work(argument)
        except Exception as error:
            self.failed = error
            self._watch(self.snapshot, self.snapshot, self._clock.stamp())

    def _step(self, event: Event) -> None:
        stamp = self._clock.stamp()
        before = self.snapshot
        self.snapshot, commands = step(self._chart, before, event, stamp)
        if self.snapshot is not before:
            self._watch(before, self.snapshot, stamp)
        self._execute(commands)

    def _execute(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            self._ports[command.__class__](command)

    def _count(self, command: Unhandled) -> None:
        self.unhandled[f"{command.event} (stale)" if command.stale else command.event] += 1

    # -- timers: one alarm for the earliest; a later earliest one lets it ring early and look again ----------------

    def _set_alarm(self) -> None:
        timers = self.snapshot.timers
        if self.done or not timers:
            return
        due = min(armed.due for armed in timers)
        if self._alarm is None or due < self._alarm_due:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_due = due
            self._alarm = self._clock.call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now = self._clock.stamp().now
        for armed in sorted(self.snapshot.timers, key=lambda armed: (armed.due, armed.serial)):
            if armed.due <= now and armed in self.snapshot.timers:  # an earlier one may have cancelled it
                self.dispatch(TimerFired(armed.timer, armed.serial))
        self._set_alarm()


def _nothing(command: Command) -> None:
    """The snapshot says it already."""
