"""The questions that the account chart's rows ask. Each answers from its arguments and nothing else."""

from holdfast.engine import Event, Stamp

from . import queue
from .classify import Verdict, classify
from .context import Account
from .events import (
    CredentialsChanged,
    CredentialsRead,
    FrameNumbered,
    FrameReceived,
    FrameRejected,
    FramesHandled,
    HelloRefused,
    MessageAcked,
    MessageRefused,
    RefreshFailed,
    RefreshRequested,
    RefreshSucceeded,
    SendRequested,
    SendWithdrawn,
    SocketClosed,
)
from .timing import lasts, reached, recent

# -- what the store says -------------------------------------------------------------------------------------


def has_tokens(a: Account, e: CredentialsRead | CredentialsChanged, at: Stamp) -> bool:
    """The store holds a pair."""
    return e.credential is not None


def is_news(a: Account, e: CredentialsRead | CredentialsChanged, at: Stamp) -> bool:
    """The store is at a newer generation than we have seen."""
    return e.generation > a.generation


def is_greeted(a: Account, e: Event, at: Stamp) -> bool:
    """This pairing had its first session."""
    return a.greeted


def is_forgotten(a: Account, e: Event, at: Stamp) -> bool:
    """There are no credentials any more: they were logged out."""
    return a.credential is None


# -- the refused hello ---------------------------------------------------------------------------------------


def auth_is_down(a: Account, e: HelloRefused, at: Stamp) -> bool:
    """The far end's auth service is unavailable: that says nothing about the token."""
    return classify(a.policy.classifier, e.reason) is Verdict.AUTH_UNAVAILABLE


def rejects_token(a: Account, e: HelloRefused, at: Stamp) -> bool:
    """The reason names the token."""
    return classify(a.policy.classifier, e.reason) is Verdict.TOKEN_REJECTED


def blames_token(a: Account, e: HelloRefused, at: Stamp) -> bool:
    """The reason names the token, or names nothing while the token is near its expiry (S0-26)."""
    verdict = classify(a.policy.classifier, e.reason)
    return verdict is Verdict.TOKEN_REJECTED or (verdict is Verdict.GENERIC and is_near_expiry(a, e, at))


def presented_an_older(a: Account, e: HelloRefused, at: Stamp) -> bool:
    """What was refused is no longer the token in force: it was rotated meanwhile (S0-55)."""
    return a.presented is not None and a.credential is not None and a.presented < a.credential.generation


def gives_up_in_outage(a: Account, e: Event, at: Stamp) -> bool:
    """Before the first session, an outage of the auth service ends the matter (V08)."""
    return a.policy.outage_gives_up and not a.welcomed


def gives_up_unreached(a: Account, e: Event, at: Stamp) -> bool:
    """Before the first session, a connection that fails is not tried again (V09)."""
    return a.policy.first_failure_parks and not a.welcomed


def is_unproven(a: Account, e: Event, at: Stamp) -> bool:
    """No hello was accepted since these credentials were adopted, or since the last one that was refused.

    So a token that was good and cannot be refreshed is dialled once more after its first refusal, and not for ever.
    """
    return not a.welcomed or a.rejected is not None


def was_rejected(a: Account, e: Event, at: Stamp) -> bool:
    """The gateway refused a token lately, and no hello was accepted since."""
    return a.rejected is not None


def is_capped(a: Account, e: Event, at: Stamp) -> bool:
    """Too many refreshes after refused hellos, within the window (S0-37) unless the streak goes on for ever (V12)."""
    since = a.rotations_since
    counts = a.policy.one_streak or (since is not None and lasts(since, a.policy.rotations_window_s, at))
    return counts and a.rotations >= a.policy.rotations_max


# -- who does not want us ------------------------------------------------------------------------------------


def was_told_to_wait(a: Account, e: Event, at: Stamp) -> bool:
    """The server said when the next dial is welcome, and that is not yet (P39)."""
    return a.dial_pause is not None and lasts(a.dial_pause.since, a.dial_pause.length, at)


def may_not_post(a: Account, e: Event, at: Stamp) -> bool:
    """The server said when the next refresh is welcome, and that is not yet (P39)."""
    return a.post_pause is not None and lasts(a.post_pause.since, a.post_pause.length, at)


def was_evicted(a: Account, e: SocketClosed, at: Stamp) -> bool:
    """Another client took the session over (P31)."""
    return e.code in a.policy.takeover_codes


def is_outnumbered(a: Account, e: SocketClosed, at: Stamp) -> bool:
    """It did so again and again: it will not give way (P31)."""
    before = recent(a.evicted_at, a.policy.evictions_window_s, at)
    return len(before) + 1 >= a.policy.evictions_max


# -- the token's time ----------------------------------------------------------------------------------------


def is_near_expiry(a: Account, e: Event, at: Stamp) -> bool:
    """The token is due for renewal, or past it (S1-35)."""
    return a.schedule is not None and reached(a.schedule, a.schedule.near_at, at)


def is_due(a: Account, e: Event, at: Stamp) -> bool:
    """The moment planned for the renewal, jitter included, has come."""
    return a.schedule is not None and reached(a.schedule, a.schedule.refresh_at, at)


def has_expiry(a: Account, e: Event, at: Stamp) -> bool:
    """It is known when the token expires, and it can be refreshed."""
    return a.schedule is not None and can_refresh(a, e, at)


def must_refresh_first(a: Account, e: Event, at: Stamp) -> bool:
    """Near expiry, or a refresh was interrupted by a crash: refresh before the first dial (S0-09, P06)."""
    return can_refresh(a, e, at) and (a.interrupted or is_near_expiry(a, e, at))


def must_not_dial(a: Account, e: Event, at: Stamp) -> bool:
    """The token is past its expiry and can be refreshed (P21)."""
    expired = a.schedule is not None and reached(a.schedule, a.schedule.expires_at, at)
    return expired and can_refresh(a, e, at)


# -- is anybody there ----------------------------------------------------------------------------------------


def woke_up(a: Account, e: Event, at: Stamp) -> bool:
    """The heartbeat's timer is far too late, or the clocks have parted since it was armed (P44)."""
    if a.beat_due is None:
        return False
    jump = a.policy.wake_jump_s
    return at.now - a.beat_due > jump or abs(at.wall - at.now - a.beat_offset) > jump


def awaits_pongs(a: Account, e: Event, at: Stamp) -> bool:
    """A pong has a deadline."""
    return a.policy.pong_s is not None


# -- may a refresh be posted ---------------------------------------------------------------------------------


def has_refresh_token(a: Account, e: Event, at: Stamp) -> bool:
    """There is something to POST (S1-11)."""
    return a.credential is not None and a.credential.refreshable


def is_latched(a: Account, e: Event, at: Stamp) -> bool:
    """This very pair was refused for good (S1-05, S1-06, P14)."""
    return a.latched is not None and a.credential is not None and a.latched == a.credential.generation


def can_refresh(a: Account, e: Event, at: Stamp) -> bool:
    """A refresh could still help."""
    return has_refresh_token(a, e, at) and not is_latched(a, e, at)


def is_too_soon(a: Account, e: Event, at: Stamp) -> bool:
    """This refresh token was POSTed less than the interval ago (S1-07 to S1-10, V17, V18), or the server wants none."""
    if may_not_post(a, e, at):
        return True
    if a.attempted_at is None or a.credential is None:
        return False
    counts = a.policy.refresh_interval_shared or a.attempted == a.credential.generation
    return counts and lasts(a.attempted_at, a.policy.refresh_interval_s, at)


def retries_refresh(a: Account, e: Event, at: Stamp) -> bool:
    """A refresh that failed for now has a ladder of its own (V11, V22)."""
    return a.policy.refresh_retries


def refused_an_older(a: Account, e: RefreshRequested, at: Stamp) -> bool:
    """The caller's token was not the one in force: it needs a retry, not a refresh."""
    return e.generation is not None and a.credential is not None and e.generation < a.credential.generation


def was_refused(a: Account, e: Event, at: Stamp) -> bool:
    """The server said so; a store that has moved on says nothing about the token."""
    return a.refusal != ""


def is_permanent(a: Account, e: RefreshFailed, at: Stamp) -> bool:
    """The answer's code is one of those that mean the refresh token is dead (S1-40)."""
    return e.code in a.policy.permanent_codes


def made_progress(a: Account, e: RefreshSucceeded, at: Stamp) -> bool:
    """The access token is a new one (P20)."""
    return e.changed


def should_reconnect(a: Account, e: Event, at: Stamp) -> bool:
    """A refresh for this cause moves the open session to the new token (S0-24, V15)."""
    return a.cause in a.policy.refresh_causes_reconnecting


def is_somebody_else(a: Account, e: CredentialsRead | CredentialsChanged, at: Stamp) -> bool:
    """The tokens are another user's than those before, or may be."""
    return is_news(a, e, at) and e.credential is not None and a.user_id is not None and a.user_id != e.user_id


# -- the outbox ----------------------------------------------------------------------------------------------


def has_room(a: Account, e: Event, at: Stamp) -> bool:
    """One more message may be queued (P57)."""
    return queue.has_room(a)


def rejects_when_full(a: Account, e: Event, at: Stamp) -> bool:
    """What finds no room is refused."""
    return a.policy.outbox_full == "reject"


def drops_when_full(a: Account, e: Event, at: Stamp) -> bool:
    """The oldest makes room."""
    return a.policy.outbox_full == "drop_oldest"


def may_reload(a: Account, e: Event, at: Stamp) -> bool:
    """The message store could not be read a while ago."""
    return a.reload_at is not None and a.reload_at <= at.now


def is_dead_chat(a: Account, e: SendRequested, at: Stamp) -> bool:
    """The gateway refused this chat a while ago, and nothing has come from it since."""
    found = queue.dead(a, e.chat)
    return found is not None and at.now < found.until


def revives_chat(a: Account, e: FrameReceived, at: Stamp) -> bool:
    """A chat that counts as dead proves alive."""
    return bool(a.dead_chats) and queue.dead(a, e.chat) is not None


def never_left(a: Account, e: SendWithdrawn, at: Stamp) -> bool:
    """The message was not written to any connection."""
    found = queue.find(a, e.trace)
    return found is not None and not found.sent_on


def is_queued(a: Account, e: MessageAcked | MessageRefused, at: Stamp) -> bool:
    """We wait for this answer."""
    return queue.find(a, e.trace) is not None


def refuses_chat(a: Account, e: MessageRefused, at: Stamp) -> bool:
    """The refusal is about the chat, not about the message."""
    return e.code in a.policy.dead_chat_codes


def is_too_big(a: Account, e: SocketClosed, at: Stamp) -> bool:
    """The gateway closed because of the size of a frame of ours."""
    return e.code in a.policy.oversize_codes and not e.ours


# -- receipts ------------------------------------------------------------------------------------------------


def is_dense(a: Account, e: Event, at: Stamp) -> bool:
    """The gateway numbers each frame of this connection."""
    return a.ack_mode == "dseq"


def has_number(a: Account, e: FrameNumbered, at: Stamp) -> bool:
    """It has a number of the kind that counts here."""
    return (e.dseq if a.ack_mode else e.seq) is not None


def leaves_gap(a: Account, e: FrameNumbered, at: Stamp) -> bool:
    """It is not the number that comes next, nor one that unreadable frames explain (P59)."""
    return e.dseq is not None and not 0 < e.dseq - a.numbered <= 1 + a.gap_allowed


def is_numbered(a: Account, e: FrameRejected, at: Stamp) -> bool:
    """Its number could be read."""
    return e.numbered


def lags_behind(a: Account, e: FramesHandled, at: Stamp) -> bool:
    """So much was handled that telling it cannot wait for a timer."""
    return min(e.number, a.numbered) - a.acked >= a.policy.receipt_lag_max
