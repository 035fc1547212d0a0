"""``holdfast sandbox``: a gateway on this machine, to try things with."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from .. import ConfigError, HoldfastError
from ..sandbox import AccessFormat, Gateway, GatewaySettings, Reliable, serve
from .stopping import stop_on_signals

DEFAULTS: Final = GatewaySettings()


class SandboxFailed(HoldfastError):
    """The gateway could not be started."""


def sandbox(
    host: Annotated[str, typer.Option("--host", help="A loopback address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    state_file: Annotated[
        Path | None, typer.Option("--state-file", metavar="FILE", help="Keeps accounts, tokens and messages in it.")
    ] = None,
    pairing_code: Annotated[
        str | None, typer.Option("--pairing-code", metavar="CODE", help="A code that is good from the start, once.")
    ] = None,
    access_lifetime: Annotated[
        float, typer.Option("--access-lifetime", metavar="SECONDS", help="Of an access token.")
    ] = DEFAULTS.access_lifetime_s,
    refresh_lifetime: Annotated[
        float, typer.Option("--refresh-lifetime", metavar="SECONDS", help="Of a refresh token, from its rotation.")
    ] = DEFAULTS.refresh_lifetime_s,
    access_format: Annotated[
        AccessFormat, typer.Option("--access-format", help="What access tokens look like.")
    ] = DEFAULTS.access_format,
    reliable: Annotated[
        Reliable,
        typer.Option("--reliable", help="Reliable delivery, at most so much of it, to clients that ask for it."),
    ] = DEFAULTS.reliable,
    json: Annotated[bool, typer.Option("--json", help="Say where it is as one line of JSON.")] = False,
) -> None:
    """Serve a small real gateway on this machine, until Ctrl-C or SIGTERM.

    It speaks the service's side of the protocol with strict single-use token rotation, and can be told to misbehave.
    With the same --port and --state-file again it goes on where it was, also after a kill.
    """
    try:
        settings = GatewaySettings(
            access_lifetime_s=access_lifetime,
            refresh_lifetime_s=refresh_lifetime,
            access_format=access_format,
            reliable=reliable,
        )
    except ValueError as error:
        raise ConfigError("sandbox", str(error)) from None
    raise typer.Exit(asyncio.run(_serve(host, port, settings, state_file, pairing_code, json)))


async def _serve(
    host: str, port: int, settings: GatewaySettings, state_file: Path | None, pairing_code: str | None, json: bool
) -> int:
    async with AsyncExitStack() as resources:
        stop = resources.enter_context(stop_on_signals())
        try:
            gateway = await resources.enter_async_context(serve(host, port, settings=settings, state_file=state_file))
        except ValueError as error:
            raise ConfigError("--host", str(error)) from None
        except OSError as error:
            raise SandboxFailed(f"cannot start on port {port}: {error.strerror or error}; try another") from None
        code = gateway.pairing_code(pairing_code)
        typer.echo(_as_json(gateway, code) if json else _as_text(gateway, code))
        await stop.wait()
        return stop.code


def _as_json(gateway: Gateway, code: str) -> bytes:
    place = {"ws_url": gateway.ws_url, "base_url": gateway.base_url, "port": gateway.port, "pairing_code": code}
    return msgspec.json.encode(place)


def _as_text(gateway: Gateway, code: str) -> str:
    return f"""\
WebSocket     {gateway.ws_url}
REST          {gateway.base_url}
pairing code  {code}   (works once)

In another terminal:

  export HOLDFAST_WS_URL={gateway.ws_url}
  export HOLDFAST_STATE_DIR=/tmp/holdfast-try
  holdfast activate {code}
  holdfast run

And make it misbehave, or look at it:

  curl {gateway.base_url}/_sandbox/state
  curl -d '{{}}' {gateway.base_url}/_sandbox/pairing-code
  curl -d '{{}}' {gateway.base_url}/_sandbox/drop
  curl -d '{{"point":"hello","kind":"refuse"}}' {gateway.base_url}/_sandbox/fault

Ctrl-C ends it."""
