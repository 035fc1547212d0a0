"""The main workload: a connection's lifecycle, as a chart, as a hand-written table and for `transitions`.

11 states on 3 levels, 20 event types, 35 rows, 3 guards, entry and exit commands, internal transitions on a leaf
and on a compound state, rows of inner states that fall through to the outer ones when their guard refuses.
"""

import msgspec

from holdfast.engine import Command, Event, State, Statechart, Transition, effect

Row = Transition


class Counters(msgspec.Struct, frozen=True):
    attempts: int = 0
    missed: int = 0
    frames: int = 0


def events(*names: str) -> list[type[Event]]:
    return [msgspec.defstruct(name, [], bases=(Event,), frozen=True) for name in names]


def command(name: str) -> Command:
    return msgspec.defstruct(name, [], bases=(Command,), frozen=True)()


EVENTS = events(
    *("Start", "Stop", "Opened", "Lost", "Challenged", "HelloOk", "HelloFailed", "TokenExpiring", "Refreshed"),
    *("RefreshFailed", "Ping", "Pong", "Frame", "Send", "Drain", "Drained", "RetryDue", "Reset", "Tick", "Noise"),
)
Start, Stop, Opened, Lost, Challenged, HelloOk, HelloFailed, TokenExpiring, Refreshed = EVENTS[:9]
RefreshFailed, Ping, Pong, Frame, Send, Drain, Drained, RetryDue, Reset, Tick, Noise = EVENTS[9:]

ACQUIRE, RELEASE, WATCH, UNWATCH = map(command, ("Acquire", "Release", "Watch", "Unwatch"))
DIAL, HELLO, ANNOUNCE, POST_REFRESH, FLUSH = map(command, ("Dial", "Hello", "Announce", "PostRefresh", "Flush"))
SLEEP, WAKE, REPORT, CLOSE, LOG, REFUSE = map(command, ("Sleep", "Wake", "Report", "Close", "Log", "Refuse"))
PONG, TRANSMIT, QUEUE = map(command, ("SendPong", "Transmit", "Queue"))
Deliver = msgspec.defstruct("Deliver", [], bases=(Command,), frozen=True)
DELIVER = Deliver()


def may_retry(c, event, stamp):
    return c.attempts < 5


def near_expiry(c, event, stamp):
    return c.frames >= 8


def unanswered(c, event, stamp):
    return c.missed >= 2


@effect()
def count_attempt(c, event, stamp):
    return Counters(c.attempts + 1, c.missed, c.frames), ()


@effect()
def clear_attempts(c, event, stamp):
    return Counters(0, c.missed, c.frames), ()


@effect()
def count_missed(c, event, stamp):
    return Counters(c.attempts, c.missed + 1, c.frames), ()


@effect()
def clear_missed(c, event, stamp):
    return Counters(c.attempts, 0, c.frames), ()


@effect()
def count_frame(c, event, stamp):
    return Counters(c.attempts, c.missed, c.frames + 1), ()


@effect(Deliver)
def deliver_frame(c, event, stamp):
    return Counters(c.attempts, c.missed, c.frames + 1), (DELIVER,)


@effect()
def clear_frames(c, event, stamp):
    return Counters(c.attempts, c.missed, 0), ()


@effect()
def clear_all(c, event, stamp):
    return Counters(), ()


STATES = (
    State(name="offline"),
    State(
        name="online",
        initial="connecting",
        on_enter=(ACQUIRE,),
        on_exit=(RELEASE,),
        children=(
            State(
                name="connecting",
                initial="dialing",
                on_enter=(WATCH,),
                on_exit=(UNWATCH,),
                children=(
                    State(name="dialing", on_enter=(DIAL,)),
                    State(name="challenged"),
                    State(name="greeting", on_enter=(HELLO,)),
                ),
            ),
            State(name="ready", on_enter=(ANNOUNCE,)),
            State(name="refreshing", on_enter=(POST_REFRESH,)),
            State(name="draining", on_enter=(FLUSH,)),
        ),
    ),
    State(name="backing_off", on_enter=(SLEEP,), on_exit=(WAKE,)),
    State(name="failed", on_enter=(REPORT,)),
)

C = "online/connecting"
ROWS = (
    Row(trigger=Start, source="offline", dest=C),
    Row(trigger=Reset, source="offline", dest=None, effects=(clear_all,)),
    Row(trigger=Lost, source=f"{C}/dialing", dest=f"{C}/dialing", conditions=(near_expiry,)),
    Row(trigger=Opened, source=f"{C}/dialing", dest=f"{C}/challenged"),
    Row(trigger=Challenged, source=f"{C}/challenged", dest=f"{C}/greeting"),
    Row(trigger=HelloOk, source=f"{C}/greeting", dest="online/ready", effects=(clear_attempts,)),
    Row(trigger=TokenExpiring, source=f"{C}/greeting", dest="online/refreshing"),
    Row(trigger=HelloFailed, source=C, dest="backing_off", conditions=(may_retry,), effects=(count_attempt,)),
    Row(trigger=HelloFailed, source=C, dest="failed"),
    Row(trigger=Start, source=C, dest=C),
    Row(trigger=Send, source=C, dest=None, effects=(REFUSE,)),
    Row(trigger=Ping, source="online/ready", dest=None, effects=(PONG,)),
    Row(trigger=Pong, source="online/ready", dest=None, effects=(clear_missed,)),
    Row(trigger=Tick, source="online/ready", dest="online/refreshing", conditions=(near_expiry,)),
    Row(trigger=Send, source="online/ready", dest=None, effects=(TRANSMIT,)),
    Row(trigger=Drain, source="online/ready", dest="online/draining"),
    Row(trigger=TokenExpiring, source="online/ready", dest="online/refreshing"),
    Row(trigger=Frame, source="online/ready", dest=None, effects=(deliver_frame,)),
    Row(trigger=Refreshed, source="online/refreshing", dest="online/ready", effects=(clear_frames,)),
    Row(trigger=RefreshFailed, source="online/refreshing", dest="online/refreshing", conditions=(near_expiry,)),
    Row(trigger=RefreshFailed, source="online/refreshing", dest="offline"),
    Row(trigger=Send, source="online/refreshing", dest=None, effects=(QUEUE,)),
    Row(trigger=Drained, source="online/draining", dest="offline"),
    Row(trigger=Stop, source="online", dest="offline", effects=(CLOSE,)),
    Row(trigger=Lost, source="online", dest="backing_off", conditions=(may_retry,), effects=(count_attempt,)),
    Row(trigger=Lost, source="online", dest="failed"),
    Row(trigger=Frame, source="online", dest=None, effects=(count_frame,)),
    Row(trigger=Noise, source="online", dest=None, effects=(LOG,)),
    Row(trigger=Tick, source="online", dest="backing_off", conditions=(unanswered,), effects=(clear_missed,)),
    Row(trigger=Tick, source="online", dest=None, effects=(count_missed,)),
    Row(trigger=Reset, source="online", dest=None, effects=(clear_all,)),
    Row(trigger=RetryDue, source="backing_off", dest=C, conditions=(may_retry,)),
    Row(trigger=RetryDue, source="backing_off", dest="failed"),
    Row(trigger=Stop, source="backing_off", dest="offline"),
    Row(trigger=Reset, source="failed", dest="offline", effects=(clear_attempts,)),
)

CHART = Statechart(name="link", context=Counters, initial="offline", states=STATES, transitions=ROWS)


# -- the same by hand: a flat table keyed by (state, event), and a pure step over plain tuples ---------------------


def _may_retry(c):
    return c[0] < 5


def _near_expiry(c):
    return c[2] >= 8


def _unanswered(c):
    return c[1] >= 2


def _count_attempt(c):
    return (c[0] + 1, c[1], c[2])


def _clear_attempts(c):
    return (0, c[1], c[2])


def _count_missed(c):
    return (c[0], c[1] + 1, c[2])


def _clear_missed(c):
    return (c[0], 0, c[2])


def _count_frame(c):
    return (c[0], c[1], c[2] + 1)


def _clear_frames(c):
    return (c[0], c[1], 0)


def _clear_all(c):
    return (0, 0, 0)


def _table():
    dialing, challenged, greeting = f"{C}/dialing", f"{C}/challenged", f"{C}/greeting"
    ready, refreshing, draining = "online/ready", "online/refreshing", "online/draining"
    table = {
        ("offline", "Start"): ((None, dialing, None, (ACQUIRE, WATCH, DIAL)),),
        ("offline", "Reset"): ((None, "offline", _clear_all, ()),),
        (dialing, "Opened"): ((None, challenged, None, ()),),
        (challenged, "Challenged"): ((None, greeting, None, (HELLO,)),),
        (greeting, "HelloOk"): ((None, ready, _clear_attempts, (UNWATCH, ANNOUNCE)),),
        (greeting, "TokenExpiring"): ((None, refreshing, None, (UNWATCH, POST_REFRESH)),),
        (ready, "Ping"): ((None, ready, None, (PONG,)),),
        (ready, "Pong"): ((None, ready, _clear_missed, ()),),
        (ready, "Send"): ((None, ready, None, (TRANSMIT,)),),
        (ready, "Drain"): ((None, draining, None, (FLUSH,)),),
        (ready, "TokenExpiring"): ((None, refreshing, None, (POST_REFRESH,)),),
        (refreshing, "Refreshed"): ((None, ready, _clear_frames, (ANNOUNCE,)),),
        (refreshing, "RefreshFailed"): (
            (_near_expiry, refreshing, None, (POST_REFRESH,)),
            (None, "offline", None, (RELEASE,)),
        ),
        (refreshing, "Send"): ((None, refreshing, None, (QUEUE,)),),
        (draining, "Drained"): ((None, "offline", None, (RELEASE,)),),
        ("backing_off", "RetryDue"): (
            (_may_retry, dialing, None, (WAKE, ACQUIRE, WATCH, DIAL)),
            (None, "failed", None, (WAKE, REPORT)),
        ),
        ("backing_off", "Stop"): ((None, "offline", None, (WAKE,)),),
        ("failed", "Reset"): ((None, "offline", _clear_attempts, ()),),
    }
    for state in (dialing, challenged, greeting, ready, refreshing, draining):
        out = (UNWATCH, RELEASE) if state.startswith(C) else (RELEASE,)
        delivered = (DELIVER,) if state == ready else ()
        lost = (
            (_may_retry, "backing_off", _count_attempt, (*out, SLEEP)),
            (None, "failed", None, (*out, REPORT)),
        )
        tick = ((_unanswered, "backing_off", _clear_missed, (*out, SLEEP)), (None, state, _count_missed, ()))
        table[state, "Stop"] = ((None, "offline", None, (*out, CLOSE)),)
        table[state, "Lost"] = ((_near_expiry, dialing, None, (DIAL,)), *lost) if state == dialing else lost
        table[state, "Frame"] = ((None, state, _count_frame, delivered),)
        table[state, "Noise"] = ((None, state, None, (LOG,)),)
        table[state, "Tick"] = ((_near_expiry, refreshing, None, (POST_REFRESH,)), *tick) if state == ready else tick
        table[state, "Reset"] = ((None, state, _clear_all, ()),)
        if state.startswith(C):
            table[state, "HelloFailed"] = lost
            table[state, "Start"] = ((None, dialing, None, (UNWATCH, WATCH, DIAL)),)
            table[state, "Send"] = ((None, state, None, (REFUSE,)),)
    return table


TABLE = _table()
TABLE_START = ("offline", (0, 0, 0))


def table_step(snapshot, event):
    state, context = snapshot
    rows = TABLE.get((state, event))
    if rows is not None:
        for guard, target, update, commands in rows:
            if guard is None or guard(context):
                return (target, context if update is None else update(context)), commands
    return snapshot, ()
