"""Killed at any await of a refresh, an account starts again on a pair that works, or says that it must be re-paired."""

import asyncio
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from holdfast import AccountState, SqliteStore
from holdfast.adapters import DEFAULT_ACCOUNT, Exchange, Stored
from holdfast.sandbox import Gateway, GatewaySettings, serve
from holdfast.testing import VirtualClock

from .crashing import watch_exchanges
from .kit import FaultyStore, link_to, pair, ready, soon, status_of

pytestmark = pytest.mark.anyio

AWAITS_MIN = 5
"""An exchange that connects, sends and receives has at least so many; fewer means that they were not found."""
AWAITS_MAX = 60
EXPIRED = "token expired — re-pair required"


@dataclass
class Moment:
    """What was on both disks at one await."""

    store: Path
    service: Path
    stored: Stored
    rotated: int


@pytest.mark.rule("P06", "S1-12", "S1-14")
async def test_restarted_from_what_was_on_the_disk_at_each_await(
    nothing_left: None, clock: VirtualClock, tmp_path: Path
) -> None:
    moments = await _record(clock, tmp_path)
    assert len(moments) >= AWAITS_MIN
    before, after = moments[0], moments[-1]
    assert (before.rotated, after.rotated) == (0, 1)
    for moment in _distinct(moments):
        # The service may have gone on with what it had been sent by then.
        services = [moment, after] if moment.stored.interrupted is not None else [moment]
        for at_the_service in services:
            lost = at_the_service.rotated and moment.stored.pair == before.stored.pair
            await _restart(clock, moment.store, at_the_service.service, lost=bool(lost))


async def _record(clock: VirtualClock, tmp_path: Path) -> list[Moment]:
    """Refresh once, and keep what is on both disks at each suspension."""
    moments: list[Moment] = []
    path, state = tmp_path / "store.db", tmp_path / "service.json"
    async with serve(state_file=state, wall=lambda: clock.wall) as gateway:
        store = FaultyStore(path)
        pair(gateway, store, clock)

        def keep() -> None:
            folder = tmp_path / f"at-{len(moments)}"
            folder.mkdir()
            # As a kill leaves it: what a transaction has not committed is not there, and no lock is held.
            for name in ("store.db", "store.db-wal", "service.json"):
                if (tmp_path / name).exists():
                    shutil.copy(tmp_path / name, folder / name)
            copied = store.read(DEFAULT_ACCOUNT)
            moments.append(Moment(folder / "store.db", folder / "service.json", copied, gateway.counters.refreshes))

        async with link_to(gateway, store, clock) as link:
            await ready(link)
            loop = asyncio.get_running_loop()
            factory = loop.get_task_factory()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Exchange, "post", Exchange.post)  # to be put back
                watch_exchanges(keep)
                try:
                    assert (await soon(link.refresh())).outcome == "success"
                    keep()
                finally:
                    loop.set_task_factory(factory)
    return moments


def _distinct(moments: list[Moment]) -> list[Moment]:
    """One of each kind: most awaits of an exchange change nothing on a disk."""
    kinds: dict[tuple[int, int | None, int], Moment] = {}
    for moment in moments:
        kinds.setdefault((moment.stored.generation, moment.stored.interrupted, moment.rotated), moment)
    return list(kinds.values())


async def _restart(clock: VirtualClock, store: Path, service: Path, *, lost: bool) -> None:
    folder = store.with_name(f"{store.stem}-{service.parent.name}")
    folder.mkdir()
    for file in store.parent.glob("store.db*"):
        shutil.copy(file, folder / file.name)
    shutil.copy(service, folder / "service.json")
    serving = serve(state_file=folder / "service.json", wall=lambda: clock.wall)
    async with serving as gateway, link_to(gateway, FaultyStore(folder / "store.db"), clock) as link:
        status = await status_of(link, lambda status: status.connected or status.state is AccountState.LOGGED_OUT)
        assert status.connected != lost
        if status.connected:
            assert (await soon(link.rest.get("/v1/users/me"))).status_code == 200
        else:
            assert status.last_error == EXPIRED
            clock.advance(3_600)  # and it stays with that
        assert gateway.counters.refresh_posts <= 1


@pytest.mark.slow
@pytest.mark.rule("P06", "P14")
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
async def test_killed_for_real_at_each_await(nothing_left: None, tmp_path: Path) -> None:
    async with serve(settings=GatewaySettings(ping_interval_s=0)) as gateway:
        paths = [_paired(gateway, tmp_path / f"{number}.db") for number in range(AWAITS_MAX)]
        command = [sys.executable, str(Path(__file__).with_name("crashing.py")), gateway.ws_url, *map(str, paths)]
        run = await anyio.run_process(command, stderr=subprocess.PIPE, check=False)
        assert run.returncode == 0, run.stderr.decode()
        found = [json.loads(line) for line in run.stdout.splitlines()]
        assert AWAITS_MIN < len(found) < AWAITS_MAX, run.stderr.decode()
        assert [one["killed"] for one in found] == [True] * (len(found) - 1) + [False]
        for one in found:
            assert one["ended"] == 0, run.stderr.decode()
            if one["state"] == "connected":
                assert one["rest"] == 200
            else:
                assert (one["state"], one["error"]) == ("logged_out", EXPIRED)
        assert found[-1]["state"] == "connected"
        # A token that the service had used up was posted once more, to find that out, and no token more often.
        assert max(gateway.refresh_posts_by_token.values()) <= 2
        lost = sum(one["state"] == "logged_out" for one in found)
        refused = sum(event.event == "refresh-refused" for event in gateway.events)
        assert lost == refused


def _paired(gateway: Gateway, path: Path) -> Path:
    store = SqliteStore(path)
    pair(gateway, store, VirtualClock(wall=gateway.now))
    store.close()
    return path
