"""A small gateway to be run as a child, which misbehaves as it is told. Each run adds its pid to ``--runs``."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve

CHALLENGE = json.dumps({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n-1", "ts": 1}})


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--token", default="")
    parser.add_argument("--fail-first", type=int, default=0, help="so many runs fail")
    parser.add_argument("--code", type=int, default=1)
    parser.add_argument("--words", default="", help="on stderr, before anything else")
    parser.add_argument("--unless", type=Path, help="if this file is there, no run fails")
    parser.add_argument("--slow", action="store_true", help="listens only once the file RUNS.go is there")
    parser.add_argument("--mute", action="store_true", help="no challenge")
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--helper", action="store_true", help="has a child of its own, which holds the pipes")
    parser.add_argument("--daemon", action="store_true", help="and that one has left the process group")
    return parser.parse_args()


async def challenge(socket: ServerConnection) -> None:
    await socket.send(CHALLENGE)
    await socket.wait_closed()


async def mute(socket: ServerConnection) -> None:
    await socket.wait_closed()


async def main(asked: argparse.Namespace) -> None:
    if asked.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pids = [os.getpid()]
    if asked.helper:
        pause = (sys.executable, "-c", "import signal; signal.pause()")
        pids.append((await asyncio.create_subprocess_exec(*pause, start_new_session=asked.daemon)).pid)
    with asked.runs.open("a") as runs:
        runs.write(" ".join(map(str, pids)) + "\n")
    sys.stderr.write(f"{asked.words}\n")
    sys.stderr.flush()
    fails = len(asked.runs.read_text().splitlines()) <= asked.fail_first
    if fails and not (asked.unless and asked.unless.exists()):
        sys.exit(asked.code)
    while asked.slow and not asked.runs.with_suffix(".go").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    async with serve(mute if asked.mute else challenge, "127.0.0.1", asked.port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(options()))
