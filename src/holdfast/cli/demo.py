"""``holdfast demo``: what a connection's life is like, on this machine, in half a minute."""

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Final

import anyio
import msgspec
import typer

from .. import STRICT, HoldfastError, Policy
from ..sandbox import serve
from .scenes import SCENES, Scene
from .show import Check, SceneReport, Screen, Show
from .stage import Stage

TIME_SCALE: Final = 0.05
ON_A_BUSY_MACHINE: Final = ("dial_s", "challenge_s", "hello_s", "handshake_s", "refresh_post_s", "pong_s", "verify_s")
"""Deadlines of input and output, which stay as they are: a machine that hesitates is no scene of the demo."""
SCENE_LIMIT_S: Final = 20.0
"""Each takes a few seconds. One that does not end by then ends the demo."""


def demo(
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of a story.")] = False,
) -> None:
    """See it work: nine scenes from a connection's life, in half a minute.

    Starts a gateway of its own on this machine, and keeps its state in a temporary folder. The durations of the policy
    are scaled down. What is expected is compared with what the gateway saw, and with the files on the disk. The exit
    code is 0 only if all of it came true, else 1.
    """
    screen = Screen(stderr=json, quiet=json and not sys.stderr.isatty(), highlight=False)
    logging.getLogger("holdfast").addHandler(logging.NullHandler())  # The story tells it, at the right place.
    began = time.monotonic()
    show = Show(screen)
    scenes = asyncio.run(_play(show))
    seconds = time.monotonic() - began
    show.summary(scenes, seconds)
    ok = all(scene.ok for scene in scenes)
    if json:
        typer.echo(msgspec.json.encode({"ok": ok, "seconds": round(seconds, 3), "scenes": [*map(_as_json, scenes)]}))
    raise typer.Exit(0 if ok else 1)


def _as_json(scene: SceneReport) -> dict[str, object]:
    return {"title": scene.title, "ok": scene.ok, "seconds": round(scene.seconds, 3), "checks": scene.checks}


def _policy() -> Policy:
    kept = {name: getattr(STRICT, name) for name in ON_A_BUSY_MACHINE}
    return msgspec.structs.replace(STRICT.scaled(TIME_SCALE), **kept)


async def _play(show: Show) -> list[SceneReport]:
    reports: list[SceneReport] = []
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder:
        async with serve() as gateway, anyio.create_task_group() as tasks:
            show.screen.on_gone = tasks.cancel_scope.cancel
            show.say(f"a gateway at {gateway.base_url}")
            show.say(f"state in {folder}, which is removed at the end")
            show.say(f"the policy's durations are scaled down, to {TIME_SCALE:g} of what they are")
            stage = Stage(gateway, Path(folder), _policy(), show, tasks)
            try:
                for number, scene in enumerate(SCENES, 1):
                    show.scene(number, scene.title)
                    reports.append(await _play_scene(stage, scene))
                    if not reports[-1].ok:
                        break
            finally:
                with anyio.CancelScope(shield=True):
                    await stage.stop()
    return [
        *reports,
        *(SceneReport(title=scene.title, checks=[_NOT_PLAYED], seconds=0.0) for scene in SCENES[len(reports) :]),
    ]


_NOT_PLAYED: Final = Check("the scene", "played", "not played", False)


async def _play_scene(stage: Stage, scene: Scene) -> SceneReport:
    began = time.monotonic()
    stage.checks = []
    stage.begin()
    try:
        with anyio.fail_after(SCENE_LIMIT_S):
            await scene.play(stage)
    except TimeoutError:
        state = stage.statuses[-1].state if stage.statuses else "nothing new"
        stage.check(f"waited {SCENE_LIMIT_S:g} s for {stage.waiting_for}", "it comes", f"{state}", False)
    except HoldfastError as error:
        stage.check("the scene", "no error", error, False)
    return SceneReport(title=scene.title, checks=stage.checks, seconds=time.monotonic() - began)
