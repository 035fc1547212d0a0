"""Outbox: what is to be sent, kept in order, and sent once."""

from holdfast.engine import After, In, State, Timer, Transition

from .. import delays
from .. import effects as do
from .. import events as ev
from .. import guards as g
from ..commands import Deliver
from .connection import HELLO

Row = Transition

# fmt: off
# One row, one thought: laid out by hand, to be read as a table.

OUTBOX = State(
    name="outbox",
    initial="shut",
    children=(
        State(name="shut", note="no session: messages wait", timers=(Timer("shut_look", delays.outbox_look),)),
        State(name="open", on_enter=(do.transmit_ready,), timers=(Timer("open_look", delays.outbox_look),)),
        State(name="stopped", final=True),
    ),
)

_UNPAIRED = ("credentials/unconfigured", "credentials/refused", "credentials/logged_out")


def _both(trigger: object, **row: object) -> tuple[Transition, ...]:
    """The same with a session and without one. Each time the state is entered anew: its timer, and what can go out."""
    return tuple(
        Row(trigger=trigger, source=f"outbox/{state}", dest=f"outbox/{state}", **row)  # type: ignore[arg-type]
        for state in ("shut", "open")
    )


OUTBOX_ROWS = (
    Row(trigger=ev.HelloAccepted, source="outbox/shut", dest="outbox/open", conditions=(In(HELLO),), rules="P56"),
    Row(trigger=ev.ReadingPaused, source="outbox/open", dest="outbox/open", effects=(do.stop_listening,), rules="P43"),
    Row(trigger=ev.ReadingResumed, source="outbox/open", dest="outbox/open", effects=(do.listen_again,), rules="P43"),
    Row(trigger=ev.SessionEnded, source="outbox/open", dest="outbox/shut", effects=(do.recall,), rules="P56"),
    # what the message store keeps of this user
    *_both(ev.CredentialsAdopted, effects=(do.load_messages,), rules="P56"),
    *_both(ev.MessagesFound, effects=(do.take_found,), rules="P56"),
    *_both(ev.MessagesUnreadable, effects=(do.note_unreadable,)),
    *(Row(trigger=After(f"{state}_look"), source=f"outbox/{state}", dest=f"outbox/{state}",
          conditions=(g.may_reload,), effects=(do.load_messages,)) for state in ("shut", "open")),
    # somebody wants to send
    *(Row(trigger=ev.SendRequested, source=("outbox/shut", "outbox/open"), dest=None, conditions=(In(state),),
          effects=(do.refuse_send("unpaired"),)) for state in _UNPAIRED),
    Row(trigger=ev.SendRequested, source=("outbox/shut", "outbox/open"), dest=None, conditions=(g.is_dead_chat,),
        effects=(do.refuse_dead_chat,)),
    Row(trigger=ev.SendRequested, source=("outbox/shut", "outbox/open"), dest=None,
        conditions=(g.rejects_when_full,), unless=(g.has_room,), effects=(do.refuse_send("full"),), rules="P57"),
    *_both(ev.SendRequested, conditions=(g.drops_when_full,), unless=(g.has_room,), effects=(do.enqueue_for_oldest,),
           rules="P57"),
    *_both(ev.SendRequested, unless=(g.has_room,), effects=(do.line_up,), rules="P57"),
    *_both(ev.SendRequested, effects=(do.enqueue,), rules="P57"),
    Row(trigger=ev.SendRequested, source="outbox", dest=None, effects=(do.refuse_send("ended"),), rules="P56"),
    *_both(ev.MessagesKept, effects=(do.note_kept,)),
    *_both(ev.MessagesNotKept, effects=(do.settle_unkept,)),
    *_both(ev.SendWithdrawn, conditions=(g.never_left,), effects=(do.withdraw,), rules="P47"),
    # answers
    Row(trigger=ev.MessageAcked, source="outbox/open", dest="outbox/open", conditions=(g.is_queued,),
        effects=(do.settle_acked,), rules="P56"),
    Row(trigger=ev.MessageAcked, source="outbox/open", dest=None, effects=(Deliver(),), rules="P58"),
    Row(trigger=ev.MessageRefused, source="outbox/open", dest="outbox/open",
        conditions=(g.is_queued, g.refuses_chat), effects=(do.bury_chat,), rules="S1-43"),
    Row(trigger=ev.MessageRefused, source="outbox/open", dest="outbox/open", conditions=(g.is_queued,),
        effects=(do.settle_refused,), rules="S1-43"),
    Row(trigger=ev.MessageRefused, source="outbox/open", dest=None, effects=(Deliver(),), rules="P58"),
    Row(trigger=ev.FrameReceived, source="outbox/open", dest=None, conditions=(g.revives_chat,),
        effects=(do.revive_chat,)),
    Row(trigger=ev.SocketClosed, source="outbox/open", dest="outbox/shut", conditions=(g.is_too_big,),
        effects=(do.refuse_biggest, do.recall)),
    # time
    Row(trigger=After("shut_look"), source="outbox/shut", dest="outbox/shut", effects=(do.settle_overdue,),
        rules="P56"),
    Row(trigger=After("open_look"), source="outbox/open", dest="outbox/open", effects=(do.settle_overdue,),
        rules="P56"),
    *(Row(trigger=trigger, source=("outbox/shut", "outbox/open"), dest="outbox/shut", conditions=(g.is_somebody_else,),
          effects=(do.set_aside,), rules="P11") for trigger in (ev.CredentialsRead, ev.CredentialsChanged)),
    *(Row(trigger=trigger, source=("outbox/shut", "outbox/open"), dest="outbox/shut", effects=(do.set_aside,),
          rules="P11 P56") for trigger in (ev.LoggedOut, ev.TokenRefused)),
    Row(trigger=ev.LogoutRequested, source=("outbox/shut", "outbox/open"), dest="outbox/shut",
        effects=(do.forget_sends,), rules="P11 P56"),
    Row(trigger=ev.StopRequested, source=("outbox/shut", "outbox/open"), dest="outbox/stopped",
        effects=(do.end_sends,), rules="P56"),
)
