"""Every number the account chart goes by, in one frozen, validated record. Durations are seconds."""

from typing import Literal

import msgspec

from ..durations import durations_of, scaled
from .classify import SEED, Rule


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers, and the few switches by which a profile differs. The defaults are those of ``STRICT``.

    ``scaled(f)`` multiplies every duration, for tests and demos (deadlines of I/O keep a floor of half a second).
    None means: no such thing.

    Raises:
        ValueError: a number is out of its range.
    """

    # connecting: one deadline a phase and one around the whole handshake; a refresh runs outside it (P10)
    dial_s: float = 10.0
    challenge_s: float = 10.0
    hello_s: float = 10.0
    handshake_s: float = 20.0
    replay_idle_s: float = 5.0

    # backing off: base x 2^depth up to the cap, then jitter (S0-38, V13)
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 30.0
    backoff_jitter: float = 0.5  # this share of a wait is left to chance
    stable_s: float | None = 30.0  # a session this long clears ladder and cap (V12)
    one_streak: bool = False  # refused hellos and new tokens climb one ladder, which the cap counts on too (V12)
    outage_gives_up: bool = False  # the auth service is down at the first dial: the token counts as refused (V08)
    first_failure_parks: bool = False  # the first dial fails: no other without a person (V09)
    drop_floor_s: float = 10.0  # with jitter 5 to 10 s, after an unexplained close of a session
    drop_codes: tuple[int, ...] = (1005, 1006)
    retry_after_max_s: float = 3600.0  # however long the server asks for (P39)

    # another client takes the session over: the floor doubles with each time within the window (P31)
    takeover_floor_s: float = 10.0
    takeover_codes: tuple[int, ...] = (4001,)
    evictions_max: int = 5
    evictions_window_s: float = 600.0

    # when a token is due (S1-24, V19)
    lead_min_s: float = 1800.0
    lead_max_s: float = 7200.0
    lead_share: float = 0.25
    lead_share_max: float | None = 0.5
    early_share: float = 0.1  # never before this share of the lifetime
    planned_min_s: float = 1.0  # nor sooner than this after it was received, however short-lived it is (P15)
    due_jitter_s: float = 300.0
    due_jitter_share: float | None = 0.1  # of the lead, at most
    lifetime_s: float = 86_400.0  # of a token that does not say
    slice_s: float = 60.0  # the wall clock is looked at this often (V21)

    # refreshing
    refresh_interval_s: float = 30.0  # between POSTs of one refresh token (S1-07, V17)
    refresh_interval_shared: bool = False  # or between any two (V17)
    refresh_retries: bool = True  # on a ladder of its own; else with the next refused hello or session (V11, V22)
    refresh_retry_base_s: float = 30.0
    refresh_retry_cap_s: float = 300.0
    refresh_post_s: float = 15.0
    refresh_causes_reconnecting: tuple[str, ...] = ("proactive",)  # V15: a token is only checked at the handshake
    permanent_codes: tuple[str, ...] = ("10003", "400")  # S1-40
    rotations_max: int = 3  # refreshes after a refused hello within the window (S0-01, S0-37)
    rotations_window_s: float = 300.0
    classifier: tuple[Rule, ...] = SEED

    # liveness
    ping_s: float = 20.0
    pong_s: float | None = 20.0
    verify_s: float = 5.0
    wake_jump_s: float = 30.0  # the clocks part, or a timer is late, by more than this: we slept (P44)

    # messages: a bounded queue, one message under way per chat, so that order is kept
    outbox_max: int = 128
    outbox_full: Literal["wait", "reject", "drop_oldest"] = "wait"
    ack_s: float = 15.0  # without an answer for so long, the same frame is sent again, if it is still worth it
    ack_tries_max: int = 3
    oversize_codes: tuple[int, ...] = (1009,)  # closed over a frame that is never to be sent again
    dead_chat_s: float = 600.0
    dead_chat_codes: tuple[str, ...] = ("chat_not_found", "not_member")

    # receipts of reliable delivery
    receipt_s: float = 0.2  # after what was handled has advanced
    receipt_again_s: float = 30.0
    receipt_lag_max: int = 1024  # handled and not acknowledged: then it is at once

    # ending
    close_s: float = 5.0
    stop_s: float = 10.0

    # the own disk
    store_retry_base_s: float = 0.5
    store_retry_cap_s: float = 30.0
    mirror_retry_base_s: float = 1.0
    mirror_retry_cap_s: float = 300.0

    def __post_init__(self) -> None:
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        wrong = [name for name in _DURATIONS if not 0 <= given.get(name, 0) < float("inf")]
        wrong += [name for name in _SHARES if not 0 <= given.get(name, 0) <= 1]
        wrong += [name for name in _LOOPS if getattr(self, name) == 0]
        wrong += [name for name in _COUNTS if getattr(self, name) < 1]
        if wrong:
            raise ValueError(
                f"policy: {', '.join(wrong)}: give finite seconds, above 0 for what repeats, counts from 1, "
                "and shares from 0 to 1"
            )
        if self.handshake_s < max(self.dial_s, self.challenge_s, self.hello_s):
            raise ValueError("policy: handshake_s is shorter than one of its phases; raise it")

    def scaled(self, factor: float) -> "Policy":
        """The same policy with every duration multiplied.

        Raises:
            ValueError: the factor is not a finite number above zero.
        """
        return scaled(self, factor, _IO_DEADLINES)


# Of real input and output: these keep a floor.
_IO_DEADLINES = frozenset((
    "dial_s", "challenge_s", "hello_s", "handshake_s", "refresh_post_s", "pong_s", "verify_s", "close_s", "stop_s",
    "ack_s",
))  # fmt: skip
# What repeats: without a pause it would spin (P15, P26).
_LOOPS = (
    "slice_s", "ping_s", "backoff_base_s", "backoff_cap_s", "refresh_retry_base_s", "refresh_retry_cap_s",
    "store_retry_base_s", "store_retry_cap_s", "mirror_retry_base_s", "mirror_retry_cap_s", "ack_s", "receipt_again_s",
)  # fmt: skip
_COUNTS = ("outbox_max", "ack_tries_max", "receipt_lag_max", "evictions_max")
_SHARES = ("backoff_jitter", "lead_share", "lead_share_max", "early_share", "due_jitter_share")
_DURATIONS = durations_of(Policy)

STRICT = Policy()
"""What protects account, server and battery best."""

COMPAT = Policy(
    backoff_jitter=0.0,
    stable_s=None,
    one_streak=True,
    outage_gives_up=True,
    first_failure_parks=True,
    drop_floor_s=0.0,
    takeover_codes=(),
    lead_share_max=None,
    early_share=0.0,
    planned_min_s=0.0,
    due_jitter_share=None,
    refresh_interval_shared=True,
    refresh_retries=False,
    ping_s=30.0,
    pong_s=None,
    ack_s=30.0,
)
"""The timing of the plug-ins that these rules were observed on, for who must keep it."""
