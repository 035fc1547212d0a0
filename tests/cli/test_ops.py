"""The operations and lines of ``holdfast run --jsonl`` that are about messages, metadata and the account's life."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ulid import ULID

from holdfast import COMPAT, EXACT, SEED, Identity
from holdfast.cli import settings as given

from .kit import LIMIT_S, Line, Sandbox, Talk, seeded


@pytest.fixture
def paired(gateway: Sandbox, tmp_path: Path) -> Iterator[tuple[Talk, Line]]:
    """A connected client, and its account."""
    account, settings = seeded(gateway)
    with Talk(gateway, tmp_path, settings) as talk:
        talk.state("connected")
        yield talk, account


def is_sent(line: Line) -> bool:
    return bool(line["type"] == "sent")


def heard(gateway: Sandbox, account: Line) -> list[Line]:
    """What the service has of the account's messages, in the order in which they came."""
    form = {"user_id": account["user_id"]}
    answer = httpx.get(f"{gateway.base_url}/_sandbox/messages", params=form, timeout=LIMIT_S).json()
    return [dict(message) for message in answer["messages"]]


# -- messages ------------------------------------------------------------------------------------------------


def test_a_post_is_stored_at_once_and_told_when_it_was_sent(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    message_id = f"msg-{ULID()}"
    talk.ask("post", id="p1", chat_id=account["conversation_id"], text="hello", message_id=message_id)
    assert talk.result("p1") == {"type": "result", "id": "p1", "op": "post", "ok": True, "message_id": message_id}
    sent = talk.until(is_sent)
    assert (sent.pop("accepted_at") > 0, sent) == (
        True,
        {
            "type": "sent",
            "message_id": message_id,
            "chat_id": account["conversation_id"],
            "outcome": "acked",
            "sent": "yes",
        },
    )
    talk.ask("send", id="s1", chat_id=account["conversation_id"], text="hello", message_id=message_id)
    assert talk.result("s1")["message_id"] == message_id
    assert [message["message_id"] for message in heard(gateway, account)] == [message_id]


def test_a_post_that_is_refused_says_which_and_why(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    gateway.post("fault", point="send", kind="refuse", reason="not_member")
    talk.ask("post", id="p1", chat_id=account["conversation_id"], text="hello")
    message_id = talk.result("p1")["message_id"]
    refused = talk.until(is_sent)
    assert refused == {
        "type": "sent",
        "message_id": message_id,
        "chat_id": account["conversation_id"],
        "outcome": "refused",
        "sent": "yes",
        "code": "not_member",
        "reason": "scripted",
    }
    talk.ask("post", id="p2", chat_id=account["conversation_id"], text="hello")
    dead = talk.result("p2")
    assert (dead["kind"], dead["code"], dead["sent"]) == ("SendRefused", "not_member", "no")


def test_a_message_waits_for_a_connection_and_is_sent_once(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    gateway.post("fault", point="send", kind="lose")
    talk.ask("send", id="s1", chat_id=account["conversation_id"], text="hello", timeout=None)
    assert talk.result("s1")["ok"]
    assert [message["text"] for message in heard(gateway, account)] == ["hello"]


@pytest.mark.rule("P57")
def test_a_full_outbox_does_what_it_is_told_to(gateway: Sandbox, tmp_path: Path) -> None:
    account, settings = seeded(gateway)
    gateway.post("fault", point="hello", kind="never", times=None)
    with Talk(gateway, tmp_path, settings, "--outbox", "reject") as talk:
        for number in range(129):
            talk.ask("post", id=number, chat_id=account["conversation_id"], text="hello")
        answers = {line["id"]: line for line in (talk.until(lambda line: line["type"] == "result") for _ in range(129))}
        assert all(answers[number]["ok"] for number in range(128))
        assert (answers[128]["kind"], answers[128]["sent"]) == ("OutboxFull", "no")


@pytest.mark.rule("P56", "P58")
def test_a_killed_process_loses_no_post_and_sends_none_twice(gateway: Sandbox, tmp_path: Path) -> None:
    account, settings = seeded(gateway)
    settings["time_scale"] = "1"  # What has no answer is not to be given up within the test.
    chats = [account["conversation_id"], gateway.post("conversation", user_id=account["user_id"])["chat_id"]]
    posted: dict[str, str] = {}
    before = gateway.count("messages_received")
    with Talk(gateway, tmp_path, settings) as talk:
        talk.state("connected")
        gateway.post("fault", point="send", kind="swallow", times=None)
        for number in range(20):
            talk.ask("post", id=number, chat_id=chats[number % 2], text=f"{number}")
        for _ in range(20):
            line = talk.until(lambda line: line["type"] == "result")
            posted[line["message_id"]] = str(line["id"])
        gateway.wait("messages_received", before + 2)
        talk.process.kill()
        talk.process.wait(LIMIT_S)
    gateway.post("clear")
    with Talk(gateway, tmp_path, settings) as talk:
        ends = [talk.until(is_sent) for _ in posted]
        assert {line["message_id"]: line["outcome"] for line in ends} == dict.fromkeys(posted, "acked")
        assert {line["chat_id"] for line in ends} == set(chats)
    messages = heard(gateway, account)
    assert {message["message_id"]: message["text"] for message in messages} == posted
    for parity, chat in enumerate(chats):
        said = [int(message["text"]) for message in messages if message["chat_id"] == chat]
        assert said == list(range(parity, 20, 2))


def test_typing_is_told_until_it_ends_or_the_process_does(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    chat, user_id = account["conversation_id"], account["user_id"]

    def typed() -> list[str]:
        events = [event for event in gateway.state["events"] if event.get("user_id") == user_id]
        return [event["detail"].rpartition(" ")[2] for event in events if event["event"] == "typing"]

    before = gateway.count("typing_updates")
    for id, on in (("t1", True), ("t2", True), ("t3", False), ("t4", False), ("t5", True)):
        talk.ask("typing", id=id, chat_id=chat, is_typing=on)
        assert talk.result(id)["ok"]
    talk.ask("typing", id="t6", chat_id="nowhere", is_typing=True)
    assert talk.result("t6")["kind"] == "SendRefused"
    talk.ask("stop")
    talk.rest()
    gateway.wait("typing_updates", before + 4)
    assert typed() == ["on", "off", "on", "off"]


# -- what comes in -------------------------------------------------------------------------------------------


@pytest.mark.rule("P58", "P59")
def test_in_explicit_mode_what_is_not_handled_comes_again(gateway: Sandbox, tmp_path: Path) -> None:
    account, settings = seeded(gateway)
    with Talk(gateway, tmp_path, settings | {"explicit": "1"}) as talk:
        talk.state("connected")
        for text in ("one", "two"):
            gateway.post("push-message", user_id=account["user_id"], text=text)
        one, two = (talk.until(lambda line: line["type"] == "message") for _ in range(2))
        assert [(line["ref"], line["text"]) for line in (one, two)] == [(1, "one"), (2, "two")]
        talk.ask("handled", id="h1", ref=1)
        assert talk.result("h1")["ok"]
        talk.ask("handled", id="h2", ref=1)
        assert talk.result("h2")["ok"]
        talk.ask("handled", id="h3", ref=3)
        assert talk.result("h3")["kind"] == "UnknownRef"
        talk.ask("stop")
        talk.rest()
    with Talk(gateway, tmp_path, settings | {"explicit": "1"}) as talk:
        again = talk.until(lambda line: line["type"] == "message")
        assert (again["ref"], again["text"], again["message_id"]) == (1, "two", two["message_id"])


@pytest.mark.rule("P58")
def test_otherwise_what_was_written_was_handled(gateway: Sandbox, tmp_path: Path) -> None:
    account, settings = seeded(gateway)
    before = gateway.count("acks")
    with Talk(gateway, tmp_path, settings) as talk:
        talk.state("connected")
        gateway.post("push-message", user_id=account["user_id"], text="one")
        assert "ref" not in talk.until(lambda line: line["type"] == "message")
        gateway.wait("acks", before + 1)
        talk.ask("stop")
        talk.rest()
    with Talk(gateway, tmp_path, settings) as talk:
        gateway.post("push-message", user_id=account["user_id"], text="two")
        assert talk.until(lambda line: line["type"] == "message")["text"] == "two"


TYPED: list[tuple[str, Line, Line]] = [
    ("message.created", {"message_id": "msg-1", "sequence": 0}, {"phase": "created", "message_id": "msg-1"}),
    (
        "message.add",
        {"message_id": "msg-1", "sequence": 1, "fragments": [{"kind": "text", "text": "he"}]},
        {"phase": "add", "text": "he", "sequence": 1},
    ),
    ("message.done", {"message_id": "msg-1"}, {"phase": "done"}),
    ("message.failed", {"message_id": "msg-1"}, {"phase": "failed"}),
    (
        "message.reaction",
        {"message_id": "msg-1", "emoji": "+1", "user_id": "usr_1"},
        {"emoji": "+1", "user_id": "usr_1", "removed": False},
    ),
    ("message.read", {"message_id": "msg-1", "user_id": "usr_1"}, {"message_id": "msg-1", "user_id": "usr_1"}),
    ("typing.update", {"is_typing": True}, {"is_typing": True, "user_id": "usr_2", "chat_id": "cnv_x"}),
    ("presence.update", {"user_id": "usr_1", "online": True}, {"user_id": "usr_1", "online": True}),
    (
        "permission.request",
        {"request_id": "r", "operation": "exec", "target": {"label": "rm"}},
        {"request_id": "r", "operation": "exec", "target": "rm", "decision": "", "expires_at": None},
    ),
    ("chat.metadata.invalidated", {"scope": ["title"], "version": 3}, {"scope": ["title"], "version": 3}),
    ("history.truncated", {"oldest_seq": 7}, {"oldest_seq": 7}),
    ("presence.update", {"something": "else"}, {}),
    ("quite.unknown", {"x": 1}, {}),
]


def test_every_event_has_the_documented_fields(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    around = {"chat_id": "cnv_x", "chat_type": "group", "sender": {"id": "usr_2", "nick_name": "Ada"}}
    for event, payload, wanted in TYPED:
        gateway.post("push-frame", user_id=account["user_id"], event=event, payload=payload, fields=around)
        line = talk.until(lambda line: line["type"] == "signal")
        assert (line["event"], line["event_id"], line["payload"]) == (event, None, payload)
        assert line | wanted == line, event
        if not wanted:
            assert line.keys() == {"type", "event", "event_id", "chat_id", "payload"}


def test_frames_that_cannot_be_understood_are_counted(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    for count in (1, 2):
        gateway.post("push-raw", user_id=account["user_id"], text="{nonsense")
        notice = talk.until(lambda line: line["type"] == "notice")
        assert (notice["level"], notice["bad_frames"]) == ("warning", count)
        assert "nonsense" not in json.dumps(notice)


def test_with_multi_device_the_other_devices_are_heard(gateway: Sandbox, tmp_path: Path) -> None:
    account, first = seeded(gateway)
    _, second = seeded(gateway, device_id="dev-b", user_id=account["user_id"])
    with (
        Talk(gateway, tmp_path / "a", first) as talk,
        Talk(gateway, tmp_path / "b", second | {"multi_device": "1"}) as other,
    ):
        talk.state("connected")
        other.state("connected")
        talk.ask("send", id="s1", chat_id=account["conversation_id"], text="from here")
        relayed = other.until(lambda line: line["type"] == "message")
        assert (relayed["sender_id"], relayed["text"], relayed["origin_device_id"]) == (
            account["user_id"],
            "from here",
            "dev-a",
        )
        other.ask("send", id="s2", chat_id=account["conversation_id"], text="and back")
        assert other.result("s2")["ok"]
        assert not [line for line in other.seen if line.get("text") == "and back"]


# -- the account ---------------------------------------------------------------------------------------------


def test_what_the_service_knows(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    gateway.post("set-conversation", chat_id=account["conversation_id"], title="a title")
    gateway.post("set-behavior", user_id=account["user_id"], text="be kind")
    talk.ask("profile", id="u")
    assert talk.result("u")["profile"]["user_id"] == account["user_id"]
    talk.ask("conversation", id="c", chat_id=account["conversation_id"])
    assert talk.result("c")["conversation"]["title"] == "a title"
    talk.ask("agent", id="g")
    assert talk.result("g")["agent"] is None  # These tokens did not come from a pairing.
    talk.ask("conversation", id="x", chat_id="cnv_nowhere")
    missing = talk.result("x")
    assert (missing["ok"], missing["kind"], missing["status"]) == (False, "RestFailed", 404)


def test_the_agent_of_a_pairing(gateway: Sandbox, tmp_path: Path) -> None:
    with Talk(gateway, tmp_path) as talk:
        talk.state("waiting")
        talk.ask("activate", id="a1", code=gateway.new_code())
        made = talk.until(lambda line: line["type"] == "paired")
        gateway.post("set-behavior", user_id=made["user_id"], text="be kind")
        talk.ask("agent", id="g")
        agent = talk.result("g")["agent"]
        assert (agent["id"], agent["behavior"]) == (made["agent_id"], "be kind")


def test_a_refresh_by_hand(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    before = gateway.count("refreshes")
    talk.ask("refresh", id="f1")
    assert talk.result("f1")["outcome"] == "success"
    assert gateway.count("refreshes") == before + 1
    gateway.post("revoke", user_id=account["user_id"])
    talk.ask("refresh", id="f2")
    refused = talk.result("f2")
    assert (refused["ok"], refused["kind"]) == (False, "NotRefreshed")
    assert refused["outcome"] in ("permanent", "skipped")


def test_a_logout_by_hand_and_the_history_of_it(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    talk.ask("logout", id="l")
    assert talk.result("l")["ok"]
    talk.state("logged_out")
    talk.ask("post", id="p", chat_id=account["conversation_id"], text="hello")
    assert (talk.result("p")["kind"], talk.seen[-1]["sent"]) == ("NotPaired", "no")
    talk.ask("profile", id="u")
    assert talk.result("u")["kind"] == "NotPaired"
    talk.ask("history", id="h", limit=50)
    rows = talk.result("h")["rows"]
    assert {row["kind"] for row in rows} >= {"connection", "logout"}
    talk.ask("history", id="h1", limit=1)
    assert talk.result("h1")["rows"] == rows[:1]
    assert account["access_token"] not in json.dumps(talk.seen)


def test_a_link_that_gave_up_is_resumed(gateway: Sandbox, tmp_path: Path) -> None:
    _, settings = seeded(gateway)
    gateway.post("fault", point="accept", kind="drop")
    with Talk(gateway, tmp_path, settings | {"profile": "compat"}) as talk:
        parked = talk.state("waiting")
        assert (parked["configured"], parked["running"]) == (True, False)
        assert "resume" in parked["reason"]
        talk.ask("resume", id="m")
        assert talk.result("m")["ok"]
        talk.state("connected")


def test_what_is_asked_after_a_stop_is_not_done(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    chat = account["conversation_id"]
    ops: list[dict[str, Any]] = [
        {"op": "send", "id": "before", "chat_id": chat, "text": "before"},
        {"op": "stop", "id": "z"},
        {"op": "post", "id": "p", "chat_id": chat, "text": "after"},
        {"op": "logout", "id": "l"},
        {"op": "stop", "id": "zz"},
    ]
    talk.write(b"".join(json.dumps(op).encode() + b"\n" for op in ops))
    answers = {line["id"]: line for line in talk.rest() if line["type"] == "result"}
    assert [answers[id]["kind"] for id in ("p", "l", "zz")] == ["Stopped"] * 3
    assert answers["before"]["ok"]
    assert answers["z"]["ok"]
    assert talk.seen[-1]["configured"]
    assert [message["text"] for message in heard(gateway, account)] == ["before"]


# -- settings ------------------------------------------------------------------------------------------------


def settings_of(tmp_path: Path, **fields: Any) -> given.LinkSettings:
    return given.LinkSettings(
        ws_url="ws://127.0.0.1:9/ws",
        base_url="http://127.0.0.1:9",
        store=given.store_in(tmp_path),
        messages=given.messages_in(tmp_path),
        first_pair=None,
        identity=Identity(),
        mirror=None,
        insecure_hosts=(),
        **fields,
    )


def test_profile_classifier_and_outbox_choose_the_policy_and_time_scales_it(tmp_path: Path) -> None:
    policy = settings_of(
        tmp_path, time_scale=0.1, profile="compat", classifier="exact", outbox_full="drop_oldest"
    ).policy
    assert (policy.first_failure_parks, policy.outbox_full, policy.classifier) == (True, "drop_oldest", EXACT)
    assert (policy.ack_s, policy.ping_s, policy.pong_s) == (COMPAT.ack_s * 0.1, COMPAT.ping_s * 0.1, None)
    plain = settings_of(tmp_path, time_scale=1.0).policy
    assert (plain.first_failure_parks, plain.outbox_full, plain.classifier) == (False, "wait", SEED)
