"""The errors a user of Holdfast can meet: one typed tree.

What went wrong is in attributes; the message adds what to do next. What the *world* does wrong (a refused dial, a
silent peer) is an event and reaches a caller only as the outcome of something the caller asked for. No error ever holds
a token or a pairing code.
"""

from os import PathLike, fspath
from typing import Any, Literal

Sent = Literal["yes", "no", "unknown"]
"""Whether the peer has what was to be sent: ``yes`` it answered, ``no`` it never left, ``unknown`` it may have."""


class HoldfastError(Exception):
    """The base of every error that Holdfast raises on purpose. Any other exception out of it is a bug."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickling calls an exception with its message alone, which breaks process pools: rebuild it from its state.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[HoldfastError], args: tuple[Any, ...], state: dict[str, Any]) -> HoldfastError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class ConfigError(HoldfastError):
    """A setting cannot be used: correct it and start again. ``setting`` names it, or the file that holds it."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class StoreError(HoldfastError):
    """The credential store failed, and nothing of the attempted change was written. ``path`` is None in memory."""

    def __init__(self, path: str | PathLike[str] | None, problem: str) -> None:
        where = "memory" if path is None else fspath(path)
        super().__init__(f"store {where}: {problem}")
        self.path = None if path is None else where
        self.problem = problem


class StoreCorrupt(StoreError):
    """The file is damaged or no credential store at all. It is left as it is."""


class StoreTooNew(StoreError):
    """The store was written by a newer Holdfast. It is left as it is."""

    def __init__(self, path: str | PathLike[str], found: int, supported: int) -> None:
        super().__init__(
            path,
            f"has schema version {found}, known here are those up to {supported}; upgrade Holdfast or use another path",
        )
        self.found = found
        self.supported = supported


class StoreUnavailable(StoreError):
    """The store cannot be reached or written now: permissions, a full disk, a directory in its place, a held lock."""


class AccountBusy(HoldfastError):
    """Another live link, in this process or another, owns ``account``."""

    def __init__(self, account: str) -> None:
        super().__init__(
            f"account {account!r} already has a live link; stop that one first, or use another account or store here"
        )
        self.account = account


class SendError(HoldfastError):
    """A message was not delivered, as far as is known. ``sent`` says whether the peer may have it."""

    sent: Sent = "no"


class NotConnected(SendError):
    """There was no live connection in time. Nothing was sent."""

    def __init__(self) -> None:
        super().__init__("not connected in time; nothing was sent: give it longer, or see status.reason")


class ConnectionLost(SendError):
    """The link ended before the answer came. ``sent`` says whether the peer may have the message; ``kept`` whether a
    durable message store has it, so that the next link sends it.
    """

    def __init__(self, sent: Sent, *, kept: bool = False) -> None:
        advice = "the next link sends it: do not send it again, except with its message id" if kept else _RESEND[sent]
        super().__init__(f"connection lost (sent: {sent}); {advice}")
        self.sent: Sent = sent
        self.kept = kept


class AckTimeout(SendError):
    """No acknowledgement came in time. ``sent`` says whether the peer may have the message."""

    def __init__(self, sent: Sent) -> None:
        super().__init__(f"no acknowledgement in time (sent: {sent}); {_RESEND[sent]}")
        self.sent: Sent = sent


_RESEND: dict[Sent, str] = {
    "yes": "the peer has it, do not send it again",
    "no": "it never left, so it is safe to send again",
    "unknown": "the peer may have it: sent again it would be another message, so look before you do",
}


class SendRefused(SendError):
    """The peer (or a local check: ``sent`` is ``no`` then) refused the message for good: the same again cannot help."""

    def __init__(self, code: str, reason: str | None = None, *, sent: Sent = "no") -> None:
        detail = f" ({reason})" if reason else ""
        super().__init__(f"message refused: {code}{detail}; change the message or the recipient before sending again")
        self.code = code
        self.reason = reason
        self.sent = sent


class OutboxFull(SendError):
    """The queue of messages is full, and by its policy this one was refused or had to give way. It never left."""

    def __init__(self) -> None:
        super().__init__("too many messages wait to be sent; send fewer, or let `Policy.outbox_full` wait")


class NotPaired(SendError):
    """The account has no credentials, or lost them for good."""

    def __init__(self, account: str, sent: Sent = "no") -> None:
        super().__init__(f"account {account!r} is not paired; pair it with `holdfast activate` and a fresh code")
        self.account = account
        self.sent = sent


class PairingFailed(HoldfastError):
    """Pairing was refused, or its answer is unknown, or there was no connection to ask over.

    ``code`` is the service's, None when it gave none. ``spent`` says whether another pairing code is needed: it is
    False only if the code never left, so that the same one can be tried again.
    """

    def __init__(self, code: int | None, reason: str | None = None, *, spent: bool = True) -> None:
        detail = "".join((f" with code {code}" if code is not None else "", f" ({reason})" if reason else ""))
        advice = (
            "a pairing code works once, so get a new one and try again"
            if spent
            else "the code was not sent and is still good, so try the same one again"
        )
        super().__init__(f"pairing failed{detail}; {advice}")
        self.code = code
        self.reason = reason
        self.spent = spent


class BodyNotReplayable(HoldfastError):
    """The token was refused, and the request's body can be read only once, so the retry could not send it."""

    def __init__(self) -> None:
        super().__init__("the token was refused, and a streamed body cannot be sent twice; repeat it, or pass bytes")


class Stopped(HoldfastError):
    """The link, or the manager of a gateway process, was stopped. It stays stopped."""

    def __init__(self, text: str = "this link was stopped; open a new one with `holdfast.connect(...)`") -> None:
        super().__init__(text)


class NotEntered(HoldfastError):
    """The link, or the manager of a gateway process, was not entered yet."""

    def __init__(self, thing: str = "link") -> None:
        super().__init__(f"this {thing} was not entered yet; use it inside `async with {thing}:`")


class NotSupported(HoldfastError):
    """The dialect or the store has no such ``feature``."""

    def __init__(self, feature: str) -> None:
        super().__init__(f"{feature} is not supported here; use a dialect or store that has it")
        self.feature = feature


class ProcessFailed(HoldfastError):
    """The gateway process is not running, and will not be by itself. ``problem`` says why."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"the gateway process could not be started: {problem}; mend that, then start it again")
        self.problem = problem
