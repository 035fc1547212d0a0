"""What must hold of messages after every step of the account chart. One method a property."""

from holdfast.engine import Unhandled
from holdfast.statecharts import (
    Account,
    Deliver,
    ExpectHandling,
    FrameReceived,
    Policy,
    Queued,
    SendReceipt,
    SendWithdrawn,
    SettleSend,
    StopRequested,
    TransmitMessage,
)

from .ledger import Ledger, Taken
from .world import World

_GIVEN_UP = ("refused", "expired", "dropped", "unpaired")
_TIMERS = {"shut_look", "open_look", "receipt_due", "receipt_again", "receipt_retry"}


class MessageProperties:
    """The checks that concern the outbox and the receipts."""

    world: World
    policy: Policy
    ledger: Ledger

    def p47_nobody_waits_for_nothing(self, step: Taken) -> None:
        """P47, P56: who wants to send waits exactly as long as the message is on its way, and is told once."""
        on_the_way = [one.trace for one in (*step.account.queue, *step.account.crowd)]
        assert len(set(on_the_way)) == len(on_the_way)
        assert set(on_the_way) == self.ledger.asked - self.ledger.settled.keys()
        assert self.ledger.settled.keys() <= self.ledger.asked
        assert all(times == 1 for times in self.ledger.settled.values())

    def p56_what_is_told_of_a_message_is_true(self, step: Taken) -> None:
        """P56: an acknowledged message is with the gateway, and one that was not sent is not."""
        for told in step.given(SettleSend):
            assert told.outcome != "acked" or told.trace in self.world.mailbox.accepted
            assert told.sent != "no" or told.trace not in self.world.mailbox.accepted
            assert told.sent != "yes" or any(
                one.trace == told.trace and one.sent_on for one in step.before.context.queue
            )

    def p47_what_left_is_not_withdrawn(self, step: Taken) -> None:
        """P47: only what never left is taken back."""
        if isinstance(step.event, SendWithdrawn):
            assert all((told.outcome, told.sent) == ("dropped", "no") for told in step.given(SettleSend))

    def p57_the_outbox_is_bounded(self, step: Taken) -> None:
        """P57: the queue never passes its bound, and only a policy that waits has anybody wait for a place."""
        account = step.account
        assert len(account.queue) <= self.policy.outbox_max
        assert not account.crowd or len(account.queue) == self.policy.outbox_max

    def p57_one_message_of_a_chat_is_under_way(self, step: Taken) -> None:
        """S1: so order is kept, within each chat."""
        busy = [one.chat for one in step.account.queue if one.answer_by is not None]
        assert len(set(busy)) == len(busy)
        assert not busy or step.after.matches("outbox/open")

    def p57_only_what_is_kept_and_wanted_is_written(self, step: Taken) -> None:
        """Nothing is written that the store does not keep, that was settled, or that comes too late."""
        for command in step.given(TransmitMessage):
            sheet = self.world.sheets[command.trace]
            assert command.trace in self.world.drawer.ever
            assert command.trace not in self.ledger.settled
            assert sheet.due is None or step.stamp.now < sheet.due
            assert step.after.matches("connection/online")
            assert command.socket == step.account.socket

    def p57_what_can_be_written_is_written(self, step: Taken) -> None:
        """In a session, the oldest message of each chat is under way once it is kept."""
        if step.after.matches("outbox/open"):
            idle = [one for one in _oldest(step.account) if one.kept and one.answer_by is None]
            assert all(one.due is not None and one.due <= step.stamp.now for one in idle)

    def p57_what_is_kept_is_not_lost(self, step: Taken) -> None:
        """P57: what the store has kept is there, or with the gateway, or was given up and told so."""
        world = self.world
        gone = world.drawer.ever - world.drawer.kept.keys() - set(world.mailbox.accepted)
        assert all(world.outcomes.get(trace) in _GIVEN_UP for trace in gone)

    def p58_every_frame_is_delivered(self, step: Taken) -> None:
        """P58: a frame that comes in a session goes to the user, once."""
        event = step.event
        heard = isinstance(event, FrameReceived) and event.socket == step.before.context.socket
        if heard and step.before.matches("connection/online"):
            assert len(step.given(Deliver)) == 1
        assert not step.given(Unhandled) or not step.given(Deliver)

    def p59_receipts_tell_of_this_connection(self, step: Taken) -> None:
        """P59: only what was read on this connection is acknowledged on it. What was handled, the gateway checks."""
        for receipt in step.given(SendReceipt):
            assert receipt.number <= step.before.context.numbered
            assert not receipt.number or step.before.matches("connection/online")

    def p59_what_is_not_delivered_is_not_expected(self, step: Taken) -> None:
        """P59: outside a session nothing is delivered, so no number may count as handled."""
        assert not step.given(ExpectHandling) or step.after.matches("connection/online")

    def p59_what_was_handled_is_told_in_time(self, step: Taken) -> None:
        """P59: what was handled and not told has a timer, unless it waits for a number that is not there yet."""
        account, after = step.account, step.after
        if account.handled > account.acked:
            assert after.matches("receipts/due") or after.matches("receipts/unstored")

    def p59_nothing_ticks_after_a_stop(self, step: Taken) -> None:
        """P33: the outbox and the receipts end with the stop, whatever else goes on."""
        if isinstance(step.event, StopRequested) or step.before.matches("outbox/stopped"):
            assert not _TIMERS & {armed.timer for armed in step.after.timers}
            assert step.after.matches("outbox/stopped")
            assert not step.account.queue


def _oldest(account: Account) -> list[Queued]:
    oldest: dict[str, Queued] = {}
    for one in account.queue:
        oldest.setdefault(one.chat, one)
    return list(oldest.values())
