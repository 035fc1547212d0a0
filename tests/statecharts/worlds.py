"""Far ends that answer by themselves, for tests that let hours go by."""

import itertools

from holdfast.engine import Command, Event
from holdfast.statecharts import (
    Authenticate,
    Challenged,
    CloseSocket,
    CredentialsRead,
    HelloAccepted,
    HelloRefused,
    KeepMessage,
    LoadCredentials,
    MessagesKept,
    OpenSocket,
    Ponged,
    PostRefresh,
    RefreshFailed,
    RefreshSucceeded,
    SendPing,
    SocketClosed,
    SocketFailed,
    SocketOpened,
)

from .harness import DAY, REJECTED, Answer, Bench, credential

World = dict[type[Command], Answer]


def answering_pings() -> World:
    """Does nothing but live."""
    return {SendPing: lambda c: (Ponged(c.socket),)}


def good_gateway() -> World:
    """Accepts every hello and answers every ping."""
    answers: World = {
        OpenSocket: lambda c: (SocketOpened(c.socket), Challenged(c.socket, "nonce")),
        Authenticate: lambda c: (HelloAccepted(c.socket, "dev-1"),),
        CloseSocket: lambda c: (SocketClosed(c.socket, c.code),),
    }
    return answering_pings() | answers


def refusing_gateway(reason: str = REJECTED) -> World:
    """Refuses every hello."""
    answers: World = {Authenticate: lambda c: (HelloRefused(c.socket, reason), SocketClosed(c.socket, 1006))}
    return good_gateway() | answers


def hesitating_gateway() -> World:
    """Takes its time to answer a hello."""
    answers: World = {Authenticate: lambda c: ()}
    return good_gateway() | answers


def slamming_gateway(code: int = 1000) -> World:
    """Accepts every hello and closes at once."""
    answers: World = {Authenticate: lambda c: (HelloAccepted(c.socket, "dev-1"), SocketClosed(c.socket, code))}
    return good_gateway() | answers


def dead_gateway() -> World:
    """Cannot be reached."""
    answers: World = {OpenSocket: lambda c: (SocketFailed(c.socket, "connection refused"),)}
    return good_gateway() | answers


def rotating_server(bench: Bench, lifetime: float = DAY, *, changed: bool = True) -> World:
    """Rotates at every refresh."""

    def answer(command: PostRefresh) -> tuple[Event, ...]:
        pair = credential(command.generation + 1, lifetime=lifetime, wall=bench.wall)
        return (RefreshSucceeded(command.refresh, pair, changed),)

    return {PostRefresh: answer}


def failing_server(code: str = "") -> World:
    """Answers every refresh with an error."""
    return {PostRefresh: lambda c: (RefreshFailed(c.refresh, code, "no answer"),)}


def faithful_store(bench: Bench) -> World:
    """Holds what the chart used last."""

    def answer(command: LoadCredentials) -> tuple[Event, ...]:
        found = bench.account.credential
        return () if found is None else (CredentialsRead(found.generation, found),)

    return {LoadCredentials: answer}


def keeping_store() -> World:
    """Keeps every message at once."""
    return {KeepMessage: lambda c: (MessagesKept((c.trace,)),)}


def shortest_ladder(base: float, cap: float, seconds: float) -> int:
    """How many waits end within a time if each is as short as its jitter allows (d/2)."""
    spent = 0.0
    for depth in itertools.count():
        spent += min(cap, base * 2.0 ** min(depth, 64)) / 2
        if spent > seconds:
            return depth
    raise AssertionError
