"""Dialling, shaking hands, being refused, and closing."""

from typing import Any

from holdfast.engine import Event, Stamp, effect

from ...durations import ladder
from .. import events as ev
from ..commands import Authenticate, CloseSocket, Notify, OpenSocket, Record, RememberDevice, ReportFrame, SendPing
from ..context import Account
from ..timing import lasts, recent
from .shared import Out, asked


@effect(OpenSocket)
def dial(a: Account, e: Event, at: Stamp) -> Out:
    dialling = a.but(socket=a.socket + 1, attempts=a.attempts + 1, presented=None)
    return dialling, (OpenSocket(dialling.socket),)


@effect(Authenticate)
def authenticate(a: Account, e: ev.Challenged, at: Stamp) -> Out:
    """The token is read when it is sent, by its generation (P21)."""
    generation = a.generation if a.credential is None else a.credential.generation
    return a.but(presented=generation), (Authenticate(a.socket, generation, e.nonce),)


@effect(RememberDevice, Record)
def welcome(a: Account, e: ev.HelloAccepted, at: Stamp) -> Out:
    """In. The resolved device id is kept for the next dial (S0-14)."""
    return a.but(rejected=None, welcomed=True, floor=0.0, last_error="", device_id=e.device_id), (
        RememberDevice(e.device_id),
        Record("connection", "connected"),
    )


@effect()
def settle_down(a: Account, e: Event, at: Stamp) -> Out:
    """Stable: ladder and cap start anew (V12, P25, P27)."""
    return a.but(depth=0, attempts=0, rotations=0, rotations_since=None), ()


@effect()
def climb(a: Account, e: Event, at: Stamp) -> Out:
    """This wait takes the present step; the next one is a step higher."""
    if not a.policy.one_streak:
        return a.but(rung=a.depth, depth=a.depth + 1), ()
    # After a refusal the streak goes on however old it is (V12); only a lost session looks at the window.
    goes_on = isinstance(e, ev.HelloRefused | ev.RefreshEnded) or _is_within(a, at)
    return _counted(a.but(rung=a.rotations if goes_on else 0), at), ()


@effect()
def count_rotation(a: Account, e: Event, at: Stamp) -> Out:
    """A new token is dialled because the gateway refused the former one: counted for the cap (S0-35, S0-36)."""
    return _counted(a, at), ()


@effect()
def count_renewal(a: Account, e: Event, at: Stamp) -> Out:
    """A new token is dialled in good time, which counts only where everything does."""
    return (_counted(a, at) if a.policy.one_streak else a), ()


def _counted(a: Account, at: Stamp) -> Account:
    if _is_within(a, at):
        return a.but(rotations=a.rotations + 1)
    return a.but(rotations=1, rotations_since=at.now)


def _is_within(a: Account, at: Stamp) -> bool:
    return a.rotations_since is not None and lasts(a.rotations_since, a.policy.rotations_window_s, at)


@effect(Record)
def note_open_error(a: Account, e: ev.SocketFailed, at: Stamp) -> Out:
    pause = asked(a, e.retry_after_s, at)
    return a.but(last_error=e.error, floor=0.0, dial_pause=pause or a.dial_pause), (
        Record("connection", "transport_error", None, e.error),
    )


@effect(Record)
def note_lost_handshake(a: Account, e: ev.SocketClosed, at: Stamp) -> Out:
    error = f"closed during the handshake ({e.code}) {e.reason}".rstrip()
    return a.but(last_error=error, floor=0.0), (Record("connection", "transport_error", e.code, error),)


@effect(Record)
def note_drop(a: Account, e: ev.SocketClosed, at: Stamp) -> Out:
    """A good session ended: after an unexplained close, the next dial waits longer."""
    floor = a.policy.drop_floor_s if e.code in a.policy.drop_codes else 0.0
    error = f"connection lost ({e.code}) {e.reason}".rstrip()
    return a.but(last_error=error, floor=floor), (Record("connection", "disconnected", e.code, e.reason),)


@effect(Record)
def note_eviction(a: Account, e: ev.SocketClosed, at: Stamp) -> Out:
    """Another client has our place: each time within the window, we wait twice as long before we take it back (P31)."""
    policy = a.policy
    before = recent(a.evicted_at, policy.evictions_window_s, at)
    longest = max(policy.takeover_floor_s, policy.evictions_window_s)
    evicted = a.but(
        last_error=f"another client took over ({e.code}) {e.reason}".rstrip(),
        evicted_at=(*before, at.now),
        floor=ladder(policy.takeover_floor_s, longest, len(before)),
    )
    return evicted, (Record("connection", "disconnected", e.code, e.reason),)


@effect(Record, Notify)
def give_way(a: Account, e: Event, at: Stamp) -> Out:
    """Two clients with one identity would take the session from each other for ever (P31)."""
    text = (
        "Another client uses this device's session. Stop it, or pair one of the two anew; "
        "then resume this account, or start it anew."
    )
    return a, (Record("connection", "parked", None, a.last_error), Notify("error", text))


@effect(Record, Notify)
def await_resume(a: Account, e: Event, at: Stamp) -> Out:
    """The first dial failed, and nobody is to repeat it but a person (V09)."""
    text = f"The first connection failed ({a.last_error}). Resume this account to try again, or start it anew."
    return a, (Record("connection", "parked", None, a.last_error), Notify("error", text))


@effect()
def forgive_evictions(a: Account, e: Event, at: Stamp) -> Out:
    return a.but(evicted_at=()), ()


@effect(CloseSocket, Record)
def abandon_handshake(a: Account, e: Event, at: Stamp) -> Out:
    error = "the gateway did not finish the handshake in time"
    return a.but(last_error=error, floor=0.0), (
        _close(a, 1000, "handshake timeout"),
        Record("connection", "transport_error", None, error),
    )


@effect(CloseSocket, Record)
def abandon_silent(a: Account, e: Event, at: Stamp) -> Out:
    error = "the gateway fell silent"
    return a.but(last_error=error, floor=a.policy.drop_floor_s), (
        _close(a, 1001, "ping timeout"),
        Record("connection", "disconnected", 1006, error),
    )


@effect(CloseSocket, Record)
def abandon_gap(a: Account, e: Event, at: Stamp) -> Out:
    error = "frames were missing"
    return a.but(last_error=error, floor=0.0), (
        _close(a, 1000, "delivery gap"),
        Record("connection", "disconnected", 1000, "delivery gap"),
    )


def _close(a: Account, code: int, reason: str) -> CloseSocket:
    return CloseSocket(a.socket, code, reason, a.policy.close_s)


def _row(a: Account, e: ev.HelloRefused, reason: str, detail: str) -> Record:
    """How a refused connection ends in the history: S0-31 while there was none before, then S0-24 and S0-39."""
    if not a.welcomed:
        return Record("connection", "auth_failed", None, e.reason, detail)
    return Record("connection", "disconnected", 1000, reason, detail)


def _refused(a: Account, e: ev.HelloRefused, detail: str) -> Out:
    reason = "transport backoff reconnect"
    return a.but(last_error=e.reason, floor=0.0), (_close(a, 1000, reason), _row(a, e, reason, detail))


@effect(CloseSocket, Record)
def note_outage(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    return _refused(a, e, "auth-unavailable")


@effect(CloseSocket, Record)
def note_capped(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    after, out = _refused(a, e, "refresh-reconnect-capped")
    return after.but(rejected=_generation(a)), out


@effect(CloseSocket, Record)
def note_rejected(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    """The token was refused and no refresh may be posted now: back off with it (S0-25)."""
    after, out = _refused(a, e, "token-rejected")
    return after.but(rejected=_generation(a)), out


@effect(CloseSocket, Record)
def note_generic(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    """S0-27 and S0-28 name the two cases."""
    return _refused(a, e, "hello-fail-generic-not-near" if a.welcomed else "initial-connect-generic-not-near")


@effect(CloseSocket, Record, ev.RefreshWanted)
def want_refresh(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    """The token is to blame: a fresh one before the next dial (S0-25, S0-26)."""
    refused = a.but(rejected=_generation(a), last_error=e.reason, floor=0.0)
    reason = "token refresh"
    return refused, (_close(a, 1000, reason), _row(a, e, reason, "hello-fail"), ev.RefreshWanted("hello-fail"))


@effect(CloseSocket, Record, Notify, ev.TokenRefused)
def give_up_token(a: Account, e: ev.HelloRefused, at: Stamp) -> Out:
    """S0-29: nothing to refresh with. The tokens stay; a pairing is awaited."""
    return a.but(last_error=e.reason), (
        _close(a, 1000, "token refused"),
        Record("connection", "auth_failed", None, e.reason),
        Notify("error", f"The gateway refused the token ({e.reason}). Pair this account again."),
        ev.TokenRefused(),
    )


def _generation(a: Account) -> int | None:
    return None if a.credential is None else a.credential.generation


def closing(reason: str, recorded: bool = True) -> Any:
    """Close the socket on our own account."""

    @effect(CloseSocket, Record)
    def close_socket(a: Account, e: Event, at: Stamp) -> Out:
        row = (Record("connection", "disconnected", 1000, reason),) if recorded else ()
        return a, (_close(a, 1000, reason), *row)

    close_socket.__name__ = f"close: {reason}"
    return close_socket


@effect(SendPing)
def send_ping(a: Account, e: Event, at: Stamp) -> Out:
    return a, (SendPing(a.socket),)


def look_at_clocks(field: str) -> Any:
    """Note when the heartbeat's timer is due, and how the two clocks stand: a sleep shows in one or the other."""

    @effect()
    def note_clocks(a: Account, e: Event, at: Stamp) -> Out:
        seconds: float | None = getattr(a.policy, field)
        return a.but(beat_due=None if seconds is None else at.now + seconds, beat_offset=at.wall - at.now), ()

    return note_clocks


@effect(ReportFrame)
def report_frame(a: Account, e: ev.FrameRejected, at: Stamp) -> Out:
    return a, (ReportFrame(e.error),)
