"""Programs as their users have them: started as processes, talked to by pipes, with deadlines and without sleeps."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Any, Self

import httpx

from holdfast.cli.schema import schema

LIMIT_S = 60.0  # For what should take milliseconds: a broken test ends, a slow machine breaks none.
HOLDFAST = str(Path(sys.executable).with_name("holdfast"))
TOKEN_VARIABLES = ("HOLDFAST_ACCESS_TOKEN", "HOLDFAST_REFRESH_TOKEN")

Line = dict[str, Any]


def environment(**settings: str) -> dict[str, str]:
    """Ours, without any HOLDFAST_ variable but those given here without that prefix, in lower case."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return kept | {"COLUMNS": "80"} | {f"HOLDFAST_{name.upper()}": value for name, value in settings.items()}


def _checker() -> Callable[[Line], None]:
    """Checks a line of output against the schema, and that it has no field besides. Where there is a validator."""
    try:
        import jsonschema_rs
    except ModuleNotFoundError:  # It comes with the development tools, and the tests run without them too.
        return lambda line: None
    lines = schema(closed=True)
    return jsonschema_rs.validator_for({"$defs": lines["$defs"], "$ref": "#/$defs/out"}).validate


check = _checker()


class Program:
    """A running ``holdfast``. Its stdout is read line by line, in the background. Ended with the ``with`` block."""

    def __init__(
        self, *arguments: str, env: Mapping[str, str], stdin: int = subprocess.PIPE, stdout: int = subprocess.PIPE
    ) -> None:
        command = [HOLDFAST, *arguments]
        self.process = subprocess.Popen(command, env=env, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: list[bytes] = []
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(line.decode().removesuffix("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.append(self.process.stderr.read())

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT_S)
        for thread in self._threads:
            thread.join(LIMIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def line(self) -> str | None:
        """The next line of stdout; None at its end."""
        return self._lines.get(timeout=LIMIT_S)

    def write(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end."""
        return self.process.wait(LIMIT_S)

    @property
    def stderr(self) -> str:
        """All of it, after the end."""
        self._threads[1].join(LIMIT_S)
        return b"".join(self._errors).decode()


class Sandbox(Program):
    """``holdfast sandbox`` in a process of its own, scripted over HTTP."""

    def __init__(self, *arguments: str) -> None:
        super().__init__("sandbox", "--json", *arguments, env=environment())
        line = self.line()
        assert line is not None, self.stderr
        place = json.loads(line)
        self.ws_url: str = place["ws_url"]
        self.base_url: str = place["base_url"]
        self.port: int = place["port"]
        self.code: str = place["pairing_code"]

    def post(self, action: str, **form: Any) -> Line:
        answer = httpx.post(f"{self.base_url}/_sandbox/{action}", json=form, timeout=LIMIT_S).json()
        assert answer["ok"], answer
        return dict(answer)

    @property
    def state(self) -> Line:
        return dict(httpx.get(f"{self.base_url}/_sandbox/state", timeout=LIMIT_S).json())

    def count(self, counter: str) -> int:
        return int(self.state["counters"][counter])

    def wait(self, counter: str, at_least: int) -> None:
        answer = self.post("wait", counter=counter, at_least=at_least, timeout_s=LIMIT_S - 5)
        assert answer["reached"], answer

    def new_code(self) -> str:
        return str(self.post("pairing-code")["code"])

    def devices(self, user_id: str) -> list[str]:
        """The devices of the user's live sessions."""
        return [found["device_id"] for found in self.state["sessions"] if found["user_id"] == user_id]


class Talk(Program):
    """``holdfast run --jsonl``, at a hundredth of the policy's durations."""

    def __init__(
        self,
        sandbox: Sandbox,
        state_dir: Path,
        settings: Mapping[str, str] = MappingProxyType({}),
        *arguments: str,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
    ) -> None:
        given = {"ws_url": sandbox.ws_url, "state_dir": str(state_dir), "time_scale": "0.01", **settings}
        super().__init__("run", "--jsonl", *arguments, env=environment(**given), stdin=stdin, stdout=stdout)
        self.seen: list[Line] = []

    def ask(self, op: str, **fields: Any) -> None:
        self.write(json.dumps({"op": op, **fields}).encode() + b"\n")

    def next(self) -> Line | None:
        """The next line; None at the end."""
        line = self.line()
        if line is None:
            return None
        self.seen.append(json.loads(line))
        check(self.seen[-1])
        return self.seen[-1]

    def until(self, wanted: Callable[[Line], bool]) -> Line:
        """The next line that is wanted; the others before it are in ``seen``."""
        while (line := self.next()) is not None:
            if wanted(line):
                return line
        raise AssertionError(f"the output ended: {self.seen} {self.stderr}")

    def state(self, state: str) -> Line:
        return self.until(lambda line: line["type"] == "status" and line["state"] == state)

    def result(self, id: Any) -> Line:
        return self.until(lambda line: line["type"] == "result" and line["id"] == id)

    def rest(self) -> list[Line]:
        """All lines to the end."""
        before = len(self.seen)
        while self.next() is not None:
            pass
        return self.seen[before:]


def seeded(sandbox: Sandbox, device_id: str = "dev-a", **form: Any) -> tuple[Line, dict[str, str]]:
    """An account of the sandbox, and the settings that give a store its first tokens."""
    issued = sandbox.post("issue", device_id=device_id, **form)
    names = {"access_token": "access_token", "refresh_token": "refresh_token", "device_id": "device_id"}
    return issued, {name: issued[key] for name, key in names.items()} | {"user_id": issued["user_id"]}
