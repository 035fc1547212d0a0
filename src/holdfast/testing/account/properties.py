"""What must hold after every step of the account chart, whatever the world did. One method a property."""

import math
from collections.abc import Callable

import msgspec

from holdfast.engine import ArmTimer, CancelTimer, TimerFired, Unhandled
from holdfast.statecharts import (
    Account,
    ClearCredentials,
    CredentialsChanged,
    CredentialsRead,
    HelloAccepted,
    HelloRefused,
    LogoutRequested,
    OpenSocket,
    Policy,
    PostRefresh,
    Record,
    RefreshSucceeded,
    RotationStored,
    SettleRefresh,
    SettleSend,
    SocketClosed,
    StopRequested,
    StoreRotation,
    UseCredential,
    project,
)

from .gateway import MARK
from .ledger import ANSWERS, Ledger, Taken, rejects
from .message_properties import MessageProperties
from .world import World

_EXCHANGING = ("refresh/working/requesting", "refresh/draining", "refresh/finishing/answering")
_REFRESH_TIMERS = ("refresh_look", "refresh_retry", "store_retry", "doubt_retry")
_BEATS = tuple(f"heartbeat/{name}" for name in ("resting", "pinging", "verifying", "blind"))
_AFTER_STOP = (
    ArmTimer, CancelTimer, ClearCredentials, SettleRefresh, SettleSend, StoreRotation, Unhandled, UseCredential,
)  # fmt: skip

# The timer that each waiting state counts on (P36).
_COUNTS_ON = {
    "credentials/unreadable": "load_retry",
    "credentials/logged_out/uncleared": "clear_retry",
    "refresh/armed": "refresh_look",
    "refresh/waiting": "refresh_retry",
    "refresh/working/unstored": "store_retry",
    "refresh/finishing": "finish_deadline",
    "refresh/finishing/unstored": "last_retry",
    "connection/dialing": "handshake_deadline",
    "connection/closing": "close_deadline",
    "refresh/working/unsure": "doubt_retry",
    "connection/backing_off": "retry",
    "heartbeat/resting": "ping_due",
    "heartbeat/pinging": "pong_deadline",
    "heartbeat/verifying": "verify_deadline",
    "mirror/behind": "mirror_retry",
    "receipts/due": "receipt_due",
    "receipts/unstored": "receipt_retry",
}
_ANSWERED_AT_ONCE = (
    "credentials/loading", "credentials/logged_out/clearing", "refresh/working/doubting", "refresh/working/storing",
    "refresh/finishing/storing", "mirror/writing",
)  # fmt: skip


class Properties(MessageProperties):
    """Checks each step. What later ones need is in the ledger."""

    def __init__(self, world: World, policy: Policy) -> None:
        self.world = world
        self.policy = policy
        self.ledger = Ledger()
        self.checks: list[Callable[[Taken], None]] = [
            getattr(self, name) for name in sorted(dir(self)) if name.startswith("p") and name[1:3].isdigit()
        ]

    def see(self, step: Taken) -> None:
        """Check one step, its commands carried out already.

        Raises:
            AssertionError: a property does not hold.
        """
        self.ledger.note_first(step, self.world, self.policy)
        for check in self.checks:
            check(step)
        self.ledger.note_last(step, self.policy)

    # -- refresh -------------------------------------------------------------------------------------------------

    def p01_one_exchange_at_a_time(self, step: Taken) -> None:
        """P01: at every instant at most one refresh POST is in flight."""
        assert len(self.world.posts) <= 1
        exchanging = any(step.after.matches(path) for path in _EXCHANGING)
        assert exchanging or not self.world.posts or step.after.matches("refresh/stopped")

    def p05_the_store_is_read_before_a_refusal_is_believed(self, step: Taken) -> None:
        """P05: a permanent refusal is believed only when a look into the store showed no newer pair."""
        if any(row.kind == "refresh" and row.state == "permanent" for row in step.given(Record)):
            assert isinstance(step.event, CredentialsRead)
            assert step.event.generation <= step.before.context.generation

    def p06_after_a_crash_the_exchange_is_settled_first(self, step: Taken) -> None:
        """P06: after a crash amid a refresh, the pair proves itself at the refresh endpoint before it is dialled."""
        assert not (step.given(OpenSocket) and self.ledger.interrupted and not self._answers(step))

    def p07_a_spent_token_is_never_posted(self, step: Taken) -> None:
        """P07, V01, V02: once the answer to a POST was received, its token is not posted again."""
        assert all(post.generation not in self.ledger.answered for post in step.given(PostRefresh))

    def p08_the_stored_refresh_token_is_kept(self, step: Taken) -> None:
        """P08: a success without refresh token keeps the stored one."""
        if isinstance(step.event, (RefreshSucceeded, RotationStored)) and step.genuine:
            assert step.event.credential.refreshable
            pair = self.world.disk.pair
            assert pair is None or pair.refresh is not None or self.world.disk.generation not in self.world.disk.ours

    def p09_the_answer_is_never_dropped(self, step: Taken) -> None:
        """P09: whoever waits or stops waiting, the current exchange's answer is taken note of."""
        if isinstance(step.event, ANSWERS) and step.genuine and step.event.refresh == step.before.context.refresh:
            assert step.before.matches("refresh/stopped") or not step.given(Unhandled)

    def p10_no_deadline_cancels_an_exchange(self, step: Taken) -> None:
        """P10: no lifecycle timer ends a refresh, except the one that bounds a stop."""
        if isinstance(step.event, TimerFired) and step.event.timer != "finish_deadline":
            assert [step.before.matches(path) for path in _EXCHANGING] == [
                step.after.matches(path) for path in _EXCHANGING
            ] or step.given(PostRefresh)

    def p11_a_logout_is_for_good(self, step: Taken) -> None:
        """P11: after a logout no pair of ours is in the store or in the mirror."""
        disk = self.world.disk
        if step.after.matches("credentials/logged_out/cleared") and not self.world.memory.inbox:
            assert disk.pair is None or disk.generation not in disk.ours
            if step.after.matches("mirror/clean"):
                assert self.world.mirror.pair is None
        if step.after.done and self.ledger.forgotten is not None and disk.generation in disk.ours:
            assert disk.pair is None or disk.generation <= self.ledger.forgotten

    def p12_no_logout_without_a_permanent_code(self, step: Taken) -> None:
        """P12: only the user, the store or an explicit permanent code logs an account out."""
        if step.before.matches("credentials/configured") and step.after.matches("credentials/logged_out"):
            asked = isinstance(step.event, LogoutRequested)
            elsewhere = self.world.disk.pair is None and self.world.disk.generation not in self.world.disk.ours
            assert asked or elsewhere or step.before.context.attempted in self.ledger.blamed

    def p13_a_refresh_is_planned_or_under_way(self, step: Taken) -> None:
        """P13: online with a known expiry, exactly one refresh timer is armed, or one exchange is under way."""
        account = step.account
        if not step.after.matches("connection/online") or account.schedule is None or account.credential is None:
            return
        if account.credential.refreshable and account.latched != account.credential.generation:
            timers = sum(armed.timer in _REFRESH_TIMERS for armed in step.after.timers)
            doing = ("refresh/working/requesting", "refresh/working/doubting", "refresh/working/storing")
            assert timers + any(step.after.matches(path) for path in (*doing, "refresh/draining")) == 1

    def p14_a_dead_token_is_not_posted(self, step: Taken) -> None:
        """P14: after a permanent refusal no POST until the pair changes."""
        assert all(post.generation not in self.ledger.condemned for post in step.given(PostRefresh))

    def p15_timers_are_sane_and_never_early(self, step: Taken) -> None:
        """P15: no timer in the past or at infinity, looks in slices, and no renewal before it is due."""
        now, schedule = step.stamp.now, step.before.context.schedule
        for timer in step.given(ArmTimer):
            assert now <= timer.due < math.inf
            assert timer.timer != "refresh_look" or timer.due <= now + self.policy.slice_s
        if step.fired("refresh_look") and step.given(PostRefresh):
            assert step.stamp.wall >= schedule.refresh_at or now + schedule.offset >= schedule.refresh_at

    def p16_two_renewals_a_lifetime(self, step: Taken) -> None:
        """P15, P16: while nobody sets the clock, a renewed token is not renewed again within a third of its lifetime,
        nor within a second, however short that is.
        """
        planned = step.fired("refresh_look") or isinstance(step.event, HelloAccepted)
        if self.ledger.rotated is None or not planned or not step.given(PostRefresh):
            return
        since, life = self.ledger.rotated
        rest = step.stamp.now - since
        shortest = max(self.policy.planned_min_s, life / 3 if math.isfinite(life) else 0.0)
        assert self.ledger.skews or rest >= shortest - 1e-3

    def p17_the_interval_between_posts(self, step: Taken) -> None:
        """P17, V17: one refresh token is not posted twice within the interval, whatever the wall clock does."""
        for post in step.given(PostRefresh):
            last = self.ledger.posted.get(post.generation, -math.inf)
            assert step.stamp.now - last >= self.policy.refresh_interval_s - 1e-6

    def p18_one_refresh_timer(self, step: Taken) -> None:
        """P18: at most one refresh timer is armed, and no timer twice."""
        assert sum(armed.timer in _REFRESH_TIMERS for armed in step.after.timers) <= 1
        assert len({armed.timer for armed in step.after.timers}) == len(step.after.timers)

    def p19_after_a_stop_only_persistence(self, step: Taken) -> None:
        """P19: after a stop nothing is done but to store, to close and to answer who waits."""
        if self.ledger.stopped_at is None:
            return
        if not isinstance(step.event, StopRequested):
            assert all(isinstance(command, _AFTER_STOP) for command in step.commands)
        assert not step.given(OpenSocket)
        assert not step.given(PostRefresh)

    def p20_one_renewal_per_token_error(self, step: Taken) -> None:
        """P20, S0-55: renewals after refused hellos are capped, a refusal of an older token costs none, and an
        unchanged token counts as a failure.
        """
        account: Account = step.before.context
        if isinstance(step.event, HelloRefused) and rejects(self.policy, step.event) and account.credential is not None:
            assert account.presented in (None, account.credential.generation) or not step.given(PostRefresh)
        recent = [at for at in self.ledger.renewals if step.stamp.now - at < self.policy.rotations_window_s]
        assert len(recent) <= 2 * self.policy.rotations_max
        if isinstance(step.event, RefreshSucceeded) and not step.event.changed:
            assert not (step.given(OpenSocket) and step.before.context.rejected is not None)

    def p21_no_expired_token_is_dialled(self, step: Taken) -> None:
        """P21: a token past its expiry is not dialled while it can be refreshed. A brand-new one is believed."""
        account = step.account
        if not step.given(OpenSocket) or step.given(UseCredential) or account.schedule is None:
            return
        schedule, stamp = account.schedule, step.stamp
        expired = max(stamp.wall, stamp.now + schedule.offset) >= schedule.expires_at
        assert account.credential is not None
        assert not expired or not account.credential.refreshable or account.latched == account.credential.generation

    def p22_the_token_in_use_is_the_one_stored_last(self, step: Taken) -> None:
        """P22: what the chart counts on is what the vault hands out, and what the account itself stored last."""
        credential, disk = step.account.credential, self.world.disk
        if credential is None or self.world.memory.inbox or step.after.matches("credentials/stopped"):
            return
        assert self.world.memory.generation == credential.generation
        assert disk.generation == credential.generation or disk.generation not in disk.ours

    # -- connection ----------------------------------------------------------------------------------------------

    def p25_only_stability_resets_the_ladder(self, step: Taken) -> None:
        """P25, P27, P30: each wait is a jittered step of a ladder that only a stable session sets back to its foot."""
        base, cap = self.policy.backoff_base_s, self.policy.backoff_cap_s
        rung = min(cap, base * 2.0 ** min(self.ledger.depth, 64))
        if step.fired("stable"):
            assert self.policy.stable_s is not None
            assert step.stamp.now - self.ledger.online_since >= self.policy.stable_s - 1e-6
        for timer in step.given(ArmTimer):
            if timer.timer == "retry":
                wait = timer.due - step.stamp.now
                pause = max(0.0, self.ledger.no_dial_before - step.stamp.now)
                assert rung / 2 - 1e-6 <= wait <= max(rung, step.account.floor) + pause + 1e-6

    def p26_each_dial_was_waited_for(self, step: Taken) -> None:
        """P26: a dial follows a wait of the ladder, or a token that was not tried yet. So dials <= ladder + tokens."""
        assert self.ledger.granted or not step.given(OpenSocket)

    def p28_a_refused_token_is_not_dialled_at_once(self, step: Taken) -> None:
        """P28: the same token is not presented again before the ladder's shortest wait."""
        if step.given(OpenSocket) and step.account.credential is not None:
            refused = self.ledger.refused.get(step.account.credential.generation, -math.inf)
            assert step.stamp.now - refused >= self.policy.backoff_base_s / 2 - 1e-6

    def p31_a_takeover_raises_the_floor(self, step: Taken) -> None:
        """P31: who was taken over waits, or has been so often that it leaves the session to the other."""
        event, context = step.event, step.before.context
        if not isinstance(event, SocketClosed) or event.socket != context.socket:
            return
        if not step.before.matches("connection/online") or event.code not in self.policy.takeover_codes:
            return
        parked = step.after.matches("connection/parked")
        waits = [timer.due - step.stamp.now for timer in step.given(ArmTimer) if timer.timer == "retry"]
        assert parked == (len(step.account.evicted_at) >= self.policy.evictions_max)
        assert parked or min(waits) >= self.policy.takeover_floor_s / 2 - 1e-6

    def p32_one_socket(self, step: Taken) -> None:
        """P32: at most one socket, apart from those that were told to close."""
        assert sum(socket.state != "closing" for socket in self.world.sockets.values()) <= 1

    def p33_a_stopped_link_owns_nothing(self, step: Taken) -> None:
        """P33: when all is over no socket is left that was not told to close."""
        if step.after.done:
            assert all(socket.state == "closing" for socket in self.world.sockets.values())

    def p33_a_stop_waits_for_the_pair_under_way(self, step: Taken) -> None:
        """V06, S0-13, P09: within the stop's deadline, a pair on its way is awaited, and stored."""
        since = self.ledger.stopped_at
        if step.after.done and since is not None and step.stamp.now - since < self.policy.stop_s:
            held, disk = self.world.memory.held, self.world.disk
            unwanted = step.account.credential is None or disk.pair is None
            assert not self.world.posts
            assert held is None or unwanted or held[0] != disk.generation + 1

    def p34_late_news_change_nothing(self, step: Taken) -> None:
        """P34: the outcome of a superseded connect, refresh or timer changes nothing."""
        correlates = type(step.event).correlates
        stale = correlates and getattr(step.event, correlates) != getattr(step.before.context, correlates)
        if isinstance(step.event, TimerFired):
            stale = step.event.serial not in {armed.serial for armed in step.before.timers}
        if isinstance(step.event, CredentialsChanged):
            stale = step.event.generation <= step.before.context.generation
        if stale:
            assert step.after == step.before
            assert all(isinstance(command, Unhandled) for command in step.commands)

    def p36_no_dead_state(self, step: Taken) -> None:
        """P36: every state that is no end and waits for no person has what it waits for."""
        after, timers = step.after, {armed.timer for armed in step.after.timers}
        dead = [path for path, timer in _COUNTS_ON.items() if after.matches(path) and timer not in timers]
        inbox, posts = self.world.memory.inbox, self.world.posts
        dead += [path for path in _ANSWERED_AT_ONCE if after.matches(path) and not inbox]
        dead += [path for path in _EXCHANGING if after.matches(path) and not (posts or inbox)]
        if after.matches("connection/held"):
            helped = ("refresh/waiting", "refresh/working", "refresh/draining")
            dead += [] if any(after.matches(path) for path in helped) else ["connection/held"]
        if after.matches("connection/offline"):
            dead += ["connection/offline"] if after.matches("credentials/configured") else []
        assert not dead

    def p37_status_tells_the_truth(self, step: Taken) -> None:
        """P37: connected means a finished handshake and an open socket; a retry is announced when one is planned."""
        status = project(step.after, step.stamp)
        assert status.connected == (self.ledger.session is not None)
        retries = [armed.due for armed in step.after.timers if armed.timer in ("retry", "load_retry")]
        assert (status.retry_at is not None) == bool(retries)
        assert not status.configured or step.account.credential is not None

    def p39_nothing_comes_sooner_than_the_server_asked(self, step: Taken) -> None:
        """P39: neither a dial nor a POST undercuts Retry-After, whatever happens meanwhile."""
        assert not step.given(OpenSocket) or step.stamp.now >= self.ledger.no_dial_before - 1e-6
        assert not step.given(PostRefresh) or step.stamp.now >= self.ledger.no_post_before - 1e-6

    def p42_the_heart_beats_while_online(self, step: Taken) -> None:
        """P42: while online, and only then, silence is noticed."""
        beats = any(step.after.matches(path) for path in _BEATS)
        assert beats == step.after.matches("connection/online")

    def p56_every_caller_is_answered(self, step: Taken) -> None:
        """P56: who asked for a refresh waits only while one is being worked at."""
        if self.ledger.asking and not step.after.matches("refresh/working/requesting"):
            assert step.after.matches("refresh/working/doubting") or step.given(SettleRefresh) or step.after.done

    def p60_no_secret(self, step: Taken) -> None:
        """P60: neither the snapshot nor a command holds a token."""
        assert MARK.encode() not in msgspec.json.encode((step.account, step.commands))

    def p90_timers_are_all_accounted_for(self, step: Taken) -> None:
        """DESIGN: every armed timer is announced, fired or cancelled; none survives the end."""
        assert self.ledger.timers == {armed.serial: armed.timer for armed in step.after.timers}
        assert not (step.after.done and step.after.timers)

    def _answers(self, step: Taken) -> bool:
        return isinstance(step.event, ANSWERS) and step.event.refresh == step.before.context.refresh
