"""Every number the account chart goes by, in one frozen, validated record. Durations are seconds."""

from typing import Any, Literal

import msgspec

from .classify import SEED, Rule


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The ``strict`` numbers. ``scaled(f)`` multiplies every duration, for tests and demos (deadlines of I/O keep a
    floor of half a second).

    Raises:
        ValueError: a number is out of its range.
    """

    # connecting: one deadline a phase and one around the whole handshake; a refresh runs outside it (P10)
    dial_s: float = 10.0
    challenge_s: float = 10.0
    hello_s: float = 10.0
    handshake_s: float = 20.0
    replay_idle_s: float = 5.0

    # backing off: base x 2^depth up to the cap, then equal jitter (S0-38, V13)
    backoff_base_s: float = 1.0
    backoff_cap_s: float = 30.0
    stable_s: float = 30.0  # a session this long clears the ladder (V12)
    drop_floor_s: float = 10.0  # with jitter 5 to 10 s, after the close codes below
    drop_codes: tuple[int, ...] = (4001, 1005, 1006)

    # when a token is due (S1-24, V19)
    lead_min_s: float = 1800.0
    lead_max_s: float = 7200.0
    lead_share: float = 0.25
    lead_share_max: float = 0.5
    early_share: float = 0.1  # never before this share of the lifetime
    planned_min_s: float = 1.0  # nor sooner than this after it was received, however short-lived it is (P15)
    due_jitter_s: float = 300.0
    due_jitter_share: float = 0.1  # of the lead, at most
    lifetime_s: float = 86_400.0  # of a token that does not say
    slice_s: float = 60.0  # the wall clock is looked at this often (V21)

    # refreshing
    refresh_interval_s: float = 30.0  # between POSTs of one refresh token (S1-07, V17)
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
    pong_s: float = 20.0
    verify_s: float = 5.0

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
        wrong = [name for name in _durations() if not 0 <= getattr(self, name) < float("inf")]
        wrong += [name for name in _SHARES if not 0 <= getattr(self, name) <= 1]
        wrong += [name for name in _LOOPS if getattr(self, name) == 0]
        if wrong:
            raise ValueError(
                f"policy: {', '.join(wrong)}: give finite seconds, above 0 for what repeats, and shares from 0 to 1"
            )
        if self.handshake_s < max(self.dial_s, self.challenge_s, self.hello_s):
            raise ValueError("policy: handshake_s is shorter than one of its phases; raise it")

    def scaled(self, factor: float) -> "Policy":
        """The same policy with every duration multiplied.

        Raises:
            ValueError: the factor is not a finite number above zero.
        """
        if not 0 < factor < float("inf"):
            raise ValueError(f"time scale {factor}: give a finite number above zero")
        changes: dict[str, Any] = {name: getattr(self, name) * factor for name in _durations()}
        changes |= {name: max(min(_IO_FLOOR_S, getattr(self, name)), changes[name]) for name in _IO_DEADLINES}
        return msgspec.structs.replace(self, **changes)


# Deadlines of real input and output: a scale for tests must not make a busy machine look like a dead peer.
_IO_FLOOR_S = 0.5
_IO_DEADLINES = (
    "dial_s", "challenge_s", "hello_s", "handshake_s", "refresh_post_s", "pong_s", "verify_s", "close_s", "stop_s",
)  # fmt: skip
# What repeats: without a pause it would spin (P15, P26).
_LOOPS = (
    "slice_s", "ping_s", "backoff_base_s", "backoff_cap_s", "refresh_retry_base_s", "refresh_retry_cap_s",
    "store_retry_base_s", "store_retry_cap_s", "mirror_retry_base_s", "mirror_retry_cap_s",
)  # fmt: skip
_SHARES = ("lead_share", "lead_share_max", "early_share", "due_jitter_share")


def _durations() -> tuple[str, ...]:
    return tuple(name for name in Policy.__struct_fields__ if name.endswith("_s"))


STRICT = Policy()
