"""The outbox: in order per chat, sent until it is answered, bounded, and every sending settled once."""

from typing import Any

import msgspec
import pytest

from holdfast.engine import Command
from holdfast.statecharts import (
    STRICT,
    CredentialsChanged,
    CredentialsRead,
    Deliver,
    DropMessage,
    FrameReceived,
    KeepMessage,
    LoadMessages,
    MessageAcked,
    MessageRefused,
    MessagesFound,
    MessagesKept,
    MessagesNotKept,
    MessagesUnreadable,
    Policy,
    Queued,
    ReadingPaused,
    ReadingResumed,
    SendOutcome,
    SendRequested,
    SendWithdrawn,
    SettleSend,
    SocketClosed,
    TransmitMessage,
)

from .harness import HOUR, Bench, credential
from .worlds import answering_pings, keeping_store


def policy(**changes: Any) -> Policy:
    return msgspec.structs.replace(STRICT, **changes)


def outbox(policy: Policy = STRICT) -> Bench:
    """An account whose message store works, and whose gateway lives. Not connected."""
    return Bench(policy, world=keeping_store() | answering_pings())


def live(policy: Policy = STRICT) -> Bench:
    return outbox(policy).live()


def want(bench: Bench, *traces: str, size: int = 100, life_s: float | None = None) -> tuple[Command, ...]:
    """Send messages. A trace's first letter names its chat."""
    return bench.send(*(SendRequested(trace, f"cnv_{trace[0]}", size, life_s) for trace in traces))


def ack(bench: Bench, *traces: str) -> tuple[Command, ...]:
    return bench.send(*(MessageAcked(bench.account.socket, trace) for trace in traces))


def refuse(bench: Bench, trace: str, code: str = "bad_request") -> tuple[Command, ...]:
    return bench.send(MessageRefused(bench.account.socket, trace, code))


def written(bench: Bench) -> list[str]:
    """What was written so far, in order."""
    return [one.trace for one in bench.sent(TransmitMessage)]


def settled(bench: Bench) -> dict[str, SettleSend]:
    """How each sending ended."""
    outcomes = bench.sent(SettleSend)
    assert len({one.trace for one in outcomes}) == len(outcomes), "settled twice"
    return {one.trace: one for one in outcomes}


def outcome(bench: Bench, trace: str) -> tuple[SendOutcome, str, str]:
    one = settled(bench)[trace]
    return one.outcome, one.sent, one.code


def waiting(bench: Bench) -> list[str]:
    return [one.trace for one in bench.account.queue]


# -- order -----------------------------------------------------------------------------------------------------


@pytest.mark.rule("P56")
def test_what_is_queued_without_a_session_goes_out_with_the_next() -> None:
    bench = outbox()
    want(bench, "a1")
    assert (written(bench), waiting(bench)) == ([], ["a1"])
    bench.live()
    assert bench.sent(TransmitMessage) == [TransmitMessage(bench.account.socket, "a1")]
    ack(bench, "a1")
    assert outcome(bench, "a1") == ("acked", "yes", "")
    assert bench.sent(DropMessage) == [DropMessage("a1")]
    assert waiting(bench) == []


def test_nothing_is_written_before_it_is_kept() -> None:
    bench = Bench().live()
    assert want(bench, "a1") == (KeepMessage("a1"),)
    assert bench.send(MessagesKept(("a1",))) == (TransmitMessage(1, "a1"),)
    assert bench.send(MessagesKept(("a1", "gone"))) == ()


def test_one_message_of_a_chat_is_under_way_and_chats_do_not_wait_for_each_other() -> None:
    bench = live()
    want(bench, "a1", "a2", "b1", "a3", "b2", "c1")
    assert written(bench) == ["a1", "b1", "c1"]
    ack(bench, "b1")
    assert written(bench)[3:] == ["b2"]
    ack(bench, "a1", "a2", "a3", "b2", "c1")
    assert written(bench)[4:] == ["a2", "a3"]
    assert {one.outcome for one in settled(bench).values()} == {"acked"}


def test_a_message_that_is_kept_late_keeps_its_place() -> None:
    bench = Bench().live()
    want(bench, "a1", "a2")
    bench.send(MessagesKept(("a2",)))
    assert written(bench) == []
    bench.send(MessagesKept(("a1",)))
    assert written(bench) == ["a1"]


# -- answers, and their absence ----------------------------------------------------------------------------------


@pytest.mark.rule("P56")
def test_what_had_no_answer_is_written_again_on_the_next_connection() -> None:
    bench = live()
    want(bench, "a1", "a2", "b1")
    ack(bench, "b1")
    bench.drop(1006)
    assert written(bench) == ["a1", "b1"]
    bench.fire("retry")
    bench.reconnect()
    assert bench.sent(TransmitMessage)[2:] == [TransmitMessage(2, "a1")]
    ack(bench, "a1")
    assert written(bench) == ["a1", "b1", "a1", "a2"]


def test_a_lost_connection_is_no_missed_answer() -> None:
    bench = live()
    want(bench, "a1")
    for _ in range(STRICT.ack_tries_max + 1):
        bench.drop(1000)
        bench.fire("retry")
        bench.reconnect()
    assert settled(bench) == {}
    assert bench.account.queue[0].misses == 0


@pytest.mark.rule("S1-43")
def test_a_refused_message_is_settled_with_its_code_and_never_written_again() -> None:
    bench = live()
    want(bench, "a1", "a2")
    assert refuse(bench, "a1") == (
        SettleSend("a1", "refused", "yes", "bad_request"),
        DropMessage("a1"),
        TransmitMessage(1, "a2"),
    )
    bench.drop(1000)
    bench.fire("retry")
    bench.reconnect()
    assert written(bench) == ["a1", "a2", "a2"]


@pytest.mark.rule("P58")
def test_an_answer_that_nobody_waits_for_is_delivered() -> None:
    bench = live()
    want(bench, "a1")
    assert ack(bench, "other") == (Deliver(),)
    assert refuse(bench, "other", "not_member") == (Deliver(),)
    assert waiting(bench) == ["a1"]


def test_without_an_answer_the_same_frame_is_written_again_and_at_last_given_up() -> None:
    bench = live()
    want(bench, "a1", "a2")
    bench.advance(3 * STRICT.ack_s - 0.1)
    assert written(bench) == ["a1"] * STRICT.ack_tries_max
    assert [at - bench.times(TransmitMessage)[0] for at in bench.times(TransmitMessage)] == [0, 15, 30]
    bench.advance(0.1)
    assert outcome(bench, "a1") == ("expired", "unknown", "")
    assert written(bench)[-1] == "a2"


def test_an_answer_to_the_second_try_counts() -> None:
    bench = live()
    want(bench, "a1")
    bench.fire("open_look")
    ack(bench, "a1")
    assert outcome(bench, "a1") == ("acked", "yes", "")
    assert bench.left("open_look") is None


# -- time --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("P56")
def test_a_message_that_never_left_expires() -> None:
    bench = outbox()
    want(bench, "a1", life_s=60)
    want(bench, "a2")
    assert bench.left("shut_look") == 60
    bench.advance(60)
    assert outcome(bench, "a1") == ("expired", "no", "")
    assert waiting(bench) == ["a2"]


@pytest.mark.rule("P56")
def test_a_message_that_left_expires_and_nobody_knows_whether_it_arrived() -> None:
    bench = live()
    want(bench, "a1", life_s=10)
    want(bench, "a2", life_s=10)
    bench.advance(10)
    assert (outcome(bench, "a1")[:2], outcome(bench, "a2")[:2]) == (("expired", "unknown"), ("expired", "no"))
    assert written(bench) == ["a1"]


def test_after_a_long_sleep_what_is_too_late_is_not_written_however_quick_the_next_news_are() -> None:
    bench = live()
    want(bench, "a1")
    want(bench, "a2", life_s=60)
    want(bench, "a3")
    bench.pass_time(HOUR)
    ack(bench, "a1")
    assert written(bench) == ["a1"]
    bench.fire("open_look")
    assert outcome(bench, "a2") == ("expired", "no", "")
    assert written(bench) == ["a1", "a3"]


# -- the bound -----------------------------------------------------------------------------------------------------


@pytest.mark.rule("P57")
def test_when_full_a_sender_waits_for_a_place() -> None:
    bench = live(policy(outbox_max=2))
    want(bench, "a1", "b1", "a2", "c1")
    assert waiting(bench) == ["a1", "b1"]
    assert bench.sent(KeepMessage) == [KeepMessage("a1"), KeepMessage("b1")]
    ack(bench, "b1")
    assert waiting(bench) == ["a1", "a2"]
    ack(bench, "a1")
    assert written(bench) == ["a1", "b1", "a2", "c1"]
    ack(bench, "a2", "c1")
    assert [one.trace for one in bench.sent(SettleSend)] == ["b1", "a1", "a2", "c1"]


@pytest.mark.rule("P56", "P57")
def test_who_waits_for_a_place_may_run_out_of_time_or_give_up() -> None:
    bench = outbox(policy(outbox_max=1))
    want(bench, "a1")
    want(bench, "a2", life_s=5)
    want(bench, "a3")
    bench.advance(5)
    assert outcome(bench, "a2") == ("expired", "no", "")
    bench.send(SendWithdrawn("a3"))
    assert outcome(bench, "a3") == ("dropped", "no", "")
    assert bench.sent(KeepMessage) == [KeepMessage("a1")]


@pytest.mark.rule("P57")
def test_when_full_a_message_is_refused_if_the_policy_says_so() -> None:
    bench = live(policy(outbox_max=1, outbox_full="reject"))
    want(bench, "a1")
    assert want(bench, "a2") == (SettleSend("a2", "full", "no"),)
    ack(bench, "a1")
    want(bench, "a3")
    assert written(bench) == ["a1", "a3"]


@pytest.mark.rule("P57")
def test_when_full_the_oldest_gives_way_if_the_policy_says_so_but_not_what_is_under_way() -> None:
    bench = live(policy(outbox_max=3, outbox_full="drop_oldest"))
    want(bench, "a1", "a2", "a3")
    told = want(bench, "a4")
    assert told[:3] == (SettleSend("a2", "dropped", "no"), DropMessage("a2"), KeepMessage("a4"))
    assert waiting(bench) == ["a1", "a3", "a4"]
    crowded = live(policy(outbox_max=1, outbox_full="drop_oldest"))
    want(crowded, "a1")
    assert want(crowded, "a2") == (SettleSend("a2", "full", "no"),)


@pytest.mark.rule("P57")
def test_what_left_once_and_gives_way_may_have_arrived() -> None:
    bench = live(policy(outbox_max=1, outbox_full="drop_oldest"))
    want(bench, "a1")
    bench.drop()
    want(bench, "a2")
    assert outcome(bench, "a1") == ("dropped", "unknown", "")


@pytest.mark.rule("P57")
@pytest.mark.parametrize("full", ["wait", "reject", "drop_oldest"])
def test_the_queue_never_passes_its_bound(full: str) -> None:
    bench = live(policy(outbox_max=3, outbox_full=full))
    for place in range(12):
        want(bench, f"{'abc'[place % 3]}{place}")
        if place % 4 == 3:
            ack(bench, waiting(bench)[0])
        if place == 6:
            bench.drop()
        assert len(bench.account.queue) <= 3
    bench.stop()
    assert len(settled(bench)) == 12


# -- withdrawal ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("P47")
def test_what_never_left_can_be_withdrawn() -> None:
    bench = live()
    want(bench, "a1", "a2", "a3")
    bench.send(SendWithdrawn("a2"))
    assert outcome(bench, "a2") == ("dropped", "no", "")
    assert DropMessage("a2") in bench.sent(DropMessage)
    ack(bench, "a1")
    assert written(bench) == ["a1", "a3"]


@pytest.mark.rule("P47")
def test_what_left_cannot_be_withdrawn_nor_what_is_unknown() -> None:
    bench = live()
    want(bench, "a1")
    assert bench.ignores(SendWithdrawn("a1"))
    assert bench.ignores(SendWithdrawn("other"))
    bench.drop()
    assert bench.ignores(SendWithdrawn("a1"))


# -- dead chats ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("S1-43")
@pytest.mark.parametrize("code", ["chat_not_found", "not_member"])
def test_a_chat_that_is_refused_is_left_alone_for_ten_minutes(code: str) -> None:
    bench = live()
    want(bench, "a1", "a2", "b1", "a3")
    refuse(bench, "a1", code)
    assert [outcome(bench, trace) for trace in ("a1", "a2", "a3")] == [
        ("refused", "yes", code),
        ("refused", "no", code),
        ("refused", "no", code),
    ]
    assert waiting(bench) == ["b1"]
    ack(bench, "b1")
    bench.advance(599)
    assert want(bench, "a4") == (SettleSend("a4", "refused", "no", code),)
    want(bench, "b2")
    ack(bench, "b2")
    bench.advance(1)
    assert bench.account.dead_chats == ()
    want(bench, "a5")
    assert written(bench) == ["a1", "b1", "b2", "a5"]


def test_a_dead_chat_is_forgiven_in_time_however_long_we_slept() -> None:
    bench = live()
    want(bench, "a1")
    refuse(bench, "a1", "not_member")
    bench.pass_time(600)
    want(bench, "a2")
    assert written(bench) == ["a1", "a2"]


def test_a_chat_that_speaks_is_alive() -> None:
    bench = live()
    want(bench, "a1", "b1")
    refuse(bench, "a1", "chat_not_found")
    refuse(bench, "b1", "chat_not_found")
    bench.send(FrameReceived(1, "cnv_a"))
    want(bench, "a2", "b2")
    assert written(bench) == ["a1", "b1", "a2"]
    assert outcome(bench, "b2") == ("refused", "no", "chat_not_found")


@pytest.mark.rule("P57")
def test_who_waits_for_a_place_to_write_to_a_dead_chat_is_told_too() -> None:
    bench = live(policy(outbox_max=2))
    want(bench, "a1", "a2", "a3", "b1")
    refuse(bench, "a1", "not_member")
    assert {trace: one.outcome for trace, one in settled(bench).items()} == dict.fromkeys(("a1", "a2", "a3"), "refused")
    assert waiting(bench) == ["b1"]
    assert written(bench) == ["a1", "b1"]


def test_other_refusals_say_nothing_about_the_chat() -> None:
    bench = live()
    want(bench, "a1", "a2")
    refuse(bench, "a1", "capability_missing")
    assert bench.account.dead_chats == ()
    assert written(bench) == ["a1", "a2"]


# -- too big ---------------------------------------------------------------------------------------------------------


def test_a_close_over_a_frame_that_is_too_big_means_the_biggest_under_way() -> None:
    bench = live()
    want(bench, "a1", size=500)
    want(bench, "b1", size=900_000)
    want(bench, "a2", size=999_000)
    bench.drop(1009)
    assert outcome(bench, "b1") == ("refused", "yes", "message_too_large")
    assert waiting(bench) == ["a1", "a2"]
    bench.fire("retry")
    bench.reconnect()
    assert written(bench) == ["a1", "b1", "a1"]


def test_a_close_of_ours_over_a_frame_of_the_gateway_blames_no_message() -> None:
    bench = live()
    want(bench, "a1", size=900_000)
    bench.send(SocketClosed(bench.account.socket, 1009, ours=True))
    assert waiting(bench) == ["a1"]


# -- who it is for ---------------------------------------------------------------------------------------------------


def post(bench: Bench, *traces: str) -> tuple[Command, ...]:
    """Send messages for which nobody waits."""
    return bench.send(*(SendRequested(trace, f"cnv_{trace[0]}", 100, None, lasting=True) for trace in traces))


def told(bench: Bench) -> dict[str, tuple[str, str]]:
    return {trace: (one.outcome, one.sent) for trace, one in settled(bench).items()}


def stored(*traces: str, due: float | None = None) -> MessagesFound:
    """What an earlier process had queued."""
    return MessagesFound(
        tuple(
            Queued(trace=trace, chat=f"cnv_{trace[0]}", size=100, due=due, lasting=True, kept=True, sent_on=-1)
            for trace in traces
        )
    )


@pytest.mark.rule("P56")
def test_what_the_store_keeps_is_looked_for_with_the_credentials_and_goes_out_first() -> None:
    bench = outbox()
    want(bench, "a9")
    assert bench.count(LoadMessages) == 0
    bench.read(credential())
    assert bench.count(LoadMessages) == 1
    bench.send(stored("a1", "b1", "a9"))
    assert waiting(bench) == ["a1", "b1", "a9"]
    bench.reconnect()
    assert written(bench) == ["a1", "b1"]
    ack(bench, "a1")
    assert written(bench) == ["a1", "b1", "a9"]


@pytest.mark.rule("P57")
def test_what_is_found_beyond_the_bound_waits_for_a_place() -> None:
    bench = outbox(policy(outbox_max=2, outbox_full="drop_oldest"))
    bench.read(credential())
    bench.send(stored("a1", "a2", "a3", "a4", "a5"))
    assert waiting(bench) == ["a1", "a2"]
    want(bench, "b1")
    assert len(waiting(bench)) == 2
    assert told(bench) == {"a1": ("dropped", "unknown")}


def test_a_store_that_cannot_be_read_is_read_later() -> None:
    bench = outbox()
    bench.read(credential())
    bench.reconnect()
    bench.send(MessagesUnreadable())
    bench.advance(STRICT.store_retry_cap_s - 1)
    assert bench.count(LoadMessages) == 1
    bench.advance(1)
    assert bench.count(LoadMessages) == 2
    bench.send(stored("a1"))
    assert written(bench) == ["a1"]


@pytest.mark.rule("P11", "P56")
def test_what_one_user_had_queued_is_not_sent_for_another() -> None:
    bench = outbox()
    bench.send(CredentialsRead(1, credential(1), user_id="usr_1"))
    bench.reconnect()
    want(bench, "a1", "a2", "b1")
    post(bench, "c1", "c2")
    bench.send(CredentialsChanged(2, credential(2), user_id="usr_1"))
    assert len(waiting(bench)) == 5
    bench.send(CredentialsChanged(3, credential(3), user_id="usr_2"))
    assert waiting(bench) == []
    assert told(bench) == {"a1": ("unpaired", "unknown"), "a2": ("unpaired", "no"), "b1": ("unpaired", "unknown")}
    assert {one.trace for one in bench.sent(DropMessage)} == {"a1", "a2", "b1"}
    assert bench.count(LoadMessages) == 3  # for each who was paired


@pytest.mark.rule("P11")
def test_of_a_user_that_becomes_known_the_messages_stay_and_of_one_that_becomes_unknown_they_do_not() -> None:
    bench = outbox()
    bench.read(credential(1))
    want(bench, "a1")
    bench.send(CredentialsChanged(2, credential(2), user_id="usr_1"))
    assert waiting(bench) == ["a1"]
    bench.send(CredentialsChanged(3, credential(3), user_id=None))
    assert waiting(bench) == []


@pytest.mark.rule("P56")
@pytest.mark.parametrize("how", ["expired", "elsewhere", "refused"])
def test_without_credentials_who_waits_is_told_and_what_lasts_waits_in_the_store(how: str) -> None:
    bench = outbox()
    bench.read(credential(refreshable=how != "refused"))
    want(bench, "a1")
    post(bench, "b1")
    match how:
        case "expired":
            bench.refuse()
            bench.deny()
        case "elsewhere":
            bench.send(CredentialsChanged(2, None))
        case _:
            bench.refuse()
    assert waiting(bench) == []
    assert told(bench) == {"a1": ("unpaired", "no")}
    assert [one.trace for one in bench.sent(DropMessage)] == ["a1"]


@pytest.mark.rule("P11")
def test_a_person_who_logs_out_has_nothing_sent_any_more() -> None:
    bench = live()
    want(bench, "a1")
    post(bench, "b1")
    bench.send(MessageRefused(bench.account.socket, "a1", "not_member"))
    bench.log_out()
    assert told(bench) == {"a1": ("refused", "yes"), "b1": ("unpaired", "unknown")}
    assert {one.trace for one in bench.sent(DropMessage)} == {"a1", "b1"}
    assert bench.account.dead_chats == ()


# -- while nothing is read -------------------------------------------------------------------------------------------


@pytest.mark.rule("P43", "P56")
def test_no_answer_is_missed_while_nothing_is_read() -> None:
    bench = live()
    post(bench, "a1")
    bench.send(ReadingPaused())
    bench.advance(HOUR)
    assert written(bench) == ["a1"]
    bench.send(ReadingResumed())
    bench.advance(STRICT.ack_s - 1)
    assert written(bench) == ["a1"]
    bench.advance(1)
    assert written(bench) == ["a1", "a1"]


@pytest.mark.parametrize("life", [float("nan"), float("inf")])
def test_a_life_that_is_no_number_of_seconds_is_as_long_as_it_takes(life: float) -> None:
    bench = outbox()
    bench.send(SendRequested("a1", "cnv_a", 1, life))
    assert bench.timers == []
    assert waiting(bench) == ["a1"]


def test_such_a_close_with_nothing_under_way_blames_nobody() -> None:
    bench = live()
    bench.drop(1009)
    assert settled(bench) == {}
    assert bench.is_in("outbox/shut")


# -- what is not taken -------------------------------------------------------------------------------------------------


def test_a_message_that_cannot_be_kept_is_not_sent() -> None:
    bench = Bench(policy(outbox_max=2)).live()
    want(bench, "a1", "a2", "a3")
    told = bench.send(MessagesNotKept(("a1", "a2")))
    assert told == (
        SettleSend("a1", "unkept", "no"),
        SettleSend("a2", "unkept", "no"),
        DropMessage("a1"),
        DropMessage("a2"),
        KeepMessage("a3"),
    )
    bench.send(MessagesKept(("a1", "a3")))
    assert written(bench) == ["a3"]


def test_an_account_that_is_not_paired_sends_nothing() -> None:
    unpaired, out = outbox(), outbox().live()
    unpaired.read(None)
    out.log_out()
    for bench in (unpaired, out):
        assert want(bench, "a1") == (SettleSend("a1", "unpaired", "no"),)


def test_while_the_store_is_still_read_messages_wait() -> None:
    bench = outbox()
    want(bench, "a1")
    bench.read(credential())
    bench.reconnect()
    assert written(bench) == ["a1"]


@pytest.mark.rule("P56")
@pytest.mark.parametrize("online", [True, False], ids=["online", "offline"])
def test_at_the_end_each_sending_is_settled_once(online: bool) -> None:
    bench = live(policy(outbox_max=2)) if online else outbox(policy(outbox_max=2))
    want(bench, "a1", "a2", "a3")
    bench.stop()
    sent = "unknown" if online else "no"
    assert [outcome(bench, trace)[:2] for trace in ("a1", "a2", "a3")] == [
        ("ended", sent),
        ("ended", "no"),
        ("ended", "no"),
    ]
    assert bench.sent(DropMessage) == [], "what is kept is sent by the next link"
    assert bench.account.queue == bench.account.crowd == ()
    if online:
        assert want(bench, "a4") == (SettleSend("a4", "ended", "no"),)
        bench.drop()
    assert bench.left("shut_look") is bench.left("open_look") is None
