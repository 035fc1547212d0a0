"""Real children: started, lost and mended, ended with everything that is theirs."""

import asyncio
import logging
import os
import signal
import sys
from itertools import pairwise

import anyio
import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from holdfast import (
    OPENCLAW_PROFILE,
    ConfigError,
    GatewayProcess,
    NotEntered,
    ProcessFailed,
    ProcessProfile,
    ProcessStatus,
)
from holdfast import ProcessState as S
from holdfast.adapters import (
    NotReady,
    RedactingLogger,
    Stopped,
    Tail,
    Vault,
    connect_challenge,
    first_frame,
    read_lines,
)
from holdfast.statecharts import noise_of

from .kit import PROFILE, Site, eventually, is_alive, is_in, nothing_left, until, with_policy

pytestmark = pytest.mark.anyio


@pytest.mark.rule("S3-09", "S3-22", "S3-27", "S3-46", "S3-67", "P33")
async def test_a_gateway_is_started_and_ended_with_all_of_its_group(site: Site) -> None:
    async with nothing_left(site), site.manager("--helper") as gateway:
        assert gateway.status.state is S.STOPPED
        assert await gateway.start() == "running"
        status = await gateway.wait_running()
        [[pid, helper]] = site.pids
        assert (status.state, status.pid, status.owns_process) == (S.RUNNING, pid, True)
        assert status.connected_at is not None
        assert gateway.status.uptime_s is not None
        assert await gateway.stop() == "stopped"
        assert not is_alive(pid)
        assert not is_alive(helper)
        assert (gateway.status.state, gateway.status.pid) == (S.STOPPED, None)


@pytest.mark.rule("P33")
async def test_leaving_the_block_ends_it(site: Site) -> None:
    async with nothing_left(site), site.manager("--helper") as gateway:
        await gateway.start()
    assert not site.alive()
    assert [status.state async for status in gateway.statuses()] == [S.STOPPED]
    with pytest.raises(Stopped):
        gateway.start()


@pytest.mark.rule("S3-33", "S3-40", "P33")
async def test_a_killed_child_is_noticed_and_mended_and_its_helper_goes_with_it(site: Site) -> None:
    async with nothing_left(site), site.manager("--helper") as gateway:
        await gateway.start()
        [[pid, helper]] = site.pids
        os.kill(pid, signal.SIGKILL)
        lost = await until(gateway, is_in(S.RECONNECTING))
        assert "code=-9" in lost.last_error
        mended = await until(gateway, lambda status: status.state is S.RUNNING and status.pid != pid)
        assert mended.attempts == 1
        assert not is_alive(helper)
        assert len(site.pids) == 2


@pytest.mark.rule("S3-33")
async def test_a_dead_child_is_noticed_whoever_holds_its_pipes(site: Site) -> None:
    """A daemon that it left behind, in a group of its own, is not ours to end, and keeps nobody waiting."""
    async with site.manager("--helper", "--daemon") as gateway:
        await gateway.start()
        [[pid, _]] = site.pids
        os.kill(pid, signal.SIGKILL)
        await until(gateway, lambda status: status.state is S.RUNNING and status.pid != pid)
        await gateway.stop()
        daemons = [helper for _, helper in site.pids]
        assert site.alive() == daemons
        for daemon in daemons:
            os.kill(daemon, signal.SIGKILL)


@pytest.mark.rule("S3-46")
async def test_a_child_that_ignores_the_request_is_killed(site: Site) -> None:
    manager = site.manager("--ignore-term", policy=with_policy(terminate_s=0.05))
    async with nothing_left(site), manager as gateway:
        await gateway.start()
        assert await gateway.stop() == "stopped"
        assert not site.alive()


@pytest.mark.rule("S3-12", "S3-13", "S3-21")
async def test_a_child_that_crashes_at_first_is_tried_again(site: Site) -> None:
    async with nothing_left(site), site.manager("--fail-first", "2", "--words", "not today") as gateway:
        assert await gateway.start() == "running"
        assert len(site.pids) == 3


@pytest.mark.rule("S3-12", "S3-14", "S3-21")
async def test_one_that_always_does_fails_the_start_in_its_own_words(site: Site) -> None:
    async with nothing_left(site), site.manager("--fail-first", "9", "--code", "7", "--words", "not today") as gateway:
        with pytest.raises(ProcessFailed, match=r"\(code=7\): not today"):
            await gateway.start()
        assert gateway.status.state is S.ERROR
        assert len(site.pids) == 3
        with pytest.raises(ProcessFailed, match="not today"):
            await gateway.wait_running()


@pytest.mark.rule("S3-15", "P55")
async def test_a_refused_configuration_is_repaired_once(site: Site) -> None:
    repairs: list[int] = []

    async def repair(port: int) -> bool:
        repairs.append(port)
        (site.folder / "repaired").touch()
        return True

    profile = _profile(repair=repair)
    options = ("--fail-first", "9", "--words", "Invalid config: mode", "--unless", str(site.folder / "repaired"))
    async with nothing_left(site), site.manager(*options, profile=profile) as gateway:
        assert await gateway.start() == "running"
        assert (repairs, len(site.pids)) == ([site.port], 2)


@pytest.mark.rule("S3-16", "S3-17", "P55")
@pytest.mark.parametrize(("answer", "runs"), [(True, 2), (False, 3), (None, 3)])
async def test_and_if_that_does_not_help_a_person_is_asked(site: Site, answer: bool | None, runs: int) -> None:
    async def repair(port: int) -> bool:
        if answer is None:
            raise OSError("no such program")
        return answer

    options = ("--fail-first", "9", "--words", "Invalid config: mode")
    async with nothing_left(site), site.manager(*options, profile=_profile(repair=repair)) as gateway:
        with pytest.raises(ProcessFailed, match="Invalid config"):
            await gateway.start()
        assert len(site.pids) == runs


@pytest.mark.rule("S3-71")
async def test_a_command_that_does_not_exist(site: Site) -> None:
    manager = GatewayProcess([str(site.folder / "absent")], port=site.port, lock_folder=site.folder)
    async with manager as gateway:
        with pytest.raises(ProcessFailed, match="absent"):
            await gateway.start()
        assert (gateway.status.state, gateway.status.owns_process) == (S.ERROR, False)


@pytest.mark.rule("S3-70")
@pytest.mark.parametrize("fails", [True, False])
async def test_the_hook_before_the_spawn_runs_first_and_its_failure_only_warns(
    site: Site, fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    async def prepare(port: int) -> None:
        seen.append(len(site.pids))
        if fails:
            raise RuntimeError("no service manager")

    async with nothing_left(site), site.manager(profile=_profile(prepare=prepare)) as gateway:
        assert await gateway.start() == "running"
    assert seen == [0]
    assert ("no service manager" in caplog.text) is fails


@pytest.mark.rule("S3-08", "S3-40", "P33")
async def test_a_second_manager_uses_the_gateway_of_the_first(site: Site) -> None:
    async with nothing_left(site), site.manager() as first:
        await first.start()
        async with site.manager() as second:
            assert await second.start() == "running"
            status = second.status
            assert (status.owns_process, status.pid) == (False, None)
        assert first.status.state is S.RUNNING
        assert len(site.alive()) == 1


@pytest.mark.rule("S3-40")
async def test_a_manager_in_another_process_is_given_way_to(site: Site) -> None:
    lock = site.folder / "locks" / f"gateway-{site.port}.lock"
    lock.parent.mkdir(mode=0o700)
    holding = (
        f"from filelock import FileLock; lock = FileLock({str(lock)!r}); lock.acquire(); print(1, flush=True); input()"
    )
    other = await anyio.open_process([sys.executable, "-c", holding], stderr=None)
    async with other, nothing_left(site), site.manager() as gateway:
        assert other.stdout is not None
        await other.stdout.receive()
        start = gateway.start()
        runner = gateway._runner
        assert runner is not None
        await eventually(lambda: runner.driver.snapshot.matches("life/starting/finding/yielding"))
        assert site.pids == []
        other.kill()
        assert await start == "running"
        assert gateway.status.owns_process


@pytest.mark.rule("S3-08", "S3-40")
async def test_two_managers_at_once_start_one_gateway(site: Site) -> None:
    async with nothing_left(site), site.manager("--slow") as first, site.manager("--slow") as second:
        handles = first.start(), second.start()
        await site.until_run()
        site.runs.with_suffix(".go").touch()
        assert [await handle for handle in handles] == ["running", "running"]
        assert len(site.pids) == 1
        assert sorted([first.status.owns_process, second.status.owns_process]) == [False, True]


@pytest.mark.rule("S3-08", "S3-32", "S3-64")
async def test_when_the_first_ends_the_second_takes_over(site: Site) -> None:
    policy = with_policy(health_s=0.05)
    async with nothing_left(site), site.manager(policy=policy) as second:
        async with site.manager() as first:
            await first.start()
            await second.start()
            assert not second.status.owns_process
        mended = await until(second, lambda status: status.owns_process and status.state is S.RUNNING)
        assert mended.pid == site.pids[-1][0]


@pytest.mark.rule("S3-44")
async def test_a_gateway_that_is_not_ours_is_asked_to_stop(site: Site) -> None:
    asked: list[int] = []

    async def ask(port: int) -> None:
        asked.append(port)

    async with nothing_left(site), site.manager() as first:
        await first.start()
        async with site.manager(profile=_profile(ask_to_stop=ask)) as second:
            await second.start()
            assert await second.stop() == "stopped"
            assert asked == [site.port]


@pytest.mark.rule("S3-50", "S3-51", "S3-54", "V42", "P52")
async def test_restarts_that_are_asked_for_at_once_are_one(site: Site) -> None:
    async with nothing_left(site), site.manager() as gateway:
        start = gateway.start()
        handles = [gateway.restart(), gateway.restart(), gateway.restart(debounced=True)]
        assert await start == "running"
        assert [await handle for handle in handles] == ["running"] * 3
        assert 2 <= len(site.pids) <= 3  # the debounced one may have come after the others had begun
        assert len(site.alive()) == 1


@pytest.mark.rule("V35", "P53")
async def test_the_last_command_wins(site: Site) -> None:
    async with nothing_left(site), site.manager() as gateway:
        first, stop, last = gateway.start(), gateway.stop(), gateway.start()
        assert (await first, await stop, await last) == ("superseded", "stopped", "running")
        stop, last = gateway.stop(), gateway.restart()
        assert (await stop, await last) == ("stopped", "running")
        last, stop = gateway.restart(), gateway.stop()
        assert (await last, await stop) == ("superseded", "stopped")
        assert not site.alive()


@pytest.mark.rule("V33", "V34", "P33")
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 6, 9, 14, 22, 40, 80])
@pytest.mark.parametrize("how", ["stop", "leave", "cancel"])
async def test_wherever_a_start_is_interrupted_nothing_is_left(site: Site, turns: int, how: str) -> None:
    async with nothing_left(site):
        with anyio.CancelScope() as scope:
            async with site.manager("--helper") as gateway:
                gateway.start()
                for _ in range(turns):
                    await asyncio.sleep(0)
                if how == "stop":
                    await gateway.stop()
                    assert not site.alive()
                elif how == "cancel":
                    scope.cancel()
                    await asyncio.sleep(1)
        assert not site.alive()


@pytest.mark.rule("V33", "V34", "P33")
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 20, 60])
async def test_nor_by_a_task_that_is_cancelled_over_and_over(site: Site, turns: int) -> None:
    async def use() -> None:
        async with site.manager("--helper") as gateway:
            await gateway.start()

    async with nothing_left(site):
        task = asyncio.create_task(use())
        while not task.done():
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()


@pytest.mark.rule("V33", "V34", "P33")
@pytest.mark.parametrize("phase", ["prepare", "spawned", "unready"])
async def test_in_each_phase_of_a_start_a_stop_ends_it(site: Site, phase: str) -> None:
    waiting = asyncio.Event()

    async def prepare(port: int) -> None:
        if phase == "prepare":
            waiting.set()
            await asyncio.Event().wait()

    profile = _profile(prepare=prepare)
    options = {"prepare": (), "spawned": ("--slow",), "unready": ("--mute", "--helper")}[phase]
    async with nothing_left(site), site.manager(*options, profile=profile) as gateway:
        start = gateway.start()
        await (waiting.wait() if phase == "prepare" else site.until_run())
        assert await gateway.stop() == "stopped"
        assert await start == "superseded"
        assert not site.alive()


@pytest.mark.rule("V34", "P33")
async def test_a_manager_whose_task_is_cancelled_kills_its_child(site: Site) -> None:
    async with nothing_left(site), site.manager("--ignore-term", "--helper") as gateway:
        await gateway.start()
        assert gateway._task is not None
        gateway._task.cancel()
        await asyncio.wait((gateway._task,))
        await eventually(lambda: not site.alive())
        with pytest.raises(Stopped):
            gateway.start()


@pytest.mark.rule("V36", "P54")
@pytest.mark.parametrize("behaviour", ["mute", "hangs", "raises", "is cancelled"])
async def test_whatever_a_probe_does_the_start_ends(site: Site, behaviour: str) -> None:
    async def odd(port: int) -> None:
        if behaviour == "raises":
            raise LookupError("what is a port")
        if behaviour == "is cancelled":
            raise asyncio.CancelledError
        await asyncio.Event().wait()

    profile = PROFILE if behaviour == "mute" else _profile(readiness=odd)
    policy = with_policy(probe_s=0.05, ready_s=0.2, start_attempts_max=1)
    async with nothing_left(site), site.manager("--mute", profile=profile, policy=policy) as gateway:
        with pytest.raises(ProcessFailed, match="did not become ready in time"):
            await gateway.start()
        assert not site.alive()


@pytest.mark.rule("S3-32")
async def test_a_broken_connection_is_mended_without_another_child(site: Site) -> None:
    async with nothing_left(site), site.manager() as gateway:
        await gateway.start()
        gateway.lost("closed with 1006")
        assert gateway.status.state is S.RECONNECTING
        await gateway.wait_running()
        assert len(site.pids) == 1


@pytest.mark.rule("S3-22")
@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("hello", "no connect.challenge"),
        ("[]", "no connect.challenge"),
        ('{"event":"connect.challenge","payload":{}}', "no connect.challenge"),
        (b"\xff", "WebSocket closed before handshake"),
        (None, "WebSocket closed before handshake: busy"),
    ],
)
async def test_only_a_challenge_is_a_sign_of_life(site: Site, said: str | bytes | None, problem: str | None) -> None:
    async def speak(socket: ServerConnection) -> None:
        if said is not None:
            await socket.send(said)
        await socket.close(1013, "busy")

    async with serve(speak, "127.0.0.1", site.port):
        with pytest.raises(NotReady, match=problem):
            await connect_challenge(site.port)


@pytest.mark.rule("S3-22", "S3-13")
async def test_nobody_there_is_a_passing_failure(site: Site) -> None:
    with pytest.raises(NotReady, match="ECONNREFUSED"):
        await first_frame(site.port)


@pytest.mark.rule("S3-09")
async def test_a_port_that_something_else_holds(site: Site) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", site.port)
    policy = with_policy(port_s=0.1)
    async with nothing_left(site), site.manager(policy=policy) as gateway, server:
        with pytest.raises(ProcessFailed, match="no gateway listens"):
            await gateway.start()
        assert site.pids == []


@pytest.mark.rule("S3-68", "P60")
async def test_no_token_is_logged_or_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token, other = "tok-0123456789abcdef", "env-secret-0123456789"
    options = ("--token", token, "--fail-first", "9", "--words", f"bad token {token} and {other}")
    manager = site.manager(*options, env={"GATEWAY_TOKEN": other})
    async with manager as gateway:
        with pytest.raises(ProcessFailed) as failed:
            await gateway.start()
        runner = gateway._runner
        assert runner is not None
        told = f"{failed.value!r} {runner.driver.snapshot!r} {gateway!r} {runner.settings!r} {runner._launch!r}"
    assert "--token [redacted]" in caplog.text
    for secret in (token, other):
        assert secret not in told + caplog.text


@pytest.mark.rule("S3-69")
async def test_the_last_lines_are_kept_and_none_is_too_long() -> None:
    vault = Vault()
    vault.hide("tok-0123456789abcdef")
    tail = Tail((), vault, RedactingLogger("holdfast.process", vault))
    reading, writing = os.pipe()
    lines = [f"{number} {'x' * 490} tok-0123456789abcdef" for number in range(200)]
    sending = asyncio.create_task(asyncio.to_thread(_write_all, writing, "\n".join(lines).encode()))
    await read_lines(reading, tail.take)
    await sending
    assert len(tail._lines) == 120
    assert tail._lines[-1].startswith("199 ")
    assert max(map(len, tail._lines)) <= 500
    assert "tok-" not in tail.text()
    assert len(tail.text()) <= 4000


def _write_all(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


@pytest.mark.rule("S3-66")
async def test_a_status_is_told_once(site: Site) -> None:
    async with site.manager(policy=with_policy(health_s=0.01)) as gateway:

        async def follow() -> list[ProcessStatus]:
            return [msgspec.structs.replace(status, uptime_s=None) async for status in gateway.statuses()]

        following = asyncio.create_task(follow())
        await gateway.start()
        runner = gateway._runner
        assert runner is not None
        step = runner.driver.snapshot.context.step
        await eventually(lambda: runner.driver.snapshot.context.step > step + 3)
        await gateway.stop()
    seen = await following
    assert [one.state for one in seen].count(S.RUNNING) == 1
    assert all(one != other for one, other in pairwise(seen))


@pytest.mark.rule("S3-69")
async def test_noise_is_not_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "holdfast.process")
    options = ("--fail-first", "9", "--words", "true words\n(node:1) ExperimentalWarning: sqlite")
    async with site.manager(*options) as gateway:
        with pytest.raises(ProcessFailed, match="true words"):
            await gateway.start()
    assert "true words" in caplog.text
    assert "gateway: (node" not in caplog.text


@pytest.mark.rule("S3-69")
def test_what_openclaw_says_of_our_probes_is_noise_and_of_others_is_not() -> None:
    said = "[ws] closed before connect conn=b406 remote=127.0.0.1 ua={} code=1000 reason=n/a"
    ours = noise_of(OPENCLAW_PROFILE.noise, said.format("holdfast/1.2.3"))
    assert ours is not None
    assert ours.drop
    assert noise_of(OPENCLAW_PROFILE.noise, said.format("browser/1")) is None


async def test_a_lock_folder_that_cannot_be_used(site: Site) -> None:
    (site.folder / "locks").write_text("a file")
    async with site.manager() as gateway:
        with pytest.raises(ProcessFailed, match="locks"):
            await gateway.start()


async def test_what_cannot_be_used_is_said(site: Site) -> None:
    with pytest.raises(ConfigError, match="argv"):
        GatewayProcess(port=1)
    with pytest.raises(ConfigError, match="port"):
        GatewayProcess(["x"], port=0)
    with pytest.raises(NotEntered):
        site.manager().start()
    async with site.manager("--slow") as gateway:
        gateway.start()
        with pytest.raises(ProcessFailed, match=r"not running after 0\.01 s, but starting"):
            await gateway.wait_running(0.01)


def test_the_profile_of_openclaw() -> None:
    assert "gateway" in OPENCLAW_PROFILE.argv
    assert repr(OPENCLAW_PROFILE) == "<ProcessProfile openclaw>"
    assert ProcessProfile().readiness is first_frame


def _profile(**changes: object) -> ProcessProfile:
    known = {"readiness": PROFILE.readiness, "failures": PROFILE.failures}
    return ProcessProfile(**known | changes)  # type: ignore[arg-type]


async def test_a_bug_of_ours_ends_it_with_its_error_and_not_in_a_hang(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(port: int) -> bool:
        raise ZeroDivisionError("a bug")

    async def use() -> None:
        async with site.manager() as gateway:
            started = gateway.start()
            with pytest.raises(Stopped):
                await gateway.wait_running()
            with pytest.raises(Stopped):
                await started
            assert [status.state async for status in gateway.statuses()] == [S.STOPPED]

    monkeypatch.setattr("holdfast.adapters.process.is_free", broken)
    with pytest.raises(ZeroDivisionError):
        await use()
