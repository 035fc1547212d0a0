"""What an account wants done. Each docstring names the events that answer the command."""

from typing import Literal

from holdfast.engine import Command

SendOutcome = Literal["acked", "refused", "expired", "full", "dropped", "unpaired", "unkept", "ended"]
Sent = Literal["yes", "no", "unknown"]

# -- the store and its mirror --------------------------------------------------------------------------------


class LoadCredentials(Command, frozen=True):
    """Read the store. Answered by CredentialsRead or StoreFailed."""


class ClearCredentials(Command, frozen=True):
    """Blank the tokens, keep the identity, bump the generation, and forget the tokens in memory. With a
    ``generation`` only if the store is still there; without one, whatever it holds. Answered by CredentialsCleared
    or ClearFailed.
    """

    generation: int | None


class ForgetTokens(Command, frozen=True):
    """Forget the tokens in memory: the store has none any more."""


class WriteMirror(Command, frozen=True):
    """Copy the pair of ``generation`` to the mirror, if there is one. Answered by MirrorWritten or MirrorFailed."""

    generation: int


class BlankMirror(Command, frozen=True):
    """Blank the mirror's tokens, if there is one. Answered by MirrorWritten or MirrorFailed."""


class RememberDevice(Command, frozen=True):
    """Store the device id the gateway resolved, for the next dial (S0-14). Best effort."""

    device_id: str


class Greet(Command, frozen=True):
    """Store that the pairing of ``generation`` is greeted, and only then tell the user of it. Answered by NotGreeted,
    if that cannot be stored.
    """

    generation: int


class Record(Command, frozen=True):
    """Add a row to the account's history. Best effort."""

    kind: Literal["connection", "refresh", "logout"]
    state: str
    code: int | None = None
    reason: str = ""
    detail: str = ""


# -- the refresh exchange ------------------------------------------------------------------------------------


class PostRefresh(Command, frozen=True):
    """Journal the intent, POST the refresh token of ``generation``, and store the answer's pair before anything
    else happens. Detached from every caller. Answered by exactly one of RefreshSucceeded, RotationHeld,
    RefreshFailed and RefreshSuperseded, within ``deadline_s`` seconds.
    """

    refresh: int
    generation: int
    cause: str
    deadline_s: float


class StoreRotation(Command, frozen=True):
    """Try again to store the held pair, which replaces the one of ``generation``. Answered by RotationStored,
    RotationUnstored or RefreshSuperseded.
    """

    refresh: int
    generation: int


class UseCredential(Command, frozen=True):
    """From now on dial and call with this generation's token (S0-23)."""

    generation: int


class SettleRefresh(Command, frozen=True):
    """Tell everybody who waits for a refresh how it ended: all get the same outcome (S1-02)."""

    outcome: str  # success, permanent, transient or skipped
    reason: str = ""


# -- the connection ------------------------------------------------------------------------------------------


class OpenSocket(Command, frozen=True):
    """Dial. Answered by SocketOpened or SocketFailed, unless CloseSocket comes first."""

    socket: int


class Authenticate(Command, frozen=True):
    """Answer the challenge with the token of ``generation``. Answered by HelloAccepted or HelloRefused."""

    socket: int
    generation: int
    nonce: str


class CloseSocket(Command, frozen=True):
    """Close within ``deadline_s`` seconds, then drop. Answered by SocketClosed, always."""

    socket: int
    code: int
    reason: str
    deadline_s: float


class SendPing(Command, frozen=True):
    """Ping. Answered by Ponged, if the peer lives."""

    socket: int


class Deliver(Command, frozen=True):
    """Hand the frame that was just received to the user."""


class ReportFrame(Command, frozen=True):
    """Count and report a frame that could not be understood."""

    error: str


# -- messages ------------------------------------------------------------------------------------------------


class LoadMessages(Command, frozen=True):
    """Look for what this user had queued. Answered by MessagesFound or MessagesUnreadable."""


class KeepMessage(Command, frozen=True):
    """Put the message into the message store. Answered by MessagesKept or MessagesNotKept."""

    trace: str


class DropMessage(Command, frozen=True):
    """It is settled: forget it, in the message store too. Best effort."""

    trace: str


class TransmitMessage(Command, frozen=True):
    """Write the message's frame, the same bytes each time. Answered by MessageAcked or MessageRefused, perhaps."""

    socket: int
    trace: str


class SettleSend(Command, frozen=True):
    """Tell who waits how the sending ended. ``sent``: whether the gateway has it. With an answer's frame, that is
    beside this command.
    """

    trace: str
    outcome: SendOutcome
    sent: Sent
    code: str = ""


class SendReceipt(Command, frozen=True):
    """Store what was handled, and then tell the gateway that every frame up to ``number`` was; nothing, if that is 0.
    Answered by HandledNotStored, if it cannot be stored.
    """

    socket: int
    kind: Literal["seq", "dseq"]
    number: int
    epoch: str | int


class ExpectHandling(Command, frozen=True):
    """A numbered frame comes next: FramesHandled follows once it, and all before it, were handled."""

    socket: int
    number: int


# -- people --------------------------------------------------------------------------------------------------


class Notify(Command, frozen=True):
    """Tell the user, who must do something. Always logged; never fails."""

    level: str
    text: str
