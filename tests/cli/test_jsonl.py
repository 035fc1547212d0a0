"""``holdfast run --jsonl`` against a sandbox in another process: the contract of docs/jsonl.md."""

import json
import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .kit import LIMIT_S, Line, Sandbox, Talk, seeded

NOTICE = "ClawChat token expired and could not be refreshed. Re-pair with `/clawchat-activate <code>`."


@pytest.fixture
def paired(gateway: Sandbox, tmp_path: Path) -> Iterator[tuple[Talk, Line]]:
    """A connected client, and its account."""
    account, settings = seeded(gateway)
    with Talk(gateway, tmp_path, settings) as talk:
        talk.state("connected")
        yield talk, account


def stored(gateway: Sandbox, account: Line) -> int:
    (found,) = [each for each in gateway.state["accounts"] if each["user_id"] == account["user_id"]]
    return int(found["messages_stored"])


def results(lines: list[Line]) -> list[Any]:
    return sorted(line["id"] for line in lines if line["type"] == "result")


def test_an_unpaired_client_waits_is_paired_and_stops(gateway: Sandbox, tmp_path: Path) -> None:
    with Talk(gateway, tmp_path) as talk:
        assert talk.state("waiting")["configured"] is False
        talk.ask("send", id="s1", chat_id="cnv_x", text="hello")
        assert talk.result("s1")["kind"] == "NotPaired"
        code = gateway.new_code()
        talk.ask("activate", id="a1", code=code)
        assert talk.result("a1") == {"type": "result", "id": "a1", "op": "activate", "ok": True}
        talk.state("connected")
        talk.ask("stop", id="z")
        rest = talk.rest()
        assert talk.exit_code() == 0
    assert {"type": "result", "id": "z", "op": "stop", "ok": True} in rest
    assert rest[-1]["state"] == "stopped"
    assert code not in json.dumps(talk.seen)
    assert talk.stderr == ""


def test_a_message_there_and_back(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    talk.ask("send", id="s1", chat_id=account["conversation_id"], text="grüße \u2028 \n")
    sent = talk.result("s1")
    assert sent["ok"]
    assert sent["message_id"].startswith("msg-")
    assert stored(gateway, account) == 1
    said = gateway.post("push-message", user_id=account["user_id"], text="line\nbreak")["message_id"]
    message = talk.until(lambda line: line["type"] == "message")
    assert message | {"mentions": []} == {
        "type": "message",
        "message_id": said,
        "chat_id": account["conversation_id"],
        "chat_type": "direct",
        "sender_id": account["owner_id"],
        "sender_name": "Owner",
        "text": "line\nbreak",
        "mentions": [],
        "message_mode": "normal",
        "merged": False,
        "origin_device_id": "",
        "reply_to": None,
    }


@pytest.mark.rule("S0-57")
def test_a_signal_is_told_once_and_other_events_as_they_are(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    signal_ = {"user_id": account["user_id"], "type": "conversation.updated", "entity_id": "cnv_x", "event_id": "evt_1"}
    gateway.post("push-signal", **signal_)
    gateway.post("push-signal", **signal_)
    gateway.post("push-frame", user_id=account["user_id"], event="presence.changed", payload={"online": True})
    first = talk.until(lambda line: line["type"] == "signal")
    second = talk.until(lambda line: line["type"] == "signal")
    assert (first["event"], first["event_id"], first["kind"]) == ("notify.signal", "evt_1", "conversation.updated")
    assert (second["event"], second["event_id"], second["payload"]) == ("presence.changed", None, {"online": True})


def test_rest_is_ok_only_if_both_http_and_the_envelope_say_so(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired

    def ask(id: str, path: str = "/v1/users/me", **fields: Any) -> Line:
        talk.ask("rest", id=id, method="GET", path=path, **fields)
        return talk.result(id)

    good = ask("r1", json=None)
    assert (good["ok"], good["status"], good["body"]["data"]["user_id"]) == (True, 200, account["user_id"])
    gone = ask("r2", "/v1/nothing")
    assert (gone["ok"], gone["status"], gone["error"]) == (False, 404, "HTTP status 404")
    gateway.post("fault", point="rest", kind="code", code=7)
    refused = ask("r3")
    assert (refused["ok"], refused["status"], refused["code"], refused["body"]["code"]) == (False, 200, 7, 7)
    gateway.post("fault", point="rest", kind="status", status=503)
    assert (ask("r4")["status"], talk.seen[-1]["ok"]) == (503, False)
    gateway.post("fault", point="rest", kind="garbage")
    garbage = ask("r5")
    assert (garbage["ok"], garbage["status"], garbage["kind"]) == (False, 200, "NoEnvelope")
    assert garbage["body"].startswith("<html>")
    gateway.post("fault", point="rest", kind="drop")
    dropped = ask("r6")
    assert (dropped["ok"], dropped["kind"], "status" in dropped) == (False, "NoAnswer", False)
    gateway.post("fault", point="rest", kind="never")
    assert ask("r7")["kind"] == "TimedOut"


def test_a_refused_access_token_is_refreshed_within_a_rest_operation(
    paired: tuple[Talk, Line], gateway: Sandbox
) -> None:
    talk, account = paired
    before = gateway.count("refreshes")
    gateway.post("revoke", user_id=account["user_id"], refresh=False)
    talk.ask("rest", id="r1", method="GET", path="/v1/users/me")
    assert talk.result("r1")["ok"]
    assert gateway.count("refreshes") == before + 1


def test_sends_that_fail_say_how(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    chat = account["conversation_id"]
    talk.ask("send", id="s1", chat_id="group-1", text="hello")
    assert talk.result("s1")["kind"] == "SendRefused"
    gateway.post("fault", point="send", kind="refuse", reason="bad_request")
    talk.ask("send", id="s2", chat_id=chat, text="hello")
    refused = talk.result("s2")
    assert (refused["ok"], refused["kind"], refused["code"]) == (False, "SendRefused", "bad_request")
    gateway.post("fault", point="send", kind="never", times=None)
    talk.ask("send", id="s3", chat_id=chat, text="hello", timeout=0.5)
    unanswered = talk.result("s3")
    assert (unanswered["kind"], unanswered["sent"]) == ("AckTimeout", "unknown")
    talk.ask("send", id="s4", chat_id=chat, text="hello", timeout=0)
    assert talk.result("s4")["kind"] == "Malformed"
    gateway.post("clear")
    gateway.post("fault", point="upgrade", kind="status", times=None)
    gateway.post("drop")
    talk.state("backoff")
    talk.ask("send", id="s7", chat_id=chat, text="hello", timeout=0.2)
    late = talk.result("s7")
    assert (late["kind"], late["sent"]) == ("NotConnected", "no")
    assert late["error"] == "not connected in time; nothing was sent: give it longer, or see status.reason"
    gateway.post("clear")
    talk.state("connected")
    gateway.post("fault", point="send", kind="refuse", reason="not_member")
    talk.ask("send", id="s5", chat_id=chat, text="hello")
    talk.ask("send", id="s6", chat_id=chat, text="a dead chat is not tried again for a while")
    answers = [talk.until(lambda line: line["type"] == "result") for _ in range(2)]
    assert results(answers) == ["s5", "s6"]
    assert [(line["kind"], line["code"]) for line in answers] == [("SendRefused", "not_member")] * 2


BAD_LINES = [
    (b"\xff\xfe", None),
    (b"not json", None),
    (b"[1, 2]", None),
    (b'{"op":"dance","id":"u1"}', "u1"),
    (b'{"id":"u2"}', "u2"),
    (b'{"op":["send"],"id":3}', 3),
    (b'{"op":"send","id":{},"chat_id":"cnv_x","text":"x"}', None),
    (b'{"op":"send","chat_id":"cnv_x"}', None),
    (b'{"op":"status","id":true}', None),
    (b'{"op":"status","id":"\\ud800"}', None),
    (b"[" * 100_000, None),
    (b'{"op":"send","id":"big","text":"' + b"x" * 9_000_000 + b'"}', None),
]


def test_what_is_no_operation_gets_an_error_line_and_breaks_nothing(paired: tuple[Talk, Line]) -> None:
    talk, _ = paired
    for line, id in BAD_LINES:
        talk.write(line + b"\n")
        answer = talk.until(lambda line: line["type"] in ("error", "result"))
        assert (answer["type"], answer.get("id")) == ("error", id), line[:80]
        assert answer["error"]
    talk.write(b"\n  \r\n")
    talk.ask("status", id="q1")
    assert talk.result("q1")["state"] == "connected"


BAD_FIELDS: list[Line] = [
    {"op": "send", "id": "x"},
    {"op": "send", "id": "x", "chat_id": 7, "text": "hello"},
    {"op": "send", "id": "x", "chat_id": "", "text": "hello"},
    {"op": "send", "id": "x", "chat_id": "cnv_x", "text": None},
    {"op": "rest", "id": "x", "method": "GET"},
    {"op": "rest", "id": "x", "method": "G T", "path": "/v1"},
    {"op": "rest", "id": "x", "method": "GET", "path": "v1/users/me"},
    {"op": "rest", "id": "x", "method": "GET", "path": "//elsewhere.example/v1"},
    {"op": "rest", "id": "x", "method": "GET", "path": "https://elsewhere.example/"},
    {"op": "rest", "id": "x", "method": "GET", "path": "/v1\r\nX: y"},
    {"op": "activate", "id": "x"},
    {"op": "activate", "id": "x", "code": ["sesame"]},
]


def test_a_known_operation_with_bad_fields_gets_its_one_result(paired: tuple[Talk, Line]) -> None:
    talk, _ = paired
    for fields in BAD_FIELDS:
        talk.ask(**fields)
        answer = talk.until(lambda line: line["type"] in ("error", "result"))
        assert (answer["type"], answer["ok"], answer["kind"]) == ("result", False, "Malformed"), fields
        assert "sesame" not in json.dumps(answer)


def test_an_id_comes_back_as_it_was(paired: tuple[Talk, Line]) -> None:
    talk, _ = paired
    for id in ("", "s\u00fc\u00df \U0001f600", "a" * 10_000, 7, 1.5, 0, 2**70):
        talk.ask("status", id=id)
        assert talk.result(id)["ok"]


def test_a_burst_of_operations_gets_one_result_each(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    asked: list[str] = []
    for number in range(50):
        chat = account["conversation_id"]
        talk.ask("send", id=f"s{number}", chat_id=chat, text=f"message {number}")
        talk.ask("rest", id=f"r{number}", method="GET", path="/v1/users/me")
        talk.ask("status", id=f"q{number}")
        talk.ask("send", id=f"x{number}", chat_id="nowhere", text="hello")
        asked += [f"s{number}", f"r{number}", f"q{number}", f"x{number}"]
    answers = [talk.until(lambda line: line["type"] == "result") for _ in asked]
    assert results(answers) == sorted(asked)
    assert all(answer["ok"] is (answer["id"][0] != "x") for answer in answers)
    assert stored(gateway, account) == 50
    talk.ask("stop")
    assert results(talk.rest()) == []


def test_slow_operations_hold_up_nobody(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    gateway.post("fault", point="rest", kind="hold", times=None)
    gateway.post("fault", point="send", kind="never", times=None)
    for number in range(20):
        talk.ask("rest", id=f"r{number}", method="GET", path="/v1/users/me")
        talk.ask("send", id=f"s{number}", chat_id=account["conversation_id"], text="hello")
    talk.ask("status", id="q1")
    assert talk.until(lambda line: line["type"] == "result")["id"] == "q1"
    talk.ask("stop", id="z")
    rest = talk.rest()
    assert results(rest) == sorted([*(f"r{n}" for n in range(20)), *(f"s{n}" for n in range(20)), "z"])
    assert rest[-1]["state"] == "stopped"
    assert talk.exit_code() == 0


def test_the_end_of_the_input_means_stop_and_what_was_asked_is_done(paired: tuple[Talk, Line]) -> None:
    talk, account = paired
    talk.write(json.dumps({"op": "send", "id": "s1", "chat_id": account["conversation_id"], "text": "bye"}).encode())
    talk.stdin.close()  # after a line without line end
    rest = talk.rest()
    assert [line["ok"] for line in rest if line["type"] == "result"] == [True]
    assert rest[-1]["state"] == "stopped"
    assert talk.exit_code() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_cleanly(
    gateway: Sandbox, paired: tuple[Talk, Line], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    talk, account = paired
    before = gateway.count("faults")
    gateway.post("fault", point="send", kind="never")
    talk.ask("send", id="s1", chat_id=account["conversation_id"], text="hello")
    gateway.wait("faults", before + 1)
    talk.signal(number)
    rest = talk.rest()
    assert talk.exit_code() == code
    assert results(rest) == ["s1"]
    assert rest[-1]["state"] == "stopped"
    assert talk.stderr == ""
    assert gateway.devices(account["user_id"]) == []
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(("-wal", "-shm", "-journal"))]
    with closing(sqlite3.connect(tmp_path / "accounts.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_reader_that_goes_away_ends_it(gateway: Sandbox, tmp_path: Path) -> None:
    account, settings = seeded(gateway)
    before = gateway.count("hellos")
    reading, writing = os.pipe()
    with Talk(gateway, tmp_path, settings, stdout=writing) as talk:
        os.close(writing)
        gateway.wait("hellos", before + 1)
        os.close(reading)
        talk.ask("status", id="q1")
        assert talk.exit_code() == 0
        assert talk.stderr == ""
    assert gateway.devices(account["user_id"]) == []


def test_stdin_may_be_any_file(gateway: Sandbox, tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"op":"status","id":1}\n')
    for path, ids in ((script, [1]), (Path(os.devnull), [])):
        with path.open("rb") as file, Talk(gateway, tmp_path / "state", stdin=file.fileno()) as talk:
            lines = talk.rest()
            assert (results(lines), lines[-1]["state"]) == (ids, "stopped")
            assert talk.exit_code() == 0


def test_a_killed_gateway_that_comes_back_is_found_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    place = ("--port", port, "--state-file", str(tmp_path / "gateway.json"))
    with Sandbox(*place) as first:
        account, settings = seeded(first, device_id="dev-b")
        with Talk(first, tmp_path, settings) as talk:
            assert talk.state("connected")["device_id"] == "dev-b"
            first.process.kill()
            first.process.wait(LIMIT_S)
            talk.state("backoff")
            talk.ask("rest", id="r1", method="GET", path="/v1/users/me")
            assert talk.result("r1")["kind"] == "NoAnswer"
            with Sandbox(*place) as second:
                assert talk.state("connected")["device_id"] == "dev-b"
                assert second.devices(account["user_id"]) == ["dev-b"]
                assert second.count("refresh_posts") == 0
                talk.ask("stop")
                talk.rest()
                assert talk.exit_code() == 0


@pytest.mark.rule("S0-45", "S0-46", "S0-48")
def test_after_a_logout_it_lives_on_and_waits_to_be_paired(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, account = paired
    gateway.post("revoke", user_id=account["user_id"])
    gateway.post("drop")
    assert talk.state("logged_out")["last_error"] == "token expired — re-pair required"
    assert talk.until(lambda line: line["type"] == "notice") == {"type": "notice", "level": "error", "text": NOTICE}
    talk.ask("rest", id="r1", method="GET", path="/v1/users/me")
    assert talk.result("r1")["kind"] == "NotPaired"
    code = gateway.new_code()
    talk.ask("activate", id="a1", code=f"{code}-wrong")
    refused = talk.result("a1")
    assert (refused["ok"], refused["kind"], refused["spent"]) == (False, "PairingFailed", True)
    talk.ask("activate", id="a2", code=code)
    assert talk.result("a2")["ok"]
    talk.state("connected")
    assert len([line for line in talk.seen if line.get("state") == "logged_out"]) == 1


def test_tokens_are_told_nowhere(gateway: Sandbox, tmp_path: Path) -> None:
    account, settings = seeded(gateway)
    with Talk(gateway, tmp_path, settings, "--verbose") as talk:
        talk.state("connected")
        talk.ask("rest", id="r1", method="GET", path="/v1/users/me")
        talk.result("r1")
        gateway.post("revoke", user_id=account["user_id"])
        gateway.post("drop")
        talk.state("logged_out")
        talk.ask("stop")
        talk.rest()
        assert talk.exit_code() == 0
        told = json.dumps(talk.seen) + talk.stderr
    assert "logged_out" in talk.stderr
    for secret in (account["access_token"], account["refresh_token"], account["access_token"].split(".")[1]):
        assert secret not in told


def test_a_rest_service_that_repeats_the_token_in_broken_http_is_not_quoted(gateway: Sandbox, tmp_path: Path) -> None:
    account, settings = seeded(gateway)
    with socket.create_server(("127.0.0.1", 0)) as parrot:
        settings["base_url"] = f"http://127.0.0.1:{parrot.getsockname()[1]}"
        with Talk(gateway, tmp_path, settings, "--verbose") as talk:
            talk.state("connected")
            talk.ask("rest", id="r1", method="GET", path="/v1/users/me")
            connection, _ = parrot.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 " + connection.recv(65536).split(b"uthorization: ")[1])
                failed = talk.result("r1")
            talk.ask("stop")
            talk.rest()
            told = json.dumps(talk.seen) + talk.stderr
    assert (failed["kind"], failed["error"]) == ("NoAnswer", "no answer: RemoteProtocolError")
    assert account["access_token"] not in told


def test_the_seed_is_for_an_empty_store_only(gateway: Sandbox, tmp_path: Path) -> None:
    _, settings = seeded(gateway)
    with Talk(gateway, tmp_path, settings) as talk:
        talk.state("connected")
        talk.ask("stop")
        talk.rest()
    other, others = seeded(gateway, device_id="dev-a")
    with Talk(gateway, tmp_path, others) as talk:
        talk.state("connected")
        talk.ask("rest", id="r1", method="GET", path="/v1/users/me")
        assert talk.result("r1")["body"]["data"]["user_id"] != other["user_id"]


def test_an_output_that_is_full_is_a_failure(gateway: Sandbox, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("wb") as full, Talk(gateway, tmp_path, stdout=full.fileno()) as talk:
        assert talk.exit_code() == 1
        assert talk.stderr == "holdfast: stdout: No space left on device\n"


def test_what_is_asked_while_it_ends_is_answered_too(paired: tuple[Talk, Line], gateway: Sandbox) -> None:
    talk, _ = paired
    gateway.post("fault", point="rest", kind="hold", times=None)
    talk.ask("rest", id="r0", method="GET", path="/v1/users/me")
    talk.ask("stop", id="z")
    talk.result("z")
    talk.ask("status", id="q1")
    talk.ask("rest", id="r1", method="GET", path="/v1/users/me")
    assert [talk.until(lambda line: line["type"] == "result")["kind"] for _ in range(3)] == ["Stopped"] * 3
    assert talk.rest()[-1]["state"] == "stopped"
