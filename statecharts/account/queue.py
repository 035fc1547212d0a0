"""The outbox as a value: who is next, what is overdue, whom there is room for. Order is kept per chat, by one message
under way at a time.
"""

from collections.abc import Iterable

import msgspec

from .commands import Sent
from .context import Account, DeadChat, Queued

DEAD_CHATS_MAX = 256
"""Remembered at a time. One that is forgotten costs one more refusal."""


def joined(a: Account, found: tuple[Queued, ...]) -> Account:
    """The account with what its message store keeps, oldest first; what is beyond the bound waits for a place."""
    known = {one.trace: one for one in (*a.queue, *a.crowd)}
    stored = {one.trace for one in found}
    fresh = [one for one in known.values() if one.trace not in stored]
    every = (*(known.get(one.trace, one) for one in found), *fresh)
    return a.but(queue=every[: a.policy.outbox_max], crowd=every[a.policy.outbox_max :])


def find(a: Account, trace: str) -> Queued | None:
    """The message with this trace, wherever it waits."""
    return next((one for one in (*a.queue, *a.crowd) if one.trace == trace), None)


def is_under_way(one: Queued) -> bool:
    """It was written to the present connection, and its answer may still come."""
    return one.answer_by is not None


def sent(one: Queued) -> Sent:
    """Whether the gateway may have it."""
    return "unknown" if one.sent_on else "no"


def but(one: Queued, **changes: object) -> Queued:
    """The message with some fields changed."""
    return msgspec.structs.replace(one, **changes)


def has_room(a: Account) -> bool:
    """One more may be queued."""
    return len(a.queue) < a.policy.outbox_max


def without(a: Account, gone: Iterable[Queued]) -> Account:
    """The account without these messages."""
    traces = {one.trace for one in gone}
    return a.but(
        queue=tuple(one for one in a.queue if one.trace not in traces),
        crowd=tuple(one for one in a.crowd if one.trace not in traces),
    )


def changed(a: Account, changes: Iterable[Queued]) -> Account:
    """The account with these messages in place of the former ones."""
    newest = {one.trace: one for one in changes}
    return a.but(queue=tuple(newest.get(one.trace, one) for one in a.queue))


def heads(a: Account) -> list[Queued]:
    """The oldest message of each chat."""
    oldest: dict[str, Queued] = {}
    for one in a.queue:
        oldest.setdefault(one.chat, one)
    return list(oldest.values())


def ready(a: Account, now: float) -> list[Queued]:
    """What can be written now: the oldest of each chat that has none under way, once it is kept, and while it is
    worth it.
    """
    return [one for one in heads(a) if one.kept and not is_under_way(one) and not is_late(one, now)]


def droppable(a: Account) -> Queued | None:
    """The oldest message that is not under way."""
    return next((one for one in a.queue if not is_under_way(one)), None)


def expired(a: Account, now: float) -> list[Queued]:
    """What is not worth sending any more, and what got no answer too often."""
    late = [one for one in (*a.queue, *a.crowd) if is_late(one, now)]
    mute = [one for one in missed(a, now) if one.misses + 1 >= a.policy.ack_tries_max]
    return [*late, *(one for one in mute if one not in late)]


def is_late(one: Queued, now: float) -> bool:
    """It is not worth sending any more."""
    return one.due is not None and one.due <= now


def missed(a: Account, now: float) -> list[Queued]:
    """Those whose answer has not come in time. While nothing is read, that says nothing."""
    overdue = [one for one in a.queue if one.answer_by is not None and one.answer_by <= now]
    return [] if a.deaf else overdue


def next_look(a: Account) -> float | None:
    """When something becomes overdue next."""
    moments = [
        *(one.due for one in (*a.queue, *a.crowd) if one.due is not None),
        *(one.answer_by for one in a.queue if one.answer_by is not None and not a.deaf),
        *(one.until for one in a.dead_chats),
        *(() if a.reload_at is None else (a.reload_at,)),
    ]
    return min(moments, default=None)


def dead(a: Account, chat: str) -> DeadChat | None:
    """What the gateway has said about this chat, if it is not to be sent to."""
    return next((one for one in a.dead_chats if one.chat == chat), None)


def buried(a: Account, chat: str, code: str, until: float) -> Account:
    """The account that sends nothing to this chat until then."""
    others = tuple(one for one in a.dead_chats if one.chat != chat)
    return a.but(dead_chats=(*others, DeadChat(chat=chat, code=code, until=until))[-DEAD_CHATS_MAX:])
