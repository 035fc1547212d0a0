"""Anything an account chart may be told, at any time: for fuzzing it, or a chart like it."""

import functools
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import strategies as st

from holdfast.engine import Armed, Event, Snapshot, TimerFired
from holdfast.statecharts import COMPAT, EXACT, SEED, Credential, MessageRefused, Policy, Queued, account_chart

WALLS = st.floats(0, 4e9)
GENERATIONS = st.integers(0, 4)
IDS = st.integers(0, 4)
TRACES = st.sampled_from(("t1", "t2", "t3", "t4"))
NUMBERS = st.none() | st.integers(0, 6)

_REASONS = st.sampled_from(("", "Auth service unavailable", "authentication failed", "token expired", "busy"))
_CODES = st.sampled_from(("", "1", "400", "10003"))


def credentials() -> st.SearchStrategy[Credential]:
    """Any credential, sensible or not: expired before it was issued, ageless, without end."""
    maybe = st.none() | WALLS
    return st.builds(
        Credential,
        generation=GENERATIONS,
        issued_at=maybe,
        expires_at=maybe,
        obtained_at=maybe,
        refreshable=st.booleans(),
    )


def policies() -> st.SearchStrategy[Policy]:
    """Policies that somebody could run: both profiles and classifiers, any causes that reconnect, any scale."""
    causes = st.sampled_from(((), ("proactive",), ("proactive", "rest-401", "user")))
    strict = st.builds(
        Policy,
        classifier=st.sampled_from((SEED, EXACT)),
        refresh_causes_reconnecting=causes,
        outbox_max=st.integers(1, 3),
        outbox_full=st.sampled_from(("wait", "reject", "drop_oldest")),
    )
    return st.builds(Policy.scaled, strict | st.just(COMPAT), st.sampled_from((1.0, 0.001, 20.0)))


_WAITING = st.builds(Queued, trace=TRACES, chat=st.just("cnv_1"), size=st.just(1), due=st.none())
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "generation": GENERATIONS,
    "credential": st.none() | credentials(),
    "interrupted": st.booleans(),
    "greeted": st.booleans(),
    "changed": st.booleans(),
    "refresh": IDS,
    "socket": IDS,
    "code": _CODES,
    "reason": _REASONS,
    "cause": st.sampled_from(("proactive", "rest-401", "hello-fail", "user")),
    "error": st.just("an error"),
    "retry_after_s": st.sampled_from((0.0, 5.0, 1e9)),
    "nonce": st.just("nonce"),
    "device_id": st.sampled_from(("", "device")),
    "trace": TRACES,
    "traces": st.lists(TRACES, max_size=3).map(tuple),
    "chat": st.sampled_from(("", "cnv_1", "cnv_2")),
    "size": st.integers(0, 1_000_000),
    "life_s": st.none() | st.floats(0, 100),
    "seq": NUMBERS,
    "dseq": NUMBERS,
    "number": st.integers(0, 6),
    "numbered": st.booleans(),
    "ack_mode": st.sampled_from(("", "dseq")),
    "ack_epoch": st.just("epoch"),
    "user_id": st.sampled_from((None, "usr_1", "usr_2")),
    "ours": st.booleans(),
    "lasting": st.booleans(),
    "queued": st.lists(_WAITING, max_size=3, unique_by=lambda one: one.trace).map(tuple),
}
_CLOSE_CODES = st.sampled_from((1000, 1005, 1006, 1009, 4001))
_ANSWER_CODES = st.sampled_from(("", "bad_request", "not_member"))


def _fields(kind: type[Event]) -> dict[str, st.SearchStrategy[Any]]:
    fields = {name: _FIELDS[name] for name in kind.__struct_fields__}
    if kind is MessageRefused:
        fields["code"] = _ANSWER_CODES
    for field in msgspec.structs.fields(kind):
        if field.name == "code" and field.type is int:
            fields["code"] = _CLOSE_CODES
        if field.name == "credential" and field.type is Credential:
            fields["credential"] = credentials()
    return fields


@functools.cache
def _told() -> st.SearchStrategy[Event]:
    return st.sampled_from(account_chart.events).flatmap(lambda kind: st.builds(kind, **_fields(kind)))


def account_events() -> st.SearchStrategy[Callable[[Snapshot], Event]]:
    """Any event of the account chart, as a function of the snapshot it meets: an armed timer fires only if there is
    one, and half of the outcomes are those of the current attempt.
    """
    return st.one_of(_told().map(_said), _told().map(_meant), st.integers(0, 7).map(_fired))


def _said(event: Event) -> Callable[[Snapshot], Event]:
    return lambda snapshot: event


def _meant(event: Event) -> Callable[[Snapshot], Event]:
    field = event.correlates
    if field is None:
        return _said(event)
    return lambda snapshot: msgspec.structs.replace(event, **{field: getattr(snapshot.context, field)})


def _fired(place: int) -> Callable[[Snapshot], Event]:
    def fire(snapshot: Snapshot) -> Event:
        timers = snapshot.timers or (Armed("retry", 0, 0.0),)
        return TimerFired(timers[place % len(timers)].timer, timers[place % len(timers)].serial)

    return fire
