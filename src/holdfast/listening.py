"""What a running account tells: each piece to whom it concerns."""

import msgspec

from .adapters import Ack, Inbound, MetadataInvalidated, Nack, Paired, Settlement, Unsent
from .conversations import Conversations
from .receiving import Receiving
from .sending import Sending
from .statecharts import Invalidation, Status
from .statuses import Statuses


class Listening:
    """The :class:`Listener` of a link."""

    def __init__(
        self, statuses: Statuses, receiving: Receiving, sending: Sending, conversations: Conversations
    ) -> None:
        self._statuses = statuses
        self._receiving = receiving
        self._sending = sending
        self._conversations = conversations
        self.bad_frames = 0

    def on_status(self, status: Status) -> None:
        """See :class:`Listener`. Each session begins with fresh conversations (S0-62), and none outlives a logout."""
        former = self._statuses.newest
        self._statuses.put(status)
        if former.configured and not status.configured:
            self._conversations.forget()
        if status.connected and not former.connected:
            self._conversations.on_ready()

    def on_inbound(self, inbound: Inbound) -> None:
        """See :class:`Listener`."""
        if isinstance(inbound, MetadataInvalidated):
            self._conversations.invalidated(
                Invalidation(
                    chat_id=inbound.chat_id,
                    chat_type=inbound.chat_type,
                    scope=inbound.scope,
                    version=inbound.version,
                )
            )
        self._receiving.take(inbound)

    def on_paired(self, paired: Paired) -> None:
        """See :class:`Listener`."""
        self._receiving.tell(paired)

    def on_kept(self, traces: tuple[str, ...]) -> None:
        """See :class:`Listener`."""
        self._sending.on_kept(traces)

    def on_settled(self, settlement: Settlement) -> None:
        """See :class:`Listener`. What nobody waits for is told like everything else."""
        if not self._sending.on_settled(settlement):
            told = _told(settlement)
            if told is not None:
                self._receiving.tell(told)

    def on_bad_frame(self, error: str) -> None:
        """See :class:`Listener`."""
        self.bad_frames += 1


def _told(settlement: Settlement) -> Inbound | None:
    """How the end of a message is told to who posted it. What the link's own end leaves is the next one's."""
    command, item, answer = settlement.command, settlement.item, settlement.answer
    if isinstance(answer, Nack) and item is not None:
        return msgspec.structs.replace(answer, message_id=item.message_id)
    if isinstance(answer, Ack | Nack):
        return answer
    if item is None or command.outcome == "ended":
        return None
    return Unsent(
        trace_id=item.trace_id,
        message_id=item.message_id,
        chat_id=item.chat_id,
        outcome=command.outcome,
        sent=command.sent,
        code=command.code,
        raw=item.frame,
    )
