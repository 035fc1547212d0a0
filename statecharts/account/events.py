"""What happens to an account. Those that answer a command echo its id; the rest of the world just speaks."""

from typing import ClassVar, Literal

from holdfast.engine import Event

from .context import Credential, Queued

# -- a person, or the program that embeds us -----------------------------------------------------------------


class StopRequested(Event, frozen=True):
    """The link is to end. Not a logout: a pair still under way is stored."""


class LogoutRequested(Event, frozen=True):
    """The tokens are to be forgotten."""


class RefreshRequested(Event, frozen=True):
    """Somebody wants a fresh token. ``generation`` is the one that was refused, if one was (REST 401)."""

    cause: str
    generation: int | None = None


class ResumeRequested(Event, frozen=True):
    """Whatever the account was parked for has been dealt with: dial again."""


class SendRequested(Event, frozen=True):
    """A message is to go out. ``trace`` names it, ``size`` is its frame's in characters, ``life_s`` how many seconds it
    is worth sending, or None for as long as it takes. ``lasting``: nobody waits for it, so that it outlives a logout.
    """

    trace: str
    chat: str
    size: int
    life_s: float | None
    lasting: bool = False


class SendWithdrawn(Event, frozen=True):
    """Who asked for it waits no longer. What never left is not sent any more."""

    trace: str


# -- the store -----------------------------------------------------------------------------------------------


class CredentialsRead(Event, frozen=True):
    """Answers LoadCredentials: what the store holds. ``interrupted``: a refresh was begun and never settled.
    ``greeted``: this pairing had its first session.
    """

    generation: int
    credential: Credential | None
    interrupted: bool = False
    greeted: bool = True
    user_id: str | None = None


class CredentialsChanged(Event, frozen=True):
    """The store was changed by somebody else: a pairing (a credential) or a logout (None)."""

    generation: int
    credential: Credential | None
    greeted: bool = True
    user_id: str | None = None


class NotGreeted(Event, frozen=True):
    """Answers Greet: the store cannot be written now, or has moved on, so nobody was greeted."""


class StoreFailed(Event, frozen=True):
    """Answers LoadCredentials: the store cannot be read now."""

    error: str


class CredentialsCleared(Event, frozen=True):
    """Answers ClearCredentials: the tokens are gone from the store, whose generation is now this."""

    generation: int


class ClearFailed(Event, frozen=True):
    """Answers ClearCredentials: the store cannot be written now."""

    error: str


class MirrorWritten(Event, frozen=True):
    """Answers WriteMirror and BlankMirror."""


class MirrorFailed(Event, frozen=True):
    """Answers WriteMirror and BlankMirror: the mirror cannot be written now."""

    error: str


class MessagesFound(Event, frozen=True):
    """Answers LoadMessages: what the message store keeps of this user, oldest first."""

    queued: tuple[Queued, ...]


class MessagesUnreadable(Event, frozen=True):
    """Answers LoadMessages: the message store cannot be read now."""


class MessagesKept(Event, frozen=True):
    """Answers KeepMessage, for one or several: they are in the message store."""

    traces: tuple[str, ...]


class MessagesNotKept(Event, frozen=True):
    """Answers KeepMessage, for one or several: the message store cannot be written now."""

    traces: tuple[str, ...]


# -- the refresh exchange (each echoes its id) ---------------------------------------------------------------


class RefreshSucceeded(Event, frozen=True):
    """Answers PostRefresh: the server rotated and the new pair is in the store.

    ``changed`` is False when the access token is the one we had: no progress (P20).
    """

    correlates: ClassVar[str | None] = "refresh"
    refresh: int
    credential: Credential
    changed: bool = True


class RotationHeld(Event, frozen=True):
    """Answers PostRefresh: the server rotated but the store refused the pair, which the vault holds (V02)."""

    correlates: ClassVar[str | None] = "refresh"
    refresh: int
    credential: Credential
    error: str


class RefreshFailed(Event, frozen=True):
    """Answers PostRefresh: no new pair. ``code`` is the answer's, or empty where none could be read. ``retry_after_s``:
    the server does not want another attempt sooner (P39).
    """

    correlates: ClassVar[str | None] = "refresh"
    refresh: int
    code: str
    error: str
    retry_after_s: float = 0.0


class RefreshSuperseded(Event, frozen=True):
    """Answers PostRefresh and StoreRotation: the store has moved on meanwhile, and the pair was dropped (V06)."""

    correlates: ClassVar[str | None] = "refresh"
    refresh: int


class RotationStored(Event, frozen=True):
    """Answers StoreRotation: the held pair is in the store now."""

    correlates: ClassVar[str | None] = "refresh"
    refresh: int
    credential: Credential


class RotationUnstored(Event, frozen=True):
    """Answers StoreRotation: the store still refuses."""

    correlates: ClassVar[str | None] = "refresh"
    refresh: int
    error: str


# -- the connection (each echoes the socket's id) ------------------------------------------------------------


class SocketOpened(Event, frozen=True):
    """Answers OpenSocket: the WebSocket is open."""

    correlates: ClassVar[str | None] = "socket"
    socket: int


class SocketFailed(Event, frozen=True):
    """Answers OpenSocket: it could not be opened. ``retry_after_s``: the server does not want another dial sooner."""

    correlates: ClassVar[str | None] = "socket"
    socket: int
    error: str
    retry_after_s: float = 0.0


class SocketClosed(Event, frozen=True):
    """The socket is gone, by itself or in answer to CloseSocket. 1006 is a drop without a close frame.

    ``ours``: the code is what we found wrong with the peer, not what it said.
    """

    correlates: ClassVar[str | None] = "socket"
    socket: int
    code: int
    reason: str = ""
    ours: bool = False


class Challenged(Event, frozen=True):
    """The gateway wants us to prove who we are."""

    correlates: ClassVar[str | None] = "socket"
    socket: int
    nonce: str


class HelloAccepted(Event, frozen=True):
    """The gateway let us in. ``device_id`` is the one it resolved; ``ack_mode`` ``dseq`` grants dense numbers, which
    are acknowledged within ``ack_epoch``.
    """

    correlates: ClassVar[str | None] = "socket"
    socket: int
    device_id: str = ""
    ack_mode: Literal["", "dseq"] = ""
    ack_epoch: str | int = ""


class HelloRefused(Event, frozen=True):
    """The gateway refused us. ``reason`` is scrubbed of secrets and bounded."""

    correlates: ClassVar[str | None] = "socket"
    socket: int
    reason: str


class ReplayFinished(Event, frozen=True):
    """All missed frames were delivered (S0-58)."""

    correlates: ClassVar[str | None] = "socket"
    socket: int


class FrameNumbered(Event, frozen=True):
    """The number of the frame that comes next: ``seq`` is sparse and opaque, ``dseq`` counts this connection's."""

    correlates: ClassVar[str | None] = "socket"
    socket: int
    seq: int | None = None
    dseq: int | None = None


class FramesHandled(Event, frozen=True):
    """The user has handled something: of this connection, every numbered frame up to ``number``; 0 if that is new of
    none.
    """

    number: int


class HandledNotStored(Event, frozen=True):
    """Answers SendReceipt: the message store cannot be written now, so nothing was acknowledged."""


class FrameReceived(Event, frozen=True):
    """A frame for the user arrived. It proves that there is a chat ``chat``, unless that is empty."""

    correlates: ClassVar[str | None] = "socket"
    socket: int
    chat: str = ""


class MessageAcked(Event, frozen=True):
    """The gateway has the message that we sent as ``trace``."""

    correlates: ClassVar[str | None] = "socket"
    socket: int
    trace: str


class MessageRefused(Event, frozen=True):
    """The gateway refused the message that we sent as ``trace``, for good."""

    correlates: ClassVar[str | None] = "socket"
    socket: int
    trace: str
    code: str


class FrameRejected(Event, frozen=True):
    """A frame could not be understood. It is counted and survived. ``numbered``: its number, if any, was told."""

    correlates: ClassVar[str | None] = "socket"
    socket: int
    error: str
    numbered: bool = False


class ReadingPaused(Event, frozen=True):
    """The user is slower than the gateway, so nothing is read for now: not even a pong would be noticed."""


class ReadingResumed(Event, frozen=True):
    """The user has caught up, and reading goes on."""


class Ponged(Event, frozen=True):
    """The peer answered a ping."""

    correlates: ClassVar[str | None] = "socket"
    socket: int


# -- raised by one region for the others ---------------------------------------------------------------------


class CredentialsAdopted(Event, frozen=True):
    """Credentials came from the store: at the start, or because somebody paired."""


class LoggedOut(Event, frozen=True):
    """The credentials are gone for good."""


class PairingRequired(Event, frozen=True):
    """Only pairing anew helps, and nobody asked for that: the user is to be told."""


class RefreshWanted(Event, frozen=True):
    """The connection cannot go on without a fresh token."""

    cause: str


class RefreshEnded(Event, frozen=True):
    """A refresh ended, or could not begin, without a new token."""


class RefreshDenied(Event, frozen=True):
    """The refresh token was refused for good, and the store holds no other."""


class Rotated(Event, frozen=True):
    """A new pair is stored and in use."""


class TokenRefused(Event, frozen=True):
    """The gateway refused a token that cannot be refreshed (S0-29)."""


class SessionEnded(Event, frozen=True):
    """The connection is no longer online."""


class GapFound(Event, frozen=True):
    """Frames are missing: only a new connection brings them (P59)."""


class PeerSilent(Event, frozen=True):
    """The peer answered neither the ping nor the probe."""


class Woke(Event, frozen=True):
    """The machine has slept, or a clock was set: whatever was planned is to be looked at anew."""


class MirrorStale(Event, frozen=True):
    """The store's credentials changed, so the mirror is to follow."""
