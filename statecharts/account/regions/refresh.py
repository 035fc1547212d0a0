"""Refresh: at most one exchange, at most one timer."""

from holdfast.engine import After, In, State, Timer, Transition

from ...durations import fixed
from .. import delays
from .. import effects as do
from .. import events as ev
from .. import guards as g
from ..commands import LoadCredentials

Row = Transition

# fmt: off
# One row, one thought: laid out by hand, to be read as a table.

REFRESH = State(
    name="refresh",
    initial="idle",
    children=(
        State(name="idle", note="nothing to refresh, or no telling when"),
        State(name="armed", timers=(Timer("refresh_look", delays.next_look),)),
        State(name="due", note="with the next session"),
        State(name="later", note="not now: when then"),
        State(name="choosing", note="new credentials: refresh first, or plan it"),
        State(name="draining", note="the pair under way is no longer wanted, but one POST at a time (P01)"),
        State(name="waiting", note="wanted, but not yet", timers=(Timer("refresh_retry", delays.refresh_retry),)),
        State(
            name="working",
            initial="requesting",
            children=(
                State(name="requesting", on_enter=(do.post_refresh,)),
                State(name="doubting", note="refused or overtaken: is that still our pair?",
                      on_enter=(LoadCredentials(),)),
                State(name="unsure", note="the store cannot tell: no POST before it can",
                      timers=(Timer("doubt_retry", delays.store_retry),)),
                State(name="unstored", note="rotated, but not on disk",
                      timers=(Timer("store_retry", delays.store_retry),)),
                State(name="storing", on_enter=(do.store_rotation,)),
            ),
        ),
        State(
            name="finishing",
            initial="answering",
            note="stopping with an exchange under way",
            timers=(Timer("finish_deadline", fixed("stop_s")),),
            children=(
                State(name="answering"),
                State(name="unstored", timers=(Timer("last_retry", delays.store_retry),)),
                State(name="storing", on_enter=(do.store_rotation,)),
            ),
        ),
        State(name="stopped", final=True),
    ),
)

_UNDISTURBED = ("refresh/idle", "refresh/armed", "refresh/due")
_AT_REST = (*_UNDISTURBED, "refresh/waiting")
WORKING = "refresh/working"
_REQUESTING = "refresh/working/requesting"
_HOLDING = ("refresh/working/unstored", "refresh/working/storing")
STUCK = (*_HOLDING, "refresh/working/unsure")  # on our own disk, so that there is no telling how long

REFRESH_ROWS = (
    # new credentials: refresh first, or plan it; an exchange for older ones comes to its end first
    Row(trigger=ev.CredentialsAdopted, source=_AT_REST, dest="refresh/choosing", rules="S1-31 P18"),
    Row(trigger=ev.CredentialsAdopted, source=_REQUESTING, dest="refresh/draining",
        effects=(do.settle("success", "another pair was stored"),), rules="P01 P05 V06"),
    Row(trigger=ev.CredentialsAdopted, source=WORKING, dest="refresh/choosing",
        effects=(do.settle("success", "another pair was stored"),), rules="P05 V06"),
    Row(trigger=None, source="refresh/choosing", dest="refresh/later",
        conditions=(g.may_not_post, In("connection/held")), effects=(ev.RefreshEnded(),), rules="P39"),
    Row(trigger=None, source="refresh/choosing", dest="refresh/later",
        conditions=(g.may_not_post, g.must_refresh_first), effects=(do.because("startup-near-expiry"),), rules="P39"),
    Row(trigger=None, source="refresh/choosing", dest=WORKING, conditions=(g.must_refresh_first,),
        effects=(do.because("startup-near-expiry"),), rules="S0-09 P06 P21"),
    Row(trigger=None, source="refresh/choosing", dest=WORKING, conditions=(g.can_refresh, In("connection/held")),
        effects=(do.because("hello-fail"),), rules="S0-25"),
    Row(trigger=None, source="refresh/choosing", dest="refresh/armed", conditions=(g.has_expiry,),
        rules="S1-24 S1-28 S1-29"),
    Row(trigger=None, source="refresh/choosing", dest="refresh/idle", rules="S1-30"),
    Row(trigger=ev.RefreshSucceeded, source="refresh/draining", dest="refresh/choosing"),
    Row(trigger=ev.RotationHeld, source="refresh/draining", dest="refresh/choosing", rules="V06"),
    Row(trigger=ev.RefreshFailed, source="refresh/draining", dest="refresh/choosing", effects=(do.heed,), rules="P39"),
    Row(trigger=ev.RefreshSuperseded, source="refresh/draining", dest="refresh/choosing", rules="V06"),
    Row(trigger=ev.RefreshRequested, source="refresh/draining", dest=None,
        effects=(do.settle("transient", "an exchange for older credentials is ending"),), rules="P01"),
    # the planned time comes
    Row(trigger=After("refresh_look"), source="refresh/armed", dest="refresh/idle", conditions=(g.is_latched,),
        rules="S1-05 P14"),
    Row(trigger=After("refresh_look"), source="refresh/armed", dest="refresh/due", conditions=(g.is_due,),
        unless=(In("connection/online"),), rules="S0-16"),
    Row(trigger=After("refresh_look"), source="refresh/armed", dest="refresh/later",
        conditions=(g.is_due, g.is_too_soon), effects=(do.because("proactive"),), rules="S1-07 V17"),
    Row(trigger=After("refresh_look"), source="refresh/armed", dest=WORKING, conditions=(g.is_due,),
        effects=(do.because("proactive"),), rules="S1-20 S1-32"),
    Row(trigger=After("refresh_look"), source="refresh/armed", dest="refresh/armed", rules="V18 V21 P15 P17"),
    Row(trigger=ev.Woke, source="refresh/armed", dest="refresh/armed", rules="P44"),
    Row(trigger=ev.HelloAccepted, source="refresh/due", dest="refresh/later",
        conditions=(g.is_too_soon, In("connection/dialing/awaiting_hello")), effects=(do.because("proactive"),),
        rules="S0-15 S1-07"),
    Row(trigger=ev.HelloAccepted, source="refresh/due", dest=WORKING,
        conditions=(In("connection/dialing/awaiting_hello"),), effects=(do.because("proactive"),),
        rules="S0-15 S1-20 S1-32"),
    Row(trigger=After("refresh_retry"), source="refresh/waiting", dest=WORKING, rules="V11 V22 P13"),
    # not now: on the ladder, or with the next refused hello or session
    Row(trigger=None, source="refresh/later", dest="refresh/waiting", conditions=(g.retries_refresh,),
        rules="V11 V22 P13 P49"),
    Row(trigger=None, source="refresh/later", dest="refresh/due", conditions=(g.has_expiry, g.is_due),
        rules="V11 V22"),
    Row(trigger=None, source="refresh/later", dest="refresh/armed", conditions=(g.has_expiry,), rules="V11 V22"),
    Row(trigger=None, source="refresh/later", dest="refresh/idle", rules="V11"),
    # somebody asks: the order of the questions is S1-04
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=None, conditions=(g.refused_an_older,),
        effects=(do.settle("success", "already rotated"),), rules="S0-55"),
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=None, conditions=(g.is_latched,),
        effects=(do.settle("skipped", "rejected-latch"),), rules="S1-04 S1-05 S1-06"),
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=None, conditions=(g.may_not_post,),
        effects=(do.settle("skipped", "retry-after"),), rules="P39"),
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=None, conditions=(g.is_too_soon,),
        effects=(do.settle("skipped", "min-interval"),), rules="S1-07 S1-08 S1-09 S1-10 V17"),
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=None, unless=(g.has_refresh_token,),
        effects=(do.settle("skipped", "no-refresh-token"),), rules="S1-11"),
    Row(trigger=ev.RefreshRequested, source=_AT_REST, dest=WORKING, effects=(do.because_asked,), rules="S0-49 S1-19"),
    Row(trigger=ev.RefreshRequested, source=_HOLDING, dest=None,
        effects=(do.settle("transient", "the store refused the new pair"),), rules="V01 V02"),
    Row(trigger=ev.RefreshRequested, source="refresh/working/unsure", dest=None,
        effects=(do.settle("transient", "the store cannot be read"),), rules="P05 P14"),
    Row(trigger=ev.RefreshRequested, source=WORKING, dest=None, rules="S1-02 P01"),
    Row(trigger=ev.RefreshRequested, source="refresh", dest=None, effects=(do.settle("skipped", "stopped"),),
        rules="S1-03 V23"),
    # the connection asks: its rows have made sure that a refresh could help
    Row(trigger=ev.RefreshWanted, source=_UNDISTURBED, dest="refresh/later",
        conditions=(g.is_too_soon,), effects=(do.because_asked, ev.RefreshEnded()), rules="S1-07"),
    Row(trigger=ev.RefreshWanted, source=_UNDISTURBED, dest=WORKING,
        effects=(do.because_asked,), rules="S0-25 S0-26"),
    # how an exchange ends
    Row(trigger=ev.RefreshSucceeded, source=_REQUESTING, dest="refresh/armed", conditions=(g.made_progress,),
        effects=(do.take_rotation,), rules="S0-10 S0-23 S1-14 V15"),
    Row(trigger=ev.RefreshSucceeded, source=_REQUESTING, dest="refresh/later", effects=(do.take_unchanged,),
        rules="P20"),
    Row(trigger=ev.RefreshFailed, source=_REQUESTING, dest="refresh/working/doubting", conditions=(g.is_permanent,),
        effects=(do.note_refusal,), rules="S1-40 P05"),
    Row(trigger=ev.RefreshFailed, source=_REQUESTING, dest="refresh/later", effects=(do.count_failure,),
        rules="S0-12 S1-13 S1-18 V11 V22 P12 P39"),
    Row(trigger=ev.RotationHeld, source=_REQUESTING, dest="refresh/working/unstored", effects=(do.hold_rotation,),
        rules="S0-18 S1-15 V01 V02 P07"),
    Row(trigger=ev.RefreshSuperseded, source=WORKING, dest="refresh/working/doubting", rules="V06 P04 P11"),
    Row(trigger=ev.CredentialsRead, source="refresh/working/doubting", dest="refresh/idle", conditions=(g.was_refused,),
        unless=(g.is_news,), effects=(do.believe_refusal,), rules="S1-16 V24 P05 P14"),
    Row(trigger=ev.CredentialsRead, source="refresh/working/doubting", dest="refresh/later", unless=(g.is_news,),
        effects=(do.count_overtaken,), rules="V06 P12"),
    Row(trigger=ev.StoreFailed, source="refresh/working/doubting", dest="refresh/working/unsure",
        effects=(do.count_doubt,), rules="P05 P14"),
    Row(trigger=After("doubt_retry"), source="refresh/working/unsure", dest="refresh/working/doubting", rules="P05"),
    # a rotated pair that the store refused
    Row(trigger=After("store_retry"), source="refresh/working/unstored", dest="refresh/working/storing", rules="V02"),
    Row(trigger=ev.RotationUnstored, source="refresh/working/storing", dest="refresh/working/unstored",
        effects=(do.count_unstored,), rules="V02"),
    Row(trigger=ev.RotationStored, source="refresh/working/storing", dest="refresh/armed",
        effects=(do.take_rotation,), rules="V02 P06"),
    # the ends
    Row(trigger=ev.LoggedOut, source=("refresh/armed", "refresh/due", "refresh/waiting"), dest="refresh/idle",
        rules="P11"),
    Row(trigger=ev.LoggedOut, source=_REQUESTING, dest="refresh/draining",
        effects=(do.settle("permanent", "logged out"),), rules="V06 P01 P11"),
    Row(trigger=ev.LoggedOut, source=WORKING, dest="refresh/idle",
        effects=(do.settle("permanent", "logged out"),), rules="V06 P11"),
    Row(trigger=ev.StopRequested, source=_AT_REST, dest="refresh/stopped", rules="S1-33 S1-37"),
    Row(trigger=ev.StopRequested, source=_REQUESTING, dest="refresh/finishing/answering",
        effects=(do.settle("skipped", "stopped"),), rules="S0-13 S1-23 V06"),
    Row(trigger=ev.StopRequested, source="refresh/draining", dest="refresh/finishing/answering"),
    Row(trigger=ev.StopRequested, source=_HOLDING, dest="refresh/finishing/storing",
        effects=(do.settle("skipped", "stopped"),), rules="V02"),
    Row(trigger=ev.StopRequested, source=("refresh/working/doubting", "refresh/working/unsure"), dest="refresh/stopped",
        effects=(do.settle("skipped", "stopped"),)),
    # a logout came before the stop, and its blanking before this pair
    Row(trigger=ev.RefreshSucceeded, source="refresh/finishing/answering", dest="refresh/stopped",
        conditions=(g.is_forgotten,), effects=(do.clear_late,), rules="V06 P11"),
    Row(trigger=ev.RotationHeld, source="refresh/finishing/answering", dest="refresh/stopped",
        conditions=(g.is_forgotten,), rules="V06 P11"),
    Row(trigger=ev.RefreshSucceeded, source="refresh/finishing/answering", dest="refresh/stopped",
        effects=(do.take_last,), rules="S0-13 S1-23 P19"),
    Row(trigger=ev.RotationHeld, source="refresh/finishing/answering", dest="refresh/finishing/unstored",
        effects=(do.hold_last,), rules="V02"),
    Row(trigger=ev.RefreshFailed, source="refresh/finishing/answering", dest="refresh/stopped"),
    Row(trigger=ev.RefreshSuperseded, source="refresh/finishing", dest="refresh/stopped"),
    Row(trigger=After("last_retry"), source="refresh/finishing/unstored", dest="refresh/finishing/storing"),
    Row(trigger=ev.RotationUnstored, source="refresh/finishing/storing", dest="refresh/finishing/unstored",
        effects=(do.count_unstored,)),
    Row(trigger=ev.RotationStored, source="refresh/finishing/storing", dest="refresh/stopped", effects=(do.take_last,)),
    Row(trigger=After("finish_deadline"), source="refresh/finishing", dest="refresh/stopped", rules="V06"),
)
