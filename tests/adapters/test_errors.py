"""The error tree: typed, with attributes, picklable, each message with what to do next."""

import pickle

import pytest

from holdfast import adapters
from holdfast.adapters import (
    AccountBusy,
    AckTimeout,
    BodyNotReplayable,
    ConfigError,
    ConnectionLost,
    HoldfastError,
    NotConnected,
    NotEntered,
    NotPaired,
    NotSupported,
    OutboxFull,
    PairingFailed,
    ProcessFailed,
    SendError,
    SendRefused,
    Stopped,
    StoreCorrupt,
    StoreError,
    StoreTooNew,
    StoreUnavailable,
)

EVERY: list[HoldfastError] = [
    AccountBusy("work"),
    AckTimeout("unknown"),
    BodyNotReplayable(),
    ConfigError("HOLDFAST_WS_URL", "names no host"),
    ConnectionLost("no"),
    OutboxFull(),
    SendError(),
    NotConnected(),
    NotEntered(),
    NotPaired("work"),
    NotSupported("request()"),
    PairingFailed(16001, "unknown user"),
    PairingFailed(None),
    ProcessFailed("no such file"),
    PairingFailed(None, "no connection", spent=False),
    SendRefused("not_member", "left"),
    Stopped(),
    StoreCorrupt("/s.db", "is damaged; restore a copy"),
    StoreError(None, "failed; try again"),
    StoreTooNew("/s.db", 9, 1),
    StoreUnavailable("/s.db", "disk full; make room"),
]


def test_every_error_is_covered_here() -> None:
    errors = {kind for kind in vars(adapters).values() if isinstance(kind, type) and issubclass(kind, HoldfastError)}
    ours = {kind for kind in errors if kind.__module__ == HoldfastError.__module__}
    assert ours - {HoldfastError} == {type(error) for error in EVERY}


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_survives_a_process_boundary(error: HoldfastError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.__dict__) == (type(error), str(error), error.__dict__)


def test_attributes_tell_what_happened() -> None:
    assert StoreTooNew("/s.db", 9, 1).found == 9
    assert StoreError(None, "x").path is None
    assert ConnectionLost("unknown").sent == "unknown"
    assert SendRefused("not_member", "left").reason == "left"
    assert PairingFailed(16001).code == 16001


@pytest.mark.parametrize(("spent", "advice"), [(True, "get a new one"), (False, "try the same one again")])
def test_a_failed_pairing_says_whether_the_code_is_still_good(spent: bool, advice: str) -> None:
    error = PairingFailed(None, spent=spent)
    assert error.spent is spent
    assert advice in str(error)


@pytest.mark.parametrize(("sent", "advice"), [("yes", "do not send"), ("no", "safe"), ("unknown", "another message")])
def test_a_lost_message_says_whether_to_send_it_again(sent: str, advice: str) -> None:
    assert advice in str(ConnectionLost(sent))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert advice in str(AckTimeout(sent))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
