"""Opens the port: loopback only."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from .gateway import Gateway
from .settings import GatewaySettings
from .world import World


@asynccontextmanager
async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    settings: GatewaySettings | None = None,
    state_file: str | Path | None = None,
    wall: Callable[[], float] = time.time,
) -> AsyncGenerator[Gateway, None]:
    """Serve a sandbox gateway on one loopback port until the block ends. Port 0 takes a free one.

    With a ``state_file`` accounts, tokens, codes and messages outlive the process, even when it is killed.
    ``wall`` is the clock (epoch seconds) by which tokens expire.

    Raises:
        ValueError: the host is not a loopback address.
        StateFileError: the state file is not one.
        OSError: the port is taken, or the state file can't be written.
    """
    host = _loopback(host)
    world = World(settings or GatewaySettings(), wall, None if state_file is None else Path(state_file))
    gateway = Gateway(world, host)
    server = await asyncio.get_running_loop().create_server(gateway.new_connection, host, port)
    try:
        gateway.listening_on(server.sockets[0].getsockname()[1])
        yield gateway
    finally:
        server.close()
        await gateway.stop()


def _loopback(host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise ValueError(f"the sandbox serves loopback only, not {host!r}: use 127.0.0.1, ::1 or localhost")
