"""Messages on their way out: queued, kept, written, answered; or not."""

from collections.abc import Iterable
from math import isfinite
from typing import Any

from holdfast.engine import Event, Stamp, effect

from .. import events as ev
from .. import queue as q
from ..commands import DropMessage, KeepMessage, LoadMessages, SendOutcome, Sent, SettleSend, TransmitMessage
from ..context import Account, Queued
from .shared import Out


def refuse_send(outcome: SendOutcome) -> Any:
    """Nothing was queued."""

    @effect(SettleSend)
    def refuse(a: Account, e: ev.SendRequested, at: Stamp) -> Out:
        return a, (SettleSend(e.trace, outcome, "no"),)

    refuse.__name__ = f"refuse: {outcome}"
    return refuse


def _queued(e: ev.SendRequested, at: Stamp) -> Queued:
    due = at.now + e.life_s if e.life_s is not None and isfinite(e.life_s) else None
    return Queued(trace=e.trace, chat=e.chat, size=e.size, due=due, lasting=e.lasting)


@effect(SettleSend)
def refuse_dead_chat(a: Account, e: ev.SendRequested, at: Stamp) -> Out:
    """The gateway would refuse it for the same reason again."""
    dead = q.dead(a, e.chat)
    return a, (SettleSend(e.trace, "refused", "no", "" if dead is None else dead.code),)


@effect(KeepMessage)
def enqueue(a: Account, e: ev.SendRequested, at: Stamp) -> Out:
    return a.but(queue=(*a.queue, _queued(e, at))), (KeepMessage(e.trace),)


@effect()
def line_up(a: Account, e: ev.SendRequested, at: Stamp) -> Out:
    """It waits for a place in the queue."""
    return a.but(crowd=(*a.crowd, _queued(e, at))), ()


@effect(KeepMessage, DropMessage, SettleSend)
def enqueue_for_oldest(a: Account, e: ev.SendRequested, at: Stamp) -> Out:
    """The oldest gives way, unless it is under way."""
    oldest = q.droppable(a)
    if oldest is None:
        return a, (SettleSend(e.trace, "full", "no"),)
    rest = q.without(a, (oldest,))
    told = SettleSend(oldest.trace, "dropped", q.sent(oldest))
    return rest.but(queue=(*rest.queue, _queued(e, at))), (told, DropMessage(oldest.trace), KeepMessage(e.trace))


def _settled(a: Account, gone: Iterable[Queued], outcome: SendOutcome, sent: Sent | None = None, code: str = "") -> Out:
    """These are done with; who was waiting for their places comes in."""
    gone = tuple(gone)
    told = [SettleSend(one.trace, outcome, sent or q.sent(one), code) for one in gone]
    dropped = [DropMessage(one.trace) for one in gone]
    after, kept = _admitted(q.without(a, gone))
    return after, (*told, *dropped, *kept)


def _admitted(a: Account) -> Out:
    room = max(0, a.policy.outbox_max - len(a.queue))
    coming, staying = a.crowd[:room], a.crowd[room:]
    if not coming:
        return a, ()
    return a.but(queue=(*a.queue, *coming), crowd=staying), tuple(KeepMessage(one.trace) for one in coming)


@effect(TransmitMessage)
def transmit_ready(a: Account, e: Event, at: Stamp) -> Out:
    """Whatever can go out goes out."""
    ready = q.ready(a, at.now)
    if not ready:
        return a, ()
    written = [q.but(one, sent_on=a.socket, answer_by=at.now + a.policy.ack_s) for one in ready]
    return q.changed(a, written), tuple(TransmitMessage(a.socket, one.trace) for one in ready)


@effect()
def note_kept(a: Account, e: ev.MessagesKept, at: Stamp) -> Out:
    return q.changed(a, [q.but(one, kept=True) for one in a.queue if one.trace in e.traces]), ()


@effect(SettleSend, DropMessage, KeepMessage)
def settle_unkept(a: Account, e: ev.MessagesNotKept, at: Stamp) -> Out:
    """A durable outbox sends nothing that it could not keep."""
    return _settled(a, [one for one in a.queue if one.trace in e.traces], "unkept")


@effect(SettleSend, DropMessage, KeepMessage)
def withdraw(a: Account, e: ev.SendWithdrawn, at: Stamp) -> Out:
    """It never left, and nobody waits for it."""
    found = q.find(a, e.trace)
    return _settled(a, () if found is None else (found,), "dropped")


@effect(SettleSend, DropMessage, KeepMessage)
def settle_acked(a: Account, e: ev.MessageAcked, at: Stamp) -> Out:
    found = q.find(a, e.trace)
    return _settled(a, () if found is None else (found,), "acked", "yes")


@effect(SettleSend, DropMessage, KeepMessage)
def settle_refused(a: Account, e: ev.MessageRefused, at: Stamp) -> Out:
    """Refused for good: this frame is never sent again."""
    found = q.find(a, e.trace)
    return _settled(a, () if found is None else (found,), "refused", "yes", e.code)


@effect(SettleSend, DropMessage, KeepMessage)
def bury_chat(a: Account, e: ev.MessageRefused, at: Stamp) -> Out:
    """The whole chat is refused: what else waits for it would only be refused too."""
    found = q.find(a, e.trace)
    if found is None:  # excluded by the guard is_queued
        return a, ()
    after, told = _settled(
        q.buried(a, found.chat, e.code, at.now + a.policy.dead_chat_s), (found,), "refused", "yes", e.code
    )
    others = [one for one in (*after.queue, *after.crowd) if one.chat == found.chat]
    quiet, told_others = _settled(after, others, "refused", code=e.code)
    return quiet, (*told, *told_others)


@effect()
def revive_chat(a: Account, e: ev.FrameReceived, at: Stamp) -> Out:
    return a.but(dead_chats=tuple(one for one in a.dead_chats if one.chat != e.chat)), ()


@effect(SettleSend, DropMessage, KeepMessage)
def settle_overdue(a: Account, e: Event, at: Stamp) -> Out:
    """What is past its time is given up; what only lacks its answer may be written once more."""
    alive = a.but(dead_chats=tuple(one for one in a.dead_chats if one.until > at.now))
    after, told = _settled(alive, q.expired(alive, at.now), "expired")
    missed = q.missed(after, at.now)
    return q.changed(after, [q.but(one, answer_by=None, misses=one.misses + 1) for one in missed]), told


@effect()
def stop_listening(a: Account, e: Event, at: Stamp) -> Out:
    """Nothing is read, so that answers may wait unread."""
    return a.but(deaf=True), ()


@effect()
def listen_again(a: Account, e: Event, at: Stamp) -> Out:
    """Each answer gets its time anew."""
    again = [q.but(one, answer_by=at.now + a.policy.ack_s) for one in a.queue if q.is_under_way(one)]
    return q.changed(a.but(deaf=False), again), ()


@effect(LoadMessages)
def load_messages(a: Account, e: Event, at: Stamp) -> Out:
    return a.but(reload_at=None), (LoadMessages(),)


@effect()
def take_found(a: Account, e: ev.MessagesFound, at: Stamp) -> Out:
    return q.joined(a, e.queued), ()


@effect()
def note_unreadable(a: Account, e: Event, at: Stamp) -> Out:
    return a.but(reload_at=at.now + a.policy.store_retry_cap_s), ()


@effect(SettleSend, DropMessage, KeepMessage)
def refuse_biggest(a: Account, e: ev.SocketClosed, at: Stamp) -> Out:
    """The gateway closed over a frame that is too big, and it can only be the biggest: never send that again."""
    biggest = max((one for one in a.queue if q.is_under_way(one)), key=lambda one: one.size, default=None)
    return _settled(a, () if biggest is None else (biggest,), "refused", "yes", "message_too_large")


@effect()
def recall(a: Account, e: Event, at: Stamp) -> Out:
    """The connection is gone: what had no answer yet is written again on the next one."""
    under_way = [one for one in a.queue if q.is_under_way(one)]
    return q.changed(a.but(deaf=False), [q.but(one, answer_by=None) for one in under_way]), ()


@effect(SettleSend, DropMessage, KeepMessage)
def forget_sends(a: Account, e: Event, at: Stamp) -> Out:
    """The person logs out: nothing of theirs is sent any more."""
    return _settled(a.but(dead_chats=()), (*a.queue, *a.crowd), "unpaired")


@effect(SettleSend, DropMessage, KeepMessage)
def set_aside(a: Account, e: Event, at: Stamp) -> Out:
    """Who is paired next may be somebody else: who waits is told, and the rest stays in the store for its own user."""
    staying = [one for one in a.queue if one.lasting and one.kept]
    rest = q.without(a, staying).but(dead_chats=(), reload_at=None)
    return _settled(rest, (*rest.queue, *rest.crowd), "unpaired")


@effect(SettleSend)
def end_sends(a: Account, e: Event, at: Stamp) -> Out:
    """What the message store keeps is sent by the next link."""
    told = tuple(SettleSend(one.trace, "ended", q.sent(one)) for one in (*a.queue, *a.crowd))
    return a.but(queue=(), crowd=()), told
